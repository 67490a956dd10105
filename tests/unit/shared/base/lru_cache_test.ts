import { assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../../shared/base/errors.ts";
import { LruCache } from "../../../../shared/base/lru_cache.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("LruCache: drops what was not used for longest", () => {
  const cache = new LruCache<string, number>(2);
  cache.set("a", 1);
  cache.set("b", 2);
  cache.get("a");
  cache.set("c", 3);
  assertEquals([...cache.keys()], ["c", "a"]);
  assertEquals(cache.get("b"), undefined);
});

Deno.test("LruCache.has: is not a use", () => {
  const cache = new LruCache<string, number>(2);
  cache.set("a", 1);
  cache.set("b", 2);
  assertEquals(cache.has("a"), true);
  cache.set("c", 3);
  assertEquals(cache.has("a"), false);
});

Deno.test("LruCache: a capacity of 0 keeps nothing", () => {
  const cache = new LruCache<string, number>(0);
  cache.set("a", 1);
  assertEquals(cache.size, 0);
  cache.checkInvariants();
});

Deno.test("LruCache.set: a value larger than the cache takes out the one before, and no other", () => {
  const cache = new LruCache<string, string>(10, (value) => value.length);
  cache.set("a", "12345");
  cache.set("b", "1234");
  cache.set("a", "12345678901");
  assertEquals([...cache.keys()], ["b"]);
  assertEquals(cache.weight, 4);
});

Deno.test("LruCache.set: a value that grew makes room", () => {
  const cache = new LruCache<string, string>(10, (value, key) => value.length + key.length);
  cache.set("a", "123");
  cache.set("b", "123");
  cache.set("a", "1234567");
  assertEquals([...cache.keys()], ["a"]);
  assertEquals(cache.weight, 8);
});

Deno.test("LruCache.keys: the one just given may be deleted", () => {
  const cache = new LruCache<number, number>(10);
  for (let i = 0; i < 10; i++) cache.set(i, i);
  for (const key of cache.keys()) if (key % 2 === 0) cache.delete(key);
  assertEquals([...cache.keys()], [9, 7, 5, 3, 1]);
  cache.checkInvariants();
});

Deno.test("LruCache: refuses a capacity or size below 0", () => {
  assertThrows(() => new LruCache(-1), InvariantError, "capacity");
  const cache = new LruCache<string, number>(1, (value) => value);
  assertThrows(() => cache.set("a", Number.NaN), InvariantError, "size");
});

Deno.test("LruCache: does as a list of uses does, under random operations", () => {
  for (const seed of [1, 2, 3]) {
    const random = new SeededRandom(seed);
    const capacity = randomBelow(random, 60);
    const cache = new LruCache<number, number>(capacity, (value) => value);
    /** Least recently used first. */
    let model: [key: number, value: number][] = [];
    for (let step = 0; step < 5_000; step++) {
      const key = randomBelow(random, 30);
      const found = model.find(([k]) => k === key);
      const rest = model.filter(([k]) => k !== key);
      const action = randomBelow(random, 100);
      if (action < 50) {
        assertEquals(cache.get(key), found?.[1]);
        model = found === undefined ? rest : [...rest, found];
      } else if (action < 90) {
        const value = randomBelow(random, 12);
        cache.set(key, value);
        model = value > capacity ? rest : [...rest, [key, value]];
        while (weightOf(model) > capacity) model.shift();
      } else if (action < 99) {
        assertEquals(cache.delete(key), found !== undefined);
        model = rest;
      } else {
        cache.clear();
        model = [];
      }
      assertEquals([...cache.keys()], model.map(([k]) => k).reverse());
      assertEquals(cache.size, model.length);
      assertEquals(cache.weight, weightOf(model));
      assertEquals(cache.has(key), model.some(([k]) => k === key));
      cache.checkInvariants();
    }
  }
});

function weightOf(model: [number, number][]): number {
  return model.reduce((sum, [, value]) => sum + value, 0);
}
