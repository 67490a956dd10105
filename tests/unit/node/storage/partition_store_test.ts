import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { SeededKeyHash } from "../../../../node/storage/key_hash.ts";
import {
  GroupCommit,
  NO_STATE,
  openPartitionStores,
  PartitionStore,
} from "../../../../node/storage/partition_store.ts";
import { decodeRecord, recordKey } from "../../../../node/storage/record.ts";
import { RowCache } from "../../../../node/storage/row_cache.ts";
import { decodeState, stateKey } from "../../../../node/storage/state_record.ts";
import { compareBytes } from "../../../../shared/base/key_order.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { STORAGE_RETRY_MS } from "../../../../shared/limits/storage.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import { WorkScheduler } from "../../../../shared/scheduling/work_scheduler.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { entryOf, PartitionModel, randomTurn } from "../../../support/data/partition_model.ts";
import { ScriptedStorage } from "../../../support/doubles/scripted_storage.ts";

const PARTITION = 3;
const PARTITIONS = 8;

function setUp(cacheBytes = 4_096, storage = new ScriptedStorage()) {
  const clock = new ManualClock();
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    // The clock stands still while these tests scan: no slice of work ends.
    work: new WorkScheduler(clock, Infinity, Infinity),
    cache: cacheBytes === 0
      ? undefined
      : new RowCache(cacheBytes, new SeededKeyHash(new SeededRandom(1))),
    onError: (error) => {
      throw error;
    },
  });
  const store = new PartitionStore(queue, PARTITION, NO_STATE, () => {});
  const finish = () => {
    clock.settle();
    while (storage.writes.length > 0) {
      storage.complete();
      clock.settle();
    }
  };
  return { clock, storage, queue, store, finish };
}

async function scanAll(store: PartitionStore, rowsMax: number, beyondSeq?: number) {
  const entries = [];
  let after: string | undefined;
  do {
    const page = await store.scan(after, {
      rowsMax,
      bytesMax: 300,
      ...(beyondSeq === undefined ? {} : { beyondSeq }),
    });
    assertEquals(page.entries.length <= rowsMax, true);
    entries.push(...page.entries);
    after = page.next;
  } while (after !== undefined);
  return entries;
}

Deno.test("PartitionStore.get sees a write at once, and the newest of several under way", () => {
  const { clock, storage, store, finish } = setUp();
  for (const [seq, value] of [[1, "one"], [2, "two"], [3, undefined], [4, "four"]] as const) {
    store.apply(entryOf("k", seq, value));
    assertEquals(store.get("k"), entryOf("k", seq, value));
    clock.settle();
  }
  assertEquals(storage.writes.length, 1);
  storage.complete();
  assertEquals(store.get("k")?.seq, 4, "not the older one that is on disk now");
  store.remove("k");
  assertEquals(store.get("k"), undefined);
  finish();
  assertEquals(store.get("k"), undefined);
});

Deno.test("PartitionStore in memory: a write is there at once, and told of when its turn has ended", () => {
  const { clock, storage, queue } = setUp(0);
  storage.volatile = true;
  const told: number[] = [];
  const store = new PartitionStore(queue, PARTITION, NO_STATE, (lastSeq) => told.push(lastSeq));
  for (const seq of [1, 2]) {
    store.apply(entryOf("k", seq, "value"));
    store.setState({ lastSeq: seq });
    assertEquals(decodeRecord(recordKey(PARTITION, "k"), onlyRow(storage)).seq, seq);
  }
  assertEquals(told, []);
  clock.settle();
  assertEquals(told, [2]);
  assertEquals(storage.writes, [], "no state");
});

function onlyRow({ rows }: ScriptedStorage): Uint8Array {
  assertEquals(rows.size, 1);
  return [...rows.values()][0] ?? new Uint8Array();
}

/** Of the values of all entries' rows. */
function bytesOf({ rows }: ScriptedStorage): number {
  let bytes = 0;
  // In hexadecimal: the partition's two bytes, and those of an entry's key.
  for (const [key, value] of rows) {
    if (key.startsWith("0003") && key.length > 4) bytes += value.length;
  }
  return bytes;
}

