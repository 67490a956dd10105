import { assert, assertEquals } from "@std/assert";
import { ByteSlab } from "../../../../shared/base/byte_slab.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("ByteSlab: no two arrays share a byte, and each is zero and as long as was asked for", () => {
  const random = new SeededRandom(5);
  const slab = new ByteSlab();
  const taken: Uint8Array[] = [];
  for (let i = 0; i < 5_000; i++) {
    const length = randomBelow(random, i % 50 === 0 ? 20_000 : 300);
    const bytes = slab.take(length);
    assertEquals(bytes.length, length);
    assertEquals(bytes.every((byte) => byte === 0), true);
    bytes.fill(i % 251 + 1);
    taken.push(bytes);
  }
  for (const [i, bytes] of taken.entries()) {
    assertEquals(bytes.every((byte) => byte === i % 251 + 1), true, `array ${i}`);
  }
});

Deno.test("ByteSlab: a large array is its own", () => {
  const slab = new ByteSlab();
  assert(slab.take(8_192).buffer !== slab.take(8).buffer);
  assertEquals(slab.take(8_192).buffer.byteLength, 8_192);
});
