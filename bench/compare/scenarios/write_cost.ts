/**
 * Processor time of a durable write, by process. All keys have the same primary, so that its work can be
 * separated from that of the followers. Beside it are etcd's members, each in its current role.
 *
 * @module
 */
import { partitionOf } from "../../../shared/cluster/position.ts";
import { fetchMap } from "../../../tools/cluster_state.ts";
import { median } from "../../figure.ts";
import type { Sample } from "../comparison.ts";
import { keyOf } from "../load/data_set.ts";
import type { LoadGenerator } from "../load/load_generator.ts";
import { clientOf, measured, type Work } from "../load_contestant.ts";
import { HOW_TO_GET, type Scenario, type ScenarioContext } from "../scenario.ts";
import { startEtcd } from "../systems/etcd_system.ts";
import { KvSystem } from "../systems/kv_system.ts";
import type { System } from "../systems/system.ts";

const NODES = 3;
const CLIENTS = 100;
const VALUE_BYTES = 256;
const KEYS = 10_000;
const PRIMARY_BOUND_US = 60;
const COPY_BOUND_US = 40;
const CLIENT_BOUND_US = 30;
const COORDINATOR_BOUND_US = 2;

/** The scenario. */
export const WRITE_COST: Scenario = {
  name: "write-cost",
  title: "processor time of a durable write, by process",
  group: "extra",
  run: async (context) => {
    const { folder, launch, running, versions } = context;
    const generator = context.startGenerator();
    const kv = await KvSystem.start(
      { nodes: NODES, storage: "leveldb", folder: `${folder}/kv`, launch },
      running,
    );
    const data = { keys: KEYS, valueBytes: VALUE_BYTES, only: await keysOfFirstNode(kv) };
    const samples = await sampled(context, generator, kv, "library", data);
    const figure = (role: string, title: string, bound: number) =>
      context.figure({
        name: `write-cost-${title.replaceAll(" ", "-")}`,
        title: `processor time of a write, ${title}`,
        value: median(samples.map(({ serverCpuUs }) => serverCpuUs[role] ?? Number.NaN)),
        unit: "µs",
        bound,
      });
    figure("node 1", "primary", PRIMARY_BOUND_US);
    figure("node 2", "first replica", COPY_BOUND_US);
    figure("node 3", "second replica", COPY_BOUND_US);
    figure("coordinator", "coordinator", COORDINATOR_BOUND_US);
    context.figure({
      name: "write-cost-client",
      title: "processor time of a write, client library and load generator",
      value: clientCost(samples),
      unit: "µs",
      bound: CLIENT_BOUND_US,
    });
    if (versions.etcd === undefined) return context.note(HOW_TO_GET.etcd);
    const etcd = await startEtcd(NODES, `${folder}/etcd`, running);
    const theirs = await sampled(context, generator, etcd, "etcd-grpc", data);
    for (const { role } of etcd.processes) {
      context.figure({
        name: `write-cost-etcd-${role.replace(" ", "-")}`,
        title: `processor time of a write, etcd, ${role} (leader or follower)`,
        value: median(theirs.map(({ serverCpuUs }) => serverCpuUs[role] ?? Number.NaN)),
        unit: "µs",
      });
    }
    context.figure({
      name: "write-cost-etcd-client",
      title: "processor time of a write, etcd, load generator with gRPC",
      value: clientCost(theirs),
      unit: "µs",
    });
  },
};

async function sampled(
  { effort: { rounds, roundMs } }: ScenarioContext,
  generator: LoadGenerator,
  system: System,
  kind: "library" | "etcd-grpc",
  data: Work["data"],
): Promise<Sample[]> {
  const samples: Sample[] = [];
  for (let seed = 0; seed <= rounds; seed++) {
    const sample = await measured(generator, system, {
      client: clientOf(system, kind, NODES),
      data,
      clients: CLIENTS,
      mix: { reads: 0, readModifyWrites: 0 },
      distribution: "uniform",
      durationMs: roundMs,
      seed,
    });
    if (sample.errors > 0) throw new Error(`${system.name}: ${sample.firstError}`);
    // The first is the warm-up.
    if (seed > 0) samples.push(sample);
  }
  return samples;
}

function clientCost(samples: readonly Sample[]): number {
  return median(samples.map(({ clientCpuUs }) => clientCpuUs ?? Number.NaN));
}

async function keysOfFirstNode(kv: KvSystem): Promise<number[]> {
  const map = await fetchMap(kv.authority);
  const [first] = kv.endpoints;
  const id = map?.nodes.find(({ port }) => port === first?.port)?.id;
  if (map === undefined || id === undefined) throw new Error("the first node is not in the map");
  const isFirst = map.partitions.map(({ primary }) => primary === id);
  return Array.from({ length: KEYS }, (_, i) => i)
    .filter((i) => isFirst[partitionOf(keyOf(i), isFirst.length)]);
}
