/**
 * Real servers under the load generator: one node, and a cluster whose clients send each key to its
 * primary, or to any node. Values have 100 bytes, writes are acknowledged when they are on disk at
 * every replica.
 *
 * @module
 */
import { partitionOf } from "../../shared/cluster/position.ts";
import { randomBelow, SeededRandom } from "../../shared/platform/random.ts";
import type { Address } from "../../shared/platform/transport.ts";
import { fetchMap } from "../../tools/cluster_state.ts";
import { type Effort, type Figure, median, type Report } from "../figure.ts";
import { LatencyCounts } from "../latency.ts";
import { LoadGenerator } from "../load.ts";
import type { LoadLogin, LoadOrder, LoadResult, LoadTarget } from "../load_order.ts";
import { sampleKeys, textOfBytes } from "../sample_data.ts";
import { processorTimeUs, type Servers } from "../servers.ts";

const KEYS = 50_000;
const VALUE_BYTES = 100;
/** Requests that each connection sends over and over. */
const SCRIPT_REQUESTS = 20_000;
const LOAD_DEPTH = 16;

/** What to send. */
export type Operation = "put" | "get";

/** How to send it. */
export interface ServerWorkload {
  readonly name: string;
  readonly operation: Operation;
  readonly depth: number;
  /** To each key's primary, as the client library does; or to any node, which passes it on. */
  readonly route: "primary" | "any";
  /** Only connections are made. */
  readonly connecting?: boolean;
}

/** Closed loop and pipelined, to the primaries. */
export const DIRECT_WORKLOADS: readonly ServerWorkload[] = [
  { name: "put, 1 outstanding", operation: "put", depth: 1, route: "primary" },
  { name: "get, 1 outstanding", operation: "get", depth: 1, route: "primary" },
  { name: "put, 16 outstanding", operation: "put", depth: 16, route: "primary" },
  { name: "get, 16 outstanding", operation: "get", depth: 16, route: "primary" },
];

/** Connections that are made and greeted, with a login if there are users. */
export const CONNECTING_WORKLOADS: readonly ServerWorkload[] = [
  { name: "connect", operation: "get", depth: 1, route: "primary", connecting: true },
];

/** To nodes that pass requests on. */
export const FORWARDED_WORKLOADS: readonly ServerWorkload[] = [
  { name: "put at any node, 16 outstanding", operation: "put", depth: 16, route: "any" },
  { name: "get at any node, 16 outstanding", operation: "get", depth: 16, route: "any" },
];

/** Servers that are measured, beside others or alone. */
export interface Contestant {
  readonly servers: Servers;
  /** If they are secured. */
  readonly login?: LoadLogin;
  /** What their rows are called beside those of the others. */
  readonly label?: string;
}

/** Loads the keys and measures the workloads: of each contestant in turn, round by round. */
export async function measureServers(
  group: string,
  contestants: readonly Contestant[],
  workloads: readonly ServerWorkload[],
  connections: number,
  effort: Effort,
  report: Report,
): Promise<void> {
  const generator = new LoadGenerator();
  try {
    const keys = sampleKeys(KEYS);
    const targetsOf: ((workload: Omit<ServerWorkload, "name">, pick: Pick) => LoadTarget[])[] = [];
    for (const { servers: { nodes }, login } of contestants) {
      const keysOf = nodes.length === 1 ? [keys] : await keysOfNodes(nodes, keys, login);
      targetsOf.push((workload, pick) =>
        nodes.map(({ host, port }, i) => ({
          host,
          port,
          login,
          connections: Math.ceil((connections - i) / nodes.length),
          requests: pick(workload.route === "any" ? keys : keysOf[i] ?? []).map((key, id) =>
            request(workload.operation, key, id)
          ),
        }))
      );
    }
    for (const targets of targetsOf) {
      const load = targets({ operation: "put", depth: LOAD_DEPTH, route: "primary" }, (all) => all);
      const loaded = await generator.run({ targets: load, depth: LOAD_DEPTH });
      if (loaded.errors > 0) {
        throw new Error(
          `loading ${KEYS} keys: ${loaded.errors} errors, first ${loaded.firstError}`,
        );
      }
    }
    for (const workload of workloads) {
      const orders = targetsOf.map((targets): LoadOrder => ({
        targets: targets(workload, someOf),
        depth: workload.depth,
        connecting: workload.connecting ?? false,
      }));
      for (
        const figure of await measureInTurn(group, workload, contestants, orders, generator, effort)
      ) {
        report(figure);
      }
    }
  } finally {
    generator.close();
  }
}

