/**
 * Data that rots on one node's disk, replicas that differ, and tombstones that nobody needs any more.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { TOMBSTONE } from "../../../../shared/base/entry.ts";
import { TOMBSTONE_KEEP_MS } from "../../../../shared/limits/replication.ts";
import type { Reply } from "../../../../shared/wire/messages.ts";
import { get, NodeCluster, put } from "../../../support/worlds/node_cluster.ts";
import { entryOf } from "../../../support/data/partition_model.ts";

const KEYS = 20;
/** Long enough for each node to have looked at its one partition, and for repair. */
const A_WHILE_MS = 30_000;

/** Keys k0, k1, … with their numbers as values, on every node of one partition. */
async function filledCluster(nodes: number): Promise<NodeCluster> {
  const cluster = new NodeCluster({ nodes });
  await cluster.startAll();
  for (let i = 0; i < KEYS; i++) {
    assertEquals((await cluster.ask("n1", put(`k${i}`, `${i}`))).req_type, "ack");
  }
  await cluster.run(2_000);
  return cluster;
}

function recordKey(key: string): Uint8Array {
  return Uint8Array.of(0, 0, ...new TextEncoder().encode(key));
}

/** Flips a bit of a record's value on a node's disk, behind the node's back. */
async function rot(cluster: NodeCluster, id: string, key: string): Promise<void> {
  const { storage } = cluster.host(id);
  const row = storage.get(recordKey(key))?.slice();
  assert(row !== undefined, `${id} has ${key}`);
  row[row.length - 1] = (row.at(-1) ?? 0) ^ 1;
  storage.write([{ key: recordKey(key), value: row }], true, () => {});
  await cluster.run(0);
}

/** A process that starts has nothing in its cache: what it reads comes from the disk. */
async function restart(cluster: NodeCluster, id: string): Promise<void> {
  cluster.crash(id);
  await cluster.run(100);
  await cluster.start(id);
  await cluster.run(500);
}

function outcome(reply: Reply): unknown {
  return reply.req_type === "error" ? reply.code : reply.req_type === "data" && reply.message;
}

async function assertAllSame(cluster: NodeCluster, ids: readonly string[]): Promise<void> {
  const wanted = Object.fromEntries(Array.from({ length: KEYS }, (_, i) => [`k${i}`, `${i}`]));
  for (const id of ids) assertEquals(await cluster.contents(id), wanted, id);
}

Deno.test("damage: a replica finds its own rot, says so, and is filled anew", async () => {
  const cluster = await filledCluster(3);
  await rot(cluster, "n3", "k7");
  await cluster.run(A_WHILE_MS);
  assertEquals(
    cluster.reports.map(({ req_type }) => req_type),
    ["damaged", "caught_up"],
  );
  assertEquals(cluster.config(0).inSync.toSorted(), ["n1", "n2", "n3"]);
  await assertAllSame(cluster, ["n1", "n2", "n3"]);
  assertEquals(cluster.node("n1").stats().resynced_entries, KEYS, "everything was sent");
  assertEquals(cluster.node("n3").stats().damaged, 0);
});

Deno.test("damage: a primary finds its own rot, and another takes its place with sound data", async () => {
  const cluster = await filledCluster(3);
  await rot(cluster, "n1", "k7");
  await cluster.run(A_WHILE_MS);
  assertEquals(cluster.reports[0], { req_type: "damaged", p: 0, term: 1 });
  assertEquals(cluster.config(0).primary, "n2");
  assertEquals(cluster.config(0).inSync.toSorted(), ["n1", "n2", "n3"]);
  await assertAllSame(cluster, ["n1", "n2", "n3"]);
  assertEquals(outcome(await cluster.ask("n2", get("k7"))), "7");
});

Deno.test("damage: a read that meets rot is answered by another replica, never with a wrong value", async () => {
  const cluster = await filledCluster(2);
  await restart(cluster, "n1");
  await rot(cluster, "n1", "k7");
  const reply = await cluster.ask("n1", get("k7"));
  assertEquals(outcome(reply), "not_primary", JSON.stringify(reply));
  assertEquals(cluster.config(0).primary, "n2");
  assertEquals(outcome(await cluster.ask("n2", get("k7"))), "7");
  await cluster.run(A_WHILE_MS);
  assertEquals(cluster.config(0).inSync.toSorted(), ["n1", "n2"]);
  await assertAllSame(cluster, ["n1", "n2"]);
});

Deno.test("damage: of a partition's only replica costs the damaged key alone, which says so", async () => {
  const cluster = await filledCluster(1);
  await restart(cluster, "n1");
  await rot(cluster, "n1", "k7");
  assertEquals(outcome(await cluster.ask("n1", get("k7"))), "corrupt");
  await cluster.run(A_WHILE_MS);
  assertEquals(outcome(await cluster.ask("n1", get("k8"))), "8");
  assertEquals(outcome(await cluster.ask("n1", get("k7"))), "corrupt");
  assertEquals(cluster.config(0).primary, "n1");
});

Deno.test("damage: a replica that differs though each agrees with itself gets the primary's truth", async () => {
  const cluster = await filledCluster(3);
  const store = cluster.node("n3").partition(0)?.store;
  assert(store !== undefined);
  // As a mistake of ours would leave it: a key too many, another with an old value.
  store.apply(entryOf("stranger", 3, "x"));
  store.apply(entryOf("k9", 2, "old"));
  store.flush();
  await cluster.run(A_WHILE_MS);
  assert((cluster.node("n1").stats().divergences as number) > 0);
  // It is sent everything, but not while it is in sync.
  assertEquals(cluster.config(0).inSync, ["n1", "n2"]);
  cluster.addLearner("n3");
  await cluster.run(A_WHILE_MS);
  assertEquals(cluster.node("n1").stats().resynced_full, 1);
  await assertAllSame(cluster, ["n1", "n2", "n3"]);
});

Deno.test("tombstones: old ones are dropped by every replica, and a replica that was away forgets with them", async () => {
  const cluster = await filledCluster(3);
  cluster.crash("n3");
  cluster.fail("n3");
  const removed = ["k1", "k2", "k3"];
  for (const key of removed) await cluster.ask("n1", { req_type: "delete", key });
  const tombstones = async (id: string) => {
    const page = cluster.node(id).partition(0)?.store
      .scan(undefined, { rowsMax: 1e6, bytesMax: 1e9 });
    await cluster.run(0);
    return (await page)?.entries.filter(({ flags }) => flags === TOMBSTONE).length;
  };
  await cluster.run(A_WHILE_MS);
  assertEquals([await tombstones("n1"), await tombstones("n2")], [3, 3], "kept for now");
  cluster.clock.setWall(cluster.clock.wallMs() + TOMBSTONE_KEEP_MS + 1);
  await cluster.run(A_WHILE_MS);
  assertEquals([await tombstones("n1"), await tombstones("n2")], [0, 0]);

  // It still has the values. n1 remembers which keys were written since, and says that these are gone.
  await cluster.start("n3");
  cluster.addLearner("n3");
  await cluster.run(2_000);
  assertEquals(cluster.config(0).inSync, ["n1", "n2", "n3"]);
  assertEquals(cluster.node("n1").stats().resynced_full, 0);
  const contents = await cluster.contents("n3");
  assertEquals(contents, await cluster.contents("n1"));
  assertEquals(removed.filter((key) => key in contents), []);
});
