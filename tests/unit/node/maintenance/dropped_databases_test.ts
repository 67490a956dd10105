/** Databases on a few nodes: what is in them, how much that is, and that nothing is left of those that were dropped. */
import { assert, assertEquals } from "@std/assert";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import {
  databaseNumberOf,
  isNamedKey,
  keyPrefixOf,
  NO_DATABASES,
  userKeyOf,
  withDatabase,
  withoutDatabase,
} from "../../../../shared/cluster/databases.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import { DROPPED_PAUSE_MS, DROPPED_ROWS_PER_STEP } from "../../../../shared/limits/cluster.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import type { KeyRequest, PlainRequest, Reply } from "../../../../shared/wire/messages.ts";
import { NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

const PARTITIONS = 4;
const IDS = ["n1", "n2", "n3"];
/** Around the rows of named databases, and what is special in a key of `default`. */
const KEYS = ["a", "b", "é", "\udcff", "{t}1", "\0", "\0a", "\0e", "\0db", "0", "}"];
/** Nothing is special in a key of a named database. */
const NAMED_KEYS = [...KEYS, "\0session/x", "\0txn/x", "\0db/000001/a"];

class Bench {
  readonly cluster: NodeCluster;
  readonly random: SeededRandom;
  /** What each database holds, by its number. */
  readonly model = new Map<number, Set<string>>([[0, new Set()]]);
  #list = NO_DATABASES;
  #down: string | undefined;

  constructor(seed: number) {
    this.cluster = new NodeCluster({ nodes: IDS.length, partitions: PARTITIONS, seed });
    this.random = new SeededRandom(seed);
  }

  below(count: number): number {
    return randomBelow(this.random, count);
  }

  #prefix(number: number): string {
    return keyPrefixOf(this.#list.list.find((database) => database.number === number));
  }

  create(): void {
    const name = `d${this.#list.next}`;
    this.#list = withDatabase(
      this.#list,
      this.below(2) === 0 ? { name, together: true } : { name },
    );
    this.model.set(this.#list.next - 1, new Set());
    this.cluster.setDatabases(this.#list);
  }

  drop(): void {
    const database = this.#list.list[this.below(this.#list.list.length)];
    if (database === undefined) return;
    this.#list = withoutDatabase(this.#list, database.name);
    this.model.delete(database.number);
    this.cluster.setDatabases(this.#list);
  }

  async write(): Promise<void> {
    const numbers = [...this.model.keys()];
    const number = numbers[this.below(numbers.length)] ?? 0;
    const keys = number === 0 ? KEYS : NAMED_KEYS;
    const some = [0, 1].map(() => keys[this.below(keys.length)] ?? "");
    const [first = ""] = some;
    const prefix = this.#prefix(number);
    const steps = some.map((key): PlainRequest =>
      this.below(3) === 0 ? { req_type: "delete", key: prefix + key } : put(prefix + key, "v")
    );
    const request: KeyRequest = this.below(2) === 0 || steps[0] === undefined
      ? { req_type: "transaction", key: prefix + first, requests: steps }
      : steps[0];
    const reply = await this.#ask(request);
    const done = request.req_type === "transaction" ? steps : [steps[0]];
    assert(
      reply.req_type !== "error" || reply.code === "not_found",
      `${JSON.stringify(request)}: ${JSON.stringify(reply)}`,
    );
    for (const step of done) {
      if (step?.req_type === "put") this.model.get(number)?.add(userKeyOf(step.key));
      else if (step !== undefined) this.model.get(number)?.delete(userKeyOf(step.key));
    }
  }

  /** Asks the primary, until one answers that knows. */
  async #ask(request: KeyRequest): Promise<Reply> {
    for (;;) {
      const { primary = "" } = this.cluster.config(partitionOf(request.key, PARTITIONS));
      const reply = await this.cluster.ask(primary, request);
      if (reply.req_type !== "error") return reply;
      if (!["unavailable", "not_primary", "not_enough_replicas"].includes(reply.code)) return reply;
      await this.cluster.run(100);
    }
  }

  /** One node dies, or the dead one comes back. */
  async lifeAndDeath(): Promise<void> {
    if (this.#down !== undefined) {
      await this.cluster.start(this.#down);
      this.cluster.addLearner(this.#down);
      this.#down = undefined;
      await this.cluster.run(2_000);
      return;
    }
    this.#down = IDS[this.below(IDS.length)] ?? "n1";
    this.cluster.crash(this.#down);
    this.cluster.fail(this.#down);
    await this.cluster.run(500);
  }

  /** Everybody is back, and has had time. */
  async settle(): Promise<void> {
    if (this.#down !== undefined) await this.lifeAndDeath();
    await this.cluster.run(20_000);
  }

  /** The keys of a database, by a scan. */
  async keys(number: number, reverse: boolean): Promise<string[]> {
    const found: string[] = [];
    const prefix = this.#prefix(number);
    for (const id of IDS) {
      let partitions = this.#primaryOf(id);
      let after: string | undefined;
      while (partitions.size > 0) {
        let page: unknown;
        this.cluster.node(id).scans.scan(
          { partitions, after, reverse, prefix, limit: 1 + this.below(5) },
          5_000,
          (result) => page = result,
        );
        while (page === undefined) await this.cluster.run(5);
        const { entries, next, covered } = page as {
          entries: { key: string }[];
          next?: string;
          covered: PartitionSet;
        };
        assertEquals(covered.size, partitions.size, JSON.stringify(page));
        found.push(...entries.map(({ key }) => number === 0 ? key : userKeyOf(key)));
        after = next;
        if (next === undefined) partitions = new PartitionSet(PARTITIONS);
      }
    }
    return found.sort(compareKeys);
  }

  async count(number: number): Promise<number> {
    let count = 0;
    for (const id of IDS) {
      let result: unknown;
      const request = { partitions: this.#primaryOf(id), prefix: this.#prefix(number) };
      this.cluster.node(id).scans.count(request, 5_000, (given) => result = given);
      while (result === undefined) await this.cluster.run(5);
      count += (result as { count: number }).count;
    }
    return count;
  }

  /** How many keys the primaries know each database to have. */
  usage(): Map<number, number> {
    const sums = new Map<number, number>();
    for (const id of IDS) {
      const { known, databases } = this.cluster.node(id).databaseUsage();
      assert(known, id);
      for (const [number, keys, bytes] of databases) {
        assert(bytes > 0, `${bytes} bytes`);
        sums.set(number, (sums.get(number) ?? 0) + keys);
      }
    }
    return sums;
  }

  #primaryOf(id: string): PartitionSet {
    const set = new PartitionSet(PARTITIONS);
    for (let p = 0; p < PARTITIONS; p++) if (this.cluster.config(p).primary === id) set.add(p);
    return set;
  }

  async check(): Promise<void> {
    for (const [number, keys] of this.model) {
      const expected = [...keys].sort(compareKeys);
      assertEquals(await this.keys(number, false), expected, `database ${number}`);
      assertEquals(await this.keys(number, true), expected, `database ${number}, backwards`);
      assertEquals(await this.count(number), expected.length, `database ${number}, counted`);
    }
    const named = [...this.model].filter(([number, { size }]) => number !== 0 && size > 0);
    assertEquals(
      [...this.usage()].sort(([a], [b]) => a - b),
      named.map(([number, { size }]) => [number, size] as const),
    );
    for (const id of IDS) {
      for (let p = 0; p < PARTITIONS; p++) {
        const rows = Object.keys(await this.cluster.contents(id, p)).filter(isNamedKey);
        for (const row of rows) {
          assert(this.model.has(databaseNumberOf(row) ?? -1), `${id} has ${JSON.stringify(row)}`);
        }
      }
    }
  }
}

Deno.test("databases are as a model has them, and nothing is left of those that were dropped (rule W11)", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const bench = new Bench(seed);
    await bench.cluster.startAll();
    for (let step = 0; step < 120; step++) {
      const what = bench.below(40);
      if (what < 3) bench.create();
      else if (what < 5) bench.drop();
      else if (what < 7) await bench.lifeAndDeath();
      else if (what < 9) await bench.cluster.run(200);
      else await bench.write();
    }
    await bench.settle();
    try {
      await bench.check();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
});

Deno.test("a node serves nobody who names a database that was dropped, is newer than its list, or is of another form (rule W11)", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  let list = withDatabase(NO_DATABASES, { name: "a" });
  list = withDatabase(list, { name: "b", together: true });
  cluster.setDatabases(withoutDatabase(list, "a"));
  const table: [key: string, code: string][] = [
    ["\0db/000001/k", "no_database"],
    ["\0db/{000001}k", "no_database"],
    ["\0db/000002/k", "bad_request"],
    ["\0db/000003/k", "unavailable"],
    ["\0db/1/k", "bad_request"],
    ["\0db/000000/k", "bad_request"],
  ];
  for (const [key, code] of table) {
    const requests: KeyRequest[] = [
      put(key, "v"),
      { req_type: "transaction", key: "k", requests: [put("k", "v"), put(key, "v")] },
      { req_type: "transaction", key: "k", requests: [put("k", "v")], checks: [[key, 0]] },
    ];
    for (const request of requests) {
      const reply = await cluster.ask("n1", request);
      assertEquals(reply.req_type === "error" && reply.code, code, JSON.stringify(request));
    }
    const ranged = await cluster.ask("n1", {
      req_type: "read_ranges",
      key: "k",
      ranges: [{ start: key, end: key + "~", limit: 1 }],
    });
    assertEquals(ranged.req_type === "error" && ranged.code, code, key);
    let page: unknown;
    const partitions = PartitionSet.all(1);
    cluster.node("n1").scans.scan({ partitions, prefix: key, limit: 1 }, 1_000, (is) => page = is);
    assertEquals((page as { code?: string }).code, code, key);
  }
  assertEquals((await cluster.ask("n1", put("\0db/{000002}k", "v"))).req_type, "ack");
});

Deno.test("DroppedDatabases: who has an old list deletes nothing of a database that is newer (rule W11)", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  const old = withDatabase(NO_DATABASES, { name: "a" });
  cluster.setDatabases(withDatabase(old, { name: "b" }));
  for (const key of ["\0db/000001/k", "\0db/000002/k"]) await cluster.ask("n1", put(key, "v"));
  cluster.setDatabases(withoutDatabase(old, "a"));
  await cluster.run(5_000);
  assertEquals(Object.keys(await cluster.contents("n1")), ["\0db/000002/k"]);
});

Deno.test("DroppedDatabases: many rows go a few at a time, and others are served meanwhile", async () => {
  const cluster = new NodeCluster({ nodes: 1 });
  await cluster.startAll();
  const list = withDatabase(NO_DATABASES, { name: "a" });
  cluster.setDatabases(list);
  const rows = 20 * DROPPED_ROWS_PER_STEP;
  for (let i = 0; i < rows; i++) {
    cluster.node("n1").execute(put(`\0db/000001/${i}`, "v"), () => {});
    if (i % 200 === 199) await cluster.run(20);
  }
  await cluster.run(1_000);
  const left = () => cluster.node("n1").partition(0)?.store.databases.of(1).keys ?? 0;
  assertEquals(left(), rows);
  cluster.setDatabases(withoutDatabase(list, "a"));
  for (let before = rows; left() > 0; before = left()) {
    assertEquals((await cluster.ask("n1", put("k", "v"))).req_type, "ack");
    await cluster.run(DROPPED_PAUSE_MS);
    assert(before - left() <= 4 * DROPPED_ROWS_PER_STEP, `${before} and then ${left()} rows`);
  }
  assertEquals(Object.keys(await cluster.contents("n1")), ["k"]);
});

Deno.test("DroppedDatabases: the longer a step takes to be committed, the longer it rests", async () => {
  const cluster = new NodeCluster({ nodes: 2 });
  await cluster.startAll();
  const list = withDatabase(NO_DATABASES, { name: "a" });
  cluster.setDatabases(list);
  for (let i = 0; i < 4 * DROPPED_ROWS_PER_STEP; i++) {
    cluster.node("n1").execute(put(`\0db/000001/${i}`, "v"), () => {});
    if (i % 200 === 199) await cluster.run(20);
  }
  await cluster.run(1_000);
  const store = () => cluster.node("n1").partition(0)?.store;
  const left = () => store()?.databases.of(1).keys ?? 0;
  assertEquals(left(), 4 * DROPPED_ROWS_PER_STEP);
  // The follower's disk stands still for a moment, too short to be taken out of the in-sync set for it.
  const { storage } = cluster.host("n2");
  const write = storage.write.bind(storage);
  const held: (() => void)[] = [];
  storage.write = (...args) => void held.push(() => write(...args));
  cluster.setDatabases(withoutDatabase(list, "a"));
  await cluster.run(600);
  assertEquals(left(), 3 * DROPPED_ROWS_PER_STEP, "one step, which is not committed");
  storage.write = write;
  for (const go of held) go();
  await cluster.run(200);
  assertEquals(left(), 3 * DROPPED_ROWS_PER_STEP, "it rests");
  await cluster.run(10_000);
  assertEquals(left(), 0);
});
