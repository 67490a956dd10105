/** What every {@linkcode Storage} keeps to: one suite for the journal, LevelDB and memory. */
import { assert, assertEquals } from "@std/assert";
import { LevelStorage } from "../../node/storage/leveldb/level_storage.ts";
import { DenoJournalFiles } from "../../node/storage/journal/deno_journal_files.ts";
import { type JournalBounds, JournalStorage } from "../../node/storage/journal/journal_storage.ts";
import { MemoryStorage } from "../../node/storage/memory/memory_storage.ts";
import { compareBytes } from "../../shared/base/key_order.ts";
import { SystemClock } from "../../shared/platform/clock.ts";
import { randomBelow, SeededRandom, SystemRandom } from "../../shared/platform/random.ts";
import { KvError } from "../../shared/base/errors.ts";
import type {
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../../node/storage/storage.ts";

const MAKERS: [name: string, open: (folder: string) => Promise<Storage>][] = [
  ["LevelStorage", (folder) => LevelStorage.open(folder)],
  ["JournalStorage", (folder) => openJournal(folder, {})],
  [
    "JournalStorage that feeds often",
    (folder) => openJournal(folder, { feedBytes: 30_000, feedDelayMs: 50 }),
  ],
  [
    "JournalStorage that never feeds",
    (folder) => openJournal(folder, { feedBytes: 2 ** 40, feedDelayMs: 2 ** 30 }),
  ],
  [
    "MemoryStorage",
    () => Promise.resolve(new MemoryStorage(new SystemClock(), new SystemRandom())),
  ],
];

async function openJournal(folder: string, bounds: Partial<JournalBounds>): Promise<Storage> {
  return await JournalStorage.open({
    clock: new SystemClock(),
    random: new SystemRandom(),
    files: new DenoJournalFiles(`${folder}/journal`),
    table: await LevelStorage.open(`${folder}/db`),
    id: "contract",
    create: true,
    bounds,
  });
}

function contract(
  what: string,
  body: (storage: Storage, random: SeededRandom) => Promise<void>,
): void {
  for (const [name, open] of MAKERS) {
    Deno.test(`${name} ${what}`, async () => {
      const folder = await Deno.makeTempDir();
      try {
        const storage = await open(folder);
        try {
          await body(storage, new SeededRandom(7));
        } finally {
          await storage.close();
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}

const bytes = (...values: number[]) => Uint8Array.from(values);
const text = (s: string) => new TextEncoder().encode(s);

function write(storage: Storage, changes: StorageChange[], sync = false): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.write(changes, sync, (error) => error === undefined ? resolve() : reject(error));
  });
}

const ALL = { from: bytes(), to: bytes(255, 255, 255), rowsMax: 1e6, bytesMax: Infinity };

/** The keys of a range, as numbers in a list. */
async function keys(storage: Storage, range: Partial<StorageRange>): Promise<string> {
  const rows = await storage.range({ ...ALL, ...range });
  return rows.map(([key]) => key.join(".")).join(" ");
}

contract("gives what was written last, and nothing for what was deleted", async (storage) => {
  assertEquals(storage.get(text("a")), undefined);
  await write(storage, [{ key: text("a"), value: text("1") }, { key: text("b"), value: bytes() }]);
  assertEquals(storage.get(text("a")), text("1"));
  assertEquals(storage.get(text("b")), bytes());
  await write(storage, [{ key: text("a"), value: text("2") }, { key: text("b") }], true);
  assertEquals(storage.get(text("a")), text("2"));
  assertEquals(storage.get(text("b")), undefined);
  await write(storage, [{ key: text("never") }]);
  assertEquals(storage.get(text("never")), undefined);
});

contract("keeps values of every size as they are", async (storage, random) => {
  for (const size of [0, 1, 63, 64, 65, 4_096, 1_000_003]) {
    const value = Uint8Array.from({ length: size }, () => random.uint32());
    const key = text(`size ${size}`);
    await write(storage, [{ key, value }]);
    assertEquals(storage.get(key), value);
    const [row] = await storage.range({ ...ALL, from: key, to: bytes(...key, 0) });
    assertEquals(row?.[1], value);
  }
});

contract("ends batches in order, and never inside the call", async (storage) => {
  const ended: number[] = [];
  const all: Promise<void>[] = [];
  for (let n = 0; n < 20; n++) {
    all.push(
      write(storage, [{ key: text("n"), value: bytes(n) }], n % 3 === 0).then(() => {
        ended.push(n);
      }),
    );
  }
  let inside = true;
  let called = false;
  storage.write([{ key: text("x"), value: bytes() }], false, () => called = inside);
  inside = false;
  await Promise.all(all);
  assertEquals(called, false);
  assertEquals(ended, Array.from({ length: 20 }, (_, n) => n));
  assertEquals(storage.get(text("n")), bytes(19));
});

contract("orders ranges by unsigned bytes, from inclusive and to exclusive", async (storage) => {
  const all = [bytes(0), bytes(0, 0), bytes(0, 1), bytes(1), bytes(1, 0, 0), bytes(1, 128)];
  all.push(bytes(1, 255), bytes(128), bytes(128, 0), bytes(255), bytes(255, 255));
  for (const key of all.toReversed()) await write(storage, [{ key, value: bytes(1) }]);
  assertEquals(await keys(storage, {}), "0 0.0 0.1 1 1.0.0 1.128 1.255 128 128.0 255 255.255");
  assertEquals(await keys(storage, { from: bytes(0, 1), to: bytes(1, 128) }), "0.1 1 1.0.0");
  assertEquals(await keys(storage, { from: bytes(1), to: bytes(1, 0) }), "1");
  assertEquals(await keys(storage, { from: bytes(1), to: bytes(1) }), "");
  assertEquals(await keys(storage, { from: bytes(2), to: bytes(128) }), "");
  assertEquals(await keys(storage, { from: bytes(2), to: bytes(255), reverse: true }), "128.0 128");
  assertEquals(await keys(storage, { reverse: true, rowsMax: 3 }), "255.255 255 128.0");
});

contract("stops a range at either limit, after the row that reaches it", async (storage) => {
  for (let n = 0; n < 10; n++) await write(storage, [{ key: bytes(n), value: new Uint8Array(99) }]);
  assertEquals(await keys(storage, { rowsMax: 3 }), "0 1 2");
  assertEquals(await keys(storage, { bytesMax: 1 }), "0");
  assertEquals(await keys(storage, { bytesMax: 100 }), "0");
  assertEquals(await keys(storage, { bytesMax: 101 }), "0 1");
  assertEquals(await keys(storage, { bytesMax: 300 }), "0 1 2");
  assertEquals(await keys(storage, { bytesMax: 300, reverse: true }), "9 8 7");
});

contract("gives a range as of the call, whatever is written afterwards", async (storage) => {
  for (let n = 0; n < 200; n++) await write(storage, [{ key: bytes(n), value: bytes(1) }]);
  const range = storage.range(ALL);
  const later = write(storage, [{ key: bytes(7), value: bytes(2) }, { key: bytes(8) }, {
    key: bytes(7, 7),
    value: bytes(3),
  }]);
  const rows = await range;
  await later;
  assertEquals(rows.length, 200);
  assertEquals(rows[7]?.[1], bytes(1));
});

contract("agrees with a sorted list under random batches", async (storage, random) => {
  const model = new Map<string, StorageRow>();
  for (let round = 0; round < 120; round++) {
    const changes: StorageChange[] = [];
    const seen = new Set<string>();
    for (let i = 0; i < 30; i++) {
      const key = Uint8Array.from(
        { length: 1 + randomBelow(random, 3) },
        () => randomBelow(random, 6) * 51,
      );
      if (seen.has(key.join())) continue;
      seen.add(key.join());
      if (randomBelow(random, 3) === 0) {
        changes.push({ key });
        model.delete(key.join());
      } else {
        const value = bytes(round, i);
        changes.push({ key, value });
        model.set(key.join(), [key, value]);
      }
    }
    await write(storage, changes);
    const from = bytes(randomBelow(random, 6) * 51, randomBelow(random, 6) * 51);
    const to = bytes(randomBelow(random, 6) * 51);
    const reverse = round % 2 === 0;
    const expected = [...model.values()].filter(([key]) =>
      compareBytes(key, from) >= 0 && compareBytes(key, to) < 0
    ).sort((a, b) => (reverse ? -1 : 1) * compareBytes(a[0], b[0]));
    const rowsMax = 1 + randomBelow(random, 40);
    const rows = await storage.range({ from, to, rowsMax, bytesMax: 1e6, reverse });
    assertEquals(
      rows.map(([key, value]) => [[...key], [...value]]),
      expected.slice(0, rowsMax).map(([key, value]) => [[...key], [...value]]),
    );
  }
});

async function readAll(snapshot: StorageSnapshot): Promise<string> {
  const found: string[] = [];
  for (;;) {
    const rows = await snapshot.next();
    if (rows.length === 0) return found.join(" | ");
    found.push(rows.map(([key, value]) => `${key.join(".")}=${value.join(".")}`).join(" "));
  }
}

contract(
  "shows a snapshot as it was, page by page, whatever is written meanwhile",
  async (storage) => {
    const put = (n: number, v: number) => ({ key: bytes(5, n), value: bytes(v) });
    await write(storage, [put(1, 1), put(2, 1), put(3, 1), put(4, 1), put(5, 1)]);
    await write(storage, [{ key: bytes(4, 9), value: bytes(1) }, {
      key: bytes(6),
      value: bytes(1),
    }]);
    const range = { from: bytes(5), to: bytes(6), bytesMax: 1e6 };
    const two = storage.snapshot({ ...range, rowsMax: 2 });
    const all = storage.snapshot({ ...range, rowsMax: 1e6 });
    const sized = storage.snapshot({ ...range, rowsMax: 1e6, bytesMax: 4 });
    const first = await two.next();
    assertEquals(first.map(([key]) => [...key]), [[5, 1], [5, 2]]);
    await write(storage, [put(1, 2), put(4, 2), put(6, 2), { key: bytes(5, 3) }], true);
    await write(storage, [{ key: bytes(5, 5) }, put(0, 2)]);
    assertEquals(await readAll(two), "5.3=1 5.4=1 | 5.5=1");
    assertEquals(await readAll(all), "5.1=1 5.2=1 5.3=1 5.4=1 5.5=1");
    assertEquals(await readAll(sized), "5.1=1 5.2=1 | 5.3=1 5.4=1 | 5.5=1");
    const later = storage.snapshot({ ...range, rowsMax: 1e6 });
    assertEquals(await readAll(later), "5.0=2 5.1=2 5.2=1 5.4=2 5.6=2");
    for (const snapshot of [two, all, sized, later]) await snapshot.close();
  },
);

contract("shows a large snapshot whole, among writes", async (storage, random) => {
  const model = new Map<number, number>();
  const writeSome = async () => {
    const changes = Array.from({ length: 200 }, () => {
      const n = randomBelow(random, 3_000);
      const value = 1 + randomBelow(random, 250);
      model.set(n, value);
      return { key: bytes(1, n >> 8, n & 255), value: new Uint8Array(value).fill(value) };
    });
    await write(storage, changes);
  };
  for (let i = 0; i < 20; i++) await writeSome();
  const range = { from: bytes(1), to: bytes(2), rowsMax: 70, bytesMax: 5_000 };
  const snapshot = storage.snapshot(range);
  const wanted = new Map(model);
  const found = new Map<number, number>();
  for (let page = await snapshot.next(); page.length > 0; page = await snapshot.next()) {
    for (const [key, value] of page) {
      assertEquals(value.every((byte) => byte === value.length), true);
      found.set((key[1] ?? 0) * 256 + (key[2] ?? 0), value.length);
    }
    await writeSome();
  }
  await snapshot.close();
  const sorted = [...wanted].sort(([a], [b]) => a - b);
  assertEquals([...found], sorted);
});

Deno.test("LevelStorage ends snapshots that are open when it is closed", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const storage = await LevelStorage.open(folder);
    await write(storage, [{ key: text("a"), value: text("1") }]);
    const range = { from: bytes(0), to: bytes(255), rowsMax: 1, bytesMax: 1 };
    const open = storage.snapshot(range);
    await storage.close();
    for (const snapshot of [open, storage.snapshot(range)]) {
      const error = await snapshot.next().then(() => undefined, (thrown) => thrown);
      assertEquals(error instanceof KvError && error.code, "storage_failed");
      await snapshot.close();
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

contract("waits in close for writes under way, and refuses later ones", async (storage) => {
  let ended = 0;
  for (let n = 0; n < 10; n++) {
    storage.write([{ key: bytes(n), value: new Uint8Array(100_000) }], true, (error) => {
      if (error === undefined) ended++;
    });
  }
  await storage.close();
  assertEquals(ended, 10);
  const error = await new Promise((resolve) => {
    storage.write([{ key: bytes(1), value: bytes(1) }], false, resolve);
  });
  assertEquals(error instanceof Error, true);
});

Deno.test("LevelStorage has after a reopening what it had before", async () => {
  const folder = await Deno.makeTempDir();
  try {
    let storage = await LevelStorage.open(folder);
    await write(storage, [{ key: text("a"), value: text("1") }], true);
    await write(storage, [{ key: text("b"), value: text("2") }]);
    await storage.close();
    storage = await LevelStorage.open(folder);
    assertEquals(storage.get(text("a")), text("1"));
    assertEquals(storage.get(text("b")), text("2"));
    await storage.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

contract(
  "gives space back if it takes any, and keeps what is there",
  async (storage, random) => {
    if (storage.compact === undefined || storage.sizeOf === undefined) return;
    const [from, to] = [bytes(1), bytes(2)];
    const value = () => Uint8Array.from({ length: 10_000 }, () => random.uint32());
    const kept = value();
    await write(storage, [{ key: bytes(0), value: kept }, { key: bytes(1), value: kept }]);
    for (let n = 0; n < 200; n++) await write(storage, [{ key: bytes(1, n), value: value() }]);
    await storage.compact(from, to);
    assert(await storage.sizeOf(from, to) > 1_900_000);
    assert(await storage.sizeOf(from, bytes(1, 1)) < 100_000);
    const snapshot = storage.snapshot({ from, to, rowsMax: 2, bytesMax: 1 });
    for (let n = 0; n < 200; n++) await write(storage, [{ key: bytes(1, n) }]);
    await storage.compact(from, to);
    assert(await storage.sizeOf(from, to) > 1_900_000, "a snapshot shows it");
    await snapshot.close();
    // LevelDB rewrites the files of its last level only for what is written on top of them.
    await write(storage, [{ key: bytes(0), value: kept }, { key: bytes(2), value: kept }]);
    await storage.compact(from, to);
    assert(await storage.sizeOf(from, to) < 100_000);
    assertEquals(await keys(storage, {}), "0 1 2");
    assertEquals(storage.get(bytes(1)), kept);
  },
);

contract(
  "ends a compaction before it is closed, and takes writes meanwhile",
  async (storage, random) => {
    if (storage.compact === undefined) return;
    const value = Uint8Array.from({ length: 100_000 }, () => random.uint32());
    for (let n = 0; n < 100; n++) await write(storage, [{ key: bytes(n), value }]);
    const compacting = storage.compact(bytes(), bytes(255));
    await write(storage, [{ key: bytes(7), value: bytes(1) }], true);
    const closing = storage.close();
    await compacting;
    await closing;
  },
);
