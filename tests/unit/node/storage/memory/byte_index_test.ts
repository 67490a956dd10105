/** The table, its order and its arena together, against a plain map, with hashes of several kinds. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { ByteIndex } from "../../../../../node/storage/memory/byte_index.ts";
import { type KeyHash, SeededKeyHash } from "../../../../../node/storage/key_hash.ts";
import { MemoryArena } from "../../../../../node/storage/memory/memory_arena.ts";
import { compareBytes } from "../../../../../shared/base/key_order.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";

const HASHES: readonly [name: string, hash: KeyHash][] = [
  ["as in production", new SeededKeyHash(new SeededRandom(1))],
  ["all equal", { of: () => 7 }],
  ["equal for many keys", { of: (key) => key.length % 3 - 1 }],
  ["different beyond the chains", { of: (key) => (key.at(-1) ?? 0) << 24 }],
];

class Table {
  readonly arena = new MemoryArena((chunk, at) => this.index.move(chunk, at));
  readonly index: ByteIndex;
  readonly model = new Map<string, [key: Uint8Array, value: Uint8Array]>();

  constructor(hash: KeyHash) {
    this.index = new ByteIndex(this.arena, hash);
  }

  set(key: Uint8Array, value: Uint8Array): void {
    this.index.set(key, value);
    this.model.set(key.join(), [key, value]);
  }

  delete(key: Uint8Array): void {
    this.index.delete(key);
    this.model.delete(key.join());
  }

  checkValues(): void {
    assertEquals(this.index.size, this.model.size);
    for (const [key, value] of this.model.values()) assertEquals(this.index.get(key), value);
  }

  checkOrder(): void {
    const sequence = this.index.inOrder();
    const expected = [...this.model.values()].sort(([a], [b]) => compareBytes(a, b));
    const found: [Uint8Array, Uint8Array][] = [];
    const seen = new Set<number>();
    for (let i = 0; i < sequence.length; i++) {
      const entry = sequence.at(i);
      assert(!seen.has(entry), "an entry is listed once");
      seen.add(entry);
      if (this.index.lives(entry)) found.push([this.index.key(entry), this.index.value(entry)]);
    }
    assertEquals(found, expected);
  }

  checkBound(key: Uint8Array): void {
    const sequence = this.index.inOrder();
    const bound = sequence.lowerBound(key);
    for (let i = 0; i < sequence.length; i++) {
      const entry = sequence.at(i);
      if (!this.index.lives(entry)) continue;
      assertEquals(compareBytes(this.index.key(entry), key) >= 0, i >= bound);
    }
  }
}

function randomKey(random: SeededRandom): Uint8Array {
  return Uint8Array.from({ length: randomBelow(random, 5) }, () => randomBelow(random, 5) * 63);
}

for (const [name, hash] of HASHES) {
  Deno.test(`ByteIndex agrees with a map under random changes, hashes ${name}`, () => {
    for (let seed = 1; seed <= 4; seed++) {
      const random = new SeededRandom(seed);
      const table = new Table(hash);
      for (let i = 0; i < 4_000; i++) {
        const key = randomKey(random);
        // Now it grows, now it shrinks.
        const deletes = Math.floor(i / 1_000) % 2 === 0 ? 2 : 7;
        if (randomBelow(random, 10) < deletes) table.delete(key);
        else table.set(key, new Uint8Array(randomBelow(random, 1_500)).fill(i));
        // With the first seeds there is no order until late.
        if (i < seed * 800 - 1_200 || randomBelow(random, 60) > 0) continue;
        table.checkBound(randomKey(random));
        if (randomBelow(random, 4) === 0) table.checkOrder();
      }
      table.checkValues();
      table.checkOrder();
      for (const [key] of [...table.model.values()]) table.delete(key);
      table.checkOrder();
      assertEquals(table.index.size, 0);
      for (let i = 0; i < 100; i++) table.set(randomKey(random), new Uint8Array(3));
      table.checkValues();
      table.checkOrder();
    }
  });
}

Deno.test("ByteIndex grows, and uses the numbers of deleted entries again", () => {
  const random = new SeededRandom(3);
  const table = new Table(new SeededKeyHash(random));
  const key = (n: number) => new Uint8Array([n >>> 16, n >>> 8, n]);
  for (let n = 0; n < 5_000; n++) table.set(key(n), key(n));
  table.checkOrder();
  let most = 0;
  for (let n = 5_000; n < 40_000; n++) {
    table.delete(key(n - 5_000));
    table.set(key(n), key(n));
    if (n % 1_000 === 0) {
      const sequence = table.index.inOrder();
      for (let i = 0; i < sequence.length; i++) most = Math.max(most, sequence.at(i));
    }
  }
  table.checkValues();
  table.checkOrder();
  assertLess(most, 8_000);
});

Deno.test("ByteIndex puts new keys in order without sorting the others again", () => {
  const hash = new SeededKeyHash(new SeededRandom(5));
  let looks = 0;
  class Counting extends ByteIndex {
    override keyByte(entry: number, index: number): number | undefined {
      looks++;
      return super.keyByte(entry, index);
    }
    override compareTo(entry: number, key: Uint8Array): number {
      looks++;
      return super.compareTo(entry, key);
    }
  }
  const arena = new MemoryArena((chunk, at) => index.move(chunk, at));
  const index: ByteIndex = new Counting(arena, hash);
  const key = (n: number) => new Uint8Array([n >>> 8, n]);
  for (let n = 0; n < 10_000; n++) index.set(key(2 * n), key(n));
  index.inOrder();
  assertLess(10_000, looks);
  looks = 0;
  for (let n = 0; n < 10_000; n++) index.set(key(2 * n), key(n + 1));
  index.inOrder();
  assertEquals(looks, 0, "overwriting changes no order");
  for (let n = 0; n < 10; n++) index.set(key(2_000 * n + 1), key(n));
  for (let n = 0; n < 10; n++) index.delete(key(2_000 * n));
  index.inOrder();
  assertLess(looks, 10 * 16 + 100);
});
