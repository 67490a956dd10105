/**
 * One node against Redis: in memory without any persistence, and with every write synced before its
 * answer. The load is redis-benchmark's, on both.
 *
 * @module
 */
import type { Contestant } from "../comparison.ts";
import { clientOf, loadContestant, loadKeys } from "../load_contestant.ts";
import type { LoadGenerator } from "../load/load_generator.ts";
import { speaksResp } from "../probes.ts";
import { redisBenchmarkContestant } from "../redis_benchmark.ts";
import { HOW_TO_GET, type Scenario, type ScenarioContext } from "../scenario.ts";
import { KvSystem } from "../systems/kv_system.ts";
import { startRedis } from "../systems/redis_system.ts";
import type { System } from "../systems/system.ts";

const CONNECTIONS = 50;
const KEYS = 100_000;
const QUICK_KEYS = 1_000;
const VALUE_BYTES = 100;

interface Cell {
  readonly test: "set" | "get";
  readonly pipeline: number;
  readonly aim: number;
}

/** In memory. */
export const MEMORY: Scenario = {
  name: "memory",
  title: "one node in memory against Redis without persistence",
  group: "comparison",
  run: (context) =>
    measureNode(context, "memory", [
      { test: "set", pipeline: 1, aim: 0.75 },
      { test: "get", pipeline: 1, aim: 0.9 },
      { test: "set", pipeline: 16, aim: 0.45 },
      { test: "get", pipeline: 16, aim: 0.6 },
    ]),
};

/** Each write synced. */
export const DURABLE: Scenario = {
  name: "durable",
  title: "one node, each write synced, against Redis with appendfsync always",
  group: "comparison",
  run: (context) =>
    measureNode(context, "leveldb", [
      { test: "set", pipeline: 1, aim: 0.9 },
      { test: "set", pipeline: 16, aim: 0.6 },
    ]),
};

async function measureNode(
  context: ScenarioContext,
  storage: "memory" | "leveldb",
  cells: readonly Cell[],
): Promise<void> {
  const { folder, launch, quick, running, versions } = context;
  const kv = await KvSystem.start({ nodes: 0, storage, folder: `${folder}/kv`, launch }, running);
  context.note(`kv: ${kv.setup}`);
  let redis: System | undefined;
  if (versions.redis === undefined) context.note(HOW_TO_GET.redis);
  else {
    redis = await startRedis(storage === "memory" ? "none" : "always", `${folder}/redis`, running);
    context.note(`Redis: ${redis.setup}`);
  }
  const [endpoint] = kv.endpoints;
  const resp = endpoint !== undefined && await speaksResp(endpoint);
  if (!resp) context.note("this kv-node does not speak RESP: our load generator on both sides");
  if (versions.redisBenchmark === undefined) context.note(HOW_TO_GET.redisBenchmark);
  const ownLoad = !resp || versions.redisBenchmark === undefined;

  const generator = context.startGenerator();
  const data = { keys: quick ? QUICK_KEYS : KEYS, valueBytes: VALUE_BYTES };
  const kvKind = resp ? "resp" : "wire";
  await loadKeys(generator, clientOf(kv, kvKind, CONNECTIONS), data);
  if (redis !== undefined) await loadKeys(generator, clientOf(redis, "resp", CONNECTIONS), data);

  for (const { test, pipeline, aim } of cells) {
    const contestant = (system: System, kind: "resp" | "wire"): Contestant =>
      ownLoad
        ? ownContestant(generator, system, kind, test, pipeline, data)
        : redisBenchmarkContestant(system, { test, pipeline, connections: CONNECTIONS, ...data });
    await context.measure({
      name: `${storage === "memory" ? "memory" : "durable"}-${test}-p${pipeline}`,
      title: `1 node ${storage === "memory" ? "in memory" : "durable"}, ${test.toUpperCase()}, ` +
        `${CONNECTIONS} connections, pipeline of ${pipeline}`,
      aim,
      ours: contestant(kv, kvKind),
      ...(redis === undefined ? {} : { theirs: contestant(redis, "resp") }),
    });
  }
}

function ownContestant(
  generator: LoadGenerator,
  system: System,
  kind: "resp" | "wire",
  test: "set" | "get",
  pipeline: number,
  data: { keys: number; valueBytes: number },
): Contestant {
  return loadContestant(generator, system, clientOf(system, kind, CONNECTIONS), {
    data,
    clients: CONNECTIONS * pipeline,
    mix: { reads: test === "get" ? 1 : 0, readModifyWrites: 0 },
    distribution: "uniform",
  });
}
