import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ClusterDatabase } from "../../../../shared/database/cluster_database.ts";
import type { ScanPage, ScanRequest } from "../../../../shared/database/database.ts";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import { SCAN_ATTEMPT_MS } from "../../../../shared/limits/scans.ts";
import type { Message, Reply } from "../../../../shared/wire/messages.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { FakeNodes } from "../../../support/worlds/fake_nodes.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

class Bench {
  readonly clock = new ManualClock();
  readonly random: SeededRandom;
  readonly nodes: FakeNodes;
  readonly database: ClusterDatabase;

  constructor(seed = 1, nodes = 3, partitions = 16) {
    this.random = new SeededRandom(seed);
    this.nodes = new FakeNodes(this.clock, this.random, nodes, partitions);
    this.database = new ClusterDatabase({
      clock: this.clock,
      random: this.random,
      router: this.nodes,
      execute: () => () => {},
    });
  }

  fill(count: number): string[] {
    const keys = Array.from({ length: count }, (_, i) => `k${String(i).padStart(5, "0")}`);
    for (const key of keys) this.nodes.put(key);
    return keys;
  }

  async scan(request: ScanRequest, timeoutMs = 10_000): Promise<ScanPage | Message<"error">> {
    return await this.wait((done) => this.database.scan(request, timeoutMs, done));
  }

  async page(request: ScanRequest, timeoutMs?: number): Promise<ScanPage> {
    const page = await this.scan(request, timeoutMs);
    assert(!("req_type" in page), JSON.stringify(page));
    return page;
  }

  async count(prefix?: string, timeoutMs = 10_000): Promise<number | Message<"error">> {
    return await this.wait((done) => this.database.count({ prefix }, timeoutMs, done));
  }

  async wait<T>(begin: (done: (result: T) => void) => void): Promise<T> {
    const results: T[] = [];
    begin((result) => results.push(result));
    for (let i = 0; results.length === 0 && i < 20_000; i++) await this.clock.run(i < 50 ? 1 : 50);
    const [result] = results;
    assert(result !== undefined, "it never ends");
    assertEquals(results.length, 1);
    return result;
  }

  /** Page after page. */
  async all(request: ScanRequest, between: () => void = () => {}): Promise<string[]> {
    const found: string[] = [];
    let after = request.after;
    for (let pages = 0;; pages++) {
      assert(pages < 5_000, "it goes on");
      const page = await this.page({ ...request, after }, 900_000);
      assert(page.entries.length <= request.limit);
      found.push(...page.entries.map(({ key }) => key));
      if (page.next === undefined) return found;
      assert(page.next !== after);
      after = page.next;
      between();
    }
  }
}

Deno.test("ClusterDatabase.scan: each node is asked once for a page, which is full", async () => {
  const bench = new Bench();
  const keys = bench.fill(1_000);
  const page = await bench.page({ limit: 100 });
  assertEquals(page.entries.map(({ key }) => key), keys.slice(0, 100));
  assertEquals(page.next, keys[99]);
  assertEquals(bench.nodes.asked.map(({ node }) => node).sort(), ["n0", "n1", "n2"]);
  for (const { message } of bench.nodes.asked) {
    assert(message.req_type === "scan_node" && (message.limit ?? 0) < 70);
  }
  assertEquals(bench.clock.timers, 0);
});

Deno.test("ClusterDatabase.scan: bounds, direction, values", async () => {
  const bench = new Bench();
  const keys = bench.fill(300);
  assertEquals(await bench.all({ limit: 7 }), keys);
  assertEquals(await bench.all({ limit: 7, reverse: true }), keys.toReversed());
  assertEquals(await bench.all({ limit: 50, prefix: "k0010" }), keys.slice(100, 110));
  assertEquals(
    await bench.all({ limit: 3, start: "k00020", end: "k00031", reverse: true }),
    keys.slice(20, 31).toReversed(),
  );
  assertEquals(await bench.all({ limit: 50, after: "k00289" }), keys.slice(290));
  assertEquals(await bench.page({ limit: 5, start: "b", end: "a" }), {
    entries: [],
    next: undefined,
  });
  const [bare] = (await bench.page({ limit: 1 })).entries;
  assertEquals(bare?.value.length, 0);
  const [whole] = (await bench.page({ limit: 1, values: true })).entries;
  assertEquals(new TextDecoder().decode(whole?.value), "value of k00000");
});

Deno.test("ClusterDatabase.scan: a limit that is none is refused", async () => {
  const bench = new Bench();
  for (const limit of [0, -1, 1e9, NaN]) {
    const reply = await bench.scan({ limit });
    assert("req_type" in reply);
    assertEquals(reply.code, "bad_request");
  }
});

