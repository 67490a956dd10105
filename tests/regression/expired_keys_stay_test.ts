/**
 * The sweep for expired keys took two for deleted that were not: one whose own write was still under way,
 * which it mistook for a newer one, and one whose deletion was refused, since too much was under way. It
 * looked for neither again: they were counted, and stayed on disk, until somebody read them or another
 * primary came. Found by a review.
 */
import { assert, assertEquals, assertExists } from "@std/assert";
import { IN_FLIGHT_BYTES_MAX } from "../../shared/limits/replication.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import { get, NodeCluster, put } from "../support/worlds/node_cluster.ts";

async function countOf(cluster: NodeCluster): Promise<number> {
  let count: number | undefined;
  cluster.node("n1").scans.count({ partitions: PartitionSet.all(1) }, 4_000, (result) => {
    assert(!("req_type" in result));
    count = result.count;
  });
  await cluster.run(100);
  assert(count !== undefined);
  return count;
}

Deno.test("a key that expired while its write was under way is not counted, and goes in the end", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", put("a", "1"));
  await cluster.run(6_000);
  // A replica that takes its time.
  cluster.network.cut("n1", "n2");
  cluster.node("n1").execute({ ...put("k", "1"), ttl_ms: 200 }, () => {});
  await cluster.run(800);
  cluster.network.heal("n1", "n2");
  await cluster.run(60_000);
  assertEquals(await countOf(cluster), 1);
  assertEquals(Object.keys(await cluster.contents("n1")), ["a"]);
  const reply = await cluster.ask("n1", get("k"));
  assertEquals(reply.req_type === "error" && reply.code, "not_found");
});

Deno.test("a key whose deletion was refused, since too much was under way, goes later", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  await cluster.ask("n1", { ...put("k", "1"), ttl_ms: 6_000 });
  await cluster.run(5_500);
  // For a while as much is under way as may be.
  const { primary } = cluster.node("n1").partition(0) ?? {};
  assertExists(primary);
  const { inFlight } = primary.ports;
  assert(inFlight.take(IN_FLIGHT_BYTES_MAX));
  await cluster.run(6_000);
  assertEquals(Object.keys(await cluster.contents("n1")), ["k"]);
  assertEquals(await countOf(cluster), 0);
  inFlight.give(IN_FLIGHT_BYTES_MAX);
  await cluster.run(60_000);
  assertEquals(Object.keys(await cluster.contents("n1")), []);
  assertEquals(await countOf(cluster), 0);
});
