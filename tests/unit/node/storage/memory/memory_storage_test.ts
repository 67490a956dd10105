/** Beyond `tests/contract/storage_contract_test.ts`: many buckets and many keys at once. */
import { assertEquals } from "@std/assert";
import { MemoryStorage } from "../../../../../node/storage/memory/memory_storage.ts";
import { compareBytes } from "../../../../../shared/base/key_order.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";
import type {
  StorageChange,
  StorageRow,
  StorageSnapshot,
} from "../../../../../node/storage/storage.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";

class Model {
  readonly #rows = new Map<string, StorageRow>();

  write(changes: readonly StorageChange[]): void {
    for (const { key, value } of changes) {
      if (value === undefined) this.#rows.delete(key.join());
      else this.#rows.set(key.join(), [key, value]);
    }
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(key.join())?.[1];
  }

  within(from: Uint8Array, to: Uint8Array): StorageRow[] {
    return [...this.#rows.values()]
      .filter(([key]) => compareBytes(key, from) >= 0 && compareBytes(key, to) < 0)
      .sort(([a], [b]) => compareBytes(a, b));
  }
}

/** In some dozen buckets, of very different sizes; now and then too short to have one of its own. */
function randomKey(random: SeededRandom): Uint8Array {
  const length = randomBelow(random, 8);
  const key = Uint8Array.from({ length }, () => randomBelow(random, 3) * 127);
  if (length > 2 && randomBelow(random, 2) === 0) key.set([0, 1]);
  return key;
}

function randomChanges(random: SeededRandom, deletes: number): StorageChange[] {
  return Array.from({ length: 1 + randomBelow(random, 40) }, () => {
    const key = randomKey(random);
    if (randomBelow(random, 10) < deletes) return { key };
    return { key, value: new Uint8Array(randomBelow(random, 900)).fill(random.uint32()) };
  });
}

async function rest(snapshot: StorageSnapshot): Promise<StorageRow[]> {
  const rows: StorageRow[] = [];
  for (let page = await snapshot.next(); page.length > 0; page = await snapshot.next()) {
    rows.push(...page);
  }
  await snapshot.close();
  return rows;
}

Deno.test("MemoryStorage agrees with a sorted list in gets, ranges and snapshots", async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const random = new SeededRandom(seed);
    const clock = new ManualClock();
    const storage = new MemoryStorage(clock, random);
    const model = new Model();
    const snapshots: { snapshot: StorageSnapshot; expected: StorageRow[] }[] = [];
    for (let round = 0; round < 400; round++) {
      const changes = randomChanges(random, round % 100 < 60 ? 2 : 8);
      storage.write(changes, false, () => {});
      model.write(changes);
      const key = randomKey(random);
      assertEquals(storage.get(key), model.get(key));
      const from = randomKey(random);
      const to = randomKey(random);
      const rowsMax = 1 + randomBelow(random, 60);
      const reverse = randomBelow(random, 2) === 0;
      const expected = model.within(from, to);
      if (randomBelow(random, 20) === 0) {
        const snapshot = storage.snapshot({ from, to, rowsMax, bytesMax: 5_000 });
        snapshots.push({ snapshot, expected });
      }
      const rows = await storage.range({ from, to, rowsMax, bytesMax: 1e9, reverse });
      assertEquals(rows, (reverse ? expected.toReversed() : expected).slice(0, rowsMax));
    }
    for (const { snapshot, expected } of snapshots) assertEquals(await rest(snapshot), expected);
    await clock.run(0);
    await storage.close();
  }
});

Deno.test("MemoryStorage keeps what it gave out as it was", () => {
  const random = new SeededRandom(1);
  const storage = new MemoryStorage(new ManualClock(), random);
  const key = (n: number) => new Uint8Array([1, 1, n]);
  const put = (n: number, fill: number) =>
    storage.write([{ key: key(n), value: new Uint8Array(5_000).fill(fill) }], false, () => {});
  for (let n = 0; n < 200; n++) put(n, n);
  const given = Array.from({ length: 200 }, (_, n) => storage.get(key(n)));
  for (let i = 0; i < 20_000; i++) put(randomBelow(random, 200), 255);
  for (const [n, value] of given.entries()) {
    assertEquals(value?.every((byte) => byte === n), true);
  }
});
