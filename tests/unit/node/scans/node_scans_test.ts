import { assert, assertEquals } from "@std/assert";
import type {
  NodeCount,
  NodeCountRequest,
  NodeScanPage,
  NodeScanRequest,
} from "../../../../node/scans/scan_call.ts";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import {
  NODE_SCANS_MAX,
  NODE_SCANS_WAITING_MAX,
  SCAN_BYTES_MAX,
  SCAN_KEPT_BYTES,
  SCAN_LOOKED_ROWS_MAX,
} from "../../../../shared/limits/scans.ts";
import type { Message } from "../../../../shared/wire/messages.ts";
import { PartitionSet } from "../../../../shared/cluster/partition_set.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { randomBelow } from "../../../../shared/platform/random.ts";
import { NodeCluster, put } from "../../../support/worlds/node_cluster.ts";

const PARTITIONS = 8;

class Bench extends NodeCluster {
  constructor(nodes = 1, partitions = PARTITIONS) {
    super({ nodes, partitions, replicas: nodes });
  }

  async scan(
    request: Partial<NodeScanRequest>,
    timeoutMs = 4_000,
    id = "n1",
  ): Promise<NodeScanPage | Message<"error">> {
    const full = { limit: 1_000, partitions: PartitionSet.all(this.partitionCount), ...request };
    let result: NodeScanPage | Message<"error"> | undefined;
    this.node(id).scans.scan(full, timeoutMs, (page) => result = page);
    for (let i = 0; result === undefined && i < 2_000; i++) await this.run(i < 200 ? 0 : 20);
    assert(result !== undefined, "it never ends");
    return result;
  }

  async page(request: Partial<NodeScanRequest>, timeoutMs?: number): Promise<NodeScanPage> {
    const page = await this.scan(request, timeoutMs);
    assert(!("req_type" in page), JSON.stringify(page));
    return page;
  }

  async all(request: Partial<NodeScanRequest>): Promise<string[]> {
    const found: string[] = [];
    let after: string | undefined;
    do {
      const page = await this.page({ ...request, after });
      assertEquals(page.covered.size, this.partitionCount);
      found.push(...page.entries.map(({ key }) => key));
      after = page.next;
    } while (after !== undefined);
    return found;
  }

  async count(request: Partial<NodeCountRequest> = {}, id = "n1"): Promise<NodeCount> {
    const full = { partitions: PartitionSet.all(this.partitionCount), ...request };
    let result: NodeCount | Message<"error"> | undefined;
    this.node(id).scans.count(full, 4_000, (count) => result = count);
    for (let i = 0; result === undefined && i < 2_000; i++) await this.run(i < 200 ? 0 : 20);
    assert(result !== undefined && !("req_type" in result), JSON.stringify(result));
    return result;
  }

  get partitionCount(): number {
    return this.map.settings.partitionCount;
  }

  /** Writes without waiting for each. */
  async fill(keys: readonly string[], value = (key: string) => `value of ${key}`): Promise<void> {
    let done = 0;
    for (const key of keys) {
      const config = this.config(partitionOf(key, this.partitionCount));
      this.node(config.primary ?? "").execute(put(key, value(key)), (reply) => {
        assertEquals(reply.req_type, "ack");
        done++;
      });
    }
    for (let i = 0; done < keys.length && i < 500; i++) await this.run(5);
    assertEquals(done, keys.length);
  }
}

function named(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `k${String(i).padStart(5, "0")}`);
}

Deno.test("NodeScans.scan: pages of all partitions in order, either way, of any size", async () => {
  const cluster = new Bench();
  await cluster.startAll();
  const letters = ["a", "b", "ö", "\ue000", "\u{1f600}"];
  const keys = [
    ...new Set(
      Array.from(
        { length: 400 },
        () => Array.from({ length: 5 }, () => letters[randomBelow(cluster.random, 5)]).join(""),
      ),
    ),
  ];
  await cluster.fill(keys);
  keys.sort(compareKeys);
  for (const limit of [1, 7, 100, 1_000]) {
    assertEquals(await cluster.all({ limit }), keys);
    assertEquals(await cluster.all({ limit, reverse: true }), keys.toReversed());
  }
  const within = keys.filter((key) => key.startsWith("ö") && compareKeys(key, "öb") >= 0);
  assertEquals(await cluster.all({ limit: 9, prefix: "ö", start: "öb" }), within);
  assertEquals(
    await cluster.all({ limit: 9, prefix: "ö", start: "öb", reverse: true }),
    within.toReversed(),
  );
  assertEquals((await cluster.count()).count, keys.length);
  assertEquals((await cluster.count({ prefix: "ö", start: "öb" })).count, within.length);
  const [first] = (await cluster.page({ limit: 1, values: true })).entries;
  assertEquals(new TextDecoder().decode(first?.value), `value of ${keys[0]}`);
  assertEquals((await cluster.page({ limit: 1 })).entries[0]?.value.length, 0);
});

