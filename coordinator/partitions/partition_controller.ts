/**
 * The partitions' side of the membership: which are to be judged or moved, when, and on whose word.
 * Decisions about one partition are `failover.ts` and `rebalance.ts`; here they get their facts, and
 * what they decide goes into the table. Like its owner it is a state machine without I/O.
 *
 * The rules about reports: they count only with the partition's present term, and from the node that
 * may make them, which is its primary, or, of damage, the replica itself.
 *
 * @module
 */
import {
  type NodeId,
  type PartitionConfig,
  whyNotLaidOut,
} from "../../shared/cluster/cluster_map.ts";
import { invariant, KvError } from "../../shared/base/errors.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { formatAddress } from "../../shared/platform/transport.ts";
import { type Case, judge, type ReplicaStanding } from "./failover.ts";
import type { MapPublisher } from "../state/map_publisher.ts";
import { byId, type Member } from "../state/member.ts";
import type { Mover } from "./mover.ts";
import type { PartitionTable } from "../state/partition_table.ts";
import { orderReplicas } from "./rebalance.ts";

/** So many of what may be many are named in one line of the log. */
const LOGGED_MAX = 8;

/** Reports of replicas that do not follow are logged once in so long. */
const LAG_LOG_MS = 1_000;

/** A node's word about a partition. */
export type Report = Message<"caught_up" | "lagging" | "damaged" | "drained" | "resumed">;

/** What the controller works on and with. */
export interface ControllerPorts {
  readonly members: ReadonlyMap<NodeId, Member>;
  readonly table: PartitionTable;
  readonly mover: Mover;
  readonly publisher: MapPublisher;
  readonly log: Logger;
  readonly failureTimeoutMs: number;
  readonly heartbeatIntervalMs: number;
  /** The first placement waits for so many nodes. */
  readonly expectNodes: number;
  /** How many in-sync copies a write needs. */
  readonly minInSync: number;
  /** Partitions that nobody is known to have served, as stored. */
  readonly fresh: readonly number[];
  /** Leases that the coordinator does not know of may last until then. */
  readonly leaseGraceUntilMs: number;
  /** Nobody counts as missing before; see {@linkcode Case}. */
  graceUntilMs(): number;
}

/** What an operator's order has done with one partition. */
export interface Forced {
  readonly partition: number;
  readonly node: NodeId;
  /** Where the chosen replica stands, as its node has told last; zeros where it has nothing. */
  readonly term: number;
  readonly last_seq: number;
}

/** Counts of what happened since the start. */
export interface ControllerCounts {
  failovers: number;
  movesDone: number;
  handoversDone: number;
}

/** Keeps every partition served. */
export class PartitionController {
  readonly counts: ControllerCounts = { failovers: 0, movesDone: 0, handoversDone: 0 };
  readonly #ports: ControllerPorts;
  readonly #members: ReadonlyMap<NodeId, Member>;
  readonly #table: PartitionTable;
  readonly #mover: Mover;
  readonly #publisher: MapPublisher;
  readonly #log: Logger;
  /** To be judged. */
  readonly #unjudged = new Set<number>();
  /** To be judged at a moment. */
  readonly #waiting = new Map<number, number>();
  /** The lease of a primary that is not in the configuration any more may last until then. */
  readonly #leases = new Map<number, number>();
  /** The primary says that these replicas do not follow; of the present term. */
  readonly #accused = new Map<number, Set<NodeId>>();
  /**
   * Partitions of which no node is known to have been primary: each with the epoch of the map that
   * names its first primary, or the next one to try.
   */
  readonly #fresh: Map<number, number>;
  readonly #lost = new Set<number>();
  #lostLogged = 0;
  #lagLoggedMs = -Infinity;
  #placed = false;
  /** How many nodes were there when it was last said that more are waited for. */
  #awaitingLogged: number | undefined;

