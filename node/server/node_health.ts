/**
 * Whether a node can serve, from what it knows of itself. Pure.
 *
 * Invariant: a node that cannot take reads and writes of what it is primary of, or that nobody can
 * vouch for, is never reported as able to serve.
 *
 * @module
 */
import {
  type ClusterMap,
  isLaidOut,
  whatWritesNeed,
  whyNoPrimary,
} from "../../shared/cluster/cluster_map.ts";
import { HealthFindings, type HealthReport } from "../../shared/http/protocol/health_report.ts";
import type { Replica } from "../replication/replica.ts";
import type { Retry } from "../replication/retries.ts";

/** What a node knows of itself. */
export interface NodeHealthFacts {
  readonly nodeId: string;
  readonly map: ClusterMap | undefined;
  readonly standalone: boolean;
  /** The session with the coordinator stands. */
  readonly sessionUp: boolean;
  /** If whoever answers is not this node's coordinator: why not. */
  readonly coordinatorRefusal: string | undefined;
  readonly lease: boolean;
  readonly replicas: Iterable<Replica>;
  /** The error with which the disk refuses writes, if it does. */
  readonly storageFailure: string | undefined;
  /** What fails again and again. */
  readonly retries: readonly Retry[];
}

/** The report. */
export function nodeHealth(facts: NodeHealthFacts): HealthReport {
  const { map, standalone, sessionUp, lease, storageFailure } = facts;
  const found = new HealthFindings();
  const minInSync = map?.settings.minInSync ?? 1;
  const counts = countPartitions(facts.nodeId, map, facts.replicas);
  const { own, serving, waiting, read_only: readOnly, damaged } = counts;
  const self = map?.nodes.find(({ id }) => id === facts.nodeId);

  found.unavailable(map === undefined, "it has not joined its cluster yet");
  found.unavailable(
    map !== undefined && map.partitions.length > 0 && !isLaidOut(map),
    whyNoPrimary(map, 0),
  );
  found.unavailable(storageFailure !== undefined, `the disk refuses writes: ${storageFailure}`);
  found.unavailable(own > 0 && serving === 0, `none of its ${own} partitions can be served now`);
  found.degraded(
    serving > 0 && waiting > 0,
    `${waiting} of its ${own} partitions cannot be served now`,
  );
  found.unavailable(
    own > 0 && readOnly === own,
    `writes are refused: ${whatWritesNeed(minInSync)}`,
  );
  found.degraded(
    readOnly > 0 && readOnly < own,
    `writes to ${readOnly} of its ${own} partitions are refused: ${whatWritesNeed(minInSync)}`,
  );
  const [retry] = facts.retries;
  found.degraded(
    retry !== undefined,
    `${facts.retries.length} of its tasks fail again and again, such as to ${retry?.what} ` +
      `(partition ${retry?.partition}, ${retry?.attempts} attempts: ${retry?.error})`,
  );
  found.degraded(damaged > 0, `${damaged} of its replicas are damaged`);
  if (!standalone && map !== undefined) {
    found.unavailable(
      self === undefined || self.state === "down",
      "the cluster does not count on it as a living member",
    );
    // A coordinator that hangs, or is cut off, leaves the session standing for a while.
    if (!sessionUp || !lease) {
      // It serves what it is primary of, as long as the replicas confirm; nobody would take over.
      found.degraded(
        true,
        sessionUp
          ? "the coordinator does not acknowledge its heartbeats"
          : facts.coordinatorRefusal === undefined
          ? "the coordinator does not answer"
          : `the coordinator cannot be used: ${facts.coordinatorRefusal}`,
      );
      found.unavailable(serving < own || own === 0, "it cannot tell alone whether it may serve");
    }
  }
  return found.report("node", {
    node: facts.nodeId,
    joined: map !== undefined,
    standalone,
    epoch: map?.epoch ?? 0,
    session: sessionUp,
    lease,
    ...counts,
    storage_failure: storageFailure ?? null,
  });
}

/** Partitions of a node. */
export interface PartitionCounts {
  /** Those that the map makes it primary of, whatever has become of that here. */
  own: number;
  /** Of these, ready for reads and writes. */
  serving: number;
  /** Of these, not. */
  waiting: number;
  /** Of these, with too few replicas in sync for writes. */
  read_only: number;
  damaged: number;
}

/** What a node is primary of by its map, and how much of that it can serve. */
export function countPartitions(
  nodeId: string,
  map: ClusterMap | undefined,
  replicas: Iterable<Replica>,
): PartitionCounts {
  const counts: PartitionCounts = { own: 0, serving: 0, waiting: 0, read_only: 0, damaged: 0 };
  const minInSync = map?.settings.minInSync ?? 1;
  for (const config of map?.partitions ?? []) {
    if (config.primary !== nodeId) continue;
    counts.own++;
    if (config.inSync.length < minInSync) counts.read_only++;
  }
  for (const replica of replicas) {
    if (replica.damaged && replica.isMember) counts.damaged++;
    if (map?.partitions[replica.partition]?.primary !== nodeId) continue;
    const { primary } = replica;
    // A write waits for every replica of the set: with one of them away, none is taken.
    const served = primary?.phase === "serving" &&
      primary.streams.every(({ mustAck, state }) => !mustAck || state === "level");
    if (served) counts.serving++;
  }
  counts.waiting = counts.own - counts.serving;
  return counts;
}
