/**
 * Any error of a read was taken for damage: one passing read error (the database was being opened again
 * after a full disk, say) at a primary that filled a learner deposed it and wiped its replica, and one at an
 * in-sync replica wiped that. All partitions of a node were hit at once. Found by a review (suspect S1).
 */
import { assert, assertEquals } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { READ_FAILURE_MS_MAX } from "../../shared/limits/replication.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

const PASSING = new KvError("storage_failed", "the database is being opened again");
const KEYS = 20;

/** Two of three nodes hold the partition; their caches are empty. */
async function twoOfThree(): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes: 3, replicas: 2 });
  await cluster.startAll();
  for (let i = 0; i < KEYS; i++) await cluster.ask("n1", put(`k${i}`, "x"));
  for (const id of ["n2", "n1"]) {
    cluster.crash(id);
    await cluster.start(id);
    await cluster.run(2_000);
  }
  return cluster;
}

/** Lets reads of a node's disk fail, this many times. @returns how many have */
function failReads(cluster: NodeCluster, id: string, times: number) {
  const { storage } = cluster.host(id);
  const failed = { count: 0 };
  const range = storage.range.bind(storage);
  const read = storage.get.bind(storage);
  const fails = () => failed.count < times && ++failed.count > 0;
  storage.range = (wanted) => fails() ? Promise.reject(PASSING) : range(wanted);
  storage.get = (key) => {
    if (fails()) throw PASSING;
    return read(key);
  };
  return failed;
}

function kinds(cluster: NodeCluster): string[] {
  return cluster.reports.map(({ req_type }) => req_type);
}

Deno.test("a primary keeps its replica when a read fails once while it fills another", async () => {
  const cluster = await twoOfThree();
  const failed = failReads(cluster, "n1", 1);
  cluster.addLearner("n3");
  await cluster.run(5_000);
  assertEquals(failed.count, 1);
  assertEquals(cluster.config(0).primary, "n1");
  assertEquals(kinds(cluster), ["caught_up"]);
  assertEquals(await cluster.contents("n3"), await cluster.contents("n1"));
});

Deno.test("an in-sync replica keeps its data when a read fails once", async () => {
  const cluster = await twoOfThree();
  const failed = failReads(cluster, "n2", 1);
  // A replica reads what it replaces.
  assertEquals((await cluster.ask("n1", put("k7", "y"))).req_type, "ack");
  await cluster.run(5_000);
  assertEquals(failed.count, 1);
  assertEquals([kinds(cluster), cluster.config(0).inSync], [[], ["n1", "n2"]]);
  assertEquals((await cluster.contents("n2")).k7, "y");
  const full = cluster.node("n1").stats().resynced_full;
  assertEquals(full, 0, "nothing was sent anew");
});

Deno.test("a replica that cannot be read for long is in health and stats, and then given up", async () => {
  const cluster = await twoOfThree();
  failReads(cluster, "n1", Infinity);
  cluster.addLearner("n3");
  await cluster.run(READ_FAILURE_MS_MAX / 2);
  assertEquals(cluster.config(0).primary, "n1");
  const { retries } = cluster.node("n1").stats() as { retries: { what: string }[] };
  assert(retries.some(({ what }) => what === "fill the replica on n3"), JSON.stringify(retries));
  const health = cluster.node("n1").health(true, undefined);
  assert(health.reasons.some((why) => why.includes("fail again and again")), health.reasons.join());
  await cluster.run(2 * READ_FAILURE_MS_MAX);
  assert(kinds(cluster).includes("damaged"), kinds(cluster).join());
  assertEquals(cluster.config(0).primary, "n2");
  assertEquals((await cluster.ask("n2", get("k7"))).req_type, "data");
});
