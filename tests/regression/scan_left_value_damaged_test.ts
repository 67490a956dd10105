/**
 * A scan leaves long values on disk until they are due in its page. When such a value turned out damaged
 * then, the client got `corrupt`, although other replicas had it; a single read of the same key was answered
 * by one of these.
 */
import { assert, assertEquals } from "@std/assert";
import type { NodeScanPage } from "../../node/scans/scan_call.ts";
import { KvError } from "../../shared/base/errors.ts";
import { SCAN_KEPT_BYTES } from "../../shared/limits/scans.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { NodeCluster, put } from "../support/worlds/node_cluster.ts";

/** One value of each partition that the first node has comes to more than a page keeps in memory. */
const PARTITIONS = 96;
const VALUE_BYTES = 240_000;

async function filled(nodes: number) {
  const cluster = new NodeCluster({ nodes, partitions: PARTITIONS, replicas: nodes });
  await cluster.startAll();
  const used = new Set<number>();
  for (let i = 0; used.size * VALUE_BYTES < 1.2 * SCAN_KEPT_BYTES; i++) {
    const key = `k${i}`;
    const partition = partitionOf(key, PARTITIONS);
    if (used.has(partition) || cluster.config(partition).primary !== "n1") continue;
    used.add(partition);
    let done = false;
    cluster.node("n1").execute(put(key, "x".repeat(VALUE_BYTES)), () => done = true);
    for (let turn = 0; !done && turn < 500; turn++) await cluster.run(5);
    assert(done);
  }
  /** Partitions of which a value that had been left was read, and found damaged. */
  const read = new Set<number>();
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const store = cluster.node("n1").partition(partition)?.store;
    if (store === undefined) continue;
    store.get = (key) => {
      read.add(partition);
      throw new KvError("corrupt", `the record of ${key} is damaged`);
    };
  }
  const scan = async (after?: string) => {
    let result: NodeScanPage | Message<"error"> | undefined;
    const partitions = PartitionSet.all(PARTITIONS);
    const request = { limit: 1_000, values: true, partitions, after };
    cluster.node("n1").scans.scan(request, 20_000, (page) => result = page);
    for (let turn = 0; result === undefined && turn < 2_000; turn++) await cluster.run(5);
    assert(result !== undefined);
    return result;
  };
  return { cluster, read, scan };
}

Deno.test("a scan's left value that is damaged counts as a single read's: another replica takes over", async () => {
  const { cluster, read, scan } = await filled(2);
  let after: string | undefined;
  let damaged: number[] = [];
  do {
    const page = await scan(after);
    assert(!("req_type" in page), JSON.stringify(page));
    damaged = [...read].filter((partition) => cluster.node("n1").partition(partition)?.damaged);
    for (const partition of read) assertEquals(page.covered.has(partition), false);
    after = page.next;
  } while (read.size === 0 && after !== undefined);
  assert(read.size > 0, "no value was left: the test shows nothing");
  assertEquals(damaged, [...read]);
});

Deno.test("a scan's left value that is damaged on the only replica is the scan's error, as a read's is", async () => {
  const { read, scan } = await filled(1);
  let after: string | undefined;
  for (;;) {
    const page = await scan(after);
    if ("req_type" in page) {
      assertEquals(page.code, "corrupt");
      break;
    }
    assertEquals(read.size, 0);
    after = page.next;
    assert(after !== undefined, "no value was left: the test shows nothing");
  }
});
