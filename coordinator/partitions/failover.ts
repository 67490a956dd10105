/**
 * Who serves a partition: the judgement of one partition, as a pure function of its configuration and
 * of what is known of its replicas. It decides about primaries and about who leaves the in-sync set;
 * new replicas are `rebalance.ts`.
 *
 * The rules:
 *
 * 1. A replica is *current* if its node is live, the role was given to (or kept by) the process that runs
 *    now, and it is not damaged. It is *restarted* if its node is live but the process is a later one than
 *    that which was in sync: what counts is what its disk still holds.
 * 2. With a current primary, members leave the set that are down, restarted or damaged, or of which the primary
 *    says that they lag. Down and restarted ones leave only when the primary has been heard of clearly
 *    later than they were: if everything stops at once (a power cut), nobody is dropped on the word
 *    of a node that has just not been missed yet, and all replicas keep their claim. A node that asked to
 *    go and was let go leaves at once, unless the primary is about to go as well (everything is being
 *    stopped).
 * 3. Without one, nobody is made primary before every lease of the last primary has run out. Then the
 *    first current member with a session, in the order of the set, takes over; again only if it was heard of
 *    clearly later than those who are dropped. A damaged primary has stopped by itself, so nobody waits for it.
 * 4. Without a current member, restarted ones are considered when all members are back, or the missing ones
 *    have been missing for the failure timeout. The one whose disk reports the highest (term, last
 *    seq) is chosen; damaged replicas and those that report nothing of the partition do not qualify.
 *    Every in-sync replica has every acknowledged write on disk, so any that qualifies is good.
 * 5. Otherwise the partition has no primary and keeps the list of those who hold its data.
 *
 * Invariants: a primary that is given here is current, or restarted and qualified, and was in the in-sync set;
 * the in-sync set only shrinks.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import type { HeldReplica, Presence } from "../state/member.ts";

/** What is known of a replica and its node. */
export interface ReplicaStanding {
  readonly presence: Presence;
  /** The role belongs to an earlier process of the node. */
  readonly stale: boolean;
  readonly damaged: boolean;
  /** It has a session, so that it can be told of a role. */
  readonly canBeTold: boolean;
  /** The primary reported that this replica does not follow. */
  readonly lagging: boolean;
  /** Its process asked to go, and was let go: it is not just missed. */
  readonly saidGoodbye: boolean;
  /** Its disk takes writes. */
  readonly writable: boolean;
  /** Its process is about to go. */
  readonly going: boolean;
  readonly lastSeenMs: number;
  readonly registeredMs: number;
  readonly leaseUntilMs: number;
  /** What the disk held when the process registered; undefined for nothing. */
  readonly held: HeldReplica | undefined;
}

/** A partition and everything that its judgement depends on. */
export interface Case {
  readonly config: PartitionConfig;
  replica(id: NodeId): ReplicaStanding;
  /** Some primary that is not in the configuration any more may hold a lease until then. */
  readonly leaseUntilMs: number;
  /** No node is known to have served the partition, ever. */
  readonly fresh: boolean;
  readonly failureTimeoutMs: number;
  /** Nobody counts as missing before; the coordinator may not have been able to hear. */
  readonly graceUntilMs: number;
  readonly heartbeatIntervalMs: number;
}

/** What becomes of the partition. */
export interface Verdict {
  /** What changes; the term is the caller's to raise. */
  readonly change?: {
    readonly primary: NodeId | undefined;
    readonly inSync: readonly NodeId[];
    readonly learners: readonly NodeId[];
    /** Restarted replicas whose role counts from now on. */
    readonly revived: readonly NodeId[];
    /** The new term is higher than this one. */
    readonly termFloor: number;
  };
  /** When to look again, if nothing happens before. */
  readonly waitUntilMs?: number;
  /** Nobody can serve, and nothing is being waited for but the return of a node or an operator. */
  readonly lost: boolean;
}

const SETTLED: Verdict = { lost: false };

/** Judges a partition. */
export function judge(of: Case, nowMs: number): Verdict {
  const { config } = of;
  if (config.inSync.length === 0) return SETTLED;
  const { primary } = config;
  if (primary === undefined) return elect(of, nowMs);
  const replica = of.replica(primary);
  if (isCurrent(replica)) return shrink(of, primary, replica, nowMs);
  if (replica.presence === "unknown" && !replica.stale) {
    const silentMs = replica.lastSeenMs + of.failureTimeoutMs;
    return { lost: false, waitUntilMs: Math.max(silentMs, of.graceUntilMs) };
  }
  return elect(of, nowMs);
}

/** Rule 1. */
export function isCurrent(replica: ReplicaStanding): boolean {
  return replica.presence === "live" && !replica.stale && !replica.damaged;
}

