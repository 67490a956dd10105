/** How many keys each database has in a partition, while they are counted and changed. */
import { assertEquals } from "@std/assert";
import { type Entry, NO_VALUE, TOMBSTONE } from "../../../../shared/base/entry.ts";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import type { Counted } from "../../../../node/storage/record.ts";
import { DatabaseTallies } from "../../../../node/storage/database_tallies.ts";

const ROW_BYTES = 10;

function entryOf(key: string, flags = 0, expiresAtMs = 0): Entry {
  return { key, seq: 1, term: 1, flags, timestampMs: 0, expiresAtMs, value: NO_VALUE };
}

function rowOf({ flags, expiresAtMs }: Entry): Counted {
  return { flags, crc: 0, bytes: ROW_BYTES, expires: expiresAtMs !== 0 };
}

Deno.test("DatabaseTallies: a count beside writes is what there is at its end, whatever happens between two pages", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = new SeededRandom(seed);
    const rows = new Map<string, Entry>();
    const tallies = new DatabaseTallies(false);
    const change = () => {
      const prefix = ["\0db/000001/", "\0db/{000002}", "\0db/000003/"][randomBelow(random, 3)];
      const key = `${prefix}${randomBelow(random, 8)}`;
      const before = rows.get(key);
      if (before !== undefined) {
        tallies.change(key, rowOf(before), -1);
      }
      const kind = randomBelow(random, 3);
      if (kind === 0) rows.delete(key);
      else {
        const entry = entryOf(key, kind === 1 ? TOMBSTONE : 0, randomBelow(random, 2));
        rows.set(key, entry);
        tallies.change(key, rowOf(entry), 1);
      }
    };
    for (let i = 0; i < 20; i++) change();
    const scan = async (after: string | undefined) => {
      // Taken at once; answered later, as a database does.
      const all = [...rows.values()].sort((a, b) => compareKeys(a.key, b.key))
        .filter(({ key }) => after === undefined || compareKeys(key, after) > 0);
      const entries = all.slice(0, 3);
      for (let i = randomBelow(random, 4); i > 0; i--) change();
      await Promise.resolve();
      for (let i = randomBelow(random, 4); i > 0; i--) change();
      return { entries, next: all.length > 3 ? entries.at(-1)?.key : undefined };
    };
    await tallies.count(scan, () => ROW_BYTES);
    for (let i = 0; i < 5; i++) change();
    const expected = new Map<number, number>();
    let bytes = 0;
    let expiring = 0;
    for (const { key, flags, expiresAtMs } of rows.values()) {
      if (flags === TOMBSTONE) continue;
      const number = Number(/\d{6}/.exec(key)?.[0]);
      expected.set(number, (expected.get(number) ?? 0) + 1);
      bytes += key.length + ROW_BYTES;
      if (expiresAtMs !== 0) expiring++;
    }
    const found = [...tallies.all].map(([number, { keys }]) => [number, keys] as const);
    assertEquals(new Map(found), expected, `seed ${seed}`);
    const sums = { bytes: 0, expiring: 0 };
    for (const tally of tallies.all.values()) {
      sums.bytes += tally.bytes;
      sums.expiring += tally.expiring;
    }
    assertEquals(sums, { bytes, expiring }, `seed ${seed}`);
  }
});
