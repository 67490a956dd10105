/**
 * The coordinator's state machine: who is in the cluster and who holds what. Events in, each with the
 * coordinator's monotonic time; effects out through {@linkcode Effects}. It does no I/O and sets no
 * timer; whatever waits for time is looked at in `tick`. Decisions about one partition are
 * `failover.ts` and `rebalance.ts`; this file brings them their facts and keeps the rules about time:
 *
 * - A node is *live* from its registration until it was not heard of for the failure timeout. Only a
 *   live node's heartbeats are acknowledged, and only an acknowledgement gives a lease. So no lease
 *   outlives `leaseUntilMs` of its member, whichever process of the node holds it.
 * - An acknowledgement carries the epoch of the published map, or, for a node that has just lost a
 *   primary's role, that of the map which will say so. A node with an older map has no lease. So from
 *   the moment of a decision on, the one that it concerns gets no lease under the old map.
 * - A later process of a node ends the roles of the earlier one: what it was primary of has no primary
 *   until the earlier one's lease has run out; its in-sync roles are stale. No published map ever
 *   names a process as primary that was not itself given the role.
 * - Reports count only with the partition's present term, and from the session on which the node that
 *   may make them is registered.
 * - Nothing is decided about a node in the first failure timeout after the coordinator's start, or
 *   after it was itself stopped for a while: it cannot know who was silent.
 *
 * Time per event is proportional to what it touches, not to partitions or nodes.
 *
 * @module
 */
import type { ClusterMap, NodeId, NodeInfo, PartitionConfig } from "../shared/cluster_map.ts";
import { KvError } from "../shared/errors.ts";
import { CLOCK_DRIFT_MAX, FORGET_DOWN_MS, NODES_MAX } from "../shared/limits.ts";
import type { Logger } from "../shared/logger.ts";
import type { Message } from "../shared/messages.ts";
import { type Case, type CopyStanding, judge } from "./failover.ts";
import { type Effects, MapPublisher } from "./map_publisher.ts";
import { byId, type HeldCopy, type Member, newMember, type SessionId } from "./member.ts";
import { Mover, type Place } from "./mover.ts";
import { PartitionTable } from "./partition_table.ts";
import { orderCopies } from "./rebalance.ts";
import { checkRegistration } from "./registration.ts";
import { STORED_FORMAT, type StoredCluster } from "./stored_cluster.ts";

/** Reports of copies that do not follow are logged once in so long. */
const LAG_LOG_MS = 1_000;

/** A node's word about a partition. */
export type Report = Message<"caught_up" | "lagging" | "damaged" | "drained" | "resumed">;

/** What the state machine is given. */
export interface MembershipOptions {
  readonly effects: Effects;
  readonly log: Logger;
  readonly place: Place;
  /** As read from disk, with the settings that count from now on; or a new cluster. */
  readonly stored: StoredCluster;
  /** True where `stored` is not on disk as it is: a new cluster, or changed settings. */
  readonly changed: boolean;
  /** Leases may have been given under the settings before these. */
  readonly formerLeaseMs: number;
  readonly repairDelayMs: number;
  /** The first placement waits for so many nodes. */
  readonly expectNodes: number;
  heartbeatPort(): number;
}

/** Counts for people and tests. */
export interface MembershipStats {
  epoch: number;
  nodes: { up: number; down: number; leaving: number; unknown: number };
  partitions: number;
  /** Partitions without a primary. */
  unavailable_partitions: number;
  /** Of these: nobody can take over, an operator or the return of a node is needed. */
  lost_partitions: number;
  /** Partitions with fewer in-sync copies than the replication factor. */
  under_replicated_partitions: number;
  /** Copies that were found damaged and are not replaced yet. */
  damaged_copies: number;
  /** Copies being filled now, and hand-overs under way. */
  moves: number;
  handovers: number;
  /** Since the coordinator's start. */
  failovers: number;
  moves_done: number;
  handovers_done: number;
}

/** The state machine. */
export class Membership {
  readonly #log: Logger;
  readonly #effects: Effects;
  readonly #options: MembershipOptions;
  readonly #settings;
  readonly #members = new Map<NodeId, Member>();
  readonly #sessions = new Map<SessionId, NodeId>();
  readonly #table: PartitionTable;
  readonly #publisher: MapPublisher;
  readonly #mover: Mover;