/** Rule 2. */
function shrink(of: Case, primary: NodeId, witness: ReplicaStanding, nowMs: number): Verdict {
  const { config } = of;
  let waiting = false;
  const inSync = config.inSync.filter((id) => {
    if (id === primary) return true;
    const replica = of.replica(id);
    if (replica.lagging || (replica.damaged && replica.presence === "live")) return false;
    if (isCurrent(replica) || isUndecided(replica)) return true;
    if (isOutlivedBy(replica, witness, of) || (replica.saidGoodbye && !witness.going)) return false;
    waiting = true;
    return true;
  });
  const learners = config.learners.filter((id) => of.replica(id).presence !== "down");
  const wait = waiting ? { waitUntilMs: nowMs + of.heartbeatIntervalMs } : {};
  if (inSync.length === config.inSync.length && learners.length === config.learners.length) {
    return { lost: false, ...wait };
  }
  return { change: { primary, inSync, learners, revived: [], termFloor: 0 }, lost: false, ...wait };
}

/** Rules 3 to 5 above; rules C1 and C2 of docs/replication.md. */
function elect(of: Case, nowMs: number): Verdict {
  const { config } = of;
  const old = config.primary === undefined ? undefined : of.replica(config.primary);
  const stoppedItself = old !== undefined && old.presence === "live" && !old.stale;
  const leaseUntilMs = Math.max(
    of.leaseUntilMs,
    old === undefined || stoppedItself ? 0 : old.leaseUntilMs,
  );
  if (nowMs < leaseUntilMs) return { lost: false, waitUntilMs: leaseUntilMs };

  const current = config.inSync.filter((id) => isCurrent(of.replica(id)));
  const gone = config.inSync.filter((id) => {
    const replica = of.replica(id);
    return !isCurrent(replica) && !isUndecided(replica) &&
      !(replica.damaged && replica.presence === "live");
  });
  // A node that cannot write is better than none: it serves reads.
  const byWorth = [
    ...current.filter((id) => of.replica(id).writable),
    ...current.filter((id) => !of.replica(id).writable),
  ];
  const next = byWorth.find((id) => {
    const witness = of.replica(id);
    return witness.canBeTold && gone.every((other) => isOutlivedBy(of.replica(other), witness, of));
  });
  if (next !== undefined) {
    const inSync = config.inSync.filter((id) =>
      current.includes(id) || isUndecided(of.replica(id))
    );
    return { change: { ...change(of, next, inSync), revived: [], termFloor: 0 }, lost: false };
  }
  if (current.length > 0) return { lost: false, waitUntilMs: nowMs + of.heartbeatIntervalMs };
  // Damaged and alone, it goes on with what can be read: nobody else has the rest either.
  return electCold(of, nowMs, stoppedItself && config.inSync.length === 1);
}

/**
 * Rules 4 and 5 above; rule C5 of docs/replication.md.
 *
 * @param served a damaged primary serves what it can read
 */
function electCold(of: Case, nowMs: number, served: boolean): Verdict {
  const { config } = of;
  const missing = config.inSync.map((id) => of.replica(id)).filter((c) => c.presence !== "live");
  const waitUntilMs = Math.max(
    missing.length > 0 ? of.graceUntilMs : 0,
    ...missing.map(({ lastSeenMs }) => lastSeenMs + of.failureTimeoutMs),
  );
  const candidates = qualified(of);
  const best = candidates[0];
  if (nowMs < waitUntilMs || best === undefined) {
    const waiting = nowMs < waitUntilMs;
    const verdict = { lost: !waiting && !served, ...(waiting ? { waitUntilMs } : {}) };
    if (config.primary === undefined || served) return verdict;
    return {
      change: { ...change(of, undefined, config.inSync), revived: [], termFloor: 0 },
      ...verdict,
    };
  }
  const termFloor = Math.max(...candidates.map((id) => of.replica(id).held?.term ?? 0));
  return {
    change: { ...change(of, best, candidates), revived: candidates, termFloor },
    lost: false,
  };
}

/** Restarted replicas that may serve, the best first. */
function qualified(of: Case): NodeId[] {
  const { inSync } = of.config;
  const restarted = inSync.filter((id) => {
    const replica = of.replica(id);
    return replica.presence === "live" && !replica.damaged;
  });
  const holding = restarted.filter((id) => of.replica(id).held !== undefined);
  if (holding.length > 0) {
    return holding.toSorted((a, b) => compareHeld(of.replica(b).held, of.replica(a).held));
  }
  // A partition that nobody has ever served: all processes ended before any had noted it down.
  return of.fresh && restarted.length === inSync.length ? restarted : [];
}

function compareHeld(a: HeldReplica | undefined, b: HeldReplica | undefined): number {
  if (a === undefined || b === undefined) return 0;
  return a.term - b.term || a.lastSeq - b.lastSeq;
}

function change(of: Case, primary: NodeId | undefined, inSync: readonly NodeId[]) {
  const learners = of.config.learners.filter((id) => of.replica(id).presence !== "down");
  return { primary, inSync, learners };
}

/** The coordinator has just started, and the node may still be what it was. */
function isUndecided(replica: ReplicaStanding): boolean {
  return replica.presence === "unknown" && !replica.stale;
}

/** Whether the witness was heard of when the replica's process certainly was not there any more. */
function isOutlivedBy(replica: ReplicaStanding, witness: ReplicaStanding, of: Case): boolean {
  return replica.presence === "live"
    ? witness.lastSeenMs > replica.registeredMs
    : witness.lastSeenMs > replica.lastSeenMs + 2 * of.heartbeatIntervalMs;
}
