/**
 * How long a client cannot write a key whose primary was killed: from the kill to the first write that was
 * begun after it and succeeded. Writes are tried one after the other; the library repeats what it can. After
 * each kill the node is started again, and the test waits until everything is in sync.
 *
 * @module
 */
import { connect, type KvClient } from "../../../client/mod.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { median } from "../../figure.ts";
import { keyOf } from "../load/data_set.ts";
import type { Scenario } from "../scenario.ts";
import { KvSystem } from "../systems/kv_system.ts";

const NODES = 3;
const KILLS = 20;
const MEDIAN_BOUND_S = 4;
const WORST_BOUND_S = 6;
const GIVE_UP_MS = 60_000;
/** Longest time that one attempt may take, far beyond a failover. */
const CALL_TIMEOUT_MS = 30_000;
const SETTLE_WRITES = 20;

/** The scenario. */
export const FAILOVER: Scenario = {
  name: "failover",
  title: "a primary is killed, until its keys can be written again",
  group: "extra",
  run: async (context) => {
    const { folder, launch, running, quick } = context;
    const kv = await KvSystem.start(
      { nodes: NODES, storage: "leveldb", folder: `${folder}/kv`, launch },
      running,
    );
    await using client = await connect({ coordinator: formatAddress(kv.authority) });
    const seconds: number[] = [];
    for (let i = 0; i < (quick ? 1 : KILLS); i++) {
      const key = keyOf(i);
      for (let j = 0; j < SETTLE_WRITES; j++) await client.put(key, `before ${j}`);
      const { nodes } = await client.nodesForKey(key);
      const victim = await kv.indexOf(nodes.find(({ role }) => role === "primary")?.id);
      if (victim < 0) throw new Error(`key ${key} has no primary`);
      kv.kill(victim);
      seconds.push(await untilWritten(client, key) / 1_000);
      await kv.nodes[victim]?.process.status;
      await kv.restart(victim);
      await kv.untilWhole(NODES);
    }
    context.note(`seconds: ${seconds.map((value) => value.toFixed(2)).join(", ")}`);
    const figure = (name: string, value: number, bound: number) =>
      context.figure({
        name: `failover-${name}`,
        title: `no write to a key whose primary was killed, ${seconds.length} kills, ${name}`,
        value,
        unit: "s",
        bound,
      });
    figure("median", median(seconds), MEDIAN_BOUND_S);
    figure("worst", Math.max(...seconds), WORST_BOUND_S);
  },
};

async function untilWritten(client: KvClient, key: string): Promise<number> {
  const begin = performance.now();
  for (;;) {
    try {
      await client.put(key, "after", { timeoutMs: CALL_TIMEOUT_MS });
      return performance.now() - begin;
    } catch (error) {
      // Such as `outcome_unknown`: only the caller may decide to repeat it.
      if (performance.now() - begin > GIVE_UP_MS) throw error;
    }
  }
}
