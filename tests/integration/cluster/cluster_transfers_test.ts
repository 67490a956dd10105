/**
 * A hundred clients move amounts between accounts in all partitions, while nodes are killed and stand still. Whatever
 * happens, no amount is lost or made, in any reading of all accounts; nobody hangs; and nothing is left of a
 * transaction that is over.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { KvError } from "../../../shared/base/errors.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { randomBelow } from "../../../shared/platform/random.ts";
import type { KvClient } from "../../../client/mod.ts";
import { TestCluster } from "../../support/worlds/cluster.ts";

const ACCOUNTS = 50;
const CLIENTS = 100;
const CONNECTED = 10;
const TIMEOUT_MS = 30_000;
/** Between two calls of a client, so that a hundred of them leave time for the processes that they watch. */
const PAUSE_MS = 400;
/** How long an intent may outlive its transaction. */
const LEFT_MS_MAX = 5_000;

const decoder = new TextDecoder();
const account = (i: number) => `account${i}`;

/** What came of all that was asked. */
const counts = () => ({ moved: 0, unknown: 0, refused: 0, read: 0 });

class Movers {
  readonly counts = counts();
  running = true;
  readonly #kvs: readonly KvClient[];
  readonly #loops: Promise<void>[] = [];

  constructor(kvs: readonly KvClient[]) {
    this.#kvs = kvs;
  }

  start(): void {
    for (let i = 0; i < CLIENTS; i++) {
      const kv = this.#kvs[i % this.#kvs.length];
      if (kv !== undefined) this.#loops.push(this.#move(kv, new SeededRandom(i + 1)));
    }
    const [kv] = this.#kvs;
    if (kv !== undefined) this.#loops.push(this.#read(kv));
  }

  /** All of them end. */
  async stop(): Promise<void> {
    this.running = false;
    await Promise.all(this.#loops);
  }

  async #move(kv: KvClient, random: SeededRandom): Promise<void> {
    while (this.running) {
      const from = randomBelow(random, ACCOUNTS);
      const to = (from + 1 + randomBelow(random, ACCOUNTS - 1)) % ACCOUNTS;
      const amount = 1 + randomBelow(random, 9);
      const beganMs = performance.now();
      try {
        const outcome = await kv.atomic()
          .increment(account(from), -amount)
          .increment(account(to), amount)
          .commit({ timeoutMs: TIMEOUT_MS });
        assert(outcome.ok && outcome.results.every(({ ok }) => ok), "a step has failed");
        this.counts.moved++;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        if (error.code === "outcome_unknown") this.counts.unknown++;
        else this.counts.refused++;
      }
      const tookMs = performance.now() - beganMs;
      assert(tookMs < TIMEOUT_MS + 5_000, `it took ${tookMs} ms`);
      await pause();
    }
  }

  async #read(kv: KvClient): Promise<void> {
    while (this.running) {
      try {
        assertEquals(await sumOf(kv), 0);
        this.counts.read++;
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
      }
      await pause();
    }
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
}

async function sumOf(kv: KvClient): Promise<number> {
  const atomic = kv.atomic();
  for (let i = 0; i < ACCOUNTS; i++) atomic.get(account(i));
  const outcome = await atomic.commit({ timeoutMs: TIMEOUT_MS });
  assert(outcome.ok);
  const results: readonly unknown[] = outcome.results;
  return results.reduce<number>((sum, result) => {
    const { ok, value } = result as { ok: boolean; value?: { value: Uint8Array } };
    assert(ok);
    return sum + (value === undefined ? 0 : Number(decoder.decode(value.value)));
  }, 0);
}

Deno.test("cluster: a hundred clients move amounts between 50 accounts while nodes die and stand still", async () => {
  await using cluster = await TestCluster.start({ nodes: 3 });
  const kvs = await Promise.all(Array.from({ length: CONNECTED }, () => cluster.connect()));
  const movers = new Movers(kvs);
  const { counts } = movers;
  const more = (moves: number, reads: number) => {
    const wanted = { moved: counts.moved + moves, read: counts.read + reads };
    return cluster.poll(
      `${moves} moves and ${reads} readings`,
      () =>
        Promise.resolve(counts.moved >= wanted.moved && counts.read >= wanted.read || undefined),
      () => counts,
    );
  };
  movers.start();
  try {
    await more(100, 2);
    const killed = await cluster.primaryOf(account(0));
    await cluster.crash(killed);
    await more(100, 1);
    await cluster.restart(killed);
    await cluster.whole({ nodes: 3 });
    await more(100, 1);
    const paused = cluster.node(await cluster.primaryOf(account(1)));
    paused.signal("SIGSTOP");
    try {
      await cluster.waitFor(
        "one to be down",
        (map) => map.nodes.some(({ state }) => state === "down"),
      );
      await more(100, 1);
    } finally {
      paused.signal("SIGCONT");
    }
    await cluster.whole({ nodes: 3 });
    await more(100, 1);
  } finally {
    await movers.stop();
  }
  const stoppedMs = performance.now();
  await cluster.poll("the ends of all transactions", async () => {
    let open = 0;
    for (let i = 0; i < 3; i++) {
      const { transactions_open, transactions_led } = await cluster.stats(i);
      open += Number(transactions_open) + Number(transactions_led);
    }
    return open === 0 ? true : undefined;
  });
  const leftMs = performance.now() - stoppedMs;
  assert(leftMs < LEFT_MS_MAX, `something was left of a transaction for ${leftMs} ms`);
  const [kv] = kvs;
  assert(kv !== undefined);
  assertEquals(await sumOf(kv), 0);
  for (const one of kvs) one.close();
});
