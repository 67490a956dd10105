/**
 * Run by `denokv_workloads.ts` in a process that has Deno KV, one for each database. Each line of its input names a workload
 * and a time in milliseconds; it does that, and writes the rate.
 *
 *     deno run -A --unstable-kv denokv_load.ts PATH
 *
 * @module
 */
/// <reference lib="deno.unstable" />

import { createInterface } from "node:readline";
import process from "node:process";

const [path = ""] = Deno.args;
const VALUE = "v".repeat(100);
const AT_ONCE = 50;
const MUTATIONS = 10;
const LISTED = 1_000;
/** A part of each measurement that does not count. */
const WARM_UP_PART = 0.2;

const kv = await Deno.openKv(path);
let next = 0;

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
/** What is read. */
const fill = async () => {
  for (let i = 0; i < LISTED; i++) await kv.set(["listed", i], VALUE);
};

/** What is done, and how many requests that is. */
const WORKLOADS: Readonly<Record<string, readonly [number, () => Promise<unknown>]>> = {
  "fill": [LISTED, fill],
  "set, one after the other": [1, set],
  "set, 50 at a time": [AT_ONCE, atOnce(set)],
  "get, 50 at a time": [AT_ONCE, atOnce(() => kv.get(["listed", next++ % LISTED]))],
  "atomic with 10 mutations, 50 at a time": [AT_ONCE, atOnce(atomic)],
  "list of 1,000": [1, list],
};

/** Does a workload for so long, at least once. @returns how many requests, and how long it took */
async function repeat([requests, work]: readonly [number, () => Promise<unknown>], ms: number) {
  const begin = performance.now();
  let done = 0;
  do {
    await work();
    done += requests;
  } while (performance.now() - begin < ms);
  return { done, ms: performance.now() - begin };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { name, ms } = JSON.parse(line) as { name: string; ms: number };
  const workload = WORKLOADS[name];
  if (workload === undefined) throw new Error(`there is no workload ${name}`);
  const warmUp = ms > 0 ? await repeat(workload, ms * WARM_UP_PART) : { done: 0 };
  const measured = await repeat(workload, ms);
  const all = warmUp.done + measured.done;
  console.log(JSON.stringify({ requests: measured.done, all, ms: measured.ms }));
}
kv.close();
