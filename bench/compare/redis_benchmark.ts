/**
 * `redis-benchmark` as the load: what everyone who compares with Redis uses.
 *
 * @module
 */
import type { Endpoint } from "./clients/store_client.ts";
import type { Contestant, Sample } from "./comparison.ts";
import { cpuPerOperation, cpuTimes, machineCpuUs, othersOf } from "./process_stats.ts";
import type { System } from "./systems/system.ts";

/** The work to do. */
export interface RedisBenchmarkOrder {
  readonly test: "set" | "get";
  readonly connections: number;
  readonly pipeline: number;
  readonly keys: number;
  readonly valueBytes: number;
}

/** Requests of the first run, from which the number for a round follows. */
const FIRST_REQUESTS = 5_000;
const RUN_TIMEOUT_MS = 120_000;

/** A store that is measured by it. */
export function redisBenchmarkContestant(system: System, order: RedisBenchmarkOrder): Contestant {
  let rate: number | undefined;
  return {
    store: system.name,
    client: "redis-benchmark",
    measure: async (roundMs) => {
      const [endpoint] = system.endpoints;
      if (endpoint === undefined) throw new Error(`${system.name} listens nowhere`);
      rate ??= (await runOnce(endpoint, order, FIRST_REQUESTS)).perSecond;
      const requests = Math.max(1_000, Math.round(rate * roundMs / 1_000));
      const machineBefore = machineCpuUs();
      const begin = performance.now();
      const before = cpuTimes(system.processes);
      const clientBefore = childrenCpuUs();
      const { perSecond, latencyMs } = await runOnce(endpoint, order, requests);
      const clientAfter = childrenCpuUs();
      const after = cpuTimes(system.processes);
      const machineAfter = machineCpuUs();
      const wallMs = performance.now() - begin;
      const others = othersOf(
        machineBefore,
        machineAfter,
        { ...before, client: clientBefore ?? 0 },
        { ...after, client: clientAfter ?? 0 },
        wallMs,
      );
      rate = perSecond;
      return {
        perSecond,
        latencyMs,
        serverCpuUs: cpuPerOperation(before, after, requests),
        ...(clientBefore === undefined || clientAfter === undefined
          ? {}
          : { clientCpuUs: (clientAfter - clientBefore) / requests }),
        ...(others === undefined ? {} : { otherProcessors: others }),
        errors: 0,
      };
    },
  };
}

async function runOnce(
  { host, port }: Endpoint,
  { test, connections, pipeline, keys, valueBytes }: RedisBenchmarkOrder,
  requests: number,
): Promise<Pick<Sample, "perSecond" | "latencyMs">> {
  const args = ["-h", host, "-p", port, "-t", test, "-c", connections, "-P", pipeline];
  const data = ["-r", keys, "-d", valueBytes, "-n", requests, "--csv"];
  const { success, stdout, stderr } = await new Deno.Command("redis-benchmark", {
    args: [...args, ...data].map(String),
    signal: AbortSignal.timeout(RUN_TIMEOUT_MS),
  }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout);
  const result = success ? parseCsv(text) : undefined;
  if (result === undefined) {
    throw new Error(`redis-benchmark: ${decoder.decode(stderr)}${text}`);
  }
  return result;
}

/** Its last line: name, requests/s, then average, least, p50, p95, p99 and greatest latency in ms. */
export function parseCsv(text: string): Pick<Sample, "perSecond" | "latencyMs"> | undefined {
  const last = text.trim().split("\n").at(-1) ?? "";
  const fields = last.split(",").map((field) => Number(field.replaceAll('"', "")));
  const [, perSecond = NaN, , , p50 = NaN, , p99 = NaN, max = NaN] = fields;
  return perSecond > 0 ? { perSecond, latencyMs: { p50, p99, max } } : undefined;
}

/**
 * Processor time of all children of this process that have ended: the difference between two looks is
 * what ran in between (and the looking itself, about a millisecond).
 */
function childrenCpuUs(): number | undefined {
  const path = `/proc/${Deno.pid}/stat`;
  const { success, stdout } = new Deno.Command("cat", { args: [path] }).outputSync();
  if (!success) return undefined;
  const stat = new TextDecoder().decode(stdout);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) * 1e6 / 100;
}
