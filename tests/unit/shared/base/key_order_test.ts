import { assertEquals } from "@std/assert";
import { compareBytes, compareKeys } from "../../../../shared/base/key_order.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("compareKeys orders as the UTF-8 bytes do", () => {
  const letters = ["", "\0", "a", "b", "\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000"]
    .concat(["\ufffd", "\uffff", "\u{10000}", "\u{1f600}", "\u{10ffff}"]);
  const random = new SeededRandom(2);
  const word = () =>
    Array.from(
      { length: randomBelow(random, 4) },
      () => letters[randomBelow(random, letters.length)],
    )
      .join("");
  const encoder = new TextEncoder();
  for (let i = 0; i < 20_000; i++) {
    const a = word();
    const b = word();
    const expected = Math.sign(compareBytes(encoder.encode(a), encoder.encode(b)));
    assertEquals(Math.sign(compareKeys(a, b)), expected, JSON.stringify([a, b]));
  }
});