Deno.test("PartitionStore agrees with a map under random turns, with writes in flight", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = new SeededRandom(seed);
    const { clock, storage, store, finish } = setUp(seed % 3 === 0 ? 0 : 4_096);
    storage.volatile = seed % 3 === 1;
    const model = new PartitionModel(PARTITION);
    const keysSeen = new Set<string>();
    for (let turn = 0; turn < 150; turn++) {
      randomTurn(random, store, model);
      clock.settle();
      if (storage.writes.length > 0 && randomBelow(random, 3) > 0) storage.complete();
      const { count, digest } = store.state;
      assertEquals({ count, digest }, model.summary());
      for (const key of keysSeen) assertEquals(store.get(key), model.entries.get(key));
      for (const key of model.entries.keys()) keysSeen.add(key);
      if (turn % 10 !== 0) continue;
      assertEquals(await scanAll(store, 1 + randomBelow(random, 6)), model.sorted());
      const seq = randomBelow(random, store.state.lastSeq + 2);
      const beyond = model.sorted().filter((entry) => entry.seq > seq);
      assertEquals(await scanAll(store, 3, seq), beyond);
      const keys = beyond.map((entry) => entry.key);
      assertEquals(await store.keysBeyond(seq, keys.length), keys);
      if (keys.length > 0) assertEquals(await store.keysBeyond(seq, keys.length - 1), undefined);
      const upto = keys[keys.length >> 1];
      const some = keys.slice(0, (keys.length >> 1) + 1);
      if (upto !== undefined) assertEquals(await store.keysBeyond(seq, 100, upto), some);
      assertEquals(await store.verify(), true);
    }
    for (const key of model.entries.keys()) assertEquals(store.get(key), model.entries.get(key));
    finish();
    assertEquals(await scanAll(store, 100), model.sorted());
    assertEquals(await store.verify(), true);
    assertEquals(store.liveBytes, bytesOf(storage));
  }
});

Deno.test("PartitionStore.scan keeps to its bounds and to upto", async () => {
  const { store, finish } = setUp();
  for (let i = 0; i < 9; i++) store.apply(entryOf(`k${i}`, i + 1, "value"));
  finish();
  for (const key of ["k1", "k4x", "k9"]) store.apply(entryOf(key, 20, "new"));
  const keys = async (after: string | undefined, options: Parameters<typeof store.scan>[1]) => {
    const { entries, next } = await store.scan(after, options);
    return [entries.map((entry) => entry.key).join(" "), next];
  };
  const all = { rowsMax: 100, bytesMax: 1e9 };
  assertEquals(await keys(undefined, all), ["k0 k1 k2 k3 k4 k4x k5 k6 k7 k8 k9", undefined]);
  assertEquals(await keys("k7", all), ["k8 k9", undefined]);
  assertEquals(await keys("k3", { ...all, upto: "k5" }), ["k4 k4x k5", undefined]);
  assertEquals(await keys("k3", { ...all, upto: "k4y" }), ["k4 k4x", undefined]);
  assertEquals(await keys("k3", { ...all, rowsMax: 2 }), ["k4 k4x", "k4x"]);
  assertEquals(await keys("k3", { ...all, bytesMax: 1 }), ["k4", "k4"]);
  assertEquals(await keys(undefined, { rowsMax: 4, bytesMax: 1e9, beyondSeq: 19 }), ["k1", "k3"]);
  assertEquals(await keys("k9", all), ["", undefined]);
});

