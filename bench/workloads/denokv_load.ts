/**
 * Run by `denokv_workloads.ts` in a process that has Deno KV: the workloads on one database, and on each line of its output the
 * rates of a workload's rounds.
 *
 *     deno run -A --unstable-kv denokv_load.ts PATH ROUNDS ROUND_MS
 *
 * @module
 */
/// <reference lib="deno.unstable" />

const [path = "", rounds = "1", roundMs = "500"] = Deno.args;
const VALUE = "v".repeat(100);
const AT_ONCE = 50;
const MUTATIONS = 10;
const LISTED = 1_000;

const kv = await Deno.openKv(path);
let next = 0;
for (let i = 0; i < LISTED; i++) await kv.set(["listed", i], VALUE);

const set = () => kv.set(["key", next++ % 50_000], VALUE);
const atOnce = (work: () => Promise<unknown>) => async () => {
  await Promise.all(Array.from({ length: AT_ONCE }, work));
};
const atomic = () => {
  const operation = kv.atomic();
  for (let i = 0; i < MUTATIONS; i++) operation.set(["atomic", next++ % 50_000], VALUE);
  return operation.commit();
};
const list = async () => {
  for await (const _ of kv.list({ prefix: ["listed"] }, { batchSize: 500 }));
};

/** What is done, and how many requests that is. */
const WORKLOADS: readonly [string, number, () => Promise<unknown>][] = [
  ["set, one after the other", 1, set],
  ["set, 50 at a time", AT_ONCE, atOnce(set)],
  ["get, 50 at a time", AT_ONCE, atOnce(() => kv.get(["listed", next++ % LISTED]))],
  ["atomic with 10 mutations, 50 at a time", AT_ONCE, atOnce(atomic)],
  ["list of 1,000", 1, list],
];

for (const [name, requests, work] of WORKLOADS) {
  const rates: number[] = [];
  await work();
  for (let round = 0; round < Number(rounds); round++) {
    const begin = performance.now();
    let done = 0;
    while (performance.now() - begin < Number(roundMs)) {
      await work();
      done += requests;
    }
    rates.push(done * 1_000 / (performance.now() - begin));
  }
  console.log(JSON.stringify({ name, rates }));
}
kv.close();
