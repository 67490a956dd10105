import { assertEquals, assertThrows } from "@std/assert";
import { CommandError } from "../../../../../node/resp/command/command.ts";
import { withoutShebang } from "../../../../../node/resp/scripts/shebang.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

Deno.test("withoutShebang: the script with its line numbers, and whether it may write", () => {
  const table: [string, string, boolean][] = [
    ["return 1", "return 1", true],
    ["", "", true],
    ["#", "#", true],
    ["#!lua\nreturn 1", "\nreturn 1", true],
    ["#!lua\r\nreturn 1", "\nreturn 1", true],
    ["#!lua flags=no-writes\nreturn 1", "\nreturn 1", false],
    ["#!lua flags=allow-oom,no-writes \nx", "\nx", false],
    ["#!lua flags=allow-oom flags=no-cluster\nx", "\nx", true],
    ["#!lua flags=\nx", "\nx", true],
  ];
  for (const [script, text, mayWrite] of table) {
    const given = withoutShebang(utf8(script));
    assertEquals([new TextDecoder().decode(given.text), given.mayWrite], [text, mayWrite], script);
  }
});

Deno.test("withoutShebang: what Redis refuses", () => {
  const table: [string, string][] = [
    ["#!", "Invalid script shebang"],
    ["#!lua return 1", "Invalid script shebang"],
    ["#!\nreturn 1", "Unexpected engine"],
    ["#! lua\nreturn 1", "Unexpected engine"],
    ["#!js\nreturn 1", "Unexpected engine in script shebang: #!js"],
    ["#!lua name=x\nreturn 1", "Unknown lua shebang option: name=x"],
    ["#!lua flags=x\nreturn 1", "Unexpected flag in script shebang: x"],
  ];
  for (const [script, text] of table) {
    assertThrows(() => withoutShebang(utf8(script)), CommandError, text);
  }
});
