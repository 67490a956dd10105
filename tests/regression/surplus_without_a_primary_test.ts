/**
 * A node deleted its replica of a partition of which it was no longer a member, even if the partition had
 * no primary: that replica may be the best that is left for an operator's `--force`. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { SURPLUS_KEEP_MS } from "../../shared/limits/replication.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

Deno.test("a replica that is wanted no more is deleted, but not while the partition has no primary", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "v"));
  await cluster.run(3_000);
  const { term } = cluster.config(0);
  cluster.configure(0, { term: term + 1, primary: undefined, inSync: ["n2"] });
  cluster.crash("n2");
  await cluster.run(SURPLUS_KEEP_MS + 10_000);
  assertEquals(await cluster.contents("n3"), { k: "v" });

  cluster.configure(0, { term: term + 2, primary: "n1", inSync: ["n1"] });
  await cluster.run(SURPLUS_KEEP_MS + 10_000);
  assertEquals(cluster.node("n3").partition(0), undefined);
});
