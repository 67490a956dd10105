/**
 * Asks all nodes what their partitions have of the named databases.
 *
 * @module
 */
import type { ClusterMap, NodeId } from "../cluster/cluster_map.ts";
import type { DatabaseUsage } from "../cluster/databases.ts";
import type { Message, ReplyTo } from "../wire/messages.ts";

/** The question. */
export const ASK_USAGE: Message<"database_usage"> = { req_type: "database_usage" };

/**
 * Asks every node that is not down.
 *
 * @param ask asks one of them; answers once, perhaps before it returns
 * @param done gets the answers; undefined if there is no map, or one of the nodes does not answer
 */
export function askUsages(
  map: ClusterMap | undefined,
  ask: (node: NodeId, reply: ReplyTo) => void,
  done: (usages: readonly DatabaseUsage[] | undefined) => void,
): void {
  const nodes = (map?.nodes ?? []).filter(({ state }) => state !== "down");
  if (nodes.length === 0) return done(undefined);
  const usages: DatabaseUsage[] = [];
  let left = nodes.length;
  for (const { id } of nodes) {
    ask(id, (reply) => {
      if (reply.req_type === "result") usages.push(reply.result as DatabaseUsage);
      if (--left === 0) done(usages.length === nodes.length ? usages : undefined);
    });
  }
}