type Pick = (keys: readonly string[]) => readonly string[];

/** Keys in random order, again and again, the same ones in each run. */
function someOf(keys: readonly string[]): string[] {
  const random = new SeededRandom(keys.length);
  return Array.from(
    { length: SCRIPT_REQUESTS },
    () => keys[randomBelow(random, keys.length)] ?? "",
  );
}

const VALUE = textOfBytes(VALUE_BYTES);

function request(operation: Operation, key: string, id: number): string {
  return operation === "get"
    ? `{"id":${id},"req_type":"get","key":"${key}"}`
    : `{"id":${id},"req_type":"put","key":"${key}","value":"${VALUE}"}`;
}

/** What the rounds of one contestant came to. */
interface Rounds {
  readonly rates: number[];
  readonly costs: number[];
  readonly latencies: LatencyCounts;
  errors: number;
  firstError: string | undefined;
}

async function measureInTurn(
  group: string,
  { name, connecting = false }: ServerWorkload,
  contestants: readonly Contestant[],
  orders: readonly LoadOrder[],
  generator: LoadGenerator,
  effort: Effort,
): Promise<Figure[]> {
  const all = contestants.map((): Rounds => ({
    rates: [],
    costs: [],
    latencies: new LatencyCounts(),
    errors: 0,
    firstError: undefined,
  }));
  for (const order of orders) await generator.run({ ...order, durationMs: effort.roundMs / 2 });
  for (let i = 0; i < effort.rounds; i++) {
    for (const [at, order] of orders.entries()) {
      const [rounds, contestant] = [all[at], contestants[at]];
      if (rounds === undefined || contestant === undefined) continue;
      const { pids } = contestant.servers;
      const before = processorTimeUs(pids);
      const result: LoadResult = await generator.run({ ...order, durationMs: effort.roundMs });
      const after = processorTimeUs(pids);
      if (before !== undefined && after !== undefined) {
        rounds.costs.push((after - before) / result.requests);
      }
      rounds.rates.push(result.requests * 1_000 / result.elapsedMs);
      rounds.latencies.addAll(new LatencyCounts(result.latencies));
      rounds.errors += result.errors;
      rounds.firstError ??= result.firstError;
    }
  }
  return all.map(({ rates, costs, latencies, errors, firstError }, at): Figure => ({
    group,
    name: `${name}${contestants[at]?.label ?? ""}`,
    unit: connecting ? "connections/s" : "requests/s",
    median: median(rates),
    rounds: rates,
    latencyMs: {
      p50: latencies.percentileMs(0.5),
      p99: latencies.percentileMs(0.99),
      max: latencies.percentileMs(1),
    },
    errors,
    ...(costs.length === 0 ? {} : { serverCpuUsPerRequest: median(costs) }),
    ...(firstError === undefined ? {} : { firstError }),
  }));
}

/** The keys of which each node is primary, as the cluster's own map says. */
async function keysOfNodes(
  nodes: readonly Address[],
  keys: readonly string[],
  login: LoadLogin | undefined,
): Promise<string[][]> {
  const [first] = nodes;
  if (first === undefined) throw new Error("no node has said where it listens");
  const map = await fetchMap(first, login);
  if (map === undefined) throw new Error("the servers have no cluster map");
  const indexOf = new Map<string, number>();
  for (const { id, host, port } of map.nodes) {
    indexOf.set(id, nodes.findIndex((node) => node.host === host && node.port === port));
  }
  const keysOf: string[][] = nodes.map(() => []);
  for (const key of keys) {
    const primary = map.partitions[partitionOf(key, map.partitions.length)]?.primary;
    // A standalone node may say nothing about where it listens.
    const index = indexOf.get(primary ?? "") ?? -1;
    keysOf[nodes.length === 1 ? 0 : index]?.push(key);
  }
  return keysOf;
}
