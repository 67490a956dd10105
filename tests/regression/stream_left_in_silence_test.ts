/**
 * A map said that a partition had no primary for a moment, and its learner left the primary's stream in
 * silence. The primary missed that map, was named again in the next, and took the stream for one that
 * goes on: the learner was never filled. Found by the simulation (seed 14000116: "150 s after the storm
 * partition 6 has learners").
 */
import { assert, assertEquals } from "@std/assert";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a primary that missed that it was none for a moment still fills its learner", async () => {
  const cluster = new NodeCluster({ nodes: 3, replicas: 2 });
  await cluster.startAll();
  for (let i = 0; i < 12_000; i++) cluster.node("n1").execute(put(`k${i}`, "v"), () => {});
  await cluster.run(200);
  cluster.addLearner("n3");
  const count = () => cluster.node("n3").partition(0)?.store.state.count ?? 0;
  for (let i = 0; i < 1_000 && count() === 0; i++) await cluster.run(1);
  const { term } = cluster.config(0);
  cluster.host("n1").reachable = false;
  cluster.configure(0, { term: term + 1, primary: undefined });
  await cluster.run(5);
  assertEquals(cluster.node("n3").partition(0)?.follower.state, "idle");
  assert(count() < 12_000);
  cluster.host("n1").reachable = true;
  cluster.configure(0, { term: term + 2, primary: "n1" });
  await cluster.run(5_000);
  assertEquals(cluster.config(0).inSync, ["n1", "n2", "n3"]);
  assertEquals(await cluster.contents("n3"), await cluster.contents("n1"));
});