Deno.test("NodeScans: what is deleted, expired or a client session does not show, and does not count", async () => {
  const cluster = new Bench();
  await cluster.startAll();
  const keys = named(60);
  await cluster.fill([...keys, "\0", "\0lanf"]);
  for (const [i, key] of keys.entries()) {
    if (i % 3 === 0) {
      await cluster.ask("n1", {
        req_type: "delete",
        key,
        session: `session${i}`,
        request_number: 1,
      });
    }
    if (i % 3 === 1) await cluster.ask("n1", { req_type: "expire", key, ttl_ms: 1_000 });
  }
  const left = ["\0", "\0lanf", ...keys.filter((_, i) => i % 3 !== 0)];
  assertEquals(await cluster.all({ limit: 4 }), left);
  assertEquals((await cluster.count()).count, left.length);
  await cluster.run(1_000);
  const live = ["\0", "\0lanf", ...keys.filter((_, i) => i % 3 === 2)];
  assertEquals(await cluster.all({ limit: 4 }), live);
  assertEquals(await cluster.all({ limit: 4, reverse: true }), live.toReversed());
  assertEquals((await cluster.count()).count, live.length);
  // Also once the expired ones have been swept, when the stores' own counts are used.
  await cluster.run(60_000);
  assertEquals((await cluster.count()).count, live.length);
});

Deno.test("NodeScans: only the partitions that were asked for, of those that the node is primary of", async () => {
  const cluster = new Bench(3);
  await cluster.startAll();
  const keys = named(100);
  await cluster.fill(keys);
  const mine = (partition: number) => cluster.config(partition).primary === "n1";
  const page = await cluster.page({});
  assertEquals([...page.covered], [0, 1, 2, 3, 4, 5, 6, 7].filter(mine));
  const wanted = keys.filter((key) => mine(partitionOf(key, PARTITIONS)));
  assertEquals(page.entries.map(({ key }) => key), wanted);
  assertEquals((await cluster.count()).count, wanted.length);

  const partitions = new PartitionSet(PARTITIONS);
  partitions.add(0);
  partitions.add(1);
  const one = await cluster.page({ partitions });
  assertEquals([...one.covered], [0]);
  assertEquals(
    one.entries.map(({ key }) => key),
    keys.filter((key) => partitionOf(key, PARTITIONS) === 0),
  );
  assertEquals([...(await cluster.count({ partitions })).covered], [0]);
});

Deno.test("NodeScans.scan: waits until what it saw is committed, and speaks for the other partitions if that takes too long", async () => {
  const cluster = new Bench(2, 2);
  await cluster.startAll();
  await cluster.fill(named(20));
  const key = named(50).find((key, i) => i > 20 && partitionOf(key, 2) === 0) ?? "";
  // Nothing reaches the replica: writes are not committed.
  cluster.network.cut("n1", "n2");
  let committed = false;
  cluster.node("n1").execute(put(key, "late"), () => committed = true);
  const page = await cluster.page({}, 800);
  assertEquals(committed, false);
  assertEquals([...page.covered], []);
  assertEquals(page.entries, []);
  cluster.network.heal("n1", "n2");
  const later = await cluster.page({}, 20_000);
  assertEquals(committed, true);
  assertEquals([...later.covered], [0]);
  assert(later.entries.some((entry) => entry.key === key));
});

