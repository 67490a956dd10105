/** What has expired goes, in every partition and at any rate. */
import { assert, assertEquals } from "@std/assert";
import { EXPIRED_PER_TURN_MAX } from "../../../../shared/limits/storage.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import { NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

const PARTITIONS = 64;

function entriesOn(cluster: NodeCluster, id: string): number {
  let entries = 0;
  for (let p = 0; p < PARTITIONS; p++) {
    entries += cluster.node(id).partition(p)?.store.state.count ?? 0;
  }
  return entries;
}

Deno.test("ExpirySweep: with all partitions busy, each has its turn, and nothing expired is left", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: PARTITIONS });
  await cluster.startAll();
  const partitions = new Set<number>();
  // More in a second than the sweep takes in a tick, for several lives of a key.
  for (let i = 0; i < 4_000; i++) {
    const key = `k${i}`;
    partitions.add(partitionOf(key, PARTITIONS));
    cluster.node("n1").execute({ ...put(key, "v"), ttl_ms: 1_000 }, () => {});
    if (i % 100 === 99) await cluster.run(100);
  }
  assertEquals(partitions.size, PARTITIONS);
  // What was written within a life and a tick.
  assert(entriesOn(cluster, "n1") <= 1_200, String(entriesOn(cluster, "n1")));
  await cluster.run(1_500);
  assertEquals(entriesOn(cluster, "n1"), 0);
});

Deno.test("ExpirySweep: of one partition it deletes as much in a turn as of many", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: 1 });
  await cluster.startAll();
  for (let i = 0; i < EXPIRED_PER_TURN_MAX; i++) {
    cluster.node("n1").execute({ ...put(`k${i}`, "v"), ttl_ms: 100 }, () => {});
  }
  await cluster.run(300);
  assertEquals(cluster.node("n1").partition(0)?.store.state.count, 0);
});

Deno.test("ExpirySweep: a node that starts with expiring keys finds them among lasting ones", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: 4 });
  await cluster.startAll();
  for (let i = 0; i < 3_000; i++) {
    const request = put(`k${i}`, "v");
    cluster.node("n1").execute(i % 10 === 0 ? { ...request, ttl_ms: 5_000 } : request, () => {});
    if (i % 500 === 499) await cluster.run(100);
  }
  cluster.crash("n1");
  await cluster.start("n1");
  await cluster.run(1_000);
  assertEquals(cluster.node("n1").databaseUsage().defaultExpiring, 300, "INFO tells it");
  await cluster.run(14_000);
  assertEquals(entriesOn(cluster, "n1"), 2_700);
  assertEquals(cluster.node("n1").databaseUsage().defaultExpiring, 0);
});

Deno.test("a count beside expiring keys reads no partition through", async () => {
  const cluster = new NodeCluster({ nodes: 1, partitions: 4 });
  await cluster.startAll();
  for (let i = 0; i < 400; i++) {
    const request = put(`k${i}`, "v");
    cluster.node("n1").execute(i % 2 === 0 ? { ...request, ttl_ms: 1_000 } : request, () => {});
  }
  await cluster.run(500);
  for (let p = 0; p < 4; p++) {
    const primary = cluster.node("n1").partition(p)?.primary;
    const expiring = primary?.store.expiring.size ?? 0;
    assert(expiring > 0);
    // Not swept yet: it is known all the same how many of them are gone.
    assertEquals(primary?.expiredCount(cluster.clock.wallMs()), 0);
    assertEquals(primary?.expiredCount(cluster.clock.wallMs() + 2_000), expiring);
  }
  let count: unknown;
  cluster.node("n1").scans.count({ partitions: PartitionSet.all(4) }, 4_000, (result) => {
    count = "count" in result ? result.count : result;
  });
  await cluster.run(10);
  assertEquals(count, 400);
});
