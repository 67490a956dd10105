import { assertEquals } from "@std/assert";
import { escapeControls } from "../../../../shared/program/terminal.ts";

Deno.test("escapeControls: nothing is left that controls a terminal or hides in it", () => {
  const table: [text: string, shown: string][] = [
    ["plain\ttext\n", "plain\ttext\n"],
    ["Zürich 東京 e\u0301 🔑 ❤\ufe0f", "Zürich 東京 e\u0301 🔑 ❤\ufe0f"],
    ["\x1b[2J\x07\r\0\x7f", "\\u001b[2J\\u0007\\u000d\\u0000\\u007f"],
    ["\x9b31m\x85", "\\u009b31m\\u0085"],
    ["a\u202eb\u2066c\u2069\u200f\u061c", "a\\u202eb\\u2066c\\u2069\\u200f\\u061c"],
    ["\u200b\u200d\ufeff\u00ad\u2060", "\\u200b\\u200d\\ufeff\\u00ad\\u2060"],
    ["\u2028\u2029", "\\u2028\\u2029"],
    ["\u3164\u115f\u034f", "\\u3164\\u115f\\u034f"],
    ["\u{e0041}\u{e0100}", "\\udb40\\udc41\\udb40\\udd00"],
    ["\ud800", "\\ud800"],
  ];
  for (const [text, shown] of table) assertEquals(escapeControls(text), shown);
});

Deno.test("escapeControls: JSON stays JSON, with the same meaning", () => {
  let all = "";
  for (let code = 0; code < 0x3000; code++) all += String.fromCharCode(code);
  all += "\u{e0041}\ud800";
  assertEquals(JSON.parse(escapeControls(JSON.stringify(all))), all);
});