Deno.test("PartitionStore: a page that is nearly full ends before a large entry, wherever that is", async () => {
  const { store, finish } = setUp();
  const write = (key: string, seq: number, length: number) =>
    store.apply(entryOf(key, seq, "x".repeat(length)));
  write("a", 1, 700);
  write("b", 2, 8_000);
  write("c", 3, 700);
  finish();
  const page = { rowsMax: 10, bytesMax: 1_000 };
  const scanned = async () => {
    const pages: string[] = [];
    let after: string | undefined;
    do {
      const { entries, next } = await store.scan(after, page);
      pages.push(entries.map(({ key }) => key).join(" "));
      after = next;
    } while (after !== undefined);
    return pages;
  };
  const captured = async () => {
    const snapshot = store.snapshot(page);
    const pages: string[] = [];
    for (let ended = false; !ended;) {
      const read = await snapshot.next();
      pages.push(read.entries.map(({ key }) => key).join(" "));
      ended = read.ended;
    }
    snapshot.close();
    return pages;
  };
  assertEquals(await scanned(), ["a", "b", "c"]);
  assertEquals(await captured(), ["a", "b", "c"]);
  // Writes under way, one of a large entry in the place of a small one.
  write("aa", 4, 8_000);
  write("c", 5, 8_000);
  write("d", 6, 100);
  assertEquals(await scanned(), ["a", "aa", "b", "c", "d"]);
  assertEquals(await captured(), ["a", "aa", "b", "c", "d"]);
});

Deno.test("PartitionStore.scan goes forwards and backwards between any bounds, writes under way included", async () => {
  const encoder = new TextEncoder();
  const order = (a: string, b: string) => {
    const [x, y] = [encoder.encode(a), encoder.encode(b)];
    return compareBytes(x, y);
  };
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SeededRandom(seed);
    const { store, storage, finish, clock } = setUp(0);
    storage.volatile = seed % 4 === 1;
    const model = new PartitionModel(PARTITION);
    const words = ["", "a", "ab", "b", "ö", "\ue000", "\u{1f600}", "\u{1f600}b", "\u{10ffff}"];
    const word = () => words[randomBelow(random, words.length)] ?? "";
    const maybe = () => randomBelow(random, 2) === 0 ? undefined : word();
    for (let turn = 0; turn < 40; turn++) {
      randomTurn(random, store, model);
      if (randomBelow(random, 3) === 0) finish();
      else if (randomBelow(random, 2) === 0) clock.settle();
      const [start, end, reverse] = [maybe(), maybe(), randomBelow(random, 2) === 0];
      let after = maybe();
      const wanted = model.sorted().filter(({ key }) =>
        order(key, start ?? "") >= 0 && (end === undefined || order(key, end) < 0) &&
        (after === undefined || (reverse ? order(key, after) < 0 : order(key, after) > 0))
      );
      if (reverse) wanted.reverse();
      const found = [];
      do {
        const rowsMax = 1 + randomBelow(random, 5);
        const page = store.scan(after, { rowsMax, bytesMax: 200, start, end, reverse });
        // What ends while the rows are on their way changes nothing.
        if (storage.writes.length > 0 && randomBelow(random, 3) === 0) storage.complete();
        const { entries, next } = await page;
        assertEquals(entries.length <= rowsMax, true);
        found.push(...entries);
        after = next;
      } while (after !== undefined);
      assertEquals(found, wanted, JSON.stringify({ seed, turn, start, end, after, reverse }));
    }
  }
});

Deno.test("PartitionStore.scan reflects every write up to its asOfSeq, whatever ends meanwhile", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const { clock, storage, store } = setUp();
    const model = new PartitionModel(PARTITION);
    for (let turn = 0; turn < 30; turn++) {
      randomTurn(random, store, model);
      clock.settle();
      if (storage.writes.length > 0 && randomBelow(random, 2) > 0) storage.complete();
    }
    storage.holdRanges = true;
    const expected = model.sorted();
    const { lastSeq } = store.state;
    const page = store.scan(undefined, { rowsMax: 1_000, bytesMax: 1e9 });
    for (let turn = 0; turn < 5; turn++) {
      randomTurn(random, store, model);
      clock.settle();
      if (storage.writes.length > 0) storage.complete();
    }
    storage.releaseRanges();
    const { entries, asOfSeq } = await page;
    assertEquals(asOfSeq, lastSeq);
    assertEquals(entries, expected);
  }
});

