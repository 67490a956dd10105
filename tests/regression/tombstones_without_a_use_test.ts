/**
 * Each deleted key left a tombstone for an hour, even if nobody could ever need it: a million keys that
 * a lone node had set and deleted were 258 MB, of which `stats` said nothing.
 */
import { assert, assertEquals } from "@std/assert";
import { TOMBSTONE_SETTLE_MS } from "../../shared/limits/replication.ts";
import { MemoryStorage } from "../../node/storage/memory/memory_storage.ts";
import { TombstoneKeeper } from "../../node/replication/tombstone_keeper.ts";
import { GroupCommit, NO_STATE, PartitionStore } from "../../node/storage/partition_store.ts";
import { TOMBSTONE } from "../../shared/base/entry.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { entryOf } from "../support/data/partition_model.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

async function setAndDelete(cluster: NodeCluster, id: string, keys: number): Promise<void> {
  for (let i = 0; i < keys; i++) {
    cluster.node(id).execute(put(`k${i}`, "v"), () => {});
    cluster.node(id).execute({ req_type: "delete", key: `k${i}` }, () => {});
  }
  await cluster.run(500);
}

function tombstonesOf(cluster: NodeCluster, id: string): number {
  const { tombstones } = cluster.node(id).stats();
  return Number(tombstones);
}

Deno.test("a lone replica keeps no tombstones", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  await setAndDelete(cluster, "n1", 3_000);
  assertEquals(tombstonesOf(cluster, "n1"), 0);
  const { watermark, lastSeq, tombstones } = cluster.node("n1").partition(0)?.store.state ?? {};
  assertEquals([watermark, lastSeq, tombstones], [6_000, 6_000, 0]);
  assert(Number(cluster.node("n1").stats().tombstones_dropped) >= 3_000);
});

Deno.test("replicas that all have a deletion keep its tombstone for a moment, and need no more to follow again", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  await cluster.ask("n1", put("stays", "v"));
  await setAndDelete(cluster, "n1", 50);
  for (const id of ["n1", "n2", "n3"]) assertEquals(tombstonesOf(cluster, id), 50, id);
  await cluster.run(2 * TOMBSTONE_SETTLE_MS + 1_000);
  for (const id of ["n1", "n2", "n3"]) assertEquals(tombstonesOf(cluster, id), 0, id);
  // A restart is no reason to send everything.
  cluster.crash("n3");
  cluster.fail("n3");
  await cluster.run(100);
  await cluster.start("n3");
  cluster.addLearner("n3");
  for (let i = 0; i < 1_000 && cluster.config(0).inSync.length < 3; i++) await cluster.run(1);
  assertEquals(cluster.node("n1").stats().resynced_full, 0);
  assertEquals(await cluster.contents("n3"), { stays: "v" });
});

Deno.test("while a replica is away the tombstones stay that it needs", async () => {
  const cluster = new NodeCluster({ nodes: 3 });
  await cluster.startAll();
  for (let i = 0; i < 50; i++) await cluster.ask("n1", put(`k${i}`, "v"));
  await cluster.run(500);
  cluster.crash("n3");
  cluster.fail("n3");
  await setAndDelete(cluster, "n1", 50);
  await cluster.run(10 * TOMBSTONE_SETTLE_MS);
  assertEquals(tombstonesOf(cluster, "n1"), 50);
  assertEquals(tombstonesOf(cluster, "n2"), 50);
  await cluster.start("n3");
  cluster.addLearner("n3");
  for (let i = 0; i < 1_000 && cluster.config(0).inSync.length < 3; i++) await cluster.run(1);
  assertEquals(cluster.node("n1").stats().resynced_full, 0);
  assertEquals(await cluster.contents("n3"), {});
});

Deno.test("TombstoneKeeper: beyond its bound the oldest go, whoever is away, and the tombstone watermark says so", () => {
  const clock = new ManualClock();
  const storage = new MemoryStorage(clock, new SeededRandom(1));
  const queue = new GroupCommit(storage, clock, { fsync: "always", onError: () => {} });
  const store = new PartitionStore(queue, 0, NO_STATE, () => {});
  const keeper = new TombstoneKeeper(store, 4);
  const config = { term: 1, primary: "n1", inSync: ["n1"], learners: [] };
  const deletion = (seq: number) => ({ ...entryOf(`k${seq}`, seq, ""), flags: TOMBSTONE });
  for (let seq = 1; seq <= 10; seq++) store.apply(deletion(seq));
  store.setState({ lastSeq: 10, commitSeq: 8 });
  keeper.tick(0, config, 3);
  keeper.drop();
  assertEquals([store.state.tombstones, store.state.watermark], [4, 6]);
  // What is not committed stays, however many there are.
  for (let seq = 11; seq <= 20; seq++) store.apply(deletion(seq));
  store.setState({ lastSeq: 20 });
  keeper.drop();
  assertEquals([store.state.tombstones, store.state.watermark], [12, 8]);
  // A key that has been written again has no tombstone to be dropped.
  store.apply(entryOf("k9", 21, "new"));
  store.setState({ lastSeq: 21, commitSeq: 21 });
  keeper.drop();
  assertEquals([store.state.tombstones, store.state.watermark], [4, 16]);
  assertEquals(store.get("k9")?.seq, 21);
});
