/** The cache against a plain map: what it forgets is its own affair, what it finds must be the newest. */
import { assert, assertEquals } from "@std/assert";
import { type KeyHash, SeededKeyHash } from "../../../../node/storage/key_hash.ts";
import { RowCache } from "../../../../node/storage/row_cache.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const SEEDED = new SeededKeyHash(new SeededRandom(1));
const HASHES: readonly [name: string, hash: KeyHash][] = [
  ["as in production", SEEDED],
  ["all equal", { of: () => -7 }],
  ["equal for many keys", { of: (key) => key.length % 3 - 1 }],
];
/** Chunks of 256 bytes, of which a row may take half. */
const SMALL = 4_096;
const ROW_BYTES_MAX = 128 - 24 - 3;

function keyOf(i: number): Uint8Array {
  return new Uint8Array([i & 15, i >>> 4, i >>> 12]);
}

for (const [name, hash] of HASHES) {
  Deno.test(`RowCache, hashes ${name}: what it finds is the newest row, within its bytes`, () => {
    let hits = 0;
    for (let seed = 1; seed <= 8; seed++) {
      const random = new SeededRandom(seed);
      const cache = new RowCache(SMALL, hash, seed % 2 === 0 ? 40 : undefined);
      const keys = seed < 5 ? 20 : 200;
      const owners = [cache.newOwner(), cache.newOwner()];
      const model = new Map<number, { row: Uint8Array; owner: number }>();
      for (let step = 0; step < 4_000; step++) {
        // Low numbers come up more often.
        const i = randomBelow(random, 1 + randomBelow(random, keys));
        const owner = owners[randomBelow(random, 8) === 0 ? 1 : 0] ?? 0;
        const what = randomBelow(random, 10);
        if (what === 0) {
          cache.delete(keyOf(i));
          model.delete(i);
        } else if (what < 4) {
          const row = new Uint8Array(randomBelow(random, ROW_BYTES_MAX + 8)).fill(step);
          cache.set(keyOf(i), row, owner);
          model.set(i, { row, owner });
        } else {
          const found = what < 8 ? cache.get(keyOf(i), owner) : cache.peek(keyOf(i), owner);
          if (found !== undefined) {
            hits++;
            const expected = model.get(i);
            assertEquals(found, expected?.row, `seed ${seed}, step ${step}`);
            assertEquals(expected?.owner, owner);
          }
        }
        if (step % 500 === 0) {
          const of = randomBelow(random, owners.length);
          owners[of] = cache.newOwner();
          for (const key of model.keys()) {
            const owner = owners[of] ?? 0;
            assertEquals(cache.peek(keyOf(key), owner), undefined, "a new owner has no rows");
          }
        }
        assert(cache.bytes <= SMALL, `${cache.bytes} bytes`);
      }
    }
    assert(hits > 3_000, `too few hits to tell: ${hits}`);
  });
}

Deno.test("RowCache keeps nearly as much as it may take, and no more", () => {
  const bytesMax = 1 << 20;
  const cache = new RowCache(bytesMax, SEEDED);
  const owner = cache.newOwner();
  const row = new Uint8Array(128);
  for (let i = 0; i < 20_000; i++) cache.set(keyOf(i), row, owner);
  let kept = 0;
  for (let i = 0; i < 20_000; i++) if (cache.peek(keyOf(i), owner) !== undefined) kept++;
  assert(cache.bytes <= bytesMax, `${cache.bytes} bytes`);
  assert(kept * (row.length + 26) > bytesMax * 0.85, `${kept} rows`);
  assert(cache.peek(keyOf(19_999), owner) !== undefined, "the newest");
});

Deno.test("RowCache.get, not peek, keeps a row that others push out", () => {
  const cache = new RowCache(SMALL, SEEDED);
  const owner = cache.newOwner();
  const row = new Uint8Array(60).fill(5);
  const [used, seen] = [keyOf(50_000), keyOf(50_001)];
  cache.set(used, row, owner);
  cache.set(seen, row, owner);
  for (let i = 0; i < 1_000; i++) {
    cache.set(keyOf(i), new Uint8Array(60), owner);
    assertEquals(cache.get(used, owner), row);
    cache.peek(seen, owner);
  }
  assertEquals(cache.peek(seen, owner), undefined);
});

Deno.test("RowCache.set: a row that is too large takes out the one before, and no other", () => {
  const cache = new RowCache(SMALL, SEEDED);
  const owner = cache.newOwner();
  for (const i of [1, 2]) cache.set(keyOf(i), new Uint8Array(ROW_BYTES_MAX).fill(i), owner);
  cache.set(keyOf(1), new Uint8Array(ROW_BYTES_MAX + 1), owner);
  assertEquals(cache.get(keyOf(1), owner), undefined);
  assertEquals(cache.get(keyOf(2), owner), new Uint8Array(ROW_BYTES_MAX).fill(2));
});

Deno.test("RowCache of next to no bytes keeps nothing", () => {
  for (const bytesMax of [1, 10, 100, 500]) {
    const cache = new RowCache(bytesMax, SEEDED);
    const owner = cache.newOwner();
    cache.set(keyOf(1), new Uint8Array(36), owner);
    assertEquals(cache.get(keyOf(1), owner), undefined);
    cache.delete(keyOf(1));
  }
});

Deno.test("RowCache forgets all if chunks have no more numbers, and goes on", () => {
  const cache = new RowCache(SMALL, SEEDED, 10);
  const owner = cache.newOwner();
  for (let i = 0; i < 500; i++) {
    const row = new Uint8Array(60).fill(i);
    cache.set(keyOf(i), row, owner);
    assertEquals(cache.get(keyOf(i), owner), row);
    // Two rows a chunk: of twenty that fit before all is forgotten, none is of the numbers' last round.
    for (let j = 0; j < i - 20; j++) assertEquals(cache.peek(keyOf(j), owner), undefined);
  }
});
