/** What `stats` says of a node's partitions, counted over all of them. @module */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Replica } from "../replication/replica.ts";

/** With the field names of the wire. */
export function replicaStats(self: NodeId, replicas: Iterable<Replica>): Record<string, number> {
  const counts = {
    own: 0,
    prev: 0,
    learners: 0,
    entries: 0,
    tombstones: 0,
    tombstones_dropped: 0,
    client_sessions: 0,
    transactions_led: 0,
    transactions_open: 0,
    in_flight: 0,
    waiting: 0,
    damaged: 0,
    divergences: 0,
  };
  for (const replica of replicas) {
    const { primary, config, store } = replica;
    if (primary !== undefined) {
      counts.own++;
      counts.client_sessions += primary.clientSessions.count ?? 0;
      counts.transactions_led += primary.transactions.ledCount;
      counts.transactions_open += primary.transactions.rows;
      counts.in_flight += primary.inFlightCount;
      counts.waiting += primary.waitingCount;
      counts.divergences += primary.divergences;
    } else if (replica.isInSync) counts.prev++;
    else if (config?.learners.includes(self)) counts.learners++;
    if (replica.isMember) {
      counts.entries += store.state.count;
      counts.tombstones += store.state.tombstones ?? 0;
    }
    counts.tombstones_dropped += replica.tombstones.dropped;
    if (replica.damaged) counts.damaged++;
  }
  return counts;
}
