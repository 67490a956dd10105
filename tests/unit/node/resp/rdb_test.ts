import { assertEquals } from "@std/assert";
import { crc64 } from "../../../../node/resp/rdb/crc64.ts";
import { dumpString, restoreString } from "../../../../node/resp/rdb/rdb_string.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array | string) =>
  typeof value === "string" ? value : new TextDecoder().decode(value);
const BYTES_MAX = 1 << 20;

/** A payload with its version and checksum. */
function payload(...body: number[]): Uint8Array {
  const all = Uint8Array.of(...body, 10, 0);
  const sum = new Uint8Array(8);
  new DataView(sum.buffer).setBigUint64(0, crc64(all), true);
  return Uint8Array.of(...all, ...sum);
}

Deno.test("crc64: Redis' check value", () => {
  assertEquals(crc64(bytes("123456789")), 0xe9c6d914c4b8d9can);
  assertEquals(crc64(bytes("")), 0n);
});

Deno.test("dumpString, restoreString: what was dumped comes back, at each form of the length", () => {
  for (const length of [0, 1, 63, 64, 16_383, 16_384, 100_000]) {
    const value = new Uint8Array(length).map((_, i) => i % 256);
    assertEquals(restoreString(dumpString(value), BYTES_MAX), value);
  }
});

Deno.test("restoreString: integers and LZF, as Redis writes them", () => {
  assertEquals(text(restoreString(payload(0, 0xc0, 0xff), BYTES_MAX)), "-1");
  assertEquals(text(restoreString(payload(0, 0xc1, 0x39, 0x30), BYTES_MAX)), "12345");
  assertEquals(text(restoreString(payload(0, 0xc2, 0, 0, 0, 0x80), BYTES_MAX)), "-2147483648");
  // One literal "a", then a copy of 9 bytes from one before.
  const lzf = [0, 0xc3, 5, 10, 0, 0x61, 0xe0, 0, 0];
  assertEquals(text(restoreString(payload(...lzf), BYTES_MAX)), "a".repeat(10));
});

Deno.test("restoreString: what is cut off, damaged, too long or no string is refused", () => {
  const whole = dumpString(bytes("some value"));
  for (let length = 0; length < whole.length; length++) {
    assertEquals(restoreString(whole.subarray(0, length), BYTES_MAX), "checksum");
  }
  for (let i = 0; i < whole.length; i++) {
    const damaged = whole.slice();
    damaged[i] = (damaged[i] ?? 0) ^ 1;
    assertEquals(restoreString(damaged, BYTES_MAX), "checksum");
  }
  const newer = whole.slice();
  newer[whole.length - 10] = 11;
  assertEquals(restoreString(newer, BYTES_MAX), "checksum");
  const wrong = [
    [1, 1, 0x61],
    [0, 2, 0x61],
    [0, 1, 0x61, 0x61],
    [0, 0x80, 0, 0],
    [0, 0x81, 0, 0, 0, 0, 0, 0, 0, 1, 0x61],
    [0, 0xc1, 0],
    [0, 0xc4, 0],
    // A copy from before the beginning, a result of another length, and one that is too long to be begun.
    [0, 0xc3, 2, 3, 0x20, 0],
    [0, 0xc3, 2, 9, 0, 0x61],
    [0, 0xc3, 2, 0x80, 0xff, 0xff, 0xff, 0xff, 0, 0x61],
    [0, 0xc3, 3, 10, 0, 0x61, 0xe0],
  ];
  for (const body of wrong) {
    assertEquals(restoreString(payload(...body), BYTES_MAX), "format", `${body}`);
  }
});
