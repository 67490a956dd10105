/**
 * Counts of the whole cluster, for people, health and tests.
 *
 * @module
 */
import type { ClusterState } from "../state/cluster_state.ts";

/** What the controller's state amounts to. */
export interface ClusterStats {
  epoch: number;
  nodes: { up: number; down: number; leaving: number; unknown: number };
  partitions: number;
  /** A new cluster is laid out when this many nodes are there; 0 once that is done. */
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

/** What follows from members and partitions alone. Takes time proportional to the number of partitions. */
export function countCluster(
  { members, table, settings, published, counts }: ClusterState,
): Omit<
  ClusterStats,
  "awaited_nodes" | "stale_document" | "nobody_registered" | "lost_partitions" | "handovers"
> {
  const nodes = { up: 0, down: 0, leaving: 0, unknown: 0 };
  let damaged = 0;
  let unserved = 0;
  let readOnlyNodes = 0;
  for (const { presence, info, damaged: partitions, unserved: own, writable } of members.values()) {
    if (presence === "unknown") nodes.unknown++;
    else nodes[info.state]++;
    damaged += partitions.size;
    if (presence === "live") unserved += own;
    if (!writable && presence !== "down") readOnlyNodes++;
  }
  let unavailable = 0;
  let readOnly = 0;
  let under = 0;
  for (const { primary, inSync } of table.toArray()) {
    if (primary === undefined) unavailable++;
    else if (inSync.length < settings.minInSync) readOnly++;
    if (inSync.length < settings.replicationFactor) under++;
  }
  return {
    epoch: published.epoch,
    nodes,
    partitions: table.size,
    unavailable_partitions: unavailable,
    unserved_partitions: unserved,
    read_only_partitions: readOnly,
    under_replicated_partitions: under,
    damaged_replicas: damaged,
    read_only_nodes: readOnlyNodes,
    moves: table.learnerCount,
    failovers: counts.failovers,
    moves_done: counts.movesDone,
    handovers_done: counts.handoversDone,
  };
}
