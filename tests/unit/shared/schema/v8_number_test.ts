import { assertEquals } from "@std/assert";
import { deserialize, serialize } from "node:v8";
import { parseV8Number, serializeV8Number } from "../../../../shared/schema/v8_number.ts";
import { randomBelow, randomFraction, SeededRandom } from "../../../../shared/platform/random.ts";

const NUMBERS: readonly (number | bigint)[] = [
  ...[0, 1, -1, 63, 64, -64, -65, 2 ** 30, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 2 ** 32 - 1, 2 ** 32],
  ...[0.5, -0.1, Infinity, -Infinity, Number.MAX_SAFE_INTEGER, 5e-324],
  ...[0n, 1n, -1n, 255n, 2n ** 63n, -(2n ** 64n), 2n ** 64n - 1n, 2n ** 1000n, -(3n ** 500n)],
];

Deno.test("parseV8Number: reads what V8 writes", () => {
  const random = new SeededRandom(1);
  for (let i = 0; i < 200; i++) {
    const digits = BigInt(randomBelow(random, 2 ** 32)) ** BigInt(randomBelow(random, 40));
    for (const number of [...NUMBERS, randomFraction(random) * 1e9, digits, -digits]) {
      assertEquals(parseV8Number(new Uint8Array(serialize(number))), number);
    }
  }
});

Deno.test("serializeV8Number: V8 and parseV8Number read it", () => {
  for (const number of NUMBERS) {
    const bytes = serializeV8Number(number);
    assertEquals(deserialize(bytes), number);
    assertEquals(parseV8Number(bytes), number);
  }
  assertEquals(deserialize(serializeV8Number(NaN)), NaN);
});

Deno.test("parseV8Number: what is no number, cut off, or longer is none", () => {
  for (const value of ["text", null, true, { a: 1 }, [1], new Date(0), undefined]) {
    assertEquals(parseV8Number(new Uint8Array(serialize(value))), undefined);
  }
  for (const number of NUMBERS) {
    const bytes = serializeV8Number(number);
    for (let length = 0; length < bytes.length; length++) {
      const cut = parseV8Number(bytes.subarray(0, length));
      assertEquals(cut, undefined, `${number} cut at ${length}`);
    }
    assertEquals(parseV8Number(new Uint8Array([...bytes, 0])), undefined);
  }
  const random = new SeededRandom(2);
  for (let i = 0; i < 10_000; i++) {
    const bytes = Uint8Array.from(
      { length: randomBelow(random, 20) },
      () => randomBelow(random, 256),
    );
    if (bytes.length > 2 && i % 2 === 0) bytes.set([0xff, 15]);
    parseV8Number(bytes);
  }
});
