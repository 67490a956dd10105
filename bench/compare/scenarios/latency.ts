/**
 * Latency at half of the peak: the peak is what a closed loop reaches, then operations begin at half
 * that rate, whether earlier ones have ended or not, and each one's time counts from when it was due.
 * Each store at half of its own peak.
 *
 * @module
 */
import { median } from "../../figure.ts";
import type { ClientSpec } from "../clients/store_client.ts";
import type { Latency } from "../comparison.ts";
import type { LoadGenerator } from "../load/load_generator.ts";
import { clientOf, latencyOf, loadKeys, measured, type Work } from "../load_contestant.ts";
import { HOW_TO_GET, type Scenario, type ScenarioContext } from "../scenario.ts";
import { startEtcd } from "../systems/etcd_system.ts";
import { KvSystem } from "../systems/kv_system.ts";
import type { System } from "../systems/system.ts";

const NODES = 3;
const CLIENTS = 100;
/** Under way at once in the open loop; beyond it operations wait, and their wait counts. */
const OPEN_CLIENTS = 1_000;
const VALUE_BYTES = 256;
const KEYS = 10_000;
const QUICK_KEYS = 1_000;
const KINDS = [
  { verb: "write", reads: 0, boundMs: { p50: 15, p99: 50, p999: 150 } },
  { verb: "read", reads: 1, boundMs: { p50: 2, p99: 20, p999: 60 } },
] as const;
const PERCENTILES = [["p50", "p50"], ["p99", "p99"], ["p999", "p99.9"]] as const;

/** The scenario. */
export const LATENCY: Scenario = {
  name: "latency",
  title: "p50, p99, p99.9 at half of the peak, 3 nodes and 3 members of etcd",
  group: "extra",
  run: async (context) => {
    const { folder, launch, running, versions, quick } = context;
    const generator = context.startGenerator();
    const data = { keys: quick ? QUICK_KEYS : KEYS, valueBytes: VALUE_BYTES };
    const kv = await KvSystem.start(
      { nodes: NODES, storage: "leveldb", folder: `${folder}/kv`, launch },
      running,
    );
    const sides: [System, ClientSpec][] = [[kv, clientOf(kv, "library", NODES)]];
    if (versions.etcd === undefined) context.note(HOW_TO_GET.etcd);
    else {
      const etcd = await startEtcd(NODES, `${folder}/etcd`, running);
      sides.push([etcd, clientOf(etcd, "etcd-grpc", NODES)]);
    }
    for (const [, client] of sides) await loadKeys(generator, client, data);
    for (const { verb, reads, boundMs } of KINDS) {
      const work: Work = {
        data,
        clients: CLIENTS,
        mix: { reads, readModifyWrites: 0 },
        distribution: "uniform",
      };
      for (const [system, client] of sides) {
        const { peak, latency, lateMs } = await atHalfOfPeak(
          context,
          generator,
          system,
          client,
          work,
        );
        context.note(
          `${system.name}, ${verb}s: peak ${Math.round(peak)}/s; the generator began operations ` +
            `${lateMs.toFixed(2)} ms late (p99), which counts`,
        );
        for (const [field, name] of PERCENTILES) {
          context.figure({
            name: `latency-${verb}-${system.name}-${field}`,
            title: `${system.name}, ${verb}s over 3 nodes at half of the peak, ${name}`,
            value: latency[field] ?? Number.NaN,
            unit: "ms",
            ...(system === kv ? { bound: boundMs[field] } : {}),
          });
        }
      }
    }
  },
};

async function atHalfOfPeak(
  { effort: { roundMs, rounds } }: ScenarioContext,
  generator: LoadGenerator,
  system: System,
  client: ClientSpec,
  work: Work,
): Promise<{ peak: number; latency: Latency; lateMs: number }> {
  const peaks: number[] = [];
  for (let seed = 0; seed < 3; seed++) {
    const sample = await measured(generator, system, {
      ...work,
      client,
      durationMs: roundMs,
      seed,
    });
    if (sample.errors > 0) throw new Error(`${system.name}: ${sample.firstError}`);
    peaks.push(sample.perSecond);
  }
  // The first of them was the warm-up.
  const peak = median(peaks.slice(1));
  const result = await generator.run({
    ...work,
    client,
    clients: OPEN_CLIENTS,
    durationMs: roundMs * rounds,
    perSecond: peak / 2,
    seed: 7,
  });
  if (result.errors > 0) throw new Error(`${system.name}: ${result.firstError}`);
  return { peak, latency: latencyOf(result), lateMs: result.lateMs?.p99 ?? Number.NaN };
}
