/**
 * Transactions beside a single put: of keys of one partition, of two partitions, and of ten. Clients of the library in this
 * process, each with one request under way; the workloads take turns within each round, so that all meet the same machine.
 * First each client sends one request after the other, which gives the peak; then requests come at half of that rate,
 * whether earlier ones have ended or not as far as there are clients, and their times count from when they were due.
 *
 * @module
 */
import { connect, type KvClient } from "../../client/mod.ts";
import { type Effort, median, type Report } from "../figure.ts";
import { processorTimeUs, type Servers } from "../servers.ts";

const CLIENTS = 8;
const KEYS = 50_000;
const WARM_UP_ROUNDS = 3;
const VALUE = "v".repeat(100);

interface Workload {
  readonly name: string;
  run(kv: KvClient): Promise<unknown>;
}

const keyOf = (i: number) => `key-${String(i).padStart(11, "0")}`;
const randomIndex = () => Math.floor(Math.random() * KEYS);

/** Keys that are drawn at random lie in partitions of their own, of 256, nearly always. */
function puts(kv: KvClient, keys: readonly string[]): Promise<unknown> {
  const atomic = kv.atomic();
  for (const key of keys) atomic.put(key, VALUE);
  return atomic.commit();
}

function randomKeys(count: number): string[] {
  const indexes = new Set<number>();
  while (indexes.size < count) indexes.add(randomIndex());
  return [...indexes].map(keyOf);
}

const WORKLOADS: readonly Workload[] = [
  { name: "put", run: (kv) => kv.put(keyOf(randomIndex()), VALUE) },
  {
    name: "2 puts, one partition",
    run: (kv) => {
      const tag = randomIndex();
      return puts(kv, [`{${keyOf(tag)}}1`, `{${keyOf(tag)}}2`]);
    },
  },
  { name: "2 puts, 2 partitions", run: (kv) => puts(kv, randomKeys(2)) },
  { name: "10 puts, 10 partitions", run: (kv) => puts(kv, randomKeys(10)) },
];

/** What one workload has come to, at its peak or at half of it. */
interface Sums {
  readonly rates: number[];
  readonly cpuUs: number[];
  readonly times: number[];
}

/** Measures all of them on one cluster. */
export async function measureTransactions(
  group: string,
  { nodes, pids }: Servers,
  { rounds, roundMs }: Effort,
  report: Report,
): Promise<void> {
  const [node] = nodes;
  if (node === undefined) throw new Error("there is no node");
  await using clients = new AsyncDisposableStack();
  const all: KvClient[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    all.push(clients.use(await connect({ coordinator: `${node.host}:${node.port}` })));
  }
  const rows = WORKLOADS.map(({ name, run }) => ({ name, run, peak: newSums(), half: newSums() }));
  // V8 needs long to compile what a transaction runs through.
  for (const { run } of rows) await load(all, run, WARM_UP_ROUNDS * roundMs);
  for (let round = 0; round < rounds; round++) {
    for (const { run, peak } of rows) await measure(peak, pids, () => load(all, run, roundMs));
  }
  for (let round = 0; round < rounds; round++) {
    for (const { run, peak, half } of rows) {
      const pauseMs = 1_000 * CLIENTS / (median(peak.rates) / 2);
      await measure(half, pids, () => load(all, run, roundMs, pauseMs));
    }
  }
  const figures = rows.flatMap(({ name, peak, half }) => [
    { name, sums: peak },
    { name: `${name}, at half of the peak`, sums: half },
  ]);
  for (const { name, sums: { rates, cpuUs, times } } of figures) {
    times.sort((a, b) => a - b);
    const at = (part: number) => times[Math.floor((times.length - 1) * part)] ?? Number.NaN;
    report({
      group,
      name,
      unit: "requests/s",
      median: median(rates),
      rounds: rates,
      latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
      serverCpuUsPerRequest: median(cpuUs),
    });
  }
}

function newSums(): Sums {
  return { rates: [], cpuUs: [], times: [] };
}

async function measure(
  { rates, cpuUs, times }: Sums,
  pids: readonly number[],
  round: () => Promise<{ times: number[]; elapsedMs: number }>,
): Promise<void> {
  const beforeUs = processorTimeUs(pids) ?? Number.NaN;
  const done = await round();
  cpuUs.push(((processorTimeUs(pids) ?? Number.NaN) - beforeUs) / done.times.length);
  rates.push(done.times.length * 1_000 / done.elapsedMs);
  times.push(...done.times);
}

/**
 * Each client sends one request after the other.
 *
 * @param pauseMs from one request's beginning to the next one's, for each client; absent: none waits
 */
async function load(
  clients: readonly KvClient[],
  run: (kv: KvClient) => Promise<unknown>,
  forMs: number,
  pauseMs = 0,
): Promise<{ times: number[]; elapsedMs: number }> {
  const times: number[] = [];
  const beganMs = performance.now();
  await Promise.all(clients.map(async (kv, i) => {
    const firstMs = beganMs + pauseMs * i / clients.length;
    for (let atMs = firstMs; atMs - beganMs < forMs;) {
      const aheadMs = atMs - performance.now();
      if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
      // What the timer is late is not the store's.
      const startMs = aheadMs > 0 ? performance.now() : atMs;
      await run(kv);
      const endMs = performance.now();
      times.push(endMs - startMs);
      atMs = pauseMs === 0 ? endMs : atMs + pauseMs;
    }
  }));
  return { times, elapsedMs: performance.now() - beganMs };
}
