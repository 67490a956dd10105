/**
 * One durable node, over our client library, against Deno KV in a file: what a program gains or loses that moves from the
 * store within its process to one beside it. Both sync every write before it ends.
 *
 * @module
 */
import { clientOf, loadContestant, loadKeys, type Work } from "../load_contestant.ts";
import type { Scenario } from "../scenario.ts";
import { denoKvFile } from "../systems/deno_kv_file.ts";
import { KvSystem } from "../systems/kv_system.ts";

const VALUE_BYTES = 100;
const KEYS = 10_000;
const QUICK_KEYS = 500;

/** How many writes are under way at a time, and the ratio of rates that is aimed at. */
const CELLS = [{ clients: 50, aim: 8 }, { clients: 1, aim: 1 }] as const;

/** Writes of one process. */
export const DENO_KV: Scenario = {
  name: "denokv",
  title: "one durable node over the library against Deno KV in a file",
  group: "comparison",
  run: async (context) => {
    const { folder, launch, running, quick } = context;
    const kv = await KvSystem.start(
      { nodes: 0, storage: "leveldb", folder: `${folder}/kv`, launch },
      running,
    );
    const file = denoKvFile(folder);
    for (const system of [kv, file]) context.note(`${system.name}: ${system.setup}`);
    const data = { keys: quick ? QUICK_KEYS : KEYS, valueBytes: VALUE_BYTES };
    const generator = context.startGenerator();
    const ours = clientOf(kv, "library", 1);
    const theirs = clientOf(file, "denokv-file", 0);
    for (const client of [ours, theirs]) await loadKeys(generator, client, data);
    for (const { clients, aim } of CELLS) {
      const work: Work = {
        data,
        clients,
        mix: { reads: 0, readModifyWrites: 0 },
        distribution: "uniform",
      };
      await context.measure({
        name: `denokv-write-${clients}`,
        title: `1 node durable, writes of one process, ${clients} at a time, ${VALUE_BYTES} B`,
        aim,
        ours: loadContestant(generator, kv, ours, work),
        theirs: loadContestant(generator, file, theirs, work),
      });
    }
  },
};
