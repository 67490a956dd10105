import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { MemoryArena } from "../../../../../node/storage/memory/memory_arena.ts";
import { InvariantError } from "../../../../../shared/base/errors.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";

interface Life {
  chunk: number;
  at: number;
  value: Uint8Array;
}

const OWNERS = 500;
const text = (key: string) => new TextEncoder().encode(key);

Deno.test("MemoryArena keeps what lives, and room for little more, under random changes", () => {
  const random = new SeededRandom(4);
  const lives: (Life | undefined)[] = new Array(OWNERS).fill(undefined);
  let moved = 0;
  const arena = new MemoryArena((chunk, at) => {
    const life = lives[arena.owner(chunk, at)];
    if (life?.chunk !== chunk || life.at !== at) return;
    life.at = arena.copy(chunk, at);
    life.chunk = arena.filling;
    moved++;
  });
  let seen: Uint8Array | undefined;
  let copy: Uint8Array | undefined;
  let chunksMax = 0;
  for (let i = 0; i < 60_000; i++) {
    const owner = randomBelow(random, OWNERS);
    const before = lives[owner];
    if (randomBelow(random, 4) === 0) {
      lives[owner] = undefined;
    } else {
      const value = new Uint8Array(randomBelow(random, 2_000)).fill(i);
      const at = arena.add(text(`key ${owner}`), value, owner);
      lives[owner] = { chunk: arena.filling, at, value };
      seen ??= arena.value(arena.filling, at);
      copy ??= seen.slice();
    }
    if (before !== undefined) arena.free(before.chunk, before.at);
    chunksMax = Math.max(chunksMax, arena.filling);
  }
  let bytes = 0;
  for (const [owner, life] of lives.entries()) {
    if (life === undefined) continue;
    assertEquals(arena.key(life.chunk, life.at), text(`key ${owner}`));
    assertEquals(arena.value(life.chunk, life.at), life.value);
    assertEquals(arena.owner(life.chunk, life.at), owner);
    bytes += life.value.length + 20;
  }
  assertEquals(seen, copy, "what was given out does not change");
  assertLess(arena.bytes, 2 * bytes + 3 * 1024 * 1024);
  assertLess(0, moved);
  assertLess(chunksMax, 12, "numbers of chunks are used again");
});

Deno.test("MemoryArena takes a record of any size", () => {
  const arena = new MemoryArena(() => {});
  for (const size of [0, 1, 2, 3, 65_000, 65_536, 5_000_000]) {
    const value = new Uint8Array(size).fill(7);
    const at = arena.add(new Uint8Array([1, 2]), value, size);
    assertEquals(arena.value(arena.filling, at), value);
    assertEquals(arena.key(arena.filling, at), new Uint8Array([1, 2]));
    assertEquals(arena.owner(arena.filling, at), size);
  }
});

Deno.test("MemoryArena gives no record of a chunk that was given up", () => {
  const arena = new MemoryArena(() => {});
  const at = arena.add(text("k"), new Uint8Array(70_000), 1);
  const chunk = arena.filling;
  arena.add(text("l"), new Uint8Array(700_000), 2);
  arena.free(chunk, at);
  assertThrows(() => arena.value(chunk, at), InvariantError);
});

Deno.test("MemoryArena compares keys by unsigned bytes", () => {
  const arena = new MemoryArena(() => {});
  const keys = [[], [0], [0, 0], [0, 255], [1], [127, 9], [128], [255], [255, 255]];
  for (const [i, key] of keys.entries()) {
    const at = arena.add(Uint8Array.from(key), text("value"), i);
    for (const [j, other] of keys.entries()) {
      const order = arena.compareKey(arena.filling, at, Uint8Array.from(other));
      assertEquals(Math.sign(order), Math.sign(i - j), `${key} and ${other}`);
      assertEquals(arena.isKey(arena.filling, at, Uint8Array.from(other)), i === j);
    }
    for (let k = 0; k < 4; k++) assertEquals(arena.keyByte(arena.filling, at, k), key[k]);
  }
});
