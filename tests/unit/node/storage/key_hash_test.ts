import { assertEquals, assertNotEquals } from "@std/assert";
import { SeededKeyHash } from "../../../../node/storage/key_hash.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";

/** From Linux, `lib/tests/siphash_kunit.c`: entry n is the hash of the bytes 0 to n-1. */
const VECTORS = [
  [0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65],
  [0x9d38d9d6, 0x577999b1, 0xc839caed, 0xe4fa32cf, 0x959246ee, 0x6b28096c, 0x66dd9cd6],
].flat();

Deno.test("SeededKeyHash is HalfSipHash-1-3", () => {
  const words = [0x03020100, 0x07060504];
  const hash = new SeededKeyHash({ uint32: () => words.shift() ?? 0 });
  for (const [length, expected] of VECTORS.entries()) {
    const key = Uint8Array.from({ length }, (_, i) => i);
    assertEquals(hash.of(key) >>> 0, expected, `${length} bytes`);
  }
  const key = Uint8Array.from({ length: 63 }, (_, i) => i);
  assertEquals(hash.of(key) >>> 0, 0x87178304);
});

Deno.test("SeededKeyHash differs from seed to seed", () => {
  const key = new Uint8Array([1, 2, 3]);
  const of = (seed: number) => new SeededKeyHash(new SeededRandom(seed)).of(key);
  assertNotEquals(of(1), of(2));
  assertEquals(of(1), of(1));
});
