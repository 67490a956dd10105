/**
 * Every metric, in one table: its type, what it says, its labels, and which processes have it. `docs/metrics.md`, the
 * text of `/metrics` and the wire's `metrics` follow from it. To add one, write a row here, and the line that fills it in
 * `node/server/node_metrics.ts` or `coordinator/coordinator_metrics.ts`; then `deno task docs`.
 *
 * Invariants: a name is never used for something else later; no label has a value for each key, client or address of
 * a client, so that the number of series is bounded by the tables of operations, errors and nodes, and by
 * METRIC_DATABASES_MAX. Units are seconds
 * and bytes, as Prometheus has them.
 *
 * @module
 */
import {
  BATCH_WRITES_BUCKETS,
  DISK_SECONDS_BUCKETS,
  REQUEST_SECONDS_BUCKETS,
} from "../limits/requests.ts";

/** As in Prometheus' data model. A counter's name ends in `_total`. */
export type MetricType = "counter" | "gauge" | "histogram";

/** Which processes have it. */
export type MetricOf = "both" | "node" | "coordinator";

/** A row. */
export interface MetricSpec {
  readonly type: MetricType;
  /** One line. */
  readonly help: string;
  readonly labels: readonly string[];
  readonly of: MetricOf;
  /** Of a histogram. */
  readonly bounds?: readonly number[];
}

function counter(of: MetricOf, help: string, ...labels: string[]): MetricSpec {
  return { type: "counter", help, labels, of };
}

function gauge(of: MetricOf, help: string, ...labels: string[]): MetricSpec {
  return { type: "gauge", help, labels, of };
}

function histogram(
  of: MetricOf,
  bounds: readonly number[],
  help: string,
  ...labels: string[]
): MetricSpec {
  return { type: "histogram", help, labels, of, bounds };
}