  /** To be judged. */
  readonly #unjudged = new Set<number>();
  /** To be judged at a moment. */
  readonly #waiting = new Map<number, number>();
  /** The lease of a primary that is not in the configuration any more may last until then. */
  readonly #leases = new Map<number, number>();
  /** The primary says that these copies do not follow; of the present term. */
  readonly #accused = new Map<number, Set<NodeId>>();
  readonly #fresh: Set<number>;
  #freshEpoch: number;
  readonly #lost = new Set<number>();
  #lostLogged = 0;
  #lagLoggedMs = -Infinity;
  /** Processes that were told `left`; what they still send is not answered. */
  readonly #dismissed = new Set<SessionId>();
  #nodes: NodeInfo[] | undefined;
  #graceUntilMs: number;
  #leaseGraceUntilMs: number;
  #lastTickMs: number;
  #placed: boolean;
  #failovers = 0;
  #movesDone = 0;
  #handoversDone = 0;

  constructor(options: MembershipOptions, nowMs: number) {
    const { stored, effects, log } = options;
    const { map } = stored;
    this.#options = options;
    this.#effects = effects;
    this.#log = log;
    this.#settings = map.settings;
    this.#graceUntilMs = nowMs + map.settings.failureTimeoutMs;
    const leaseMs = Math.max(map.settings.leaseMs, options.formerLeaseMs);
    this.#leaseGraceUntilMs = nowMs + leaseMs * (1 + CLOCK_DRIFT_MAX);
    this.#lastTickMs = nowMs;
    this.#fresh = new Set(stored.fresh);
    this.#freshEpoch = map.epoch;
    this.#placed = map.partitions.some(({ term }) => term > 0);
    this.#table = new PartitionTable(map.partitions, (...args) => this.#onReconfigured(...args));
    this.#publisher = new MapPublisher(
      effects,
      log,
      map,
      options.heartbeatPort,
      (epoch) => this.#snapshot(epoch),
    );
    this.#restoreMembers(nowMs);
    this.#mover = new Mover({
      members: this.#members,
      table: this.#table,
      log,
      place: options.place,
      replicationFactor: map.settings.replicationFactor,
      repairDelayMs: options.repairDelayMs,
      isPublished: (partition) =>
        this.#publisher.published.partitions[partition] === this.#table.get(partition),
      send: (session, message) => effects.send([session], message),
    });
    if (this.#placed) map.partitions.forEach((_, partition) => this.#unjudged.add(partition));
  }

  /** The map that everybody may know. */
  get published(): ClusterMap {
    return this.#publisher.published;
  }

  /** Begins: a new cluster or changed settings go to disk. */
  start(nowMs: number): void {
    if (this.#options.changed) this.#publisher.decide();
    this.#settle(nowMs);
  }

  /** A node asks to be a member, or says again that it is one. @returns why it may not */
  register(session: SessionId, message: Message<"register">, nowMs: number): KvError | undefined {
    const known = this.#members.get(message.node);
    const refusal = checkRegistration(message, this.#settings, known) ??
      this.#refusedHere(session, message, known);
    if (refusal !== undefined) {
      this.#log.warn("a registration was refused", {
        node: message.node,
        code: refusal.code,
        reason: refusal.message,
      });
      return refusal;
    }
    const member = known ?? newMember(infoOf(message), "live", nowMs);
    const restarted = known !== undefined && message.incarnation > known.info.incarnation;
    if (known === undefined) this.#members.set(member.id, member);
    else if (restarted) this.#endRoles(member, nowMs);
    this.#attach(member, session);
    this.#log.info(restarted ? "a node has restarted" : "a node has registered", {
      node: member.id,
      address: `${message.host}:${message.port}`,
      incarnation: message.incarnation,
      held: message.held.length,
    });
    const isNewProcess = member.instance !== message.instance;
    member.instance = message.instance;
    member.memory = message.memory === true;
    member.presence = "live";
    member.released = false;
    member.lastSeenMs = nowMs;
    this.#takeHeld(member, message);
    this.#setInfo(member, infoOf(message));
    this.#mover.invalidateWish();
    if (isNewProcess) {
      this.#nodes = undefined;
      this.#publisher.decide();
    }
    this.#touchNode(member);
    this.#settle(nowMs);
    this.#publisher.subscribe(session);
    return undefined;
  }

  /** A node's connection has ended. That alone says nothing about the node. */
  sessionClosed(session: SessionId, nowMs: number): void {
    this.#publisher.unsubscribe(session);
    this.#dismissed.delete(session);
    const id = this.#sessions.get(session);
    this.#sessions.delete(session);
    const member = id === undefined ? undefined : this.#members.get(id);
    if (member?.session !== session) return;
    member.session = undefined;
    if (member.released) {
      this.#markDown(member, nowMs, "it has said good-bye and gone");
      this.#settle(nowMs);
    }
  }

  /**
   * A heartbeat, by datagram or over a session.
   *
   * @returns the acknowledgement; undefined where the sender is no live member, which has then been
   *   told to register again wherever it can be reached
   */
  heartbeat(
    message: Message<"heartbeat">,
    over: SessionId | undefined,
    nowMs: number,
  ): Message<"heartbeat_ack"> | undefined {
    const member = this.#members.get(message.node);
    const known = member !== undefined && member.instance === message.instance &&
      member.info.incarnation === message.incarnation;
    if (!known || member.presence !== "live") {
      const session = over ?? (known ? member.session : undefined);
      if (session !== undefined && !this.#dismissed.has(session)) {
        this.#effects.send([session], { req_type: "register_again" });
      }
      return undefined;
    }
    member.lastSeenMs = nowMs;
    member.leaseUntilMs = nowMs + this.#settings.leaseMs * (1 + CLOCK_DRIFT_MAX);
    if (this.#fresh.size > 0 && message.epoch >= this.#freshEpoch) this.#noteAdopted(member, nowMs);
    return {
      req_type: "heartbeat_ack",
      node: message.node,
      instance: message.instance,
      sent: message.sent,
      epoch: Math.max(this.published.epoch, member.ackEpochMin),
    };
  }

  /** A node's word about a partition. Old or foreign ones are ignored. */
  report(session: SessionId, message: Report, nowMs: number): void {
    const id = this.#sessions.get(session);
    const member = id === undefined ? undefined : this.#members.get(id);
    const { p } = message;
    if (member?.session !== session || member.presence !== "live" || p >= this.#table.size) return;
    const config = this.#table.get(p);
    if (message.term !== config.term) return;
    if (message.req_type === "damaged") this.#onDamaged(member, p, config, nowMs);
    else if (config.primary === member.id && !member.stale.has(p)) {
      this.#onPrimaryReport(member, message, config, nowMs);
    }
    this.#settle(nowMs);
  }

  /** A node wishes to go, for good or until its process is started again. */
  leave(session: SessionId, stopping: boolean, nowMs: number): void {
    const id = this.#sessions.get(session);
    const member = id === undefined ? undefined : this.#members.get(id);
    if (member?.session !== session || member.presence !== "live") return;
    this.#log.info(stopping ? "a node is stopping" : "a node is leaving", { node: member.id });
    member.farewell = stopping ? "stopping" : "leaving";
    member.released = false;
    this.#setInfo(member, member.info);
    this.#mover.invalidateWish();
    this.#mover.tick(nowMs);
    this.#mover.touchNode(member.id);
    this.#settle(nowMs);
    this.#checkFarewells(nowMs);
  }

  /**
   * An operator makes a copy primary although it may lack acknowledged writes.
   *
   * @param partition undefined for every one that has no primary
   * @param node undefined for the live node whose disk reports most
   * @returns what was done
   * @throws {KvError} `bad_request` or `unavailable`
   */
  force(
    partition: number | undefined,
    node: NodeId | undefined,
    nowMs: number,
  ): { partition: number; node: NodeId }[] {
    if (partition !== undefined && partition >= this.#table.size) {
      throw new KvError("bad_request", `force: there is no partition ${partition}`);
    }
    const chosen = node === undefined ? undefined : this.#members.get(node);
    if (node !== undefined && chosen?.presence !== "live") {
      throw new KvError("bad_request", `force: required a node that is up, given ${node}`);
    }
    const partitions = partition === undefined ? [...this.#lost] : [partition];
    const forced: { partition: number; node: NodeId }[] = [];
    for (const p of partitions.sort((a, b) => a - b)) {
      const member = chosen ?? this.#bestHolder(p);
      this.#force(p, member, nowMs);
      forced.push({ partition: p, node: member.id });
    }
    this.#settle(nowMs);
    return forced;
  }

  /** What time alone brings about. Call it every COORDINATOR_TICK_MS. */
  tick(nowMs: number): void {
    const { failureTimeoutMs } = this.#settings;
    if (nowMs - this.#lastTickMs > failureTimeoutMs / 2) {
      this.#log.warn("the coordinator itself stood still; nobody is judged for a while", {
        ms: Math.round(nowMs - this.#lastTickMs),
      });
      this.#graceUntilMs = nowMs + failureTimeoutMs;
    }
    this.#lastTickMs = nowMs;
    if (nowMs >= this.#graceUntilMs) {
      for (const member of this.#members.values()) {
        if (member.presence === "down") continue;
        if (nowMs - member.lastSeenMs < failureTimeoutMs) continue;
        this.#markDown(member, nowMs, `not heard of for ${failureTimeoutMs} ms`);
      }
    }
    for (const [partition, atMs] of this.#waiting) {
      if (nowMs < atMs) continue;
      this.#waiting.delete(partition);
      this.#unjudged.add(partition);
    }
    this.#forgetNodes(nowMs);
    this.#mover.tick(nowMs);
    this.#settle(nowMs);
    this.#checkFarewells(nowMs);
  }

  /** The map given to {@linkcode Effects.persist} is on disk. */
  persisted(epoch: number, nowMs: number): void {
    this.#publisher.persisted(epoch);
    this.#mover.onPublished();
    this.#settle(nowMs);
  }

  /** It could not be written. */
  persistFailed(epoch: number, error: KvError, nowMs: number): void {
    this.#publisher.persistFailed(epoch, error, nowMs);
  }

  /** Counts; takes time proportional to the number of partitions. */
  stats(): MembershipStats {
    const nodes = { up: 0, down: 0, leaving: 0, unknown: 0 };
    let damaged = 0;
    for (const member of this.#members.values()) {
      if (member.presence === "unknown") nodes.unknown++;
      else nodes[member.info.state]++;
      damaged += member.damaged.size;
    }
    let unavailable = 0;
    let under = 0;
    for (const { primary, inSync } of this.#table.toArray()) {
      if (primary === undefined) unavailable++;
      if (inSync.length < this.#settings.replicationFactor) under++;
    }
    return {
      epoch: this.published.epoch,
      nodes,
      partitions: this.#table.size,
      unavailable_partitions: unavailable,
      lost_partitions: this.#lost.size,
      under_replicated_partitions: under,
      damaged_copies: damaged,
      moves: this.#table.learnerCount,
      handovers: this.#mover.handoverCount,
      failovers: this.#failovers,
      moves_done: this.#movesDone,
      handovers_done: this.#handoversDone,
    };
  }

  // Nodes.

  #restoreMembers(nowMs: number): void {
    const { map, members } = this.#options.stored;
    for (const info of map.nodes) {
      const member = newMember(info, info.state === "down" ? "down" : "unknown", nowMs);
      if (info.state === "leaving") member.farewell = "leaving";
      member.leaseUntilMs = this.#leaseGraceUntilMs;
      // Long down as far as anybody knows: it is not wished for again until it comes. One that a
      // partition still waits for is.
      if (this.#table.heldBy(info.id).size === 0) member.downSinceMs = -Infinity;
      this.#members.set(info.id, member);
    }
    for (const { id, instance, memory, stale } of members) {
      const member = this.#members.get(id);
      if (member === undefined) continue;
      member.instance = instance;
      member.memory = memory;
      for (const partition of stale) member.stale.add(partition);
    }
  }

  #refusedHere(
    session: SessionId,
    message: Message<"register">,
    known: Member | undefined,
  ): KvError | undefined {
    const other = this.#sessions.get(session);
    if (other !== undefined && other !== message.node) {
      return new KvError("bad_request", `register: this connection is that of node ${other}`);
    }
    if (known === undefined && this.#members.size >= NODES_MAX) {
      return new KvError(
        "overloaded",
        `register: a cluster has at most ${NODES_MAX} nodes, and this one has as many`,
      );
    }
    return undefined;
  }

  #attach(member: Member, session: SessionId): void {
    const old = member.session;
    if (old !== undefined && old !== session) {
      this.#publisher.unsubscribe(old);
      this.#sessions.delete(old);
      this.#effects.close(old);
    }
    this.#dismissed.delete(session);
    this.#publisher.unsubscribe(session);
    this.#sessions.set(session, member.id);
    member.session = session;
  }

  /** A later process has come: the earlier one's roles do not count any more. */
  #endRoles(member: Member, nowMs: number): void {
    const { id } = member;
    for (const partition of [...this.#table.heldBy(id)].sort((a, b) => a - b)) {
      const config = this.#table.get(partition);
      if (config.inSync.includes(id)) member.stale.add(partition);
      const wasPrimary = config.primary === id;
      if (wasPrimary) this.#barUntil(partition, member.leaseUntilMs);
      this.#table.reconfigure(partition, {
        primary: wasPrimary ? undefined : config.primary,
        inSync: config.inSync,
        learners: config.learners.filter((learner) => learner !== id),
      });
    }
    member.damaged.clear();
    member.registeredMs = nowMs;
    member.farewell = "none";
  }

  #barUntil(partition: number, untilMs: number): void {
    this.#leases.set(partition, Math.max(untilMs, this.#leases.get(partition) ?? 0));
  }

  #takeHeld(member: Member, message: Message<"register">): void {
    const held = new Map<number, HeldCopy>();
    for (const [partition, term, lastSeq, damaged] of message.held) {
      held.set(partition, { term, lastSeq });
      if (damaged === 1 && this.#table.get(partition).inSync.includes(member.id)) {
        member.damaged.add(partition);
      }
    }
    member.held = held;
  }

  #setInfo(member: Member, info: NodeInfo): void {
    const state = member.presence === "down"
      ? "down"
      : member.farewell === "leaving"
      ? "leaving"
      : "up";
    const next: NodeInfo = { ...info, state };
    if (sameInfo(member.info, next)) return;
    member.info = next;
    this.#nodes = undefined;
    this.#publisher.decide();
  }

  #markDown(member: Member, nowMs: number, reason: string): void {
    this.#log.warn("a node is down", { node: member.id, reason });
    member.presence = "down";
    member.downSinceMs = nowMs;
    this.#setInfo(member, member.info);
    this.#mover.invalidateWish();
    this.#touchNode(member);
  }

  #touchNode(member: Member): void {
    for (const partition of this.#table.heldBy(member.id)) this.#unjudged.add(partition);
    this.#mover.touchNode(member.id);
  }

  #remove(member: Member): void {
    this.#members.delete(member.id);
    this.#nodes = undefined;
    this.#mover.invalidateWish();
    this.#publisher.decide();
  }

  /** Nodes that are down, hold nothing and will hardly come back under this id. */
  #forgetNodes(nowMs: number): void {
    for (const member of this.#members.values()) {
      if (member.presence !== "down" || this.#table.heldBy(member.id).size > 0) continue;
      const keepMs = member.farewell === "leaving"
        ? 0
        : member.memory
        ? this.#options.repairDelayMs
        : FORGET_DOWN_MS;
      if (nowMs < Math.max(member.downSinceMs, member.lastSeenMs) + keepMs) continue;
      this.#log.info("a node is taken off the list", { node: member.id });
      this.#remove(member);
    }
  }

  /** Lets go who holds nothing that matters. */
  #checkFarewells(nowMs: number): void {
    for (const member of this.#members.values()) {
      const { farewell, session, released } = member;
      if (farewell === "none" || released || session === undefined) continue;
      if (farewell === "leaving" && this.#table.heldBy(member.id).size === 0) {
        this.#log.info("a node has left", { node: member.id });
        this.#remove(member);
        this.#sessions.delete(session);
        this.#dismiss(session);
      } else if (farewell === "stopping" ? !this.#leads(member) : !this.#hasStayers()) {
        member.released = true;
        this.#dismiss(session);
      }
    }
    this.#publisher.flush(nowMs);
  }

  #dismiss(session: SessionId): void {
    this.#publisher.sendAfterwards(session, { req_type: "left" });
    this.#dismissed.add(session);
  }

  /** Whether it is primary of anything that another copy could take. */
  #leads(member: Member): boolean {
    for (const partition of this.#table.heldBy(member.id)) {
      const { primary, inSync } = this.#table.get(partition);
      if (primary !== member.id) continue;
      const others = inSync.filter((id) => id !== member.id).map((id) => this.#members.get(id));
      const takes = (other: Member | undefined) =>
        other?.presence === "live" && other.farewell === "none" && !other.stale.has(partition) &&
        !other.damaged.has(partition);
      if (others.some(takes)) return true;
    }
    return false;
  }

  #hasStayers(): boolean {
    for (const { presence, farewell } of this.#members.values()) {
      if (presence !== "down" && farewell === "none") return true;
    }
    return false;
  }

  // Reports.

  #onDamaged(member: Member, p: number, config: PartitionConfig, nowMs: number): void {
    if (!config.inSync.includes(member.id) && !config.learners.includes(member.id)) return;
    this.#log.error("a copy is damaged", { partition: p, node: member.id });
    if (config.learners.includes(member.id)) {
      this.#dropLearner(p, config, member.id, nowMs);
      return;
    }
    member.damaged.add(p);
    this.#unjudged.add(p);
  }

  #onPrimaryReport(
    primary: Member,
    message: Exclude<Report, Message<"damaged">>,
    config: PartitionConfig,
    nowMs: number,
  ): void {
    const { p } = message;
    switch (message.req_type) {
      case "caught_up":
        if (config.learners.includes(message.node)) this.#onCaughtUp(p, config, message.node);
        return;
      case "lagging":
        if (message.node === primary.id) return;
        if (config.learners.includes(message.node)) {
          this.#dropLearner(p, config, message.node, nowMs);
        } else if (config.inSync.includes(message.node)) {
          this.#logLagging(primary, message, nowMs);
          this.#accuse(p, message.node);
          this.#mover.backOff(p, message.node, nowMs);
        }
        return;
      case "drained": {
        const to = this.#mover.handoverTarget(p, config.term, primary.id);
        if (to === undefined) return;
        this.#handoversDone++;
        const inSync = orderCopies(config.inSync, this.#mover.wishOf(p), to);
        this.#table.reconfigure(p, { ...config, primary: to, inSync });
        return;
      }
      case "resumed":
        this.#table.reconfigure(p, config, { newTerm: true });
        return;
    }
  }

  /** One line for all the partitions that two nodes share. */
  #logLagging(primary: Member, { p, node, reason }: Message<"lagging">, nowMs: number): void {
    const fields = { partition: p, node, primary: primary.id, reason };
    this.#log.debug("a copy does not follow", fields);
    if (nowMs < this.#lagLoggedMs + LAG_LOG_MS) return;
    this.#lagLoggedMs = nowMs;
    this.#log.warn("copies do not follow their primaries; for example", fields);
  }

  #onCaughtUp(p: number, config: PartitionConfig, id: NodeId): void {
    // One that is down is about to be dropped; one that just restarted is no learner any more.
    if (this.#members.get(id)?.presence === "down") return;
    this.#movesDone++;
    const copies = [...config.inSync, id];
    this.#table.reconfigure(p, {
      primary: config.primary,
      inSync: orderCopies(copies, this.#mover.wishOf(p), config.primary),
      learners: config.learners.filter((learner) => learner !== id),
    });
  }

  #dropLearner(p: number, config: PartitionConfig, id: NodeId, nowMs: number): void {
    this.#mover.backOff(p, id, nowMs);
    const learners = config.learners.filter((learner) => learner !== id);
    this.#table.reconfigure(p, { ...config, learners });
  }

  #accuse(partition: number, id: NodeId): void {
    const accused = this.#accused.get(partition);
    if (accused === undefined) this.#accused.set(partition, new Set([id]));
    else accused.add(id);
    this.#unjudged.add(partition);
  }

  // Partitions.

  #onReconfigured(partition: number, before: PartitionConfig, after: PartitionConfig): void {
    const epoch = this.#publisher.decide();
    this.#unjudged.add(partition);
    this.#waiting.delete(partition);
    if (before.term !== after.term) this.#accused.delete(partition);
    if (before.primary !== undefined && before.primary !== after.primary) {
      const old = this.#members.get(before.primary);
      if (old !== undefined) old.ackEpochMin = epoch;
    }
    for (const id of [...before.inSync, ...before.learners]) {
      if (after.inSync.includes(id) || after.learners.includes(id)) continue;
      const member = this.#members.get(id);
      member?.stale.delete(partition);
      member?.damaged.delete(partition);
    }
    this.#mover.onReconfigured(partition, before, after);
  }

  /** Judges and moves until nothing is left to do now, then writes what was decided. */
  #settle(nowMs: number): void {
    if (!this.#placed) this.#placeFirst(nowMs);
    do {
      for (const partition of this.#unjudged) {
        this.#unjudged.delete(partition);
        this.#judge(partition, nowMs);
      }
      this.#mover.work(nowMs);
    } while (this.#unjudged.size > 0);
    this.#logLost();
    this.#publisher.flush(nowMs);
  }

  #judge(partition: number, nowMs: number): void {
    const config = this.#table.get(partition);
    const verdict = judge(this.#caseOf(partition, config), nowMs);
    if (verdict.lost) this.#lost.add(partition);
    else this.#lost.delete(partition);
    const { change } = verdict;
    if (change !== undefined) {
      for (const id of change.revived) this.#members.get(id)?.stale.delete(partition);
      const { primary } = change;
      if (primary !== undefined && primary !== config.primary) {
        this.#failovers++;
        this.#leases.delete(partition);
        this.#fresh.delete(partition);
      }
      this.#table.reconfigure(partition, {
        primary,
        inSync: primary === undefined
          ? change.inSync
          : orderCopies(change.inSync, this.#mover.wishOf(partition), primary),
        learners: change.learners,
      }, { termFloor: change.termFloor });
    }
    if (verdict.waitUntilMs !== undefined) this.#waiting.set(partition, verdict.waitUntilMs);
  }

  #caseOf(partition: number, config: PartitionConfig): Case {
    return {
      config,
      copy: (id) => this.#standing(partition, id),
      leaseUntilMs: Math.max(this.#leases.get(partition) ?? 0, this.#leaseGraceUntilMs),
      fresh: this.#fresh.has(partition),
      failureTimeoutMs: this.#settings.failureTimeoutMs,
      graceUntilMs: this.#graceUntilMs,
      heartbeatIntervalMs: this.#settings.heartbeatIntervalMs,
    };
  }

  #standing(partition: number, id: NodeId): CopyStanding {
    const member = this.#members.get(id);
    return {
      presence: member?.presence ?? "down",
      stale: member?.stale.has(partition) ?? false,
      damaged: member?.damaged.has(partition) ?? false,
      accused: this.#accused.get(partition)?.has(id) ?? false,
      lastSeenMs: member?.lastSeenMs ?? 0,
      registeredMs: member?.registeredMs ?? 0,
      leaseUntilMs: member?.leaseUntilMs ?? 0,
      held: member?.held.get(partition),
    };
  }

  /** A new cluster: everybody who is there gets copies at once, since all of them are empty. */
  #placeFirst(nowMs: number): void {
    let live = 0;
    for (const { presence, farewell } of this.#members.values()) {
      if (presence === "live" && farewell === "none") live++;
    }
    if (live === 0 || live < this.#options.expectNodes) return;
    this.#placed = true;
    this.#mover.computeWish(nowMs);
    this.#freshEpoch = this.#publisher.decide();
    for (let partition = 0; partition < this.#table.size; partition++) {
      const inSync = this.#mover.wishOf(partition).filter((id) =>
        this.#members.get(id)?.presence === "live"
      );
      const [primary] = inSync;
      if (primary === undefined) continue;
      this.#fresh.add(partition);
      this.#table.reconfigure(partition, { primary, inSync, learners: [] });
    }
    this.#log.info("a new cluster is placed", { nodes: live, partitions: this.#table.size });
  }

  /** The node has adopted the map: from now on its disk can tell what it is primary of. */
  #noteAdopted(member: Member, nowMs: number): void {
    let changed = false;
    for (const partition of this.#table.heldBy(member.id)) {
      if (this.#table.get(partition).primary !== member.id) continue;
      changed = this.#fresh.delete(partition) || changed;
    }
    if (!changed) return;
    this.#publisher.decide();
    this.#publisher.flush(nowMs);
  }

  #bestHolder(partition: number): Member {
    let best: Member | undefined;
    for (const member of [...this.#members.values()].sort(byId)) {
      if (member.presence !== "live" || member.farewell === "leaving") continue;
      if (best === undefined || compareHolders(member, best, partition) > 0) best = member;
    }
    if (best === undefined) {
      throw new KvError("unavailable", "force: no node is up that could take the partition");
    }
    return best;
  }

  #force(partition: number, member: Member, nowMs: number): void {
    const config = this.#table.get(partition);
    if (!this.#lost.has(partition)) {
      throw new KvError(
        "bad_request",
        `force: partition ${partition} is served, or will be in a moment, without it`,
      );
    }
    const until = Math.max(this.#leases.get(partition) ?? 0, this.#leaseGraceUntilMs);
    if (nowMs < until) {
      throw new KvError("unavailable", "force: an old lease may still last; try again in seconds");
    }
    const held = member.held.get(partition);
    this.#log.error("an operator made a copy primary that may lack acknowledged writes", {
      partition,
      node: member.id,
      term: held?.term ?? 0,
      lastSeq: held?.lastSeq ?? 0,
      instead: config.inSync.join(" "),
    });
    member.stale.delete(partition);
    member.damaged.delete(partition);
    this.#fresh.delete(partition);
    this.#lost.delete(partition);
    this.#table.reconfigure(
      partition,
      { primary: member.id, inSync: [member.id], learners: [] },
      { termFloor: held?.term ?? 0, newTerm: true },
    );
  }

  #logLost(): void {
    const { size } = this.#lost;
    if (size === this.#lostLogged) return;
    if (size > this.#lostLogged) {
      const some = [...this.#lost].slice(0, 8);
      const holders = new Set(some.flatMap((partition) => this.#table.get(partition).inSync));
      this.#log.error(
        "partitions without a primary: no copy with all acknowledged writes is there",
        {
          count: size,
          partitions: some.join(" "),
          holders: [...holders].sort().join(" "),
          remedy:
            "start these nodes again, or, at the price of lost writes, kv-coordinator --force",
        },
      );
    } else if (size === 0) this.#log.info("every partition can be served again");
    this.#lostLogged = size;
  }

  #snapshot(epoch: number): StoredCluster {
    this.#nodes ??= [...this.#members.values()].sort(byId).map(({ info }) => info);
    const members = [...this.#members.values()].sort(byId);
    return {
      format: STORED_FORMAT,
      map: {
        epoch,
        settings: this.#settings,
        nodes: this.#nodes,
        partitions: this.#table.toArray(),
      },
      members: members.map(({ id, instance, memory, stale }) => ({
        id,
        instance,
        memory,
        stale: [...stale],
      })),
      fresh: [...this.#fresh],
    };
  }
}

function infoOf(message: Message<"register">): NodeInfo {
  return {
    id: message.node,
    host: message.host,
    port: message.port,
    httpPort: message.http_port,
    zone: message.zone,
    weight: message.weight,
    incarnation: message.incarnation,
    state: "up",
  };
}

function sameInfo(a: NodeInfo, b: NodeInfo): boolean {
  return a.host === b.host && a.port === b.port && a.httpPort === b.httpPort && a.zone === b.zone &&
    a.weight === b.weight && a.incarnation === b.incarnation && a.state === b.state;
}

/** More than 0 where `a`'s disk is worth more than `b`'s. */
function compareHolders(a: Member, b: Member, partition: number): number {
  const [one, other] = [a.held.get(partition), b.held.get(partition)];
  if (one === undefined || other === undefined) {
    return Number(one !== undefined) - Number(other !== undefined);
  }
  return Number(b.damaged.has(partition)) - Number(a.damaged.has(partition)) ||
    one.term - other.term || one.lastSeq - other.lastSeq;
}
