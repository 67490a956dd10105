/**
 * Whether the cluster can serve, from what the coordinator knows of it. Pure.
 *
 * Invariant: if a part of the keys has no primary, or one that says that it cannot serve them, the cluster
 * is never reported as able to serve.
 *
 * @module
 */
import { whatWritesNeed, whyNotLaidOut } from "../shared/cluster/cluster_map.ts";
import { HealthFindings, type HealthReport } from "../shared/http/protocol/health_report.ts";
import { COORDINATOR_AWAY_MS } from "../shared/limits/membership.ts";
import type { ClusterStats } from "./controller/cluster_stats.ts";
import type { CoordinatorsReport } from "./coordinators_report.ts";
import { NOBODY_REGISTERED } from "./membership/liveness.ts";

/** The report. */
export function coordinatorHealth(
  stats: ClusterStats,
  { published, persistFailure, minInSync, report, newerUsers }: {
    published: boolean;
    persistFailure: string | undefined;
    /** How the coordinators stand. */
    report: CoordinatorsReport;
    /** How many in-sync replicas a write needs. */
    minInSync: number;
    /** A node has a later version of users and roles than this coordinator. */
    newerUsers?: string | undefined;
  },
): HealthReport {
  const found = new HealthFindings();
  const { nodes, partitions } = stats;
  const { unavailable_partitions: unavailable, lost_partitions: lost } = stats;
  const { awaited_nodes: awaited, unserved_partitions: unserved } = stats;
  found.unavailable(!published, "the cluster's map is not on disk yet");
  found.unavailable(
    persistFailure !== undefined,
    `the cluster's map cannot be written: ${persistFailure}`,
  );
  const others = report.coordinators.filter((one) => one.role !== "waiting");
  const away = others.filter(({ heard_ms: ms }) => ms === null || ms > COORDINATOR_AWAY_MS).map((
    { id },
  ) => id);
  // One that is alone waits for nobody.
  found.unavailable(
    !report.right && others.length > 1,
    `this coordinator does not reach a majority (${
      others.length - away.length
    } of ${others.length} are ` +
      "there): membership stands still, data is served",
  );
  found.degraded(
    report.right && away.length > 0,
    `${away.length} of ${others.length} coordinators are away: ${away.join(", ")}`,
  );
  const { nobody_registered: nobody, stale_document: stale } = stats;
  found.unavailable(stale !== null, stale ?? "");
  found.unavailable(nobody, NOBODY_REGISTERED);
  found.unavailable(!nobody && nodes.up + nodes.leaving + nodes.unknown === 0, "no node is up");
  found.unavailable(
    awaited > 0,
    whyNotLaidOut({ there: nodes.up, awaited, minInSync }),
  );
  found.unavailable(
    unavailable > 0 && awaited === 0,
    `${unavailable} of ${partitions} partitions have no primary` +
      (lost > 0 ? `; ${lost} of them wait for a node or an operator` : ""),
  );
  const { read_only_partitions: readOnly } = stats;
  found.unavailable(
    readOnly > 0 && readOnly === partitions && awaited === 0,
    `writes are refused: ${whatWritesNeed(minInSync)}`,
  );
  found.degraded(
    readOnly > 0 && readOnly < partitions,
    `writes to ${readOnly} of ${partitions} partitions are refused: ${whatWritesNeed(minInSync)}`,
  );
  found.unavailable(
    unserved > 0,
    `${unserved} of ${partitions} partitions have a primary that cannot serve them now`,
  );
  found.degraded(newerUsers !== undefined, newerUsers ?? "");
  const { under_replicated_partitions: thin, damaged_replicas: damaged } = stats;
  const { read_only_nodes: full } = stats;
  found.degraded(full > 0, some(full, "node's disk takes", "nodes' disks take", "no writes"));
  found.degraded(nodes.down > 0, some(nodes.down, "node is", "nodes are", "down"));
  found.degraded(
    nodes.unknown > 0 && !nobody,
    some(nodes.unknown, "node has", "nodes have", "not reported yet"),
  );
  found.degraded(
    thin > 0,
    some(thin, "partition has", "partitions have", "fewer replicas than configured"),
  );
  found.degraded(damaged > 0, some(damaged, "replica is", "replicas are", "damaged"));
  return found.report("coordinator", {
    active: true,
    epoch: stats.epoch,
    nodes,
    partitions,
    awaited_nodes: awaited,
    stale_document: stale !== null,
    nobody_registered: nobody,
    unavailable_partitions: unavailable,
    unserved_partitions: unserved,
    lost_partitions: lost,
    read_only_partitions: readOnly,
    under_replicated_partitions: stats.under_replicated_partitions,
    damaged_replicas: stats.damaged_replicas,
  });
}

function some(count: number, one: string, many: string, what: string): string {
  return `${count} ${count === 1 ? one : many} ${what}`;
}

/** Of a coordinator that is not the active one: it serves data requests, and knows of nodes what the map says. */
export function standbyHealth(
  { published, persistFailure, epoch, report }: {
    published: boolean;
    persistFailure: string | undefined;
    epoch: number;
    report: CoordinatorsReport;
  },
): HealthReport {
  const found = new HealthFindings();
  found.unavailable(!published, "the cluster's map is not on disk yet");
  found.unavailable(
    persistFailure !== undefined,
    `the cluster's map cannot be written: ${persistFailure}`,
  );
  const { role, coordinators } = report;
  found.unavailable(
    role === "removed",
    "this coordinator was taken out of its cluster: stop it, and give clients and nodes the address of another one",
  );
  found.unavailable(
    role === "stranger",
    "this coordinator waits to be added: kv-client coordinators add",
  );
  const active = coordinators.find((one) => one.role === "active");
  const isHeard = active?.heard_ms !== undefined && active.heard_ms !== null &&
    active.heard_ms <= COORDINATOR_AWAY_MS && active.id !== report.coordinator;
  found.degraded(
    role !== "removed" && role !== "stranger" && !isHeard,
    "no active coordinator is heard of here: membership stands still, data is served",
  );
  return found.report("coordinator", { epoch, active: false });
}
