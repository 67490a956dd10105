import { assertEquals } from "@std/assert";
import { TurnoverMap } from "../../../../shared/base/turnover_map.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("TurnoverMap: it has the entries of a Map, in its order, whatever comes and goes", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const ours = new TurnoverMap<number, { readonly value: number }>();
    const theirs = new Map<number, { readonly value: number }>();
    const keys = 1 + randomBelow(random, 300);
    for (let step = 0; step < 3_000; step++) {
      const key = randomBelow(random, keys);
      if (randomBelow(random, 2) === 0) {
        const value = { value: step };
        ours.set(key, value);
        theirs.set(key, value);
      } else assertEquals(ours.delete(key), theirs.delete(key));
      const asked = randomBelow(random, keys);
      assertEquals([ours.size, ours.get(asked)], [theirs.size, theirs.get(asked)]);
      if (step % 100 === 0) {
        assertEquals([...ours], [...theirs]);
        assertEquals([...ours.values()], [...theirs.values()]);
      }
    }
  }
});

Deno.test("TurnoverMap: what is deleted while it is looked through is left out, and nothing else", () => {
  const map = new TurnoverMap<number, { readonly key: number }>();
  for (let key = 0; key < 200; key++) map.set(key, { key });
  const seen: number[] = [];
  for (const [key] of map) {
    seen.push(key);
    map.delete(key);
    if (key % 2 === 0) map.delete(key + 1);
  }
  assertEquals(seen, Array.from({ length: 100 }, (_, i) => 2 * i));
  assertEquals(map.size, 0);
});