Deno.test("PartitionStore.verify is right while writes go on between and during its pages", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const { clock, storage, store, finish } = setUp();
    const model = new PartitionModel(PARTITION);
    for (let i = 0; i < 2_500; i++) store.apply(entryOf(`${i % 7}-${i}`, i + 1, "v"));
    store.setState({ lastSeq: 2_500, term: 1 });
    finish();
    storage.holdRanges = true;
    let result: boolean | undefined;
    const verifying = store.verify().then((fits) => result = fits);
    while (result === undefined) {
      randomTurn(random, store, model);
      for (let i = 0; i < 3; i++) {
        store.remove(`${randomBelow(random, 7)}-${randomBelow(random, 2_500)}`);
      }
      clock.settle();
      if (storage.writes.length > 0 && randomBelow(random, 2) > 0) storage.complete();
      if (randomBelow(random, 3) === 0) storage.releaseRanges();
      storage.holdRanges = true;
      await clock.run();
    }
    await verifying;
    assertEquals(result, true);
    storage.holdRanges = false;
    storage.releaseRanges();
    finish();
    assertEquals(store.liveBytes, bytesOf(storage));
  }
});

Deno.test("PartitionStore's state on disk never tells of what is not on disk", async () => {
  for (let seed = 1; seed <= 6; seed++) {
    const random = new SeededRandom(seed);
    const { clock, storage, store, finish } = setUp();
    const model = new PartitionModel(PARTITION);
    for (let turn = 0; turn < 60; turn++) {
      randomTurn(random, store, model);
      clock.settle();
      if (storage.writes.length > 0 && randomBelow(random, 3) === 0) storage.complete();
    }
    finish();
    for (let crash = 0; crash <= storage.batches.length; crash++) {
      const left = ScriptedStorage.replay(storage.batches.slice(0, crash));
      const opened = await openPartitionStores(left, PARTITIONS);
      assertEquals([...opened.damaged], [], `after ${crash} batches`);
      const state = opened.get(PARTITION);
      if (state === undefined) continue;
      const after = setUp(0, left);
      const reopened = new PartitionStore(after.queue, PARTITION, state, () => {});
      assertEquals(await reopened.verify(), true, `after ${crash} batches`);
      const seqs = (await scanAll(reopened, 100)).map((entry) => entry.seq);
      assertEquals(Math.max(0, ...seqs) <= state.lastSeq, true);
      assertEquals(state.commitSeq <= state.lastSeq, true);
    }
  }
});

Deno.test("PartitionStore never gives a damaged record, and notices it wherever it reads", async () => {
  const { storage, store, finish } = setUp(0);
  for (const key of ["a", "b", "c"]) store.apply(entryOf(key, 1, key));
  finish();
  const before = { ...store.state };
  for (let bit = 0; bit < 8 * 37; bit += 5) {
    storage.flip(recordKey(PARTITION, "b"), bit);
    for (
      const use of [
        () => store.get("b"),
        () => store.apply(entryOf("b", 2, "new")),
        () => store.remove("b"),
      ]
    ) {
      assertEquals(assertThrows(use, KvError).code, "corrupt");
    }
    assertEquals(store.state, before);
    assertEquals(await store.verify(), false);
    const error = await assertRejects(() => store.scan(undefined, { rowsMax: 9, bytesMax: 999 }));
    assertEquals(error instanceof KvError && error.code, "corrupt");
    assertEquals(store.get("a")?.seq, 1);
    storage.flip(recordKey(PARTITION, "b"), bit);
  }
  assertEquals(await store.verify(), true);
  storage.rows.delete([...storage.rows.keys()].find((key) => key.endsWith("63")) ?? "");
  assertEquals(await store.verify(), false, "a row is missing");
});

Deno.test("PartitionStore.liveBytes is not known before the rows were read through once, unless there are none", async () => {
  const { storage, queue, store, finish } = setUp();
  assertEquals(store.liveBytes, 0);
  store.apply(entryOf("a", 1, "one"));
  store.apply(entryOf("b", 2, "two"));
  store.setState({ lastSeq: 2, term: 1 });
  finish();
  assertEquals(store.liveBytes, bytesOf(storage));
  const again = new PartitionStore(queue, PARTITION, { ...store.state }, () => {});
  assertEquals(again.liveBytes, undefined);
  again.apply(entryOf("a", 3, "another"));
  assertEquals(again.liveBytes, undefined);
  assertEquals(await again.verify(), true);
  finish();
  assertEquals(again.liveBytes, bytesOf(storage));
});

