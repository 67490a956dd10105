/**
 * What people want to see of a process, from two of its metric documents: rates and latencies of the time between them,
 * and how things are now. The console and `kv-client top` show the same. Pure.
 *
 * Invariant: what a process has not said is undefined, never 0.
 *
 * @module
 */
import { addedUp, countOf, type HistogramState, quantileOf, since } from "./histogram.ts";
import { histogramsOf, type MetricDocument, samplesOf, valueOf } from "./metric_document.ts";
import type { MetricName } from "./metric_table.ts";

/** What a process has said, and when it was asked, by the asker's monotonic clock. */
export interface Told {
  readonly document: MetricDocument;
  readonly atMs: number;
}

/** The cluster, as the coordinator counts it. */
export interface ClusterFacts {
  readonly awaitedNodes: number;
  readonly partitions: number;
  readonly withoutPrimary: number;
  readonly lost: number;
  readonly unserved: number;
  readonly readOnly: number;
  readonly underReplicated: number;
  readonly damagedReplicas: number;
  readonly moves: number;
  readonly handovers: number;
  readonly documentStale: boolean;
  readonly documentFailing: boolean;
}

/** One process. */
export interface ProcessFigures {
  readonly health: string | undefined;
  readonly startedMs: number | undefined;
  /** The process's date. */
  readonly dateMs: number | undefined;
  readonly version: string | undefined;
  /** Of clients alone: what processes pass on to each other is not in it. */
  readonly requestsPerSecond: number | undefined;
  /** Those of them that ended with an error of ours: not what a client got wrong, or did not find. */
  readonly failuresPerSecond: number | undefined;
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
  readonly inFlight: number | undefined;
  /** Cores: 1 is all of one. */
  readonly processor: number | undefined;
  readonly memoryBytes: number | undefined;
  readonly heapBytes: number | undefined;
  readonly loopDelayP99Ms: number | undefined;
  readonly connections: number | undefined;
  readonly connectionsMax: number | undefined;
  readonly refusedPerSecond: number | undefined;
  readonly slow: number | undefined;
  readonly certificateFromMs: number | undefined;
  readonly certificateEndMs: number | undefined;
  readonly epoch: number | undefined;
  /** The following of nodes alone. */
  readonly keys: number | undefined;
  readonly clientSessions: number | undefined;
  readonly primaries: number | undefined;
  readonly damaged: number | undefined;
  readonly unserved: number | undefined;
  readonly waiting: number | undefined;
  readonly lagWrites: number | undefined;
  readonly queuedBytes: number | undefined;
  readonly streamsNotLevel: number | undefined;
  readonly commitsPerSecond: number | undefined;
  readonly commitP99Ms: number | undefined;
  readonly databaseBytes: number | undefined;
  readonly diskFreeBytes: number | undefined;
  readonly diskSizeBytes: number | undefined;
  readonly diskWritable: boolean | undefined;
  readonly lease: boolean | undefined;
  readonly registered: boolean | undefined;
  readonly retries: number | undefined;
}

/** What a coordinator's document says of its cluster; undefined if it is none of a coordinator. */
export function clusterFactsOf(document: MetricDocument): ClusterFacts | undefined {
  const partitions = valueOf(document, "kv_cluster_partitions", "all");
  if (partitions === undefined) return undefined;
  const count = (name: MetricName, ...labels: string[]) => valueOf(document, name, ...labels) ?? 0;
  return {
    awaitedNodes: count("kv_cluster_nodes_awaited"),
    partitions,
    withoutPrimary: count("kv_cluster_partitions", "without_primary"),
    lost: count("kv_cluster_partitions", "lost"),
    unserved: count("kv_cluster_partitions", "unserved"),
    readOnly: count("kv_cluster_partitions", "read_only"),
    underReplicated: count("kv_cluster_partitions", "under_replicated"),
    damagedReplicas: count("kv_cluster_damaged_replicas"),
    moves: count("kv_cluster_moves"),
    handovers: count("kv_cluster_handovers"),
    documentStale: count("kv_cluster_document_stale") > 0,
    documentFailing: count("kv_cluster_document_failing") > 0,
  };
}

/** Errors of which the cluster is the cause, and not the request. */
const FAILURES: ReadonlySet<string> = new Set([
  "unavailable",
  "outcome_unknown",
  "not_enough_replicas",
  "overloaded",
  "timeout",
  "corrupt",
  "storage_failed",
  "reply_not_kept",
  "internal",
]);

