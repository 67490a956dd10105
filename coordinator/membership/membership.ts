/**
 * The coordinator's state machine: who is in the cluster and who holds what. Events in, each with the
 * coordinator's monotonic time; effects out through {@linkcode Effects}. It does no I/O and sets no
 * timer; whatever waits for time is looked at in `tick`. Decisions about one partition are
 * `failover.ts` and `rebalance.ts`; this file brings them their facts and keeps the rules about time:
 *
 * - A node is *live* from the first heartbeat after its registration that shows that it hears, until
 *   there was none such for the failure timeout. It hears if it repeats what it was told lately over
 *   its session, by which all orders go, and goes by the map that it was sent before. So whoever cannot
 *   be told a map is not live, whatever else still comes from it. Only such a heartbeat is
 *   acknowledged with a lease. So no lease outlives `leaseUntilMs` of its member, whichever process of
 *   the node holds it.
 * - An acknowledgement carries the epoch of the published map, or, for a node that has just lost a
 *   primary's role, that of the map which will say so. A node with an older map has no lease. So from
 *   the moment of a decision on, the one that it concerns gets no lease under the old map.
 *   After a start with other settings it carries at least the epoch of the first map that has them: a
 *   lease lasts as long as the node's map says, and is counted here by the settings of now.
 * - A later process of a node ends the roles of the earlier one: what it was primary of has no primary
 *   until the earlier one's lease has run out; its in-sync roles are stale. No published map ever
 *   names a process as primary that was not itself given the role.
 * - Reports count only with the partition's present term, and from the session on which the node that
 *   may make them is registered.
 * - Nothing is decided about a node in the first failure timeout after the coordinator's start, or
 *   after it was itself stopped for a while, alone or with its machine: it cannot know who was silent. Nor
 *   before the first node has registered after a start: the coordinator's folder may have been moved, and
 *   all nodes serve.
 *
 * Time per event is proportional to what it touches, not to partitions or nodes.
 *
 * @module
 */
import type { ClusterMap, NodeId, NodeInfo } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import {
  ACCEPTED_EPOCH_LEAP,
  ACCEPTED_TERM_LEAP,
  CLOCK_DRIFT_MAX,
  FORGET_DOWN_MS,
  HEARD_INTERVALS_MAX,
  NODES_MAX,
} from "../../shared/base/limits.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { formatAddress } from "../../shared/platform/transport.ts";
import { heldAlone, isReplaced, mayGo, stayersAreDown } from "./departure.ts";
import { type Effects, MapPublisher } from "../state/map_publisher.ts";
import {
  byId,
  type HeldReplica,
  infoOf,
  type Member,
  newMember,
  sameInfo,
  type SessionId,
} from "../state/member.ts";
import { Mover, type Place } from "../partitions/mover.ts";
import {
  type Forced,
  PartitionController,
  type Report,
} from "../partitions/partition_controller.ts";
import { PartitionTable } from "../state/partition_table.ts";
import {
  beginGeneration,
  follows,
  forgive,
  type Generation,
  type SeenMap,
} from "../state/lineage.ts";
import { checkRegistration } from "./registration.ts";
import type { SecurityDocument } from "../../shared/security/security_document.ts";
import { STORED_FORMAT, type StoredCluster } from "../state/stored_cluster.ts";

/** What is said to an operator, in the log, by health and in answer to an order. */
export const NOBODY_REGISTERED =
  "no node has registered with this coordinator since it started: the nodes are down, or they serve " +
  "and look for their coordinator at another address (--coordinator, cs_config.txt)";

/** What the state machine is given. */
export interface MembershipOptions {
  readonly effects: Effects;
  readonly log: Logger;
  readonly place: Place;
  /** As read from disk, with the settings that count from now on; or a new cluster. */
  readonly stored: StoredCluster;
  /** True where `stored` is not on disk as it is: a new cluster, or changed settings. */
  readonly changed: boolean;
  /** The id of this start: no other start of a coordinator has it. */
  readonly generation: string;
  /** The operator goes on from the document of this epoch, although nodes have seen later ones. */
  readonly acceptEpoch: number | undefined;
  readonly repairDelayMs: number;
  /** The first placement waits for so many nodes, and for as many as a write needs. */
  readonly expectNodes: number;
  heartbeatPort(): number;
}

