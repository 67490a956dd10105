/**
 * Replicas compared their digests only when nothing was in flight: under a steady load a replica that differed
 * was never found. And each digest that differed began another pass over the whole partition, whose end
 * broke off whatever stream ran by then. Found by a review (suspect S4 and S9).
 */
import { assert, assertEquals } from "@std/assert";
import { isTombstone } from "../../shared/base/entry.ts";
import { DIGEST_INTERVAL_MS } from "../../shared/limits/replication.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

/** Writes without a pause, and lets time pass. */
async function load(cluster: NodeCluster, ms: number): Promise<void> {
  for (let passed = 0, i = 0; passed < ms; passed += 2, i++) {
    cluster.node("n1").execute(put(`load${i % 50}`, `${i}`), () => {});
    // A round trip takes longer: something is always under way.
    await cluster.run(2);
  }
}

/** Two nodes, the second of which has lost a key in a way that agrees with itself. */
async function differing(): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("k", "x"));
  await cluster.run(1_000);
  cluster.node("n2").partition(0)?.store.remove("k");
  return cluster;
}

Deno.test("a replica that differs is found while writes go on", async () => {
  const cluster = await differing();
  await load(cluster, 1.2 * DIGEST_INTERVAL_MS);
  const { divergences } = cluster.node("n1").stats();
  assert(Number(divergences) > 0, "found under load");
  cluster.addLearner("n2");
  await cluster.run(10_000);
  assertEquals((await cluster.contents("n2")).k, "x", "and mended");
});

Deno.test("replicas that do not differ are not said to, under any load", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await load(cluster, 1.5 * DIGEST_INTERVAL_MS);
  assertEquals(cluster.node("n1").stats().divergences, 0);
  assertEquals(cluster.reports, []);
});

Deno.test("a partition is read through once, however many digests differ meanwhile", async () => {
  const cluster = await differing();
  const { storage } = cluster.host("n2");
  const range = storage.range.bind(storage);
  let reads = 0;
  const held: (() => void)[] = [];
  storage.range = (wanted) => {
    reads++;
    return new Promise((resolve) => held.push(() => range(wanted).then(resolve)));
  };
  await cluster.run(4 * DIGEST_INTERVAL_MS);
  assertEquals(reads, 1, "one pass, which does not end");
  storage.range = range;
  for (const read of held) read();
  await cluster.run(DIGEST_INTERVAL_MS);
  cluster.addLearner("n2");
  await cluster.run(DIGEST_INTERVAL_MS);
  assertEquals((await cluster.contents("n2")).k, "x");
  const store = cluster.node("n2").partition(0)?.store;
  const entry = store?.get("k");
  assertEquals(entry !== undefined && !isTombstone(entry), true);
});
