/**
 * The coordinator was started again with another `--min-in-sync`: nodes that were primaries already went by
 * the old one for as long as they stayed primary, and took writes with a single replica. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

async function writeWith(cluster: NodeCluster, minInSync: number): Promise<string> {
  const { map } = cluster;
  // As after a restart of the coordinator: a whole new map, in which nothing but a setting differs.
  cluster.map = { ...map, epoch: map.epoch + 1, settings: { ...map.settings, minInSync } };
  await cluster.run(1_000);
  const reply = await cluster.ask("n1", put("k", String(minInSync)));
  return reply.req_type === "error" ? reply.code : reply.req_type;
}

Deno.test("a primary follows a change of minInSync, up and down", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "0"));
  assertEquals(await writeWith(cluster, 2), "ack");
  cluster.crash("n2");
  cluster.fail("n2");
  await cluster.run(1_000);
  assertEquals(await writeWith(cluster, 2), "not_enough_replicas");
  assertEquals(await writeWith(cluster, 1), "ack");
});
