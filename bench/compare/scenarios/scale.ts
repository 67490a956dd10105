/**
 * How the work of an operation grows with the number of nodes: measured as processor time of all servers
 * together, because a machine with few processors cannot show it as throughput. A write has as many replicas
 * as there are nodes, up to three.
 *
 * @module
 */
import { median } from "../../figure.ts";
import { clientOf, loadKeys, measured } from "../load_contestant.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { KvSystem } from "../systems/kv_system.ts";
import { Running } from "../systems/system.ts";

const SIZES = [1, 2, 3, 5] as const;
const QUICK_SIZES = [1, 2] as const;
const CLIENTS = 100;
const KEYS = 10_000;
const QUICK_KEYS = 500;
const VALUE_BYTES = 256;
const WRITE_BOUND_US = 150;
const READ_BOUND_US = 25;

/** The scenario. */
export const SCALE: Scenario = {
  name: "scale",
  title: "processor time of an operation, all servers together, with 1, 2, 3 and 5 nodes",
  group: "extra",
  run: async (context) => {
    for (const nodes of context.quick ? QUICK_SIZES : SIZES) await measureSize(context, nodes);
  },
};

async function measureSize(context: ScenarioContext, nodes: number): Promise<void> {
  const { folder, launch, quick, effort: { rounds, roundMs } } = context;
  const generator = context.startGenerator();
  // Each size runs by itself: finished clusters must not use processor time.
  await using running = new Running();
  const kv = await KvSystem.start(
    { nodes, storage: "leveldb", folder: `${folder}/${nodes}`, launch },
    running,
  );
  const client = clientOf(kv, "library", nodes);
  const data = { keys: quick ? QUICK_KEYS : KEYS, valueBytes: VALUE_BYTES };
  await loadKeys(generator, client, data);
  for (
    const [verb, reads, bound] of [["write", 0, WRITE_BOUND_US], [
      "read",
      1,
      READ_BOUND_US,
    ]] as const
  ) {
    const costs: number[] = [];
    for (let seed = 0; seed <= rounds; seed++) {
      const sample = await measured(generator, kv, {
        client,
        data,
        clients: CLIENTS,
        mix: { reads, readModifyWrites: 0 },
        distribution: "uniform",
        durationMs: roundMs,
        seed,
      });
      if (sample.errors > 0) throw new Error(`${verb}: ${sample.firstError}`);
      // The first is the warm-up.
      if (seed > 0) costs.push(Object.values(sample.serverCpuUs).reduce((a, b) => a + b, 0));
    }
    context.figure({
      name: `scale-${verb}-${nodes}`,
      title: `processor time of a ${verb}, ${nodes} node${nodes === 1 ? "" : "s"}`,
      value: median(costs),
      unit: "µs",
      bound,
    });
  }
}
