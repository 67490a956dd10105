import { assertEquals, assertThrows } from "@std/assert";
import { parseBoundedJson } from "../../../../shared/schema/bounded_json.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { JSON_DEPTH_MAX } from "../../../../shared/limits/wire.ts";

const nested = (open: string, close: string, levels: number) =>
  open.repeat(levels) + "1" + close.repeat(levels);

Deno.test("parseBoundedJson gives what nests no deeper than may be, and refuses the rest", () => {
  for (const [open, close] of [["[", "]"], ['{"a":', "}"], ['[{"a":', "}]"]] as const) {
    const perPiece = open.split(/[[{]/).length - 1;
    const levels = JSON_DEPTH_MAX / perPiece;
    const text = nested(open, close, levels);
    assertEquals(JSON.stringify(parseBoundedJson(text)), text);
    const error = assertThrows(() => parseBoundedJson(nested(open, close, levels + 1)), KvError);
    assertEquals(error.code, "bad_request");
    assertThrows(() => parseBoundedJson(nested(open, close, 300_000)), KvError);
  }
});

Deno.test("parseBoundedJson: brackets that do not nest are no depth", () => {
  const wide = JSON.stringify(Array.from({ length: 1_000 }, () => [{ a: "[[{{" }]));
  assertEquals(JSON.stringify(parseBoundedJson(wide)), wide);
  assertEquals(parseBoundedJson(`"${"[{".repeat(1_000)}"`), "[{".repeat(1_000));
  assertThrows(() => parseBoundedJson("[".repeat(1_000)), SyntaxError);
});
