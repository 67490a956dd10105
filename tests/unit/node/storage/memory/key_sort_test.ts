import { assertEquals, assertThrows } from "@std/assert";
import { sortByKey } from "../../../../../node/storage/memory/key_sort.ts";
import { InvariantError } from "../../../../../shared/base/errors.ts";
import { compareBytes } from "../../../../../shared/base/key_order.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";

function sorted(keys: readonly Uint8Array[]): Uint8Array[] {
  const entries = Int32Array.from(keys, (_, i) => i);
  const of = (entry: number) => keys[entry] ?? new Uint8Array();
  sortByKey(entries, {
    key: of,
    compareTo: (entry, key) => compareBytes(of(entry), key),
    keyByte: (entry, index) => of(entry)[index],
  });
  return Array.from(entries, of);
}

/** No two are equal. Many share a beginning, and many are the beginning of others. */
function randomKeys(random: SeededRandom, count: number, bytesMax: number): Uint8Array[] {
  const keys = new Map<string, Uint8Array>();
  for (let i = 0; i < count; i++) {
    const length = randomBelow(random, bytesMax + 1);
    const key = Uint8Array.from({ length }, () => [0, 1, 128, 255][randomBelow(random, 4)] ?? 0);
    keys.set(key.join(), key);
  }
  return [...keys.values()];
}

Deno.test("sortByKey sorts as comparison does", () => {
  const random = new SeededRandom(9);
  for (const count of [0, 1, 2, 12, 13, 14, 100, 3_000]) {
    for (const bytesMax of [1, 3, 7, 12]) {
      const keys = randomKeys(random, count, bytesMax);
      assertEquals(sorted(keys), keys.toSorted(compareBytes), `${count} of up to ${bytesMax}`);
    }
  }
});

Deno.test("sortByKey sorts keys that begin with many equal bytes", () => {
  const random = new SeededRandom(10);
  const prefix = new Uint8Array(20_000).fill(7);
  const keys = randomKeys(random, 60, 4).map((end) => new Uint8Array([...prefix, ...end]));
  assertEquals(sorted(keys), keys.toSorted(compareBytes));
});

Deno.test("sortByKey ends if keys are equal", () => {
  const keys = Array.from({ length: 40 }, () => new Uint8Array([1, 2, 3, 4]));
  assertThrows(() => sorted(keys), InvariantError, "differ");
});
