/**
 * How long it takes to fill a third replica of many keys when a node joins two others, and what
 * clients feel of it: they go on at a constant rate (an open loop, half reads, half writes).
 *
 * @module
 */
import { LatencyCounts } from "../../latency.ts";
import type { ClientSpec } from "../clients/store_client.ts";
import type { LoadGenerator } from "../load/load_generator.ts";
import type { LoadOrder, LoadResult } from "../load/order.ts";
import { clientOf, latencyOf, loadKeys } from "../load_contestant.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { KvSystem } from "../systems/kv_system.ts";

const VALUE_BYTES = 100;
const PER_SECOND = 1_000;
const QUICK_PER_SECOND = 300;
const CLIENTS = 1_000;
const PIECE_MS = 1_000;
const QUICK_PIECE_MS = 200;
const SECONDS_BOUND = 60;
const P99_BOUND_MS = 100;

/** The scenario. Its bounds are for 1,000,000 keys. */
export const RESYNC: Scenario = {
  name: "resync",
  title: "a node joins two that hold many keys (--many-keys) of 100 bytes",
  group: "extra",
  run: async (context) => {
    const { folder, launch, running, manyKeys } = context;
    const generator = context.startGenerator();
    const keys = manyKeys;
    const kv = await KvSystem.start(
      { nodes: 2, storage: "leveldb", folder: `${folder}/kv`, launch },
      running,
    );
    const data = { keys, valueBytes: VALUE_BYTES };
    const client = clientOf(kv, "library", 1);
    const loaded = await loadKeys(generator, client, data);
    context.note(`${keys} keys written in ${(loaded.elapsedMs / 1_000).toFixed(1)} s`);
    await observe(context, kv, generator, client, data);
  },
};

async function observe(
  context: ScenarioContext,
  kv: KvSystem,
  generator: LoadGenerator,
  client: ClientSpec,
  data: LoadOrder["data"],
): Promise<void> {
  const { quick, effort } = context;
  const order: LoadOrder = {
    client,
    data,
    clients: CLIENTS,
    mix: { reads: 0.5, readModifyWrites: 0 },
    distribution: "uniform",
    durationMs: quick ? QUICK_PIECE_MS : PIECE_MS,
    perSecond: quick ? QUICK_PER_SECOND : PER_SECOND,
    seed: 1,
  };
  await generator.run(order);
  const before: LoadResult[] = [];
  for (let i = 0; i < 2 * effort.rounds; i++) before.push(await generator.run(order));

  const begin = performance.now();
  await kv.addNode();
  const joined = performance.now();
  let seconds: number | undefined;
  const whole = kv.untilWhole(3).then(() => {
    seconds = (performance.now() - joined) / 1_000;
  });
  const during: LoadResult[] = [];
  while (seconds === undefined) during.push(await generator.run({ ...order, seed: during.length }));
  await whole;
  context.note(`the node needed ${((joined - begin) / 1_000).toFixed(2)} s to start`);
  context.figure({
    name: "resync-seconds",
    title: `${data.keys} keys to a node that joins, all replicas level`,
    value: seconds,
    unit: "s",
    bound: SECONDS_BOUND,
  });
  for (const [when, results] of [["before", before], ["during", during]] as const) {
    const { perSecond, p50, p99, errors } = summed(results);
    const rate = `at ${order.perSecond}/s wanted`;
    const figure = (name: string, value: number, unit: string, bound?: number) =>
      context.figure({
        name: `resync-${when}-${name}`,
        title: `clients ${when} it, ${rate}: ${name}`,
        value,
        unit,
        ...(bound === undefined ? {} : { bound }),
      });
    figure("throughput", perSecond, "/s");
    figure("p50", p50, "ms");
    figure("p99", p99, "ms", when === "during" ? P99_BOUND_MS : undefined);
    figure("errors", errors, "errors", 0);
  }
}

function summed(results: readonly LoadResult[]) {
  const all = new LatencyCounts();
  let operations = 0;
  let elapsedMs = 0;
  let errors = 0;
  for (const result of results) {
    for (const [index, count] of [...result.reads, ...result.writes]) {
      all.counts[index] = (all.counts[index] ?? 0) + count;
    }
    operations += result.operations - result.errors;
    elapsedMs += result.elapsedMs;
    errors += result.errors;
  }
  const { p50, p99 } = latencyOf({
    reads: [...all.counts].map((count, i) => [i, count] as const),
    writes: [],
  });
  return { perSecond: operations * 1_000 / elapsedMs, p50, p99, errors };
}
