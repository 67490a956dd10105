/**
 * A primary whose process had stood still measured how long a replica's answer takes from a moment that
 * it had moved into the future. The shortest time of that node was less than nothing from then on, each piece seemed
 * to take a second, and transfers to learners went at some hundred rows a second for ever. Found by a review.
 */
import { assert, assertEquals } from "@std/assert";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("transfers are as fast as before once a process has stood still", async () => {
  const cluster = new NodeCluster({ nodes: 3, replicas: 2 });
  await cluster.startAll();
  for (let i = 0; i < 12_000; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  // For a second nothing runs. The learner is asked how far it is before that is noticed, and answers after.
  await cluster.run(795);
  const { clock } = cluster;
  const nowMs = clock.monotonicMs.bind(clock);
  clock.monotonicMs = () => nowMs() + 1_000;
  const beganMs = nowMs();
  cluster.addLearner("n3");
  for (let i = 0; i < 600 && cluster.config(0).inSync.length < 3; i++) await cluster.run(100);
  assertEquals(cluster.config(0).inSync, ["n1", "n2", "n3"]);
  assert(nowMs() - beganMs < 5_000, `it took ${nowMs() - beganMs} ms`);
});
