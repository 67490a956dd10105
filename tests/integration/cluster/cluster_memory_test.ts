/**
 * Memory of the processes of a cluster against the number of requests that they have served.
 *
 * @module
 */
import { assertLess } from "@std/assert";
import { forAll } from "../../support/data/bulk.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";
import { residentBytes } from "../../support/data/process_memory.ts";

const MIB = 1024 * 1024;
const KEYS = 500;
/** Pairs of a write and a read; after the first, heaps and caches have their size. */
const WARM_UP = 50_000;
const LOAD = 50_000;
/** More than heaps breathe, less than 1 KiB kept of each pair would come to. */
const GROWTH_BYTES_MAX = 45 * MIB;

Deno.test("cluster: memory does not grow with the number of requests served", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  await using kv = await cluster.connect();
  const value = "v".repeat(200);
  const serve = async (pairs: number) => {
    await forAll(Array(pairs).keys(), async (i) => {
      const key = `k${i % KEYS}`;
      await kv.put(key, `${value}${i}`, { timeoutMs: 60_000 });
      await kv.get(key, { timeoutMs: 60_000 });
    });
  };
  const processes = [cluster.coordinatorProcess, ...[0, 1, 2].map((i) => cluster.node(i))];
  const measure = () => Promise.all(processes.map(({ pid }) => residentBytes(pid)));

  await serve(WARM_UP);
  const before = await measure();
  await serve(LOAD);
  const after = await measure();
  const growth = after.map((bytes, i) => bytes - (before[i] ?? 0));
  const shown = (bytes: number[]) => bytes.map((b) => Math.round(b / MIB)).join(", ");
  console.log(`memory in MiB, coordinator and nodes: ${shown(before)}; then ${shown(after)}`);
  for (const bytes of growth) assertLess(bytes, GROWTH_BYTES_MAX);
});
