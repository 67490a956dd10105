/**
 * A replica that looks through a large partition for what it has to doubt was asked again every three
 * seconds, and began anew each time, beside the searches that went on: it never answered. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a replica that must look for its unacknowledged keys for long is brought level all the same", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  for (let i = 0; i < 12_000; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  await cluster.run(3_000);
  for (let i = 0; i < 10; i++) cluster.node("n1").execute(put(`k${i}`, "w"), () => {});
  await cluster.run(60);
  cluster.crash("n2");
  cluster.fail("n2");
  await cluster.start("n2");
  // Its disk is slow.
  const { storage } = cluster.host("n2");
  const range = storage.range.bind(storage);
  let underWay = 0;
  let most = 0;
  storage.range = async (of) => {
    most = Math.max(most, ++underWay);
    await new Promise<void>((resolve) => cluster.clock.setTimer(500, resolve));
    underWay--;
    return await range(of);
  };
  for (let i = 0; i < 120 && cluster.config(0).inSync.length < 2; i++) {
    // As the coordinator does, after a pause.
    if (i % 5 === 0) cluster.addLearner("n2");
    await cluster.run(1_000);
  }
  assertEquals(cluster.config(0).inSync, ["n1", "n2"]);
  storage.range = range;
  assert(most <= 2, `${most} searches at a time`);
  assertEquals(await cluster.contents("n2"), await cluster.contents("n1"));
});
