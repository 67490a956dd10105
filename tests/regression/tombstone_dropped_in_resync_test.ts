/**
 * A primary dropped a tombstone while it went through the partition for a replica that needed it: the replica
 * kept the deleted key. Found by a review.
 */
import { assertEquals, assertExists } from "@std/assert";
import { TOMBSTONE_KEEP_MS } from "../../shared/limits/replication.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a tombstone is not dropped before the replica that is being resynced has it", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("zzz", "deleted long ago"));
  await cluster.run(2_500);
  cluster.crash("n2");
  cluster.fail("n2");
  await cluster.ask("n1", { req_type: "delete", key: "zzz" });
  const deletedMs = cluster.clock.monotonicMs();
  for (let i = 0; i < 5_000; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  await cluster.run(1_000);
  // The scrubbing looks at the partition every five seconds; the first time after an hour it drops it.
  const store = cluster.node("n1").partition(0)?.store;
  assertExists(store);
  const dueMs = Math.ceil((deletedMs + TOMBSTONE_KEEP_MS) / 5_000) * 5_000;
  await cluster.run(dueMs - 1_000 - cluster.clock.monotonicMs());
  await cluster.start("n2");
  await cluster.run(970);
  assertEquals(store.state.tombstones, 1);
  cluster.addLearner("n2");
  for (let i = 0; i < 5_000 && cluster.config(0).inSync.length < 2; i++) await cluster.run(1);
  assertEquals(cluster.config(0).inSync, ["n1", "n2"]);
  assertEquals(store.state.tombstones, 0);
  assertEquals((await cluster.contents("n2")).zzz, undefined);
});
