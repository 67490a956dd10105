import { assertEquals, assertThrows } from "@std/assert";
import { SecretLine } from "../../../../../client/cli/command/secret_line.ts";
import { KvError } from "../../../../../shared/base/errors.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** What comes of keys; the rest as text. */
function typed(keys: string, piece = keys.length): string {
  const line = new SecretLine();
  const all = bytes(keys);
  for (let at = 0; at < all.length; at += piece) {
    const input = line.feed(all.subarray(at, at + piece));
    if (input.kind === "cancelled") return "cancelled";
    if (input.kind === "line") return `${input.text}|${new TextDecoder().decode(input.rest)}`;
  }
  return "more";
}

const CASES: readonly (readonly [keys: string, wanted: string])[] = [
  ["horse\r", "horse|"],
  ["horse\n", "horse|"],
  ["", "more"],
  ["horse", "more"],
  ["\r", "|"],
  [" a b \r", " a b |"],
  ["tab\there\r", "tab\there|"],
  ["pässwörd 🐎\r", "pässwörd 🐎|"],
  ["hör\x7f\x7f\x7forse\r", "orse|"],
  ["hö🐎\x7f\b\x7f\x7fx\r", "x|"],
  ["wrong\x15right\r", "right|"],
  ["wrong\x17right\r", "right|"],
  ["hor\x1b[D\x1b[1;5C\x1bOHse\r", "horse|"],
  ["\x1b[200~pasted\x1b[201~\r", "pasted|"],
  ["a\x1b\r", "a|"],
  ["a\x01\x1ab\r", "ab|"],
  ["horse\x03", "cancelled"],
  ["\x04", "cancelled"],
  ["a\x04b\r", "ab|"],
];

Deno.test("SecretLine: keys make a line, whole or byte by byte", () => {
  for (const [keys, wanted] of CASES) {
    assertEquals(typed(keys), wanted, JSON.stringify(keys));
    assertEquals(typed(keys, 1), wanted, `${JSON.stringify(keys)} byte by byte`);
  }
});

Deno.test("SecretLine: what was pasted behind the line is left for the next one", () => {
  assertEquals(typed("one\rtwo\r"), "one|two\r");
  assertEquals(typed("one\r\ntwo\r\n"), "one|two\r\n");
});

Deno.test("SecretLine: refuses a line without an end, and what is no text", () => {
  assertThrows(() => typed("x".repeat(10_000)), KvError, "not more");
  const line = new SecretLine();
  assertThrows(() => line.feed(new Uint8Array([0xff, 0x0d])), KvError, "UTF-8");
});
