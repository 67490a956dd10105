import { assertEquals } from "@std/assert";
import { crc32c } from "../../../../shared/base/crc32c.ts";
import { SeededRandom } from "../../../../shared/platform/random.ts";

const text = (s: string) => new TextEncoder().encode(s);

/** The definition, bit by bit. */
function naive(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

Deno.test("crc32c has the known check value and those of RFC 3720, B.4", () => {
  const ascending = Uint8Array.from({ length: 32 }, (_, i) => i);
  const table: [string, Uint8Array, number][] = [
    ["check value", text("123456789"), 0xe3069283],
    ["nothing", new Uint8Array(0), 0],
    ["32 bytes of zeros", new Uint8Array(32), 0x8a9136aa],
    ["32 bytes of ones", new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ["32 ascending bytes", ascending, 0x46dd794e],
    ["32 descending bytes", ascending.toReversed(), 0x113fdb5c],
  ];
  for (const [name, bytes, expected] of table) assertEquals(crc32c(bytes), expected, name);
});

Deno.test("crc32c of pieces is that of the whole, at every length and cut", () => {
  const random = new SeededRandom(1);
  for (let length = 0; length < 40; length++) {
    const bytes = Uint8Array.from({ length }, () => random.uint32());
    const whole = naive(bytes);
    assertEquals(crc32c(bytes), whole);
    for (let cut = 0; cut <= length; cut++) {
      assertEquals(crc32c(bytes, crc32c(bytes, 0, 0, cut), cut), whole);
    }
  }
});
