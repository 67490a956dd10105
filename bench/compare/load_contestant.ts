/** A store that is measured by our own load generator. @module */
import { LatencyCounts } from "../latency.ts";
import type { ClientKind, ClientSpec } from "./clients/store_client.ts";
import type { Contestant, Latency, Sample } from "./comparison.ts";
import type { LoadGenerator } from "./load/load_generator.ts";
import type { DataSet, LoadOrder, LoadResult } from "./load/order.ts";
import { cpuPerOperation, cpuTimes, machineCpuUs, othersOf } from "./process_stats.ts";
import type { System } from "./systems/system.ts";

/** An order without its client and its duration. */
export type Work = Omit<LoadOrder, "client" | "durationMs" | "seed">;

const KIND_NAMES: Readonly<Record<ClientKind, string>> = {
  library: "client library",
  wire: "JSON wire",
  resp: "RESP",
  http: "HTTP",
  "etcd-grpc": "gRPC",
  "etcd-http": "HTTP gateway",
  nats: "its own client",
  "denokv-file": "in its process",
};

const LOAD_CLIENTS = 256;

/** The client of a kind, for a system. */
export function clientOf(system: System, kind: ClientKind, connections: number): ClientSpec {
  const http = kind === "http" || kind === "etcd-http";
  return { kind, connections, endpoints: http ? system.httpEndpoints : system.endpoints };
}

/** For people. */
export function describeClient({ kind, connections, endpoints }: ClientSpec): string {
  if (kind === "denokv-file") return KIND_NAMES[kind];
  const count = kind === "library" || kind === "nats" ? endpoints.length : connections;
  return `${KIND_NAMES[kind]}, ${count} connection${count === 1 ? "" : "s"}`;
}

/** The contestant. */
export function loadContestant(
  generator: LoadGenerator,
  system: System,
  client: ClientSpec,
  work: Work,
): Contestant {
  let seed = 1;
  return {
    store: system.name,
    client: describeClient(client),
    measure: (durationMs) =>
      measured(generator, system, { ...work, client, durationMs, seed: seed++ }),
  };
}

/** Runs an order, and reads the processes' figures before and after it. */
export async function measured(
  generator: LoadGenerator,
  system: System,
  order: LoadOrder,
): Promise<Sample> {
  const processes = [...system.processes, { role: CLIENT_ROLE, pid: generator.pid }];
  const machineBefore = machineCpuUs();
  const begin = performance.now();
  const before = cpuTimes(processes);
  const result = await generator.run(order);
  const after = cpuTimes(processes);
  const machineAfter = machineCpuUs();
  const wallMs = performance.now() - begin;
  const others = othersOf(machineBefore, machineAfter, before, after, wallMs);
  const { [CLIENT_ROLE]: clientCpuUs, ...serverCpuUs } = cpuPerOperation(
    before,
    after,
    result.operations,
  );
  const { operations, elapsedMs, errors, firstError } = result;
  return {
    perSecond: (operations - errors) * 1_000 / elapsedMs,
    latencyMs: latencyOf(result),
    serverCpuUs,
    errors,
    ...(others === undefined ? {} : { otherProcessors: others }),
    ...(clientCpuUs === undefined ? {} : { clientCpuUs }),
    ...(firstError === undefined ? {} : { firstError }),
  };
}

const CLIENT_ROLE = "client";

/** Writes every key once. @throws at the first error */
export async function loadKeys(
  generator: LoadGenerator,
  client: ClientSpec,
  data: DataSet,
): Promise<LoadResult> {
  const result = await generator.run({
    client,
    data,
    clients: LOAD_CLIENTS,
    mix: { reads: 0, readModifyWrites: 0 },
    distribution: "uniform",
    seed: 1,
  });
  if (result.errors > 0) throw new Error(`while keys were loaded: ${result.firstError}`);
  return result;
}

/** Of reads and writes together. */
export function latencyOf({ reads, writes }: Pick<LoadResult, "reads" | "writes">): Latency {
  const all = new LatencyCounts();
  for (const [index, count] of [...reads, ...writes]) {
    all.counts[index] = (all.counts[index] ?? 0) + count;
  }
  return {
    p50: all.percentileMs(0.5),
    p99: all.percentileMs(0.99),
    p999: all.percentileMs(0.999),
    max: all.percentileMs(1),
  };
}
