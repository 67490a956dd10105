/**
 * What a node says of itself in `/metrics`: what it holds, how far its followers are behind, and its disk. It only reads.
 * What a new part of the node has to say gets its rows in `shared/metrics/metric_table.ts`, and its lines here.
 *
 * @module
 */
import {
  type DatabaseInfo,
  type DatabaseList,
  databaseOfNumber,
  type DatabaseUsage,
  NO_DATABASES,
} from "../../shared/cluster/databases.ts";
import { METRIC_DATABASES_MAX } from "../../shared/limits/cluster.ts";
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import type { MetricSet } from "../../shared/metrics/metric_set.ts";
import type { Replica } from "../replication/replica.ts";
import type { GroupCommit } from "../storage/group_commit.ts";
import { countPartitions } from "./node_health.ts";
import type { TransactionCounts } from "../transactions/transaction_counts.ts";
import type { NodeWatch } from "../watch/node_watch.ts";
import { replicaStats } from "./replica_stats.ts";

/** What is known of a node. */
export interface NodeMetricFacts {
  readonly nodeId: NodeId;
  readonly map: ClusterMap | undefined;
  readonly lease: boolean;
  readonly replicas: readonly Replica[];
  readonly peers: readonly {
    readonly node: NodeId;
    readonly up: boolean;
    readonly queued_bytes: number;
  }[];
  readonly resynced: { readonly replicas: number; readonly entries: number };
  readonly expired: number;
  readonly sessionsEvicted: number;
  readonly retries: number;
  readonly transactions: TransactionCounts;
  readonly queue: GroupCommit;
  readonly watch: ReturnType<NodeWatch["stats"]>;
  readonly databaseBytes: number | undefined;
  /** What named databases have here. */
  readonly databases: DatabaseUsage["databases"];
  readonly diskWritable: boolean;
}

/** Puts it into a set. Costs time in proportion to the number of replicas. */
export function collectNode(set: MetricSet, facts: NodeMetricFacts): void {
  const { nodeId, map, replicas, queue } = facts;
  set.set("kv_map_epoch", map?.epoch ?? 0);
  set.set("kv_node_lease", facts.lease);
  const counts = replicaStats(nodeId, replicas);
  set.set("kv_requests_waiting", counts.waiting);
  set.set("kv_writes_in_flight", counts.in_flight);
  set.set("kv_replicas", counts.own, "primary");
  set.set("kv_replicas", counts.prev, "in_sync");
  set.set("kv_replicas", counts.learners, "learner");
  set.set("kv_replicas", counts.damaged, "damaged");
  const partitions = countPartitions(nodeId, map, replicas);
  set.set("kv_partitions_unserved", partitions.waiting);
  set.set("kv_partitions_read_only", partitions.read_only);
  set.set("kv_entries", counts.entries, "keys");
  set.set("kv_entries", counts.tombstones, "tombstones");
  set.set("kv_client_sessions", counts.client_sessions);
  set.set("kv_client_sessions_evicted_total", facts.sessionsEvicted);
  set.set("kv_expired_keys_total", facts.expired);
  set.set("kv_divergences_total", counts.divergences);
  set.set("kv_retries", facts.retries);
  collectReplication(set, facts);
  collectDatabases(set, map?.databases, facts.databases);
  const { watch } = facts;
  set.set("kv_watch_questions", watch.polls);
  set.set("kv_watch_events_total", watch.events);
  set.set("kv_watch_readings_total", watch.readings);
  set.set("kv_watch_resets_total", watch.resets);
  set.set("kv_watch_log_bytes", watch.logBytes);
  facts.transactions.collect(set);
  set.set("kv_transactions_under_way", counts.transactions_led);
  set.set("kv_transaction_rows", counts.transactions_open);
  queue.metrics.collect(set);
  queue.storage.collect?.(set);
  set.set("kv_commit_pending_bytes", queue.pendingBytes);
  set.set("kv_disk_writable", facts.diskWritable);
  set.set("kv_database_bytes", facts.databaseBytes);
}

/** The name of all databases that are not told one by one. No database can have it. */
const OTHERS = "(others)";

/** All nodes tell of the same databases, so that the sum over nodes is right. */
export function collectDatabases(
  set: MetricSet,
  list: DatabaseList = NO_DATABASES,
  usage: DatabaseUsage["databases"],
): void {
  const hasQuota = ({ maxKeys, maxBytes }: DatabaseInfo) =>
    maxKeys !== undefined || maxBytes !== undefined;
  const told = list.list
    .toSorted((a, b) => Number(hasQuota(b)) - Number(hasQuota(a)) || a.number - b.number)
    .slice(0, METRIC_DATABASES_MAX);
  const sizes = new Map(told.map(({ name }) => [name, { keys: 0, bytes: 0, expiring: 0 }]));
  const names = new Map(told.map(({ number, name }) => [number, name]));
  if (list.list.length > told.length) sizes.set(OTHERS, { keys: 0, bytes: 0, expiring: 0 });
  for (const [number, keys, bytes, expiring] of usage) {
    const isTold = names.has(number) || databaseOfNumber(list, number) !== undefined;
    // The rows of one that was dropped are on their way out.
    if (!isTold) continue;
    const size = sizes.get(names.get(number) ?? OTHERS);
    if (size === undefined) continue;
    size.keys += keys;
    size.bytes += bytes;
    size.expiring += expiring;
  }
  for (const [name, { keys, bytes, expiring }] of sizes) {
    set.set("kv_keyspace_keys", keys, name);
    set.set("kv_keyspace_expiring_keys", expiring, name);
    set.set("kv_keyspace_bytes", bytes, name);
  }
  for (const { name, maxKeys, maxBytes } of told) {
    set.set("kv_keyspace_keys_max", maxKeys, name);
    set.set("kv_keyspace_bytes_max", maxBytes, name);
  }
}

const STREAM_STATES = ["level", "resyncing", "querying", "down"] as const;

function collectReplication(set: MetricSet, { replicas, peers, resynced }: NodeMetricFacts): void {
  const streams = new Map<NodeId, { lag: number; states: { [S in string]?: number } }>();
  for (const { primary, store } of replicas) {
    for (const stream of primary?.streams ?? []) {
      const of = streams.get(stream.node) ?? { lag: 0, states: {} };
      streams.set(stream.node, of);
      of.states[stream.state] = (of.states[stream.state] ?? 0) + 1;
      // How much a replica lacks whose stream is broken is not known: the states tell of it.
      if (stream.state === "level") of.lag += Math.max(0, store.state.lastSeq - stream.ackedSeq);
    }
  }
  for (const [node, { lag, states }] of streams) {
    for (const state of STREAM_STATES) {
      set.set("kv_replication_streams", states[state] ?? 0, node, state);
    }
    set.set("kv_replication_lag_writes", lag, node);
  }
  for (const { node, up, queued_bytes: queued } of peers) {
    set.set("kv_replication_queued_bytes", queued, node);
    set.set("kv_peer_up", up, node);
  }
  set.set("kv_resynced_replicas_total", resynced.replicas);
  set.set("kv_resynced_entries_total", resynced.entries);
}