Deno.test("PartitionStore.expiringCount is exact once the rows were read through, and before that what is known in memory", async () => {
  const { queue, store, finish } = setUp();
  const expiring = (key: string, seq: number) => ({
    ...entryOf(key, seq, "v"),
    expiresAtMs: 9e12 + seq,
  });
  for (let seq = 1; seq <= 9; seq++) store.apply(expiring(`k${seq}`, seq));
  store.apply(entryOf("k1", 10, "stays"));
  store.apply(entryOf("other", 11, "stays"));
  finish();
  assertEquals(store.expiringCount, 8, "an empty store has been read through");
  const again = new PartitionStore(queue, PARTITION, { ...store.state }, () => {}, 4);
  assertEquals(again.expiringCount, 0);
  again.apply(expiring("k2", 12));
  assertEquals(await again.verify(), true);
  assertEquals([again.expiringCount, again.expiring.size], [8, 0], "more than memory keeps");
  again.remove("k2");
  again.apply(expiring("other", 13));
  again.apply(entryOf("k3", 14, "stays"));
  assertEquals(again.expiringCount, 7);
  finish();
});

Deno.test("PartitionStore.readExpiryPage counts what expires while writes go on, whatever fits into memory", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = new SeededRandom(seed);
    const { queue, store: written, finish } = setUp();
    const model = new Map<string, boolean>();
    let seq = 0;
    const write = (store: PartitionStore) => {
      const key = `k${randomBelow(random, 60)}`;
      const what = randomBelow(random, 3);
      const entry = entryOf(key, ++seq, what === 0 ? undefined : "v");
      const expires = what === 1;
      store.apply(expires ? { ...entry, expiresAtMs: 1_000 + randomBelow(random, 50) } : entry);
      model.set(key, expires);
    };
    for (let i = 0; i < 100; i++) write(written);
    finish();
    const store = new PartitionStore(queue, PARTITION, { ...written.state }, () => {}, 8);
    const isWhole = randomBelow(random, 4) > 0;
    store.beginExpiryPass();
    let after: string | undefined;
    do {
      const options = { rowsMax: 1 + randomBelow(random, 7), bytesMax: 10_000 };
      const reading = store.readExpiryPage(after, options);
      for (let i = randomBelow(random, 3); i > 0; i--) write(store);
      if (randomBelow(random, 2) === 0) finish();
      after = (await reading).next;
      for (let i = randomBelow(random, 3); i > 0; i--) write(store);
    } while (after !== undefined && (isWhole || randomBelow(random, 3) > 0));
    store.endExpiryPass(after === undefined);
    if (after !== undefined) continue;
    for (let i = 0; i < 20; i++) write(store);
    const expected = [...model.values()].filter((expires) => expires).length;
    assertEquals(store.expiringCount, expected, `seed ${seed}`);
    finish();
  }
});

Deno.test("PartitionStore.markDamaged lasts until clear", async () => {
  const { clock, storage, store, finish } = setUp();
  store.apply(entryOf("a", 1, "v"));
  store.setState({ lastSeq: 1 });
  store.markDamaged();
  finish();
  assertEquals((await openPartitionStores(storage, PARTITIONS)).damaged.has(PARTITION), true);
  let done = false;
  const clearing = store.clear().then(() => done = true);
  while (!done) {
    await clock.run();
    if (storage.writes.length > 0) storage.complete();
    await clock.run();
  }
  await clearing;
  const opened = await openPartitionStores(storage, PARTITIONS);
  assertEquals([opened.size, opened.damaged.size], [0, 0]);
});