Deno.test("ClusterDatabase.scan: partitions that moved are asked for where they are now, the others are not", async () => {
  const bench = new Bench();
  const keys = bench.fill(200);
  bench.nodes.move(0, 1);
  bench.nodes.move(5, 0);
  assertEquals((await bench.page({ limit: 200 })).entries.map(({ key }) => key), keys);
  assertEquals(bench.nodes.refreshes, 1);
  const again = bench.nodes.asked.slice(3);
  // Bits of partition 0, at n1, and of partition 5, at n0.
  assertEquals(
    again.map(({ node, message }) => [node, message.partitions]).sort(),
    [["n0", btoa("\x04\0")], ["n1", btoa("\x80\0")]],
  );
});

Deno.test("ClusterDatabase.scan: a node that does not answer is asked again; one that never does ends it with an error", async () => {
  const bench = new Bench();
  const keys = bench.fill(100);
  let silent = 1;
  bench.nodes.fault = (node) => node === "n1" && silent-- > 0 ? null : undefined;
  assertEquals((await bench.page({ limit: 100 })).entries.map(({ key }) => key), keys);

  bench.nodes.fault = (node) => node === "n1" ? null : undefined;
  const beganMs = bench.clock.monotonicMs();
  const reply = await bench.scan({ limit: 100 }, 9_000);
  assert("req_type" in reply);
  assertEquals(reply.code, "timeout");
  assertStringIncludes(reply.message, "no answer for 5 of 16 partitions");
  assert(bench.clock.monotonicMs() - beganMs <= 9_001);
  assertEquals(bench.clock.timers <= 1, true);

  const down: Reply = { req_type: "error", code: "unavailable", message: "n1 is down" };
  bench.nodes.fault = (node) => node === "n1" ? down : undefined;
  const refused = await bench.scan({ limit: 100 }, 500);
  assert("req_type" in refused);
  assertEquals(refused.code, "unavailable");
  assertStringIncludes(refused.message, "n1 is down");
});

Deno.test("ClusterDatabase.scan: an error that does not pass ends it at once", async () => {
  const bench = new Bench();
  const damaged: Reply = { req_type: "error", code: "corrupt", message: "row 1 is damaged" };
  bench.nodes.fault = (node) => node === "n2" ? damaged : undefined;
  const beganMs = bench.clock.monotonicMs();
  const reply = await bench.scan({ limit: 100 });
  assert("req_type" in reply);
  assertEquals(reply.code, "corrupt");
  assert(bench.clock.monotonicMs() - beganMs < 50);
});

Deno.test("ClusterDatabase.scan: if a node stops early, the page does too; what there is, is given in time", async () => {
  const bench = new Bench();
  const keys = bench.fill(600);
  bench.nodes.rowsMax = 4;
  assertEquals(await bench.all({ limit: 500 }), keys);
  // A node that answers first and then no more does not lose the page.
  let answers = 0;
  bench.nodes.fault = (node) => node === "n0" && ++answers > 1 ? null : undefined;
  const page = await bench.page({ limit: 500 });
  assert(page.entries.length > 0 && page.next !== undefined);
  assertEquals(page.entries.map(({ key }) => key), keys.slice(0, page.entries.length));
});

Deno.test("ClusterDatabase.scan: a reply that is none counts as no answer", async () => {
  const bench = new Bench();
  const keys = bench.fill(50);
  const nonsense: unknown[] = [
    { req_type: "ack" },
    { req_type: "entries", entries: [] },
    { req_type: "entries", entries: [["k"]], partitions: "////" },
    { req_type: "entries", entries: [], partitions: "?" },
  ];
  bench.nodes.fault = (node) => node === "n0" ? nonsense.shift() as Reply | undefined : undefined;
  assertEquals((await bench.page({ limit: 50 })).entries.map(({ key }) => key), keys);
  assertEquals(nonsense, []);
});

Deno.test("ClusterDatabase: given up or closed, nothing is left", async () => {
  const bench = new Bench();
  bench.fill(50);
  bench.nodes.fault = () => null;
  let called = 0;
  const cancel = bench.database.scan({ limit: 5 }, 10_000, () => called++);
  await bench.clock.run(20);
  cancel();
  await bench.clock.run(20_000);
  assertEquals(called, 0);

  const ends: unknown[] = [];
  bench.database.scan({ limit: 5 }, 10_000, (result) => ends.push(result));
  bench.database.count({}, 10_000, (result) => ends.push(result));
  await bench.clock.run(20);
  bench.database.close();
  bench.database.count({}, 10_000, (result) => ends.push(result));
  await bench.clock.run(1);
  const closed = { req_type: "error", code: "unavailable", message: "the database is closed" };
  assertEquals(ends, [closed, closed, closed]);
  await bench.clock.run(SCAN_ATTEMPT_MS);
  assertEquals(bench.clock.timers, 0);
});

