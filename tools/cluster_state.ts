/**
 * What is missing until a cluster is complete, judged by its map: every wanted node must be up, and every
 * partition must have a primary and all its replicas in sync.
 *
 * @module
 */
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import type { Address } from "../shared/platform/transport.ts";
import { askJson, type ProbeLogin } from "./json_probe.ts";

/** The map of a server; undefined if it has none yet. @param login of a secured server */
export async function fetchMap(
  server: Address,
  login?: ProbeLogin,
): Promise<ClusterMap | undefined> {
  const reply = await askJson(server, { req_type: "get_map" }, undefined, login);
  return reply.req_type === "map" ? reply.map as ClusterMap : undefined;
}

/**
 * What is missing, as an English clause, or undefined if the cluster is complete.
 *
 * @param nodeCount nodes that must be up
 */
export function whatIsMissing(map: ClusterMap | undefined, nodeCount: number): string | undefined {
  if (map === undefined) return "no cluster map";
  const up = new Set(map.nodes.filter((node) => node.state === "up").map((node) => node.id));
  if (up.size < nodeCount) return `${up.size} of ${nodeCount} nodes are up`;
  const replicas = Math.min(map.settings.replicationFactor, up.size);
  const whole = map.partitions.filter(({ primary, inSync }) =>
    primary !== undefined && inSync.length >= replicas && inSync.every((id) => up.has(id))
  );
  if (whole.length === map.partitions.length && whole.length > 0) return undefined;
  return `${whole.length} of ${map.partitions.length} partitions have their ${replicas} replicas`;
}
