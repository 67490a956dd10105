/**
 * A primary whose disk failed to read while it filled a replica dropped that piece and everything after it:
 * the replica waited for the rest of its resync for ever, and so did a learner's promotion. Found by the
 * simulation (seed 150090 with a storm of 90 s: "150 s after the storm partition 1 has learners").
 */
import { assertEquals } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a replica is filled although its primary's disk failed to read for a while", async () => {
  const cluster = new NodeCluster({ nodes: 2, replicas: 1 });
  await cluster.startAll();
  for (let i = 0; i < 10; i++) await cluster.ask("n1", put(`k${i}`, "x"));
  // After a restart the primary must read its disk to know what a replica lacks.
  cluster.crash("n1");
  await cluster.start("n1");
  await cluster.run(100);
  const { storage } = cluster.host("n1");
  const range = storage.range.bind(storage);
  let failures = 0;
  storage.range = () => {
    failures++;
    return Promise.reject(new KvError("storage_failed", "an error of the disk"));
  };
  cluster.addLearner("n2");
  await cluster.run(5_000);
  assertEquals([failures > 0, failures < 100], [true, true], `${failures} attempts`);
  assertEquals(cluster.config(0).inSync, ["n1"]);
  storage.range = range;
  await cluster.run(5_000);
  assertEquals(cluster.config(0).inSync, ["n1", "n2"]);
  assertEquals(await cluster.contents("n2"), await cluster.contents("n1"));
});