Deno.test("ClusterDatabase.count: in pieces, over moves and lost answers", async () => {
  for (let seed = 1; seed <= 60; seed++) {
    const bench = new Bench(seed);
    bench.fill(randomBelow(bench.random, 400));
    bench.nodes.put("other");
    bench.nodes.rowsMax = 1 + randomBelow(bench.random, 40);
    let troubles = 30;
    bench.nodes.onAsked = () => {
      if (troubles-- <= 0 || randomBelow(bench.random, 3) > 0) return;
      bench.nodes.move(randomBelow(bench.random, 16), randomBelow(bench.random, 3));
    };
    bench.nodes.fault = () => troubles > 0 && randomBelow(bench.random, 8) === 0 ? null : undefined;
    const wanted = bench.nodes.entries.size;
    assertEquals(await bench.count(undefined, 900_000), wanted, `seed ${seed}`);
    assertEquals(await bench.count("k", 900_000), wanted - 1, `seed ${seed}`);
  }
});

Deno.test("ClusterDatabase.count: progress gives it more time; without any it ends", async () => {
  const bench = new Bench();
  bench.fill(400);
  bench.nodes.rowsMax = 5;
  // Each answer takes a while: all of them much longer than the time without progress.
  bench.nodes.fault = () => randomBelow(bench.random, 2) === 0 ? null : undefined;
  const beganMs = bench.clock.monotonicMs();
  assertEquals(await bench.count(undefined, 12 * SCAN_ATTEMPT_MS), 400);
  assert(bench.clock.monotonicMs() - beganMs > 12 * SCAN_ATTEMPT_MS);
  bench.nodes.fault = () => null;
  const reply = await bench.count(undefined, 1_000);
  assert(typeof reply === "object");
  assertEquals(reply.code, "timeout");
});

Deno.test("ClusterDatabase.scan: at random: what is there throughout is given once, in order, whatever moves", async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const bench = new Bench(seed, 1 + seed % 4, 1 + (seed * 7) % 40);
    const { random, nodes } = bench;
    const words = ["a", "b", "ö", "\ue000", "\u{1f600}", "zz"];
    const word = () => words[randomBelow(random, words.length)] ?? "";
    const randomKey = () => word() + word() + word() + (randomBelow(random, 2) ? word() : "");
    for (let i = randomBelow(random, 300); i > 0; i--) nodes.put(randomKey());
    const throughout = new Set(nodes.entries.keys());
    const ever = new Set(throughout);
    if (randomBelow(random, 2) === 0) nodes.rowsMax = 1 + randomBelow(random, 9);
    let troubles = 60;
    const partitions = nodes.map().settings.partitionCount;
    nodes.onAsked = () => {
      switch (randomBelow(random, 5)) {
        case 0: {
          const key = randomKey();
          ever.add(key);
          nodes.put(key);
          return;
        }
        case 1: {
          const key = [...nodes.entries.keys()][randomBelow(random, nodes.entries.size)];
          if (key === undefined || randomBelow(random, 4) > 0) return;
          nodes.entries.delete(key);
          throughout.delete(key);
          return;
        }
        case 2: {
          if (troubles-- <= 0) return;
          nodes.move(randomBelow(random, partitions), randomBelow(random, 1 + seed % 4));
        }
      }
    };
    const gone: Reply = { req_type: "error", code: "unavailable", message: "gone" };
    nodes.fault = () => {
      if (troubles-- <= 0) return undefined;
      const choice = randomBelow(random, 12);
      return choice === 0 ? null : choice === 1 ? gone : undefined;
    };
    const reverse = randomBelow(random, 2) === 0;
    const bound = () => randomBelow(random, 3) === 0 ? word() : undefined;
    const request = {
      limit: 1 + randomBelow(random, 60),
      reverse,
      prefix: bound(),
      start: bound(),
      end: bound(),
    };
    const found = await bench.all(request);
    const where = JSON.stringify({ seed, request });
    const inOrder = found.toSorted((a, b) => reverse ? compareKeys(b, a) : compareKeys(a, b));
    assertEquals(found, inOrder, where);
    const given = new Set(found);
    assertEquals(given.size, found.length, `${where}: twice`);
    const matches = (key: string) =>
      key.startsWith(request.prefix ?? "") && compareKeys(key, request.start ?? "") >= 0 &&
      (request.end === undefined || compareKeys(key, request.end) < 0);
    for (const key of throughout) {
      if (matches(key)) assert(given.has(key), `${where}: ${key} is missing`);
    }
    for (const key of found) assert(ever.has(key) && matches(key), `${where}: ${key} is too much`);
  }
});