Deno.test("NodeScans: what is written while a page is being read leaves with it only once it is committed", async () => {
  for (const what of ["page", "count"] as const) {
    const cluster = new Bench(2, 1);
    await cluster.startAll();
    await cluster.fill(named(20));
    const store = cluster.node("n1").partition(0)?.store;
    assert(store !== undefined);
    const scan = store.scan.bind(store);
    let committed = false;
    let struck = false;
    store.scan = (after, options) => {
      if (!struck) {
        struck = true;
        cluster.network.cut("n1", "n2");
        cluster.node("n1").execute(put("late", "x"), () => committed = true);
      }
      return scan(after, options);
    };
    const { covered } = what === "page"
      ? await cluster.page({}, 800)
      : await cluster.count({ prefix: "l" });
    assert(struck, what);
    // A count may wait for so long that the replica is given up, and the write is committed.
    assert(committed || covered.size === 0, what);
    cluster.network.heal("n1", "n2");
    const later = await cluster.page({}, 20_000);
    assertEquals([committed, [...later.covered]], [true, [0]]);
    assert(later.entries.some(({ key }) => key === "late"));
  }
});

Deno.test("NodeScans: a page and a piece of a count look at a bounded number of rows", async () => {
  const cluster = new Bench(1, 1);
  await cluster.startAll();
  // An expired key is a row like any other, until it is swept.
  const keys = named(SCAN_LOOKED_ROWS_MAX + 3_000);
  const store = cluster.node("n1").partition(0)?.store;
  assert(store !== undefined);
  for (const [i, key] of keys.entries()) {
    store.apply({
      key,
      seq: i + 1,
      term: 1,
      flags: 0,
      timestampMs: 1,
      expiresAtMs: i === keys.length - 1 ? 0 : 1,
      value: new Uint8Array(0),
    });
  }
  const page = await cluster.page({ limit: 10 });
  assertEquals(page.entries, []);
  assert(page.next !== undefined && page.covered.size === 1);
  const rest = await cluster.page({ limit: 10, after: page.next });
  assertEquals(rest.entries.map(({ key }) => key), keys.slice(-1));
  assertEquals(rest.next, undefined);
  const piece = await cluster.count({ prefix: "k" });
  assertEquals([piece.count, piece.at, piece.covered.size], [0, 0, 0]);
  const end = await cluster.count({ prefix: "k", at: piece.at, after: piece.after });
  assertEquals([end.count, end.at, end.covered.size], [1, undefined, 1]);
});

Deno.test("NodeScans.scan: long values do not make a page or its memory long", async () => {
  const cluster = new Bench(1, 4);
  await cluster.startAll();
  const keys = named(20);
  await cluster.fill(keys, () => "x".repeat(SCAN_BYTES_MAX / 2 - 200));
  const found: string[] = [];
  let after: string | undefined;
  do {
    const page = await cluster.page({ limit: 100, values: true, after });
    assert(page.entries.length <= 2);
    for (const { key, value } of page.entries) {
      assertEquals(value.length, SCAN_BYTES_MAX / 2 - 200);
      found.push(key);
    }
    after = page.next;
  } while (after !== undefined);
  assertEquals(found, keys);
});

Deno.test("NodeScans.scan: values that are left on disk at first count in the page all the same", async () => {
  const cluster = new Bench(1, 16);
  await cluster.startAll();
  const keys = named(40);
  const length = 700_000;
  await cluster.fill(keys, () => "x".repeat(length));
  assert(keys.length * length > 2 * SCAN_KEPT_BYTES);
  const page = await cluster.page({ limit: 100, values: true });
  assertEquals(page.entries.length, 1);
  assertEquals(await cluster.all({ limit: 100, values: true }), keys);
});

Deno.test("NodeScans: some at a time, some waiting, the others are refused", async () => {
  const cluster = new Bench();
  await cluster.startAll();
  await cluster.fill(named(50));
  const codes: string[] = [];
  const all = NODE_SCANS_MAX + NODE_SCANS_WAITING_MAX + 5;
  const request = { limit: 10, partitions: PartitionSet.all(PARTITIONS) };
  for (let i = 0; i < all; i++) {
    cluster.node("n1").scans.scan(request, 4_000, (result) => {
      codes.push("req_type" in result ? result.code : "ok");
    });
  }
  assertEquals(codes, Array(5).fill("overloaded"));
  for (let i = 0; codes.length < all && i < 1_000; i++) await cluster.run(0);
  assertEquals(codes.filter((code) => code === "ok").length, all - 5);
});
