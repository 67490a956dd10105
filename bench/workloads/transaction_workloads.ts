/**
 * Transactions beside a single put: of keys of one partition, of two partitions, and of ten. Clients of the library in this
 * process, each with one request under way; the workloads take turns within each round, so that all meet the same machine.
 *
 * @module
 */
import { connect, type KvClient } from "../../client/mod.ts";
import { type Effort, median, type Report } from "../figure.ts";
import { processorTimeUs, type Servers } from "../servers.ts";

const CLIENTS = 8;
const KEYS = 50_000;
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

/** What one workload has come to. */
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
  const sums = WORKLOADS.map((): Sums => ({ rates: [], cpuUs: [], times: [] }));
  for (const { run } of WORKLOADS) await load(all, run, roundMs / 4);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { run }] of WORKLOADS.entries()) {
      const before = processorTimeUs(pids) ?? Number.NaN;
      const { times, elapsedMs } = await load(all, run, roundMs);
      sums[i]?.cpuUs.push(((processorTimeUs(pids) ?? Number.NaN) - before) / times.length);
      sums[i]?.rates.push(times.length * 1_000 / elapsedMs);
      sums[i]?.times.push(...times);
    }
  }
  for (const [i, { rates, cpuUs, times }] of sums.entries()) {
    times.sort((a, b) => a - b);
    const at = (part: number) => times[Math.floor((times.length - 1) * part)] ?? Number.NaN;
    report({
      group,
      name: WORKLOADS[i]?.name ?? "",
      unit: "requests/s",
      median: median(rates),
      rounds: rates,
      latencyMs: { p50: at(0.5), p99: at(0.99), max: at(1) },
      serverCpuUsPerRequest: median(cpuUs),
    });
  }
}

/** Each client sends one request after the other. */
async function load(
  clients: readonly KvClient[],
  run: (kv: KvClient) => Promise<unknown>,
  forMs: number,
): Promise<{ times: number[]; elapsedMs: number }> {
  const times: number[] = [];
  const beganMs = performance.now();
  await Promise.all(clients.map(async (kv) => {
    for (let atMs = beganMs; atMs - beganMs < forMs;) {
      await run(kv);
      const endMs = performance.now();
      times.push(endMs - atMs);
      atMs = endMs;
    }
  }));
  return { times, elapsedMs: performance.now() - beganMs };
}
