/**
 * What the coordinator says of the cluster in `/metrics`. It only reads. What a new part of it has to say gets its rows in
 * `shared/metrics/metric_table.ts`, and its lines here.
 *
 * @module
 */
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import type { MetricSet } from "../shared/metrics/metric_set.ts";
import type { CoordinatorLine, CoordinatorsReport } from "./coordinators_report.ts";
import type { ClusterStats } from "./controller/cluster_stats.ts";

/** Of the coordinators, as this one knows them. */
export function collectCoordinators(
  set: MetricSet,
  report: CoordinatorsReport,
  wallMs: number,
): void {
  set.set("kv_coordinator_active", report.role === "active");
  set.set("kv_coordinator_right", report.right);
  set.set("kv_coordinator_activities_total", report.activities);
  set.set("kv_coordinator_generation", report.generation ?? 0);
  set.set("kv_coordinator_revision", report.revision ?? 0);
  const members = report.coordinators.filter(({ role }) => role !== "waiting");
  set.set("kv_coordinators", members.length);
  set.set("kv_coordinators_needed", report.needed);
  const { role, active_since: sinceMs } = report;
  if (role !== "active" || sinceMs === null) return;
  set.set("kv_coordinator_active_since_seconds", sinceMs / 1_000);
  // A coordinator that takes a seat over with a new folder has the name of the folder before: the new one is told of.
  const byId = new Map<string, CoordinatorLine>();
  for (const line of report.coordinators) {
    if (line.role !== "waiting" || !byId.has(line.id)) byId.set(line.id, line);
  }
  for (const { id, role, behind, heard_ms: heardMs } of byId.values()) {
    set.set("kv_coordinator_member", 1, id, role);
    if (behind !== null) set.set("kv_coordinator_behind", behind, id);
    // Whom it has never heard of has been silent since it is active, at least.
    const silentMs = heardMs ?? Math.max(0, wallMs - sinceMs);
    if (role !== "waiting") set.set("kv_coordinator_silent_seconds", silentMs / 1_000, id);
  }
}

/** Puts it into a set. */
export function collectCluster(
  set: MetricSet,
  { stats, map, sessions }: {
    readonly stats: ClusterStats;
    readonly map: ClusterMap;
    /** Nodes that are registered. */
    readonly sessions: number;
  },
): void {
  set.set("kv_map_epoch", stats.epoch);
  for (const state of ["up", "down", "leaving", "unknown"] as const) {
    set.set("kv_cluster_nodes", stats.nodes[state], state);
  }
  for (const { id, state } of map.nodes) set.set("kv_cluster_node_up", state !== "down", id);
  set.set("kv_cluster_nodes_awaited", stats.awaited_nodes);
  set.set("kv_cluster_nodes_registered", sessions);
  set.set("kv_cluster_partitions", stats.partitions, "all");
  set.set("kv_cluster_partitions", stats.unavailable_partitions, "without_primary");
  set.set("kv_cluster_partitions", stats.lost_partitions, "lost");
  set.set("kv_cluster_partitions", stats.unserved_partitions, "unserved");
  set.set("kv_cluster_partitions", stats.read_only_partitions, "read_only");
  set.set("kv_cluster_partitions", stats.under_replicated_partitions, "under_replicated");
  set.set("kv_cluster_damaged_replicas", stats.damaged_replicas);
  set.set("kv_cluster_read_only_nodes", stats.read_only_nodes);
  set.set("kv_cluster_moves", stats.moves);
  set.set("kv_cluster_handovers", stats.handovers);
  set.set("kv_cluster_failovers_total", stats.failovers);
  set.set("kv_cluster_moves_total", stats.moves_done);
  set.set("kv_cluster_handovers_total", stats.handovers_done);
  set.set("kv_cluster_document_stale", stats.stale_document !== null);
}
