import { assertEquals } from "@std/assert";
import { lenientText, REPLACEMENT } from "../../../../shared/base/utf8_text.ts";

Deno.test("lenientText: text of a plain array and of a part of one; what is not UTF-8 is replaced", () => {
  const bytes = new TextEncoder().encode("\ufeffgrüß dich 🔑");
  assertEquals(lenientText(bytes), "\ufeffgrüß dich 🔑");
  assertEquals(lenientText(bytes.subarray(3, 5)), "gr");
  assertEquals(lenientText(new Uint8Array()), "");
  assertEquals(lenientText(new Uint8Array([0x61, 0xff, 0x62])), `a${REPLACEMENT}b`);
});