/** Counts for people and tests. */
export interface MembershipStats {
  epoch: number;
  nodes: { up: number; down: number; leaving: number; unknown: number };
  partitions: number;
  /** A new cluster is laid out when so many nodes are there; 0 once it is. */
  awaited_nodes: number;
  /** Partitions without a primary. */
  unavailable_partitions: number;
  /** Why the document is an old copy, so that nothing is done; null while it is none. */
  stale_document: string | null;
  /** Since its start, and for a failure timeout, no node has registered: nothing is known of any. */
  nobody_registered: boolean;
  /** Partitions whose primary says that it cannot serve them now. */
  unserved_partitions: number;
  /** Of those without one: nobody can take over, an operator or the return of a node is needed. */
  lost_partitions: number;
  /** Partitions that have a primary, and fewer in-sync replicas than a write needs. */
  read_only_partitions: number;
  /** Partitions with fewer in-sync replicas than the replication factor. */
  under_replicated_partitions: number;
  /** Replicas that were found damaged and are not replaced yet. */
  damaged_replicas: number;
  /** Nodes whose disk takes no writes. */
  read_only_nodes: number;
  /** Replicas being filled now, and hand-overs under way. */
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
  readonly #controller: PartitionController;
  /** Processes that were told `left`; what they still send is not answered. */
  readonly #dismissed = new Set<SessionId>();
  #nodes: NodeInfo[] | undefined;
  #graceUntilMs: number;
  /** Leases that were given before the coordinator's start have ended by then. */
  readonly #leaseGraceUntilMs: number;
  /** The longest lease that a node may still hold. */
  #leaseMsMax: number;
  /** Maps before this epoch may name another lease. */
  #settingsEpoch = 0;
  #lastTickMs: number;
  /** When a coordinator of a cluster that has nodes began to wait for the first of them. */
  #awaitsFirstSinceMs: number | undefined;
  #nobodyRegistered = false;
  #lineage: readonly Generation[];
  #security: SecurityDocument | undefined;
  #staleDocument: string | undefined;

