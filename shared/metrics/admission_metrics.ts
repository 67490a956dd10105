/** What a process takes on from outside, from the figures of admission control. @module */
import type { MetricSet } from "./metric_set.ts";

/** @param stats as `Admission.stats` returns them */
export function collectAdmission(set: MetricSet, stats: Readonly<Record<string, number>>): void {
  set.set("kv_connections", stats.connections);
  set.set("kv_connections_max", stats.connections_max);
  set.set("kv_peer_connections", stats.peer_connections);
  set.set("kv_connections_refused_total", stats.refused_connections);
  set.set("kv_buffered_bytes", stats.unfinished_bytes, "incomplete");
  set.set("kv_buffered_bytes", stats.request_bytes, "requests");
  set.set("kv_buffered_bytes", stats.queued_bytes, "replies");
}