/** @param before an earlier document of the same process; without it there are no rates */
export function processFigures(now: Told, before: Told | undefined): ProcessFigures {
  const { document } = now;
  const value = (name: MetricName, ...labels: string[]) => valueOf(document, name, ...labels);
  const began = value("process_start_time_seconds");
  // A process that was started again counts from 0.
  const same = before !== undefined && now.atMs > before.atMs &&
      valueOf(before.document, "process_start_time_seconds") === began
    ? before
    : undefined;
  const seconds = same === undefined ? undefined : (now.atMs - same.atMs) / 1_000;
  const per = (sum: (of: MetricDocument) => number | undefined): number | undefined => {
    if (same === undefined || seconds === undefined) return undefined;
    const [last, first] = [sum(document), sum(same.document)];
    return last === undefined ? undefined : Math.max(0, last - (first ?? 0)) / seconds;
  };
  const recent = (name: MetricName, passes?: (labels: readonly string[]) => boolean) => {
    const last = addedUp(histogramsOf(document, name, passes));
    if (last === undefined || same === undefined) return undefined;
    return since(last, addedUp(histogramsOf(same.document, name, passes)));
  };
  const latency = recent("kv_request_seconds", ([frontEnd]) => frontEnd !== "peer");
  const commits = recent("kv_commit_seconds");
  const info = samplesOf(document, "kv_info")[0];
  return {
    health: samplesOf(document, "kv_health").find((sample) => sample.value === 1)?.labels[0],
    startedMs: began === undefined ? undefined : began * 1_000,
    dateMs: inMilliseconds(value("kv_date_seconds")),
    version: info?.labels[3],
    requestsPerSecond: per((of) => requestsOf(of, () => true)),
    failuresPerSecond: per((of) => requestsOf(of, (code) => FAILURES.has(code))),
    p50Ms: milliseconds(latency, 0.5),
    p99Ms: milliseconds(latency, 0.99),
    inFlight: value("kv_requests_in_flight"),
    processor: per((of) => valueOf(of, "process_cpu_seconds_total")),
    memoryBytes: value("process_resident_memory_bytes"),
    heapBytes: value("kv_heap_bytes", "used"),
    loopDelayP99Ms: milliseconds(recent("kv_event_loop_delay_seconds"), 0.99),
    connections: value("kv_connections"),
    connectionsMax: value("kv_connections_max"),
    refusedPerSecond: per((of) => valueOf(of, "kv_connections_refused_total")),
    slow: value("kv_slow_requests_total"),
    certificateFromMs: inMilliseconds(value("kv_certificate_begin_seconds", "server")),
    certificateEndMs: inMilliseconds(value("kv_certificate_end_seconds", "server")),
    epoch: value("kv_map_epoch"),
    keys: value("kv_entries", "keys"),
    clientSessions: value("kv_client_sessions"),
    primaries: value("kv_replicas", "primary"),
    damaged: value("kv_replicas", "damaged"),
    unserved: value("kv_partitions_unserved"),
    waiting: value("kv_requests_waiting"),
    lagWrites: value("kv_replication_lag_writes"),
    queuedBytes: value("kv_replication_queued_bytes"),
    streamsNotLevel: notLevel(document),
    commitsPerSecond: commits === undefined || seconds === undefined
      ? undefined
      : countOf(commits) / seconds,
    commitP99Ms: milliseconds(commits, 0.99),
    databaseBytes: value("kv_database_bytes"),
    diskFreeBytes: value("kv_disk_free_bytes"),
    diskSizeBytes: value("kv_disk_size_bytes"),
    diskWritable: isTrue(value("kv_disk_writable")),
    lease: isTrue(value("kv_node_lease")),
    registered: isTrue(value("kv_node_registered")),
    retries: value("kv_retries"),
  };
}

/** What was asked most between two documents of several processes. */
export interface OperationFigures {
  readonly frontEnd: string;
  readonly operation: string;
  readonly perSecond: number;
  readonly p50Ms: number | undefined;
  readonly p99Ms: number | undefined;
}

/** @param processes documents of each process, now and before @param most how many at most, the most frequent first */
export function operationFigures(
  processes: Iterable<{ readonly now: Told; readonly before: Told | undefined }>,
  most: number,
): OperationFigures[] {
  const sums = new Map<
    string,
    { labels: readonly string[]; states: HistogramState[]; perSecond: number }
  >();
  for (const { now, before } of processes) {
    if (before === undefined || now.atMs <= before.atMs) continue;
    const seconds = (now.atMs - before.atMs) / 1_000;
    const earlier = new Map(
      samplesOf(before.document, "kv_request_seconds").map((
        { labels, value },
      ) => [labels.join(" "), value]),
    );
    for (const { labels, value } of samplesOf(now.document, "kv_request_seconds")) {
      const name = labels.join(" ");
      const first = earlier.get(name);
      if (typeof value === "number" || labels[0] === "peer") continue;
      const recent = since(value, typeof first === "number" ? undefined : first);
      const sum = sums.get(name) ?? { labels, states: [], perSecond: 0 };
      sums.set(name, sum);
      sum.states.push(recent);
      sum.perSecond += countOf(recent) / seconds;
    }
  }
  return [...sums.values()]
    .filter(({ perSecond }) => perSecond > 0)
    .toSorted((a, b) => b.perSecond - a.perSecond)
    .slice(0, most)
    .map(({ labels: [frontEnd = "", operation = ""], states, perSecond }) => {
      const latency = addedUp(states);
      return {
        frontEnd,
        operation,
        perSecond,
        p50Ms: milliseconds(latency, 0.5),
        p99Ms: milliseconds(latency, 0.99),
      };
    });
}

function requestsOf(document: MetricDocument, passes: (code: string) => boolean): number {
  let sum = 0;
  for (
    const { labels: [frontEnd, , code = ""], value } of samplesOf(document, "kv_requests_total")
  ) {
    if (frontEnd !== "peer" && typeof value === "number" && passes(code)) sum += value;
  }
  return sum;
}

function notLevel(document: MetricDocument): number | undefined {
  const samples = samplesOf(document, "kv_replication_streams");
  if (valueOf(document, "kv_node_lease") === undefined) return undefined;
  let sum = 0;
  for (const { labels: [, state], value } of samples) {
    if (state !== "level" && typeof value === "number") sum += value;
  }
  return sum;
}

function milliseconds(state: HistogramState | undefined, q: number): number | undefined {
  return state === undefined ? undefined : inMilliseconds(quantileOf(state, q));
}

function inMilliseconds(seconds: number | undefined): number | undefined {
  return seconds === undefined ? undefined : seconds * 1_000;
}

function isTrue(value: number | undefined): boolean | undefined {
  return value === undefined ? undefined : value > 0;
}