/** The table. Group by what they are about; the order is that of `/metrics` and of the page. */
export const METRICS = {
  // The process.
  kv_info: gauge(
    "both",
    "Always 1; the labels say what the process is.",
    "role",
    "id",
    "cluster",
    "version",
  ),
  kv_health: gauge(
    "both",
    "1 for the status that /health reports now: ok, degraded or unavailable.",
    "status",
  ),
  kv_worker_up: gauge(
    "node",
    "At the port that the workers of a machine share: 1 if the worker has answered, so that its series are there.",
  ),
  process_start_time_seconds: gauge(
    "both",
    "When the process began, in seconds since 1970-01-01 UTC.",
  ),
  kv_date_seconds: gauge(
    "both",
    "The process's date, in seconds since 1970-01-01 UTC: by it keys expire.",
  ),
  process_cpu_seconds_total: counter("both", "Processor time of the process, user and system."),
  process_resident_memory_bytes: gauge("both", "Memory of the process that is in RAM."),
  kv_heap_bytes: gauge(
    "both",
    "Memory of JavaScript: used, committed (both of the heap), external (buffers beside it).",
    "kind",
  ),
  kv_event_loop_delay_seconds: histogram(
    "both",
    DISK_SECONDS_BUCKETS,
    "How late a timer fired, measured every 0.1 s: how long everything else had to wait.",
  ),

  // Requests.
  kv_requests_total: counter(
    "both",
    "Requests that were answered, by front end (wire, http, resp; peer: passed on by another process), operation and code (ok, or the error's).",
    "front_end",
    "operation",
    "code",
  ),
  kv_request_seconds: histogram(
    "both",
    REQUEST_SECONDS_BUCKETS,
    "From a request's arrival to the end of the turn in which it was answered.",
    "front_end",
    "operation",
  ),
  kv_requests_in_flight: gauge(
    "both",
    "Requests that have come and are not answered.",
    "front_end",
  ),
  kv_slow_requests_total: counter("both", "Requests that took so long that SLOWLOG has them."),
  kv_forwarded_requests_total: counter(
    "node",
    "Requests that this node has passed on to another one.",
  ),
  kv_requests_waiting: gauge(
    "node",
    "Requests that wait for an earlier write of their key, for a lease, or for their partition to be served.",
  ),
  kv_writes_in_flight: gauge("node", "Writes that are applied here and not committed."),

  // Connections.
  kv_connections: gauge("both", "Open connections, HTTP's too."),
  kv_connections_max: gauge(
    "both",
    "How many of them clients may have; follows from the limit of descriptors.",
  ),
  kv_peer_connections: gauge(
    "both",
    "Those of the open connections that nodes and the coordinator have made.",
  ),
  kv_resp_connections: gauge("node", "Those of the open connections that speak RESP."),
  kv_resp_connections_total: counter("node", "Connections that have spoken RESP."),
  kv_resp_commands_total: counter("node", "Commands that have come over RESP."),
  kv_connections_refused_total: counter(
    "both",
    "Connections and messages for which there was no room.",
  ),
  kv_buffered_bytes: gauge(
    "both",
    "Memory for what comes from outside: incomplete messages, requests under way, replies that are not taken.",
    "of",
  ),
  kv_certificate_begin_seconds: gauge(
    "both",
    "Of a secured process: since when its certificates are good, in seconds since 1970-01-01 UTC. It renews them at two thirds of their life.",
    "of",
  ),
  kv_certificate_end_seconds: gauge(
    "both",
    "Of a secured process: when the certificate ends that its clients see (of=server), and the authority's that signs (of=authority), in seconds since 1970-01-01 UTC.",
    "of",
  ),

  // Membership, as this process sees it.
  kv_map_epoch: gauge("both", "The epoch of the cluster map that the process goes by."),
  kv_node_registered: gauge(
    "node",
    "1 if the node's session with the coordinator stands, or it needs none.",
  ),
  kv_node_lease: gauge(
    "node",
    "1 if the node holds a lease: it may answer reads without asking its followers.",
  ),

  // What a node holds.
  kv_replicas: gauge(
    "node",
    "Replicas that this node holds, by state: primary, in_sync, learner; and those of them that are damaged.",
    "state",
  ),
  kv_partitions_unserved: gauge(
    "node",
    "Partitions of which this node is the primary and that it cannot serve now.",
  ),
  kv_partitions_read_only: gauge(
    "node",
    "Partitions of which this node is the primary, with fewer replicas in sync than a write needs.",
  ),
  kv_entries: gauge(
    "node",
    "Entries of all replicas here, by kind: keys (with the store's own records of client sessions), tombstones.",
    "kind",
  ),
  kv_keyspace_keys: gauge(
    "node",
    "Keys of a named database in the partitions of which this node is the primary. At most 100 databases are told one " +
      "by one, those with a quota first, then the oldest; all others are (others).",
    "database",
  ),
  kv_keyspace_expiring_keys: gauge("node", "How many of these keys expire.", "database"),
  kv_keyspace_bytes: gauge("node", "Bytes of these keys' rows.", "database"),
  kv_keyspace_keys_max: gauge(
    "node",
    "The quota of keys of a named database, over all nodes.",
    "database",
  ),
  kv_keyspace_bytes_max: gauge(
    "node",
    "The quota of bytes of a named database, over all nodes.",
    "database",
  ),
  kv_client_sessions: gauge("node", "Client sessions that this node's partitions remember."),
  kv_client_sessions_evicted_total: counter(
    "node",
    "Client sessions that had to make room for others.",
  ),
  kv_expired_keys_total: counter(
    "node",
    "Keys that this node has deleted because they had expired.",
  ),
  kv_divergences_total: counter(
    "node",
    "Replicas that were found to differ from their primary, and were filled anew.",
  ),
  kv_retries: gauge(
    "node",
    "Tasks that have failed and are tried again, such as filling a replica.",
  ),

  // Replication, as a primary sees it.
  kv_replication_streams: gauge(
    "node",
    "Replicas elsewhere that this node's primaries feed, by state: level, resyncing, querying, down.",
    "peer",
    "state",
  ),
  kv_replication_lag_writes: gauge(
    "node",
    "Writes of this node's partitions that a peer has not on disk, as far as is known: those of streams that are level.",
    "peer",
  ),
  kv_replication_queued_bytes: gauge(
    "node",
    "Bytes for a peer that the network has not taken.",
    "peer",
  ),
  kv_peer_up: gauge("node", "1 if the link to a peer stands.", "peer"),
  kv_resynced_replicas_total: counter("node", "Replicas elsewhere that were made equal."),
  kv_resynced_entries_total: counter("node", "Entries that were sent to make replicas equal."),

  // Watches.
  kv_watches: gauge("node", "Watches of clients that this node carries out, at all front ends."),
  kv_watch_questions: gauge(
    "node",
    "Questions of watches, of clients of this node and of others, that wait for something to happen in this node's partitions.",
  ),
  kv_watch_events_total: counter(
    "node",
    "Changes of this node's partitions that watches were told.",
  ),
  kv_watch_readings_total: counter(
    "node",
    "Answers to watches that had to be read from the storage: a watch began with what was there, or had fallen behind.",
  ),
  kv_watch_resets_total: counter(
    "node",
    "Questions of watches that were answered with reset: what they lacked is not known any more.",
  ),
  kv_watch_log_bytes: gauge("node", "Memory for the newest writes of partitions that are watched."),

  // Transactions over several partitions, at the node that leads them.
  kv_transactions_total: counter(
    "node",
    "Transactions over several partitions that this node has led, by how they ended: ok, or the code of the error.",
    "code",
  ),
  kv_transactions_under_way: gauge("node", "Those that this node leads and that are not decided."),
  kv_transaction_conflicts_total: counter(
    "node",
    "Attempts of transactions that this node leads that were given up because others held their keys, or changed what they read.",
  ),
  kv_transaction_rows: gauge(
    "node",
    "What this node's primaries keep of transactions that have not ended: parts that are prepared, and decisions of which not every participant has been told.",
  ),

  // The disk.
  kv_commit_seconds: histogram(
    "node",
    DISK_SECONDS_BUCKETS,
    "What a group commit took: write and sync of one batch.",
  ),
  kv_commit_writes: histogram(
    "node",
    BATCH_WRITES_BUCKETS,
    "Changes in one group commit, those of state records among them.",
  ),
  kv_commit_bytes_total: counter(
    "node",
    "Bytes of keys and values that went to disk in group commits.",
  ),
  kv_commit_pending_bytes: gauge("node", "Bytes of writes that are not on disk yet."),
  kv_journal_sync_seconds: histogram(
    "node",
    DISK_SECONDS_BUCKETS,
    "What it took to append one batch to the journal and to sync it.",
  ),
  kv_journal_segments: gauge("node", "Files of the journal."),
  kv_journal_unfed_batches: gauge(
    "node",
    "Batches of the journal that the table lacks. A start after a crash reads them again.",
  ),
  kv_journal_unfed_bytes: gauge("node", "How many bytes these batches have in the journal."),
  kv_journal_memory_bytes: gauge(
    "node",
    "Memory for rows that are in the journal and not in the table. Writes wait when it is too much.",
  ),
  kv_table_feed_seconds: histogram(
    "node",
    DISK_SECONDS_BUCKETS,
    "What it took to feed the table with what the journal had, and to have it flushed.",
  ),
  kv_table_refuses: gauge("node", "1 if the table does not take what it is fed."),
  kv_disk_writable: gauge("node", "1 if the disk takes writes."),
  kv_database_bytes: gauge("node", "Size of the database's files, as last measured."),
  kv_disk_free_bytes: gauge(
    "node",
    "Free space of the file system of the data folder that this user may use.",
  ),
  kv_disk_size_bytes: gauge("node", "Size of the file system of the data folder."),

  // The cluster, as the coordinator sees it.
  kv_cluster_nodes: gauge(
    "coordinator",
    "Nodes by state: up, down, leaving, unknown (not heard of since the coordinator's start).",
    "state",
  ),
  kv_cluster_node_up: gauge("coordinator", "1 if a node is up.", "node"),
  kv_cluster_nodes_awaited: gauge(
    "coordinator",
    "Nodes that have to come before a new cluster is laid out; 0 once that is done.",
  ),
  kv_cluster_partitions: gauge(
    "coordinator",
    "Partitions by what is wrong with them: without_primary, lost (nobody can take over), unserved, read_only, under_replicated; and all of them. One may count several times.",
    "state",
  ),
  kv_cluster_damaged_replicas: gauge(
    "coordinator",
    "Replicas that were found damaged and are not replaced.",
  ),
  kv_cluster_read_only_nodes: gauge("coordinator", "Nodes whose disk takes no writes."),
  kv_cluster_moves: gauge("coordinator", "Replicas that are being filled."),
  kv_cluster_handovers: gauge("coordinator", "Primaries that are being handed over."),
  kv_cluster_failovers_total: counter(
    "coordinator",
    "Primaries that were replaced because they had failed, since the coordinator's start.",
  ),
  kv_cluster_moves_total: counter(
    "coordinator",
    "Replicas that were filled, since the coordinator's start.",
  ),
  kv_cluster_handovers_total: counter(
    "coordinator",
    "Primaries that were handed over, since the coordinator's start.",
  ),
  kv_cluster_nodes_registered: gauge(
    "coordinator",
    "Nodes that have a session with the coordinator.",
  ),
  kv_cluster_document_stale: gauge(
    "coordinator",
    "1 if the coordinator's document is an old copy, so that it does nothing.",
  ),
  kv_cluster_document_failing: gauge(
    "coordinator",
    "1 if the cluster's document cannot be written to this coordinator's disk, or etcd does not take it.",
  ),
  kv_coordinators: gauge(
    "coordinator",
    "Coordinators of the cluster, as far as this one knows; those that wait to be added do not count.",
  ),
  kv_coordinator_active: gauge("coordinator", "1 if this coordinator is the active one."),
  kv_coordinator_right: gauge(
    "coordinator",
    "1 if a majority has confirmed lately that this coordinator is the active one.",
  ),
  kv_coordinator_generation: gauge(
    "coordinator",
    "The generation of the newest document here. It grows with each change of activity.",
  ),
  kv_coordinators_needed: gauge(
    "coordinator",
    "So many coordinators have to be there, so that one can be active: a majority; 1 if the document is in an etcd.",
  ),
  kv_coordinator_revision: gauge(
    "coordinator",
    "How many changes the newest document here has had. Coordinators that are level have the same.",
  ),
  kv_register_write_seconds: histogram(
    "coordinator",
    DISK_SECONDS_BUCKETS,
    "What it took to write this coordinator's record and to sync it. Nothing is written here if the document is in an etcd.",
  ),
  kv_register_change_seconds: histogram(
    "coordinator",
    DISK_SECONDS_BUCKETS,
    "From when the active coordinator asks for a change of the document to when a majority has it.",
  ),
  kv_register_changes_total: counter(
    "coordinator",
    "Changes that were asked for here, by how they ended: chosen, changed (another one came first), lost (the right was lost meanwhile).",
    "outcome",
  ),
  kv_coordinator_active_since_seconds: gauge(
    "coordinator",
    "Since when this coordinator is the active one, in seconds since 1970; it is there only of the active one.",
  ),
  kv_coordinator_member: gauge(
    "coordinator",
    "Always 1: a coordinator, and what the active one, which alone says this, takes it for: active, standby, joining, leaving, waiting (for an operator).",
    "coordinator",
    "role",
  ),
  kv_coordinator_behind: gauge(
    "coordinator",
    "How many changes of the cluster's document a coordinator is behind the active one, which alone says this.",
    "coordinator",
  ),
  kv_coordinator_silent_seconds: gauge(
    "coordinator",
    "For how long the active coordinator, which alone says this, has not heard of another one.",
    "coordinator",
  ),
  kv_coordinator_activities_total: counter(
    "coordinator",
    "How often this coordinator has become the active one since its start.",
  ),
} as const satisfies Record<string, MetricSpec>;

/** The name of a metric. */
export type MetricName = keyof typeof METRICS;

/** The rows, in their order. */
export const METRIC_ROWS: readonly (readonly [MetricName, MetricSpec])[] = Object.entries(
  METRICS,
) as [
  MetricName,
  MetricSpec,
][];
