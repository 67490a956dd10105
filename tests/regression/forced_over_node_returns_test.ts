/**
 * A replica that an operator forced into the place of another lacks acknowledged writes, and numbers its own from where
 * it stands. When the other node came back after as many new writes as were lost, what it said of itself fitted in:
 * it was sent only what came after, and kept entries of the lost history, under numbers that mean other writes now.
 */
import { assertEquals } from "@std/assert";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a node whose partition was forced over and comes back holds what its primary holds, nothing else", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  for (let i = 0; i < 5; i++) await cluster.ask("n1", put(`k${i}`, "both"));
  cluster.crash("n2");
  cluster.fail("n2");
  for (let i = 0; i < 5; i++) await cluster.ask("n1", put(`k${i}`, "lost"));
  await cluster.run(1_000);
  cluster.crash("n1");
  await cluster.start("n2");
  cluster.configure(0, {
    term: 9,
    primary: "n2",
    inSync: ["n2"],
    learners: [],
    forcedTerm: 9,
  });
  await cluster.run(2_000);
  for (let i = 0; i < 10; i++) await cluster.ask("n2", put(`new${i}`, "x"));
  await cluster.run(1_000);
  await cluster.start("n1");
  cluster.addLearner("n1");
  for (let i = 0; i < 100 && !cluster.config(0).inSync.includes("n1"); i++) await cluster.run(50);
  assertEquals(cluster.config(0).inSync, ["n2", "n1"]);
  assertEquals(await cluster.contents("n1"), await cluster.contents("n2"));
});
