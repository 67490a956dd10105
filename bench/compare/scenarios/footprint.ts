/**
 * Memory of one node that holds many keys of 16 bytes with values of 100, in memory and on disk; and
 * how long it takes to start with them, until it has answered a read.
 *
 * @module
 */
import { connect } from "../../../client/mod.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { keyOf } from "../load/data_set.ts";
import { clientOf, loadKeys } from "../load_contestant.ts";
import { memoryOf } from "../process_stats.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { KvSystem } from "../systems/kv_system.ts";

const VALUE_BYTES = 100;
const CONNECTIONS = 16;
const MEMORY_BOUND_MIB = { memory: 600, leveldb: 400 } as const;
const START_BOUND_S = 5;
const MIB = 2 ** 20;

/** The scenario. Its bounds are for 1,000,000 keys. */
export const FOOTPRINT: Scenario = {
  name: "footprint",
  title: "memory and start-up of a node with many keys (--many-keys) of 100 bytes",
  group: "extra",
  run: async (context) => {
    for (const storage of ["memory", "leveldb"] as const) await measureStorage(context, storage);
  },
};

async function measureStorage(
  context: ScenarioContext,
  storage: "memory" | "leveldb",
): Promise<void> {
  const { folder, launch, running, manyKeys } = context;
  const generator = context.startGenerator();
  const keys = manyKeys;
  const kv = await KvSystem.start(
    { nodes: 0, storage, folder: `${folder}/${storage}`, launch },
    running,
  );
  const node = kv.nodes[0]?.process;
  const empty = memoryOf(node?.pid ?? 0)?.now ?? Number.NaN;
  const loaded = await loadKeys(generator, clientOf(kv, "wire", CONNECTIONS), {
    keys,
    valueBytes: VALUE_BYTES,
  });
  const memory = memoryOf(node?.pid ?? 0);
  const figure = (name: string, title: string, value: number, unit: string, bound?: number) =>
    context.figure({
      name: `footprint-${storage}-${name}`,
      title: `${storage}, ${keys} keys: ${title}`,
      value,
      unit,
      ...(bound === undefined ? {} : { bound }),
    });
  figure("empty", "resident memory before", empty / MIB, "MiB");
  figure(
    "loaded",
    "resident memory, loaded",
    (memory?.now ?? Number.NaN) / MIB,
    "MiB",
    MEMORY_BOUND_MIB[storage],
  );
  figure("peak", "resident memory, most there ever was", (memory?.peak ?? Number.NaN) / MIB, "MiB");
  figure("load", "time to write them", loaded.elapsedMs / 1_000, "s");
  if (storage === "memory") return;

  const stopMs = performance.now();
  await kv.stop(0);
  figure("stop", "time to stop", (performance.now() - stopMs) / 1_000, "s");
  const begin = performance.now();
  await kv.restart(0);
  figure("listens", "start, until it listens", (performance.now() - begin) / 1_000, "s");
  await using client = await connect({ coordinator: formatAddress(kv.authority) });
  if (await client.get(keyOf(keys - 1)) === undefined) throw new Error("a key is lost");
  const seconds = (performance.now() - begin) / 1_000;
  figure("start", "start, until it has answered a read", seconds, "s", START_BOUND_S);
  const started = memoryOf(kv.nodes[0]?.process.pid ?? 0)?.now ?? Number.NaN;
  figure("started", "resident memory after the start", started / MIB, "MiB");
}
