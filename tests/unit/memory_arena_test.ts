import { assertEquals, assertLess } from "@std/assert";
import { MemoryArena } from "../../node/memory_arena.ts";
import { randomBelow, SeededRandom } from "../../shared/random.ts";

Deno.test("MemoryArena keeps what lives, and room for little more, under random changes", () => {
  const random = new SeededRandom(4);
  const arena = new MemoryArena();
  const lives = new Map<string, { position: number; value: Uint8Array }>();
  const text = (key: Uint8Array) => new TextDecoder().decode(key);
  const move = (position: number) => {
    const key = text(arena.key(position));
    const life = lives.get(key);
    if (life?.position !== position) return;
    life.position = arena.add(arena.key(position), arena.value(position));
  };
  let seen: Uint8Array | undefined;
  let copy: Uint8Array | undefined;
  for (let i = 0; i < 60_000; i++) {
    const key = `key ${randomBelow(random, 500)}`;
    const before = lives.get(key)?.position;
    if (randomBelow(random, 4) === 0) {
      lives.delete(key);
    } else {
      const value = new Uint8Array(randomBelow(random, 2_000)).fill(i);
      lives.set(key, { position: arena.add(new TextEncoder().encode(key), value), value });
      seen ??= arena.value(lives.get(key)?.position ?? 0);
      copy ??= seen.slice();
    }
    if (before !== undefined) arena.free(before, move);
  }
  let bytes = 0;
  for (const [key, { position, value }] of lives) {
    assertEquals(text(arena.key(position)), key);
    assertEquals(arena.value(position), value);
    bytes += key.length + value.length + 8;
  }
  assertEquals(seen, copy, "what was given out does not change");
  assertLess(arena.bytes, 2 * bytes + 3 * 1024 * 1024);
});

Deno.test("MemoryArena takes a record of any size", () => {
  const arena = new MemoryArena();
  for (const size of [0, 65_000, 65_536, 5_000_000]) {
    const value = new Uint8Array(size).fill(7);
    const position = arena.add(new Uint8Array([1, 2]), value);
    assertEquals(arena.value(position), value);
    assertEquals(arena.key(position), new Uint8Array([1, 2]));
  }
});
