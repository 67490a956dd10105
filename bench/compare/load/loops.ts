/**
 * When operations begin: each client's next one after the end of its last one (closed loop), each key once
 * (loading), or at a fixed rate (open loop). In the open loop, an operation that finds all clients busy waits,
 * and its wait counts: the measurement does not stop asking while the server is slow ("coordinated omission").
 *
 * @module
 */
import { LatencyCounts } from "../../latency.ts";
import type { EtcdClient } from "../clients/etcd_grpc_client.ts";
import { ETCD_TXN_PUTS_MAX } from "../clients/etcd_grpc_client.ts";
import type { StoreClient } from "../clients/store_client.ts";
import type { OperationRunner } from "./operation_runner.ts";
import type { LoadResult } from "./order.ts";
import { Ticker } from "./ticker.ts";

/** Answers must have come this long after the end of a run. */
const LAST_ANSWERS_MS = 30_000;
/** How finely the beginnings of operations of an open loop are spaced. */
const TICK_MS = 1;

/** Runs `clients` clients for a while. */
export async function closedLoop(
  runner: OperationRunner,
  clients: number,
  durationMs: number,
): Promise<LoadResult> {
  const begin = performance.now();
  const end = begin + durationMs;
  const all = Promise.withResolvers<void>();
  let busy = clients;
  const begins = (slot: number) => () => {
    const now = performance.now();
    if (now >= end) {
      if (--busy === 0) all.resolve();
      return;
    }
    runner.run(slot, now, begins(slot));
  };
  for (let slot = 0; slot < clients; slot++) begins(slot)();
  await within(all.promise, durationMs + LAST_ANSWERS_MS);
  return runner.result(performance.now() - begin);
}

/** Writes each of this many keys once. */
export async function loadAll(
  runner: OperationRunner,
  client: StoreClient,
  clients: number,
  keys: readonly string[],
): Promise<LoadResult> {
  const begin = performance.now();
  if ("putMany" in client) {
    await loadInTransactions(client as EtcdClient, clients, keys);
    runner.operations += keys.length;
    return runner.result(performance.now() - begin);
  }
  const all = Promise.withResolvers<void>();
  let next = 0;
  let busy = clients;
  const step = (slot: number) => {
    if (next >= keys.length || runner.errors > 0) {
      if (--busy === 0) all.resolve();
      return;
    }
    runner.load(slot, next++, performance.now(), () => step(slot));
  };
  for (let slot = 0; slot < clients; slot++) step(slot);
  await all.promise;
  return runner.result(performance.now() - begin);
}

async function loadInTransactions(
  client: EtcdClient,
  clients: number,
  keys: readonly string[],
): Promise<void> {
  let next = 0;
  const one = async (slot: number) => {
    while (next < keys.length) {
      const some = keys.slice(next, next + ETCD_TXN_PUTS_MAX);
      next += some.length;
      const error = await new Promise<string | undefined>((resolve) =>
        client.putMany(slot, some, slot, resolve)
      );
      if (error !== undefined) throw new Error(error);
    }
  };
  // A few are enough: each carries many keys, and HTTP/2's window holds few of them.
  await Promise.all(Array.from({ length: Math.min(clients, 3) }, (_, slot) => one(slot)));
}

/** Begins operations at a rate; at most `clients` are under way at once. */
export async function openLoop(
  runner: OperationRunner,
  clients: number,
  durationMs: number,
  perSecond: number,
): Promise<LoadResult> {
  const free = Array.from({ length: clients }, (_, slot) => slot);
  const late = new LatencyCounts();
  const total = Math.max(1, Math.round(perSecond * durationMs / 1_000));
  const all = Promise.withResolvers<void>();
  const ticker = await Ticker.start(TICK_MS);
  const begin = performance.now();
  let begun = 0;
  let ended = 0;
  // Operations that are due within a tick begin together, at its end.
  const dueMs = (i: number) => begin + Math.ceil(i * 1_000 / perSecond / TICK_MS) * TICK_MS;
  const beginDue = (fromTick: boolean) => {
    const now = performance.now();
    while (begun < total) {
      const due = dueMs(begun);
      if (due > now) return;
      const slot = free.pop();
      if (slot === undefined) return;
      begun++;
      if (fromTick) late.add(now - due, 1);
      runner.run(slot, due, () => {
        free.push(slot);
        if (++ended === total) all.resolve();
        else if (begun < total && dueMs(begun) <= performance.now()) beginDue(false);
      });
    }
  };
  ticker.onTick = () => beginDue(true);
  try {
    await within(all.promise, durationMs + LAST_ANSWERS_MS);
  } finally {
    ticker.stop();
  }
  const lateMs = { p50: late.percentileMs(0.5), p99: late.percentileMs(0.99) };
  return { ...runner.result(performance.now() - begin), lateMs };
}

async function within(promise: Promise<void>, ms: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
