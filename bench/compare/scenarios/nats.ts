/**
 * Three nodes against three servers of NATS JetStream KV, 100 clients, values of 256 bytes, each over its own client
 * library. Only reported: the two promise different things. Debian's NATS acknowledges a write before it is synced
 * (it syncs every two minutes), and answers a read from any replica; ours syncs first, and reads are linearizable.
 *
 * @module
 */
import { clientOf, loadContestant, loadKeys, type Work } from "../load_contestant.ts";
import { HOW_TO_GET, type Scenario } from "../scenario.ts";
import { KvSystem } from "../systems/kv_system.ts";
import { startNats } from "../systems/nats_system.ts";

const NODES = 3;
const CLIENTS = 100;
const VALUE_BYTES = 256;
const KEYS = 10_000;
const QUICK_KEYS = 1_000;

/** Writes and reads. */
export const NATS: Scenario = {
  name: "nats",
  title: "three nodes beside three servers of NATS JetStream KV",
  group: "extra",
  run: async (context) => {
    const { folder, launch, running, versions, quick } = context;
    if (versions.nats === undefined) {
      context.note(HOW_TO_GET.nats);
      return;
    }
    const kv = await KvSystem.start(
      { nodes: NODES, storage: "leveldb", folder: `${folder}/kv`, launch },
      running,
    );
    const nats = await startNats(NODES, `${folder}/nats`, running);
    for (const system of [kv, nats]) context.note(`${system.name}: ${system.setup}`);
    const data = { keys: quick ? QUICK_KEYS : KEYS, valueBytes: VALUE_BYTES };
    const generator = context.startGenerator();
    const ours = clientOf(kv, "library", NODES);
    const theirs = clientOf(nats, "nats", NODES);
    for (const client of [ours, theirs]) await loadKeys(generator, client, data);
    for (const [verb, reads] of [["write", 0], ["read", 1]] as const) {
      const work: Work = {
        data,
        clients: CLIENTS,
        mix: { reads, readModifyWrites: 0 },
        distribution: "uniform",
      };
      await context.measure({
        name: `nats-${verb}`,
        title: `3 nodes, ${verb}s, ${CLIENTS} clients, ${VALUE_BYTES} B, own client of each`,
        ours: loadContestant(generator, kv, ours, work),
        theirs: loadContestant(generator, nats, theirs, work),
      });
    }
  },
};
