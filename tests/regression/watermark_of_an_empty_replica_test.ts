/**
 * A replica that began with nothing did not take over its primary's tombstone watermark. When it was primary, a
 * replica that had been away while a tombstone was dropped was sent a difference, and kept the deleted key.
 * Found by a review.
 */
import { assertEquals } from "@std/assert";
import { TOMBSTONE_KEEP_MS } from "../../shared/limits/replication.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a deleted key does not come back from a replica that was away, by way of one that began empty", async () => {
  const cluster = new NodeCluster({ nodes: 3, replicas: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "deleted long ago"));
  await cluster.ask("n1", put("other", "x"));
  await cluster.run(2_500);
  cluster.crash("n2");
  cluster.fail("n2");
  await cluster.ask("n1", { req_type: "delete", key: "k" });
  // The tombstone goes after an hour.
  await cluster.run(TOMBSTONE_KEEP_MS + 20_000);
  assertEquals(cluster.node("n1").partition(0)?.store.state.tombstones, 0);
  // A node that never had the partition is filled, and becomes its primary.
  cluster.addLearner("n3");
  await cluster.run(1_000);
  assertEquals(cluster.config(0).inSync, ["n1", "n3"]);
  cluster.crash("n1");
  cluster.fail("n1");
  await cluster.run(1_000);
  // The one that was away comes back.
  await cluster.start("n2");
  cluster.addLearner("n2");
  for (let i = 0; i < 1_000 && cluster.config(0).inSync.length < 2; i++) await cluster.run(1);
  assertEquals(cluster.config(0).inSync, ["n3", "n2"]);
  const held = await cluster.contents("n2");
  cluster.crash("n3");
  cluster.fail("n3");
  const reply = await cluster.ask("n2", get("k"));
  assertEquals({ held, reply: reply.req_type }, { held: { other: "x" }, reply: "error" });
});