  constructor(options: MembershipOptions, nowMs: number) {
    const { stored, effects, log } = options;
    const { map, fresh } = stored;
    const { leaseMs, failureTimeoutMs, heartbeatIntervalMs, replicationFactor, minInSync } =
      map.settings;
    this.#options = options;
    this.#effects = effects;
    this.#log = log;
    this.#settings = map.settings;
    this.#lineage = beginGeneration(stored.lineage, options.generation, map.epoch);
    this.#security = stored.security;
    this.#graceUntilMs = nowMs + failureTimeoutMs;
    this.#leaseMsMax = Math.max(leaseMs, stored.leaseMsMax);
    this.#leaseGraceUntilMs = nowMs + this.#leaseMsMax * (1 + CLOCK_DRIFT_MAX);
    this.#lastTickMs = nowMs;
    const members = this.#members;
    const table = new PartitionTable(map.partitions, (partition, before, after) => {
      this.#controller.onReconfigured(partition, before, after);
    });
    const publisher = new MapPublisher(
      effects,
      log,
      map,
      options.heartbeatPort,
      (epoch) => this.#snapshot(epoch),
    );
    this.#table = table;
    this.#publisher = publisher;
    this.#restoreMembers(nowMs);
    if (members.size > 0) this.#awaitsFirstSinceMs = nowMs;
    const mover = this.#mover = new Mover({
      members,
      table,
      log,
      place: options.place,
      replicationFactor,
      minInSync,
      repairDelayMs: options.repairDelayMs,
      isPublished: (partition) =>
        publisher.published.partitions[partition] === table.get(partition),
      send: (session, message) => effects.send([session], message),
    });
    this.#controller = new PartitionController({
      members,
      table,
      mover,
      publisher,
      log,
      failureTimeoutMs,
      heartbeatIntervalMs,
      expectNodes: Math.max(options.expectNodes, minInSync),
      minInSync,
      fresh,
      leaseGraceUntilMs: this.#leaseGraceUntilMs,
      graceUntilMs: () => this.#graceUntilMs,
    });
  }

  /** The map that everybody may know. */
  get published(): ClusterMap {
    return this.#publisher.published;
  }

  /** Begins: a new cluster or changed settings go to disk. */
  start(nowMs: number): void {
    if (this.#options.changed) this.#settingsEpoch = this.#publisher.decide();
    this.#controller.settle(nowMs);
  }

  /** A node asks to be a member, or says again that it is one. @returns why it may not */
  register(session: SessionId, message: Message<"register">, nowMs: number): KvError | undefined {
    const known = this.#members.get(message.node);
    const refusal = checkRegistration(message, this.#settings, known) ??
      this.#refusedHere(session, message, known) ?? this.#checkDocument(message, nowMs);
    if (refusal !== undefined) {
      this.#log.warn("a registration was refused", {
        node: message.node,
        code: refusal.code,
        reason: refusal.message,
      });
      return refusal;
    }
    this.#awaitsFirstSinceMs = undefined;
    this.#nobodyRegistered = false;
    const member = known ?? newMember(infoOf(message), "unknown", nowMs);
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
    // It says so next, if it is not.
    member.writable = true;
    if (isNewProcess || member.presence === "down") member.presence = "unknown";
    member.released = false;
    member.lastSeenMs = nowMs;
    this.#takeHeld(member, message);
    if (restarted) this.#checkFolder(member, message);
    this.#setInfo(member, infoOf(message));
    this.#mover.invalidateTarget();
    if (isNewProcess) {
      this.#nodes = undefined;
      this.#publisher.decide();
    }
    this.#touchNode(member);
    this.#controller.settle(nowMs);
    member.owedEpoch = this.#publisher.subscribe(session, nowMs);
    member.owedMs = nowMs;
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
    if (this.#staleDocument !== undefined) return;
    if (member.released) {
      this.#markDown(member, nowMs, "it has said good-bye and gone");
      this.#controller.settle(nowMs);
    }
  }

  /**
   * A heartbeat, by datagram or over a session.
   *
   * @returns the acknowledgement; undefined where the sender is not registered, or down, and has then
   *   been told to register again wherever it can be reached
   */
  heartbeat(
    message: Message<"heartbeat">,
    over: SessionId | undefined,
    nowMs: number,
  ): Message<"heartbeat_ack"> | undefined {
    if (this.#staleDocument !== undefined) return undefined;
    const member = this.#members.get(message.node);
    const known = member !== undefined && member.instance === message.instance &&
      member.info.incarnation === message.incarnation;
    if (known) member.heardMs = nowMs;
    const isRegistered = known && member.presence !== "down" &&
      (member.presence === "live" || member.session !== undefined);
    if (!isRegistered) {
      const session = over ?? (known ? member.session : undefined);
      if (session !== undefined && !this.#dismissed.has(session)) {
        this.#effects.send([session], { req_type: "register_again" });
      }
      return undefined;
    }
    if (typeof message.batch === "number") member.batch = Math.max(member.batch, message.batch);
    member.deafness = this.#whyDeaf(member, message, nowMs);
    const hears = member.deafness === undefined;
    if (hears) {
      member.lastSeenMs = nowMs;
      member.leaseUntilMs = nowMs + this.#settings.leaseMs * (1 + CLOCK_DRIFT_MAX);
      member.unserved = message.unserved;
      if (member.presence !== "live") this.#becomesLive(member, nowMs);
    }
    this.#controller.noteAdopted(member, message.epoch, nowMs);
    return {
      req_type: "heartbeat_ack",
      node: message.node,
      instance: message.instance,
      sent: message.sent,
      // Rule L1.
      epoch: Math.max(this.published.epoch, member.ackEpochMin, this.#settingsEpoch),
      at: nowMs,
      lease: hears,
    };
  }

  /**
   * Why a heartbeat does not show that its node hears what it is told; undefined if it does. It does if it
   * repeats what was said over the node's session a short while ago, and goes by the map that the node
   * was sent before. A node that is late with a map has as long for it, but becomes live with it only.
   * Rule L3.
   */
  #whyDeaf(
    member: Member,
    { heard, map }: Message<"heartbeat">,
    nowMs: number,
  ): string | undefined {
    if (member.session === undefined) return "it has no connection to the TCP port";
    const boundMs = HEARD_INTERVALS_MAX * this.#settings.heartbeatIntervalMs;
    // JSON null stands for an absent field. What lies ahead was said by an earlier coordinator.
    if (typeof heard !== "number" || heard > nowMs || nowMs - heard > boundMs) {
      return "nothing gets through its TCP connection";
    }
    if (map < member.owedEpoch) {
      const hasTime = nowMs - member.owedMs <= boundMs || member.owedEpoch > this.published.epoch;
      if (member.presence === "live" && hasTime) return undefined;
      return `it has map ${map}, and does not take over map ${member.owedEpoch}`;
    }
    member.owedEpoch = this.published.epoch;
    member.owedMs = nowMs;
    return undefined;
  }

  #becomesLive(member: Member, nowMs: number): void {
    member.presence = "live";
    this.#setInfo(member, member.info);
    this.#mover.invalidateTarget();
    this.#touchNode(member);
    this.#controller.settle(nowMs);
  }

  /** A node's word about a partition, which counts over its present session alone. */
  report(session: SessionId, message: Report, nowMs: number): void {
    const id = this.#sessions.get(session);
    const member = id === undefined ? undefined : this.#members.get(id);
    if (member?.session !== session || member.presence === "down") return;
    if (this.#staleDocument !== undefined) return;
    this.#controller.report(member, message, nowMs);
    this.#controller.settle(nowMs);
  }

  /** A node's word about its disk, which counts over its present session alone. */
  disk(session: SessionId, writable: boolean, nowMs: number): void {
    const id = this.#sessions.get(session);
    const member = id === undefined ? undefined : this.#members.get(id);
    if (member?.session !== session || member.presence === "down") return;
    if (member.writable === writable) return;
    member.writable = writable;
    if (writable) this.#log.info("the disk of a node takes writes again", { node: member.id });
    else this.#log.error("the disk of a node takes no writes", { node: member.id });
    this.#touchNode(member);
    this.#controller.settle(nowMs);
  }

  /** A node wants to leave, for good or until its process is started again. */
  leave(session: SessionId, stopping: boolean, nowMs: number): void {
    const id = this.#sessions.get(session);
    const member = id === undefined ? undefined : this.#members.get(id);
    if (member?.session !== session || member.presence === "down") return;
    if (this.#staleDocument !== undefined) return;
    this.#log.info(stopping ? "a node is stopping" : "a node is leaving", { node: member.id });
    member.departure = stopping ? "stopping" : "leaving";
    member.released = false;
    this.#setInfo(member, member.info);
    if (!stopping && stayersAreDown(this.#members)) {
      this.#log.warn("a node that leaves has to wait: all that could take its replicas are down", {
        node: member.id,
      });
    }
    this.#mover.invalidateTarget();
    this.#mover.tick(nowMs);
    this.#mover.touchNode(member.id);
    this.#controller.settle(nowMs);
    this.#checkDepartures(nowMs);
  }

  /**
   * An operator makes a replica primary although it may lack acknowledged writes.
   *
   * @param partition undefined for every one that has no primary
   * @param node undefined for the live node that has told of most when it registered last; see
   *   {@linkcode askWhatIsHeld}
   * @returns what was done
   * @throws {KvError} `bad_request` or `unavailable`
   */
  force(partition: number | undefined, node: NodeId | undefined, nowMs: number): Forced[] {
    this.#checkMayOrder("force");
    return this.#controller.force(partition, node, nowMs);
  }

  /**
   * An operator says that a node that is down will not come back: it goes off the list, and out of every
   * configuration. If it comes back all the same it is a new node, in no in-sync set. Rule C11.
   *
   * @param force also if only its replicas have all acknowledged writes: then others are made primary without
   * @returns the partitions that were forced
   * @throws {KvError} `bad_request`, or `unavailable` if it cannot be told yet whether it is down
   */
  forgetNode(id: NodeId, force: boolean, nowMs: number): Forced[] {
    this.#checkMayOrder("forget_node");
    const member = this.#members.get(id);
    if (member === undefined) {
      throw new KvError(
        "bad_request",
        `forget_node: no node ${id} is in the cluster; list-nodes tells which are`,
      );
    }
    const name = `${id} (${formatAddress(member.info)})`;
    this.#checkIsGone(member, name, nowMs);
    const alone = heldAlone(member, this.#members, this.#table);
    if (alone.length > 0 && !force) {
      throw new KvError(
        "bad_request",
        `forget_node: only node ${name} is known to hold every acknowledged write of ` +
          `${alone.length} of its partitions (such as partition ${
            alone[0]
          }); start it again on its ` +
          "folder, or give up what others lack with --force",
      );
    }
    const held = this.#table.heldBy(id).size;
    const forced = this.#controller.giveUp(member, alone, nowMs);
    this.#log.warn("an operator has a node forgotten", {
      node: id,
      address: formatAddress(member.info),
      held,
      forced: forced.length,
    });
    const { session } = member;
    this.#remove(member);
    if (session !== undefined) this.#dropSession(session);
    this.#controller.settle(nowMs);
    return forced;
  }

  /**
   * Users, roles or tokens were changed: the document is written with all else that is decided.
   *
   * @throws {KvError} `stale_document`
   */
  secure(document: SecurityDocument, nowMs: number): void {
    if (this.#staleDocument !== undefined) {
      throw new KvError("stale_document", `users and roles: ${this.#staleDocument}`);
    }
    this.#security = document;
    this.#publisher.decide();
    this.#publisher.flush(nowMs);
  }

  /** @throws {KvError} where nobody may give this coordinator an order now */
  #checkMayOrder(what: string): void {
    if (this.#staleDocument !== undefined) {
      throw new KvError("stale_document", `${what}: ${this.#staleDocument}`);
    }
    if (this.#awaitsFirstSinceMs !== undefined) {
      throw new KvError("unavailable", `${what}: ${NOBODY_REGISTERED}`);
    }
  }

  /** @throws {KvError} where a node is up, or may be */
  #checkIsGone({ presence, heardMs, lastSeenMs }: Member, name: string, nowMs: number): void {
    const { failureTimeoutMs } = this.#settings;
    if (presence === "live") {
      throw new KvError(
        "bad_request",
        `forget_node: node ${name} is up; only one that is down can be forgotten (SIGUSR1 to a node ` +
          "makes it leave for good)",
      );
    }
    const knownMs = Math.max(this.#graceUntilMs, lastSeenMs + failureTimeoutMs);
    if (presence === "unknown" || nowMs < knownMs) {
      throw new KvError(
        "unavailable",
        `forget_node: it is not known yet whether node ${name} is gone; try again in a few seconds`,
      );
    }
    if (nowMs < heardMs + failureTimeoutMs) {
      throw new KvError(
        "unavailable",
        `forget_node: the heartbeats of node ${name} come, although it does not count as up; stop it, ` +
          "or mend its way to the coordinator",
      );
    }
  }

  /**
   * What a node told of its replicas when it registered may be days old. Where a partition is lost, all
   * nodes are asked to register again, which tells what they hold by now.
   *
   * @returns whether they were asked
   */
  askWhatIsHeld(): boolean {
    if (this.#controller.lostCount === 0) return false;
    for (const { presence, session, released } of this.#members.values()) {
      if (presence === "down" || session === undefined || released) continue;
      this.#effects.send([session], { req_type: "register_again" });
    }
    return true;
  }

  /** The coordinator, or its whole machine, may have done nothing for so long. */
  stoodStill(ms: number, nowMs: number): void {
    const { failureTimeoutMs } = this.#settings;
    if (ms <= failureTimeoutMs / 2) return;
    this.#log.warn("the coordinator itself stood still; nobody is judged for a while", {
      ms: Math.round(ms),
    });
    this.#graceUntilMs = nowMs + failureTimeoutMs;
  }

  /** What time alone brings about. Call it every COORDINATOR_TICK_MS. */
  tick(nowMs: number): void {
    if (this.#staleDocument !== undefined) return;
    const { failureTimeoutMs, leaseMs } = this.#settings;
    if (nowMs >= this.#leaseGraceUntilMs && this.#leaseMsMax !== leaseMs) {
      this.#leaseMsMax = leaseMs;
      this.#publisher.decide();
    }
    this.stoodStill(nowMs - this.#lastTickMs, nowMs);
    this.#lastTickMs = nowMs;
    if (this.#awaitsFirstSinceMs !== undefined) {
      this.#awaitFirst(this.#awaitsFirstSinceMs, nowMs);
      return;
    }
    if (nowMs >= this.#graceUntilMs) {
      for (const member of this.#members.values()) {
        if (member.presence === "down") continue;
        if (nowMs - member.lastSeenMs < failureTimeoutMs) continue;
        this.#markDown(member, nowMs, this.#whyMissed(member, nowMs));
      }
    }
    this.#controller.tick(nowMs);
    this.#forgetNodes(nowMs);
    this.#mover.tick(nowMs);
    this.#controller.settle(nowMs);
    this.#checkDepartures(nowMs);
  }

  /**
   * Whoever knows of nobody judges nobody: the nodes may be down, or serve and look for their coordinator
   * elsewhere. There is nobody who could take over from them anyway. Rule C10.
   */
  #awaitFirst(sinceMs: number, nowMs: number): void {
    const { failureTimeoutMs } = this.#settings;
    this.#graceUntilMs = nowMs + failureTimeoutMs;
    this.#publisher.flush(nowMs);
    if (this.#nobodyRegistered || nowMs < sinceMs + failureTimeoutMs) return;
    this.#nobodyRegistered = true;
    this.#log.warn(NOBODY_REGISTERED, { nodes: this.#members.size });
  }

  /** The map given to {@linkcode Effects.persist} is on disk. */
  persisted(epoch: number, nowMs: number): void {
    if (this.#staleDocument !== undefined) return;
    this.#publisher.persisted(epoch, nowMs);
    this.#mover.onPublished();
    this.#controller.settle(nowMs);
  }

  /** It could not be written. */
  persistFailed(epoch: number, error: KvError, nowMs: number): void {
    if (this.#staleDocument !== undefined) return;
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
    let unserved = 0;
    for (const member of this.#members.values()) {
      if (member.presence === "live") unserved += member.unserved;
    }
    let unavailable = 0;
    let readOnly = 0;
    let under = 0;
    for (const { primary, inSync } of this.#table.toArray()) {
      if (primary === undefined) unavailable++;
      else if (inSync.length < this.#settings.minInSync) readOnly++;
      if (inSync.length < this.#settings.replicationFactor) under++;
    }
    return {
      epoch: this.published.epoch,
      nodes,
      partitions: this.#table.size,
      awaited_nodes: this.#controller.awaitedNodes,
      unavailable_partitions: unavailable,
      stale_document: this.#staleDocument ?? null,
      nobody_registered: this.#nobodyRegistered,
      unserved_partitions: unserved,
      lost_partitions: this.#controller.lostCount,
      read_only_partitions: readOnly,
      under_replicated_partitions: under,
      damaged_replicas: damaged,
      read_only_nodes:
        [...this.#members.values()].filter(({ writable, presence }) =>
          !writable && presence !== "down"
        ).length,
      moves: this.#table.learnerCount,
      handovers: this.#mover.handoverCount,
      failovers: this.#controller.counts.failovers,
      moves_done: this.#controller.counts.movesDone,
      handovers_done: this.#controller.counts.handoversDone,
    };
  }

  #restoreMembers(nowMs: number): void {
    const { map, members } = this.#options.stored;
    for (const info of map.nodes) {
      const member = newMember(info, info.state === "down" ? "down" : "unknown", nowMs);
      if (info.state === "leaving") member.departure = "leaving";
      member.leaseUntilMs = this.#leaseGraceUntilMs;
      // Long down as far as anybody knows: it is not wanted for again until it comes. One that a
      // partition still waits for is.
      if (this.#table.heldBy(info.id).size === 0) member.downSinceMs = -Infinity;
      this.#members.set(info.id, member);
    }
    for (const { id, instance, memory, stale, damaged, batch } of members) {
      const member = this.#members.get(id);
      if (member === undefined) continue;
      member.instance = instance;
      member.memory = memory;
      for (const partition of stale) member.stale.add(partition);
      for (const partition of damaged) member.damaged.add(partition);
      member.batch = batch;
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

  /**
   * A map is on the coordinator's disk before anybody sees it. So a node that has seen a map which this document does
   * not follow from, or whose disk has a later term, tells that the document is an old copy. Whoever acts by one
   * may make a replica primary that has missed acknowledged writes, so nothing is done from then on. Rule C9.
   *
   * @returns why the node may not register
   */
  #checkDocument(message: Message<"register">, nowMs: number): KvError | undefined {
    if (this.#staleDocument === undefined) {
      const { epoch } = this.published;
      const seen: SeenMap = {
        epoch: message.seen_epoch ?? 0,
        generation: message.seen_generation ?? undefined,
      };
      const later = message.held.find(([p, term]) => term > this.#table.get(p).term);
      if (follows(this.#lineage, epoch, seen) && later === undefined) return undefined;
      const found = this.#options.stored.map.epoch;
      if (this.#options.acceptEpoch === found) {
        this.#accept(message, seen, nowMs);
        return undefined;
      }
      this.#staleDocument =
        `the coordinator's cluster_map.json (epoch ${found}) is an old copy: node ` +
        `${message.node} has seen a later one` + (seen.epoch > 0 ? ` (epoch ${seen.epoch})` : "") +
        "; stop the coordinator, put the newest copy back and start it again; if there is none, start it " +
        `with --accept-epoch ${found}, which may lose acknowledged writes`;
      this.#log.error(this.#staleDocument, {
        node: message.node,
        document: found,
        seen: seen.epoch,
      });
    }
    return new KvError("stale_document", `register: ${this.#staleDocument}`);
  }

  /** The operator's word: goes on from the old document, above everything that was given after it. */
  #accept(message: Message<"register">, seen: SeenMap, nowMs: number): void {
    const from = Math.max(this.#publisher.decidedEpoch, seen.epoch) + ACCEPTED_EPOCH_LEAP;
    this.#log.error("an operator goes on from an old document; acknowledged writes may be lost", {
      document: this.#options.stored.map.epoch,
      node: message.node,
      seen: seen.epoch,
      from,
    });
    this.#lineage = forgive(this.#lineage, seen, from);
    this.#publisher.leapTo(from);
    const held = new Map(message.held.map(([p, term]) => [p, term]));
    for (let p = 0; p < this.#table.size; p++) {
      const config = this.#table.get(p);
      if (config.term === 0 && !held.has(p)) continue;
      const termFloor = Math.max(config.term, held.get(p) ?? 0) + ACCEPTED_TERM_LEAP;
      this.#table.reconfigure(p, config, { termFloor, forced: true });
    }
    this.#publisher.flush(nowMs);
  }

  #attach(member: Member, session: SessionId): void {
    const old = member.session;
    if (old !== undefined && old !== session) this.#dropSession(old);
    this.#dismissed.delete(session);
    this.#publisher.unsubscribe(session);
    this.#sessions.set(session, member.id);
    member.session = session;
  }

  #dropSession(session: SessionId): void {
    this.#publisher.unsubscribe(session);
    this.#sessions.delete(session);
    this.#effects.close(session);
  }

  /** A later process has come: the earlier one's roles do not count any more. Rule C5. */
  #endRoles(member: Member, nowMs: number): void {
    const { id } = member;
    for (const partition of [...this.#table.heldBy(id)].sort((a, b) => a - b)) {
      const config = this.#table.get(partition);
      if (config.inSync.includes(id)) member.stale.add(partition);
      const wasPrimary = config.primary === id;
      if (wasPrimary) this.#controller.barUntil(partition, member.leaseUntilMs);
      this.#table.reconfigure(partition, {
        primary: wasPrimary ? undefined : config.primary,
        inSync: config.inSync,
        learners: config.learners.filter((learner) => learner !== id),
      });
    }
    member.damaged.clear();
    member.registeredMs = nowMs;
    member.departure = "none";
  }

  #takeHeld(member: Member, message: Message<"register">): void {
    const held = new Map<number, HeldReplica>();
    for (const [partition, term, lastSeq, damaged] of message.held) {
      held.set(partition, { term, lastSeq });
      if (damaged === 1 && this.#table.get(partition).inSync.includes(member.id)) {
        member.damaged.add(partition);
      }
    }
    member.held = held;
  }

  /**
   * A later process whose database is behind what an earlier one had synced stands on an old copy of the folder,
   * or on a disk that has lost what it had written. What it holds may lack acknowledged writes: it counts as damaged.
   * Rule C8.
   */
  #checkFolder(member: Member, message: Message<"register">): void {
    const { batch } = message;
    if (typeof batch !== "number") return;
    if (batch < member.batch) {
      this.#log.error(
        "a node's data is older than what it had written: an old copy of its folder was put back, or its " +
          "disk has lost writes; its replicas do not count, and are filled anew",
        { node: member.id, batch, known: member.batch },
      );
      for (const partition of this.#table.heldBy(member.id)) {
        if (this.#table.get(partition).inSync.includes(member.id)) member.damaged.add(partition);
      }
    }
    member.batch = batch;
  }

  #setInfo(member: Member, info: NodeInfo): void {
    const state = member.presence === "down"
      ? "down"
      : member.departure === "leaving"
      ? "leaving"
      : "up";
    const next: NodeInfo = { ...info, state };
    if (sameInfo(member.info, next)) return;
    member.info = next;
    this.#nodes = undefined;
    this.#publisher.decide();
  }

  #whyMissed(member: Member, nowMs: number): string {
    const { failureTimeoutMs } = this.#settings;
    if (nowMs - member.heardMs >= failureTimeoutMs) {
      return `not heard of for ${failureTimeoutMs} ms`;
    }
    return `its heartbeats come, but it cannot be told anything: ${member.deafness ?? "?"}`;
  }

  #markDown(member: Member, nowMs: number, reason: string): void {
    this.#log.warn("a node is down", { node: member.id, reason });
    member.presence = "down";
    member.downSinceMs = nowMs;
    this.#setInfo(member, member.info);
    this.#mover.invalidateTarget();
    this.#touchNode(member);
  }

  #touchNode(member: Member): void {
    this.#controller.touchNode(member.id);
    this.#mover.touchNode(member.id);
  }

  #remove(member: Member): void {
    this.#members.delete(member.id);
    this.#nodes = undefined;
    this.#mover.invalidateTarget();
    this.#publisher.decide();
  }

  /** Nodes that are down, hold nothing and will hardly come back under this id. Rule C11. */
  #forgetNodes(nowMs: number): void {
    for (const member of this.#members.values()) {
      if (member.presence !== "down" || this.#table.heldBy(member.id).size > 0) continue;
      const replaced = isReplaced(member, this.#members);
      const keepMs = replaced || member.departure === "leaving"
        ? 0
        : member.memory
        ? this.#options.repairDelayMs
        : FORGET_DOWN_MS;
      if (nowMs < Math.max(member.downSinceMs, member.lastSeenMs) + keepMs) continue;
      this.#log.info("a node is taken off the list", {
        node: member.id,
        reason: replaced
          ? `another node has come at its address, ${formatAddress(member.info)}`
          : "it is down, and holds nothing that is needed",
      });
      this.#remove(member);
    }
  }

  /** Lets go who holds nothing that matters. */
  #checkDepartures(nowMs: number): void {
    for (const member of this.#members.values()) {
      const { session, released } = member;
      if (released || session === undefined || !mayGo(member, this.#members, this.#table)) continue;
      if (member.departure === "leaving" && this.#table.heldBy(member.id).size === 0) {
        this.#log.info("a node has left", { node: member.id });
        this.#remove(member);
        this.#sessions.delete(session);
      } else {
        member.released = true;
      }
      this.#dismiss(session);
    }
    this.#publisher.flush(nowMs);
  }

  #dismiss(session: SessionId): void {
    this.#publisher.sendAfterwards(session, { req_type: "left" });
    this.#dismissed.add(session);
  }

  #snapshot(epoch: number): StoredCluster {
    this.#nodes ??= [...this.#members.values()].sort(byId).map(({ info }) => info);
    const members = [...this.#members.values()].sort(byId);
    return {
      format: STORED_FORMAT,
      map: {
        epoch,
        generation: this.#options.generation,
        settings: this.#settings,
        nodes: this.#nodes,
        partitions: this.#table.toArray(),
      },
      members: members.map(({ id, instance, memory, stale, damaged, batch }) => ({
        id,
        instance,
        memory,
        stale: [...stale],
        damaged: [...damaged],
        batch,
      })),
      fresh: this.#controller.fresh,
      lineage: this.#lineage,
      leaseMsMax: this.#leaseMsMax,
      ...(this.#security === undefined ? {} : { security: this.#security }),
    };
  }
}