Deno.test("PartitionStore.clear leaves nothing, and what it leaves when cut off is finished at open", async () => {
  const { clock, storage, store, queue } = setUp();
  const other = new PartitionStore(queue, PARTITION + 1, NO_STATE, () => {});
  for (let i = 0; i < 2_100; i++) {
    store.apply(entryOf(`k${i}`, i + 1, "v"));
    other.apply(entryOf(`k${i}`, i + 1, "v"));
  }
  other.setState({ lastSeq: 2_100 });
  store.setState({ lastSeq: 2_100 });
  let done = false;
  const clearing = store.clear().then(() => done = true);
  while (!done) {
    await clock.run();
    if (storage.writes.length > 0) storage.complete();
    assertEquals(store.get("k7"), undefined);
    await clock.run();
  }
  await clearing;
  const { term, lastSeq, count, digest, tombstones } = store.state;
  assertEquals([term, lastSeq, count, digest, tombstones], [0, 0, 0, 0, 0]);
  assertEquals([...storage.rows.keys()].filter((key) => key.startsWith("0003")), []);
  assertEquals(await other.verify(), true);
  assertEquals(await scanAll(store, 10), []);

  assertEquals(storage.batches.length >= 5, true);
  for (let crash = 2; crash <= storage.batches.length; crash++) {
    const left = ScriptedStorage.replay(storage.batches.slice(0, crash));
    const opening = openPartitionStores(left, PARTITIONS);
    let opened: Awaited<typeof opening> | undefined;
    opening.then((result) => opened = result);
    while (opened === undefined) {
      await clock.run();
      if (left.writes.length > 0) left.complete();
    }
    assertEquals([...opened.keys()], [PARTITION + 1], `after ${crash} batches`);
    assertEquals(opened.damaged.size, 0);
    assertEquals([...left.rows.keys()].filter((key) => key.startsWith("0003")), []);
    // What was finished is consistent with the head: a second start finds nothing either.
    assertEquals((await openPartitionStores(left, PARTITIONS)).damaged.size, 0);
  }

  // The store is as new.
  store.apply(entryOf("again", 1, "v"));
  store.setState({ lastSeq: 1 });
  clock.settle();
  storage.complete();
  assertEquals((await scanAll(store, 10)).length, 1);
  assertEquals((await openPartitionStores(storage, PARTITIONS)).damaged.size, 0);
});

Deno.test("PartitionStores share a cache without seeing each other's records", () => {
  const { store, queue, finish } = setUp(100_000);
  const other = new PartitionStore(queue, PARTITION + 1, NO_STATE, () => {});
  store.apply(entryOf("k", 1, "mine"));
  finish();
  assertEquals(other.get("k"), undefined);
  other.apply(entryOf("k", 5, "other"));
  finish();
  assertEquals(store.get("k")?.seq, 1);
  assertEquals(other.get("k")?.seq, 5);
});

Deno.test("PartitionStore: an entry from the cache stays as it is when the cache goes on", () => {
  const { storage, store, finish } = setUp();
  store.apply(entryOf("k", 1, "value"));
  finish();
  storage.rows.delete("00036b");
  const entry = store.get("k");
  assertEquals(entry, entryOf("k", 1, "value"), "from the cache");
  for (let i = 0; i < 200; i++) store.apply(entryOf(`other${i}`, i + 2, "another"));
  finish();
  assertEquals(entry, entryOf("k", 1, "value"));
  assertEquals(store.get("k"), undefined, "the cache has gone on");
});

Deno.test("PartitionStore.clear: what was cached is not found again, not even where the disk hid it", async () => {
  const { clock, storage, store, finish } = setUp();
  for (const key of ["cached", "hidden"]) store.apply(entryOf(key, 1, "old"));
  finish();
  store.apply(entryOf("under way", 2, "old"));
  const hidden = [...storage.rows.keys()].find((key) => key.startsWith("000368")) ?? "";
  assertEquals(storage.rows.delete(hidden), true);
  assertEquals(store.get("hidden")?.seq, 1);
  let done = false;
  const clearing = store.clear().then(() => done = true);
  while (!done) {
    await clock.run();
    if (storage.writes.length > 0) storage.complete();
  }
  await clearing;
  for (const key of ["cached", "hidden", "under way"]) assertEquals(store.get(key), undefined);
  store.apply(entryOf("cached", 1, "new"));
  finish();
  assertEquals(store.get("cached"), entryOf("cached", 1, "new"));
});

