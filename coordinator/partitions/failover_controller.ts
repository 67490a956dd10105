/**
 * Which partitions are to be judged, and when: each after a change of it or of a node that has part in it, and when
 * the time has come for which a judgement waited. The judgement itself is `failover.ts`; here it gets
 * its facts, and what it decides goes into the state.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import type { ClusterState, News } from "../state/cluster_state.ts";
import { nodeText } from "../state/member.ts";
import type { Outbox } from "../state/ready.ts";
import { type Case, judge, type ReplicaStanding } from "./failover.ts";
import { orderReplicas } from "./rebalance.ts";
import type { TargetAssignment } from "./target_assignment.ts";

/** So many of what may be many are named in one line of the log. */
const LOGGED_MAX = 8;

/** Keeps every partition served. */
export class FailoverController {
  readonly #state: ClusterState;
  readonly #target: TargetAssignment;
  readonly #out: Outbox;
  /** To be judged. */
  readonly #unjudged = new Set<number>();
  /** To be judged at a moment. */
  readonly #waiting = new Map<number, number>();
  /** The primary says that these replicas do not follow; of the present term. */
  readonly #lagging = new Map<number, Set<NodeId>>();
  /** Nobody can take these over. */
  readonly #lost = new Set<number>();
  #lostLogged = 0;

  constructor(state: ClusterState, target: TargetAssignment, out: Outbox) {
    this.#state = state;
    this.#target = target;
    this.#out = out;
    const { table } = state;
    for (let partition = 0; partition < table.size; partition++) {
      if (table.get(partition).term > 0) this.#unjudged.add(partition);
    }
  }

  /** Partitions that nobody can take over, in order. */
  get lost(): number[] {
    return [...this.#lost].sort((a, b) => a - b);
  }

  isLost(partition: number): boolean {
    return this.#lost.has(partition);
  }

  /** Judges again: partitions that have changed, and those that a touched node holds. */
  note({ changes, nodes }: News): void {
    for (const { partition, before, after } of changes) {
      this.#unjudged.add(partition);
      this.#waiting.delete(partition);
      if (before.term !== after.term) this.#lagging.delete(partition);
    }
    for (const id of nodes) {
      for (const partition of this.#state.table.heldBy(id)) this.#unjudged.add(partition);
    }
  }

  /** An operator has found somebody to take it over. */
  found(partition: number): void {
    this.#lost.delete(partition);
  }

  /** Judges a partition anew. */
  touch(partition: number): void {
    this.#unjudged.add(partition);
  }

  /** The primary says that a replica does not follow. Rule C6. */
  noteLagging(partition: number, id: NodeId): void {
    const lagging = this.#lagging.get(partition);
    if (lagging === undefined) this.#lagging.set(partition, new Set([id]));
    else lagging.add(id);
    this.#unjudged.add(partition);
  }

  /** What has become due by time alone. */
  tick(nowMs: number): void {
    for (const [partition, atMs] of this.#waiting) {
      if (nowMs < atMs) continue;
      this.#waiting.delete(partition);
      this.#unjudged.add(partition);
    }
  }

  /** Judges one of those that wait for it. @returns false if there was none */
  judgeNext(nowMs: number): boolean {
    const [partition] = this.#unjudged;
    if (partition === undefined) return false;
    this.#unjudged.delete(partition);
    this.#judge(partition, nowMs);
    return true;
  }

  #judge(partition: number, nowMs: number): void {
    const { table, fresh, members, counts, publisher } = this.#state;
    const config = table.get(partition);
    const verdict = judge(this.#caseOf(partition, config), nowMs);
    if (verdict.lost) this.#lost.add(partition);
    else this.#lost.delete(partition);
    if (verdict.waitUntilMs !== undefined) this.#waiting.set(partition, verdict.waitUntilMs);
    const { change } = verdict;
    if (change === undefined) return;
    for (const id of change.revived) members.get(id)?.stale.delete(partition);
    const { primary } = change;
    if (primary !== undefined && primary !== config.primary) {
      counts.failovers++;
      this.#state.unbar(partition);
      // The new one may be dead already, like the one before it.
      if (fresh.has(partition)) fresh.set(partition, publisher.decide());
    }
    this.#state.reconfigure(partition, {
      primary,
      inSync: primary === undefined
        ? change.inSync
        : orderReplicas(change.inSync, this.#target.of(partition), primary),
      learners: change.learners,
    }, { termFloor: change.termFloor });
  }

  #caseOf(partition: number, config: PartitionConfig): Case {
    const { settings, fresh, graceUntilMs } = this.#state;
    const { failureTimeoutMs, heartbeatIntervalMs } = settings;
    return {
      config,
      replica: (id) => this.#standing(partition, id),
      leaseUntilMs: this.#state.barredUntilMs(partition),
      fresh: fresh.has(partition),
      failureTimeoutMs,
      graceUntilMs,
      heartbeatIntervalMs,
    };
  }

  #standing(partition: number, id: NodeId): ReplicaStanding {
    const member = this.#state.members.get(id);
    return {
      presence: member?.presence ?? "down",
      stale: member?.stale.has(partition) ?? false,
      damaged: member?.damaged.has(partition) ?? false,
      canBeTold: member?.session !== undefined,
      lagging: this.#lagging.get(partition)?.has(id) ?? false,
      saidGoodbye: member?.presence === "down" && member.released,
      writable: member?.writable ?? true,
      going: member !== undefined && member.departure !== "none",
      lastSeenMs: member?.lastSeenMs ?? 0,
      registeredMs: member?.registeredMs ?? 0,
      leaseUntilMs: member?.leaseUntilMs ?? 0,
      held: member?.held.get(partition),
    };
  }

  /** Says how many partitions nobody can serve, if that is another number than before. */
  logLost(): void {
    const { size } = this.#lost;
    if (size === this.#lostLogged) return;
    if (size > this.#lostLogged) {
      const { lost } = this;
      const { table, members } = this.#state;
      const holders = new Set(lost.flatMap((partition) => table.get(partition).inSync));
      this.#out.error(
        "partitions without a primary: no replica with all acknowledged writes is there",
        {
          count: size,
          partitions: someOf(lost.map(String)),
          holders: someOf([...holders].sort().map((id) => nodeText(members, id))),
          remedy:
            "start these nodes again, or, at the price of lost writes, kv-coordinator --force",
        },
      );
    } else if (size === 0) this.#out.info("every partition can be served again");
    this.#lostLogged = size;
  }
}

/** The first of many, for the log. */
function someOf(texts: readonly string[]): string {
  const shown = texts.slice(0, LOGGED_MAX).join(" ");
  return texts.length > LOGGED_MAX ? `${shown} …` : shown;
}