  constructor(ports: ControllerPorts) {
    this.#ports = ports;
    this.#members = ports.members;
    this.#table = ports.table;
    this.#mover = ports.mover;
    this.#publisher = ports.publisher;
    this.#log = ports.log;
    const { epoch } = ports.publisher.published;
    this.#fresh = new Map(ports.fresh.map((partition) => [partition, epoch]));
    for (let partition = 0; partition < this.#table.size; partition++) {
      if (this.#table.get(partition).term === 0) continue;
      this.#placed = true;
      this.#unjudged.add(partition);
    }
  }

  /** Partitions that nobody can take over. */
  get lostCount(): number {
    return this.#lost.size;
  }

  /** How many nodes the first placement waits for; 0 where that is done. */
  get awaitedNodes(): number {
    return this.#placed ? 0 : this.#ports.expectNodes;
  }

  /** For the stored document. */
  get fresh(): number[] {
    return [...this.#fresh.keys()];
  }

  /** Something changed about a node: judges what it holds. */
  touchNode(id: NodeId): void {
    for (const partition of this.#table.heldBy(id)) this.#unjudged.add(partition);
  }

  /** Nobody becomes primary of the partition before. */
  barUntil(partition: number, untilMs: number): void {
    this.#leases.set(partition, Math.max(untilMs, this.#leases.get(partition) ?? 0));
  }

  /** What has become due by time alone. */
  tick(nowMs: number): void {
    for (const [partition, atMs] of this.#waiting) {
      if (nowMs < atMs) continue;
      this.#waiting.delete(partition);
      this.#unjudged.add(partition);
    }
  }

  /** A live member's word, over its present session. Old or foreign news is ignored. */
  report(member: Member, message: Report, nowMs: number): void {
    const { p } = message;
    if (p >= this.#table.size) return;
    const config = this.#table.get(p);
    // Rule C3.
    if (message.term !== config.term) return;
    if (message.req_type === "damaged") this.#onDamaged(member, p, config, nowMs);
    else if (config.primary === member.id && !member.stale.has(p)) {
      this.#onPrimaryReport(member, message, config, nowMs);
    }
  }

  /**
   * An operator makes a replica primary although it may lack acknowledged writes.
   *
   * @param partition undefined for every one that has no primary
   * @param node undefined for the live node that has told of most when it registered last
   * @returns what was done
   * @throws {KvError} `bad_request` or `unavailable`
   */
  force(partition: number | undefined, node: NodeId | undefined, nowMs: number): Forced[] {
    if (partition !== undefined && partition >= this.#table.size) {
      throw new KvError("bad_request", `force: there is no partition ${partition}`);
    }
    const chosen = node === undefined ? undefined : this.#members.get(node);
    if (node !== undefined && chosen?.presence !== "live") {
      throw new KvError("bad_request", `force: required a node that is up, given ${node}`);
    }
    const partitions = partition === undefined ? [...this.#lost] : [partition];
    return this.#forceAll(partitions.sort((a, b) => a - b), chosen, nowMs);
  }

  /**
   * A node that is gone is in no configuration any more.
   *
   * @param alone partitions that only it holds in full; another replica is made primary, as by {@linkcode force}
   * @throws {KvError} as {@linkcode force}; then nothing is done
   */
  giveUp(member: Member, alone: readonly number[], nowMs: number): Forced[] {
    const forced = this.#forceAll(alone, undefined, nowMs);
    const without = (ids: readonly NodeId[]) => ids.filter((id) => id !== member.id);
    for (const partition of [...this.#table.heldBy(member.id)].sort((a, b) => a - b)) {
      const { primary, inSync, learners } = this.#table.get(partition);
      if (primary === member.id) this.barUntil(partition, member.leaseUntilMs);
      this.#table.reconfigure(partition, {
        primary: primary === member.id ? undefined : primary,
        inSync: without(inSync),
        learners: without(learners),
      });
    }
    this.settle(nowMs);
    return forced;
  }

  /** All or none. @param chosen undefined for the best of each */
  #forceAll(partitions: readonly number[], chosen: Member | undefined, nowMs: number): Forced[] {
    const choices = partitions.map((p) => ({ p, member: chosen ?? this.#bestHolder(p) }));
    for (const { p, member } of choices) this.#checkForce(p, member, nowMs);
    const forced = choices.map(({ p, member }) => this.#force(p, member));
    this.settle(nowMs);
    return forced;
  }

  /** The table has changed; to be called by whoever made it. */
  onReconfigured(partition: number, before: PartitionConfig, after: PartitionConfig): void {
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
  settle(nowMs: number): void {
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

  /** The node has adopted the map, and its disk tells what it is primary of. */
  noteAdopted(member: Member, epoch: number, nowMs: number): void {
    if (this.#fresh.size === 0) return;
    let changed = false;
    for (const partition of this.#table.heldBy(member.id)) {
      if (this.#table.get(partition).primary !== member.id) continue;
      if (epoch < (this.#fresh.get(partition) ?? 0)) continue;
      changed = this.#fresh.delete(partition) || changed;
    }
    if (!changed) return;
    this.#publisher.decide();
    this.#publisher.flush(nowMs);
  }

  #onDamaged(member: Member, p: number, config: PartitionConfig, nowMs: number): void {
    if (!config.inSync.includes(member.id) && !config.learners.includes(member.id)) return;
    this.#log.error("a replica is damaged", { partition: p, node: member.id });
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
          this.#logLagging(primary, message, nowMs);
          this.#dropLearner(p, config, message.node, nowMs);
        } else if (config.inSync.includes(message.node)) {
          this.#logLagging(primary, message, nowMs);
          // Rule C6.
          this.#accuse(p, message.node);
          this.#mover.backOff(p, message.node, nowMs);
        }
        return;
      case "drained": {
        const to = this.#mover.handoverTarget(p, config.term, primary.id);
        if (to === undefined) return;
        this.counts.handoversDone++;
        // Rule C7.
        // What a replica cannot write nobody is to wait for: its next primary would, before it serves.
        const stay = primary.writable
          ? config.inSync
          : config.inSync.filter((id) => this.#members.get(id)?.writable !== false);
        const inSync = orderReplicas(stay, this.#mover.targetOf(p), to);
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
    this.#log.debug("a replica does not follow", fields);
    if (nowMs < this.#lagLoggedMs + LAG_LOG_MS) return;
    this.#lagLoggedMs = nowMs;
    this.#log.warn("replicas do not follow their primaries; for example", fields);
  }

  #onCaughtUp(p: number, config: PartitionConfig, id: NodeId): void {
    // One that is down is about to be dropped; one that just restarted is no learner any more.
    if (this.#members.get(id)?.presence === "down") return;
    this.counts.movesDone++;
    const replicas = [...config.inSync, id];
    this.#table.reconfigure(p, {
      primary: config.primary,
      inSync: orderReplicas(replicas, this.#mover.targetOf(p), config.primary),
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
        this.counts.failovers++;
        this.#leases.delete(partition);
        // The new one may be dead already, like the one before it.
        if (this.#fresh.has(partition)) this.#fresh.set(partition, this.#publisher.decide());
      }
      this.#table.reconfigure(partition, {
        primary,
        inSync: primary === undefined
          ? change.inSync
          : orderReplicas(change.inSync, this.#mover.targetOf(partition), primary),
        learners: change.learners,
      }, { termFloor: change.termFloor });
    }
    if (verdict.waitUntilMs !== undefined) this.#waiting.set(partition, verdict.waitUntilMs);
  }

  #caseOf(partition: number, config: PartitionConfig): Case {
    return {
      config,
      replica: (id) => this.#standing(partition, id),
      leaseUntilMs: Math.max(this.#leases.get(partition) ?? 0, this.#ports.leaseGraceUntilMs),
      fresh: this.#fresh.has(partition),
      failureTimeoutMs: this.#ports.failureTimeoutMs,
      graceUntilMs: this.#ports.graceUntilMs(),
      heartbeatIntervalMs: this.#ports.heartbeatIntervalMs,
    };
  }

  #standing(partition: number, id: NodeId): ReplicaStanding {
    const member = this.#members.get(id);
    return {
      presence: member?.presence ?? "down",
      stale: member?.stale.has(partition) ?? false,
      damaged: member?.damaged.has(partition) ?? false,
      canBeTold: member?.session !== undefined,
      accused: this.#accused.get(partition)?.has(id) ?? false,
      saidGoodbye: member?.presence === "down" && member.released,
      writable: member?.writable ?? true,
      going: member !== undefined && member.departure !== "none",
      lastSeenMs: member?.lastSeenMs ?? 0,
      registeredMs: member?.registeredMs ?? 0,
      leaseUntilMs: member?.leaseUntilMs ?? 0,
      held: member?.held.get(partition),
    };
  }

  /**
   * A new cluster: everybody who is there gets replicas at once, since all of them are empty. It waits
   * until it is known who is there, and who is not has no part in it: a partition that only such a node
   * was to hold would have nobody.
   */
  #placeFirst(nowMs: number): void {
    let live = 0;
    for (const { presence, departure } of this.#members.values()) {
      if (presence === "unknown" || (presence === "live" && departure === "stopping")) return;
      if (presence === "live" && departure === "none") live++;
    }
    const { expectNodes, minInSync } = this.#ports;
    if (live < expectNodes) {
      if (live === this.#awaitingLogged) return;
      this.#awaitingLogged = live;
      this.#log.info("a new cluster waits for its nodes before it is placed", {
        nodes: live,
        expected: expectNodes,
        reason: whyNotLaidOut({ there: live, awaited: expectNodes, minInSync }),
      });
      return;
    }
    this.#placed = true;
    // As after a restart of the coordinator: who is down and holds nothing is wanted for when it comes.
    for (const member of this.#members.values()) {
      if (member.presence === "down") member.downSinceMs = -Infinity;
    }
    this.#mover.computeTarget(nowMs);
    const epoch = this.#publisher.decide();
    for (let partition = 0; partition < this.#table.size; partition++) {
      const inSync = this.#mover.targetOf(partition);
      const [primary] = inSync;
      invariant(primary !== undefined, "every partition is placed", { partition });
      this.#fresh.set(partition, epoch);
      this.#table.reconfigure(partition, { primary, inSync, learners: [] });
    }
    this.#log.info("a new cluster is placed", { nodes: live, partitions: this.#table.size });
  }

  /** Of nodes that have told the same, those that the configuration names are tried first. */
  #bestHolder(partition: number): Member {
    const { inSync, learners } = this.#table.get(partition);
    const named = [...inSync, ...learners].map((id) => this.#members.get(id));
    let best: Member | undefined;
    for (const member of [...named, ...[...this.#members.values()].sort(byId)]) {
      if (member === undefined) continue;
      if (member.presence !== "live" || member.departure === "leaving") continue;
      if (best === undefined || compareHolders(member, best, partition) > 0) best = member;
    }
    if (best === undefined) {
      throw new KvError("unavailable", "force: no node is up that could take the partition");
    }
    return best;
  }

  /** @throws {KvError} where the replica may not be made primary, now or at all */
  #checkForce(partition: number, member: Member, nowMs: number): void {
    const config = this.#table.get(partition);
    if (!this.#lost.has(partition)) {
      throw new KvError(
        "bad_request",
        `force: partition ${partition} is served, or will be in a moment, without it`,
      );
    }
    // Rule C1.
    const until = Math.max(this.#leases.get(partition) ?? 0, this.#ports.leaseGraceUntilMs);
    if (nowMs < until) {
      throw new KvError("unavailable", "force: an old lease may still last; try again in seconds");
    }
    for (const id of config.inSync) {
      const other = this.#members.get(id);
      if (id === member.id || other === undefined || other.presence === "live") continue;
      if (nowMs >= other.heardMs + this.#ports.failureTimeoutMs) continue;
      throw new KvError(
        "unavailable",
        `force: partition ${partition} may still be served by ${
          this.#nodeText(id)
        }: its heartbeats ` +
          "come, although it cannot register; stop it, or mend its way to the coordinator",
      );
    }
  }

  #force(partition: number, member: Member): Forced {
    const config = this.#table.get(partition);
    const held = member.held.get(partition);
    this.#log.error("an operator made a replica primary that may lack acknowledged writes", {
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
      { termFloor: held?.term ?? 0, forced: true },
    );
    return { partition, node: member.id, term: held?.term ?? 0, last_seq: held?.lastSeq ?? 0 };
  }

  #logLost(): void {
    const { size } = this.#lost;
    if (size === this.#lostLogged) return;
    if (size > this.#lostLogged) {
      const lost = [...this.#lost].sort((a, b) => a - b);
      const holders = new Set(lost.flatMap((partition) => this.#table.get(partition).inSync));
      this.#log.error(
        "partitions without a primary: no replica with all acknowledged writes is there",
        {
          count: size,
          partitions: someOf(lost.map(String)),
          holders: someOf([...holders].sort().map((node) => this.#nodeText(node))),
          remedy:
            "start these nodes again, or, at the price of lost writes, kv-coordinator --force",
        },
      );
    } else if (size === 0) this.#log.info("every partition can be served again");
    this.#lostLogged = size;
  }

  #nodeText(node: NodeId): string {
    const info = this.#members.get(node)?.info;
    return info === undefined ? node : `${node} (${formatAddress(info)})`;
  }
}

/** The first of many, for the log. */
function someOf(texts: readonly string[]): string {
  const shown = texts.slice(0, LOGGED_MAX).join(" ");
  return texts.length > LOGGED_MAX ? `${shown} …` : shown;
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