Deno.test("PartitionStore: a batch that the disk refused is not in the cache", () => {
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  const cache = new RowCache(4_096, new SeededKeyHash(new SeededRandom(1)));
  const queue = new GroupCommit(storage, clock, { fsync: "always", cache, onError() {} });
  const store = new PartitionStore(queue, PARTITION, NO_STATE, () => {});
  const rowKey = recordKey(PARTITION, "k");
  const cachedSeq = () => {
    // Owners are counted from 0, and the store is the first.
    const row = cache.peek(rowKey, 0);
    return row === undefined ? undefined : decodeRecord(rowKey, row).seq;
  };
  store.apply(entryOf("k", 1, "one"));
  clock.settle();
  storage.complete();
  assertEquals(cachedSeq(), 1);
  store.apply(entryOf("k", 2, "two"));
  clock.settle();
  store.apply(entryOf("k", 3, "three"));
  storage.fail(new Error("disk full"));
  assertEquals([cachedSeq(), store.get("k")?.seq], [1, 3]);
  clock.advance(STORAGE_RETRY_MS);
  clock.settle();
  storage.complete();
  clock.settle();
  assertEquals([cachedSeq(), store.get("k")?.seq], [1, 3], "the second is not the newest");
  storage.complete();
  assertEquals([cachedSeq(), store.get("k")?.seq], [3, 3]);
});

Deno.test("PartitionStore keeps the layout that its files describe", () => {
  const { storage, store, finish } = setUp();
  store.apply(entryOf("k", 3, "v"));
  store.setState({ lastSeq: 3, term: 2, commitSeq: 1, watermark: 0 });
  finish();
  const rowKey = recordKey(PARTITION, "k");
  assertEquals(decodeRecord(rowKey, storage.get(rowKey) ?? new Uint8Array()), entryOf("k", 3, "v"));
  const state = decodeState(
    stateKey(PARTITION),
    storage.get(stateKey(PARTITION)) ?? new Uint8Array(),
  );
  assertEquals(state.state.lastSeq, 3);
  assertEquals([...storage.rows.keys()], ["00036b", "0003"]);
});

Deno.test("PartitionStore: pages of scans wait for their turn of the event loop", async () => {
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  storage.volatile = true;
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    work: new WorkScheduler(clock, 10, 4),
    onError: (error) => {
      throw error;
    },
  });
  const store = new PartitionStore(queue, PARTITION, NO_STATE, () => {});
  for (let i = 0; i < 20; i++) store.apply(entryOf(`k${i}`, i + 1, "value"));
  clock.settle();
  let ended = false;
  const scan = scanAll(store, 1).finally(() => ended = true);
  // Promises alone take it no further than to the end of the slice.
  for (let i = 0; i < 1_000; i++) await Promise.resolve();
  assertEquals(ended, false);
  assertEquals(queue.work.waiting, 1);
  await clock.run(0);
  assertEquals((await scan).length, 20);
});

/** A disk that counts how often rows are read from it. */
class CountingStorage extends ScriptedStorage {
  reads = 0;

  override get(key: Uint8Array): Uint8Array | undefined {
    this.reads++;
    return super.get(key);
  }
}

Deno.test("PartitionStore.apply reads the row that it replaces from the disk only if no memory has it, and once", () => {
  const storage = new CountingStorage();
  const { store, queue, finish } = setUp(4_096, storage);
  let seq = 0;
  const put = (on: PartitionStore, key: string) => {
    on.apply(entryOf(key, ++seq, "v"));
    on.setState({ lastSeq: seq });
    return storage.reads;
  };
  const { state } = store;
  assertEquals(put(store, "a"), 1, "whether there is one, nobody knows but the disk");
  assertEquals(put(store, "a"), 1, "it is on its way there");
  finish();
  assertEquals(put(store, "a"), 1, "it is in the cache");
  finish();
  // As after a start: nothing is in memory.
  const cold = new PartitionStore(
    new GroupCommit(storage, new ManualClock(), {
      fsync: "always",
      onError: (error) => {
        throw error;
      },
    }),
    PARTITION,
    state,
    () => {},
  );
  assertEquals(put(cold, "a"), 2, "its checksum leaves the digest");
  assertEquals(put(cold, "a"), 2);
  assertEquals(cold.state.count, 1, "that is what it is read for");
  cold.applyAll([entryOf("b", ++seq, "v"), entryOf("b", ++seq, "w")]);
  assertEquals([storage.reads, cold.state.count], [3, 2], "once for a group");
  assertEquals(queue.pendingBytes, 0);
});
