import { assertEquals, assertThrows } from "@std/assert";
import {
  commandName,
  LineWords,
  parseLine,
  type Words,
} from "../../../../../client/cli/command/command_line.ts";
import { findCommand } from "../../../../../client/cli/commands/command_table.ts";
import { KvError } from "../../../../../shared/base/errors.ts";

const argumentsOf = (name: string) => findCommand(name)?.arguments.length;

function texts(words: Words): string[] {
  const all: string[] = [];
  for (let word = words.next(); word !== undefined; word = words.next()) all.push(word.text);
  return all;
}

const splitWords = (line: string) => texts(new LineWords(line));

function parsed(line: string): [string, ...string[]] | undefined {
  const result = parseLine(line, argumentsOf);
  return result && [result.name, ...texts(result.words)];
}

Deno.test("parseLine takes both syntaxes", () => {
  const table: [line: string, expected: [string, ...string[]]][] = [
    ["put:username:alice", ["put", "username", "alice"]],
    ["PUT username alice", ["put", "username", "alice"]],
    ["Put:k:v:with:colons", ["put", "k", "v:with:colons"]],
    ["  put:my key:hello  world ", ["put", "my key", "hello  world "]],
    ["put:k:", ["put", "k", ""]],
    ["put:k", ["put", "k"]],
    ["get:user:1", ["get", "user:1"]],
    ["get:", ["get"]],
    ["list_nodes:", ["list-nodes"]],
    ['put:k:"quoted"', ["put", "k", '"quoted"']],
    ["PUT a:b c", ["put", "a:b", "c"]],
    ["GET_NODES_FOR_KEY k", ["get-nodes-for-key", "k"]],
    ["nosuch:k:v", ["nosuch:k:v"]],
    ["nosuch k v", ["nosuch", "k", "v"]],
    ["exit", ["exit"]],
    ["get \t k\r\n", ["get", "k"]],
    ["put ключ значение", ["put", "ключ", "значение"]],
    ["put:🔑:🎉 🎉", ["put", "🔑", "🎉 🎉"]],
    ["get a\u00a0b", ["get", "a\u00a0b"]],
  ];
  for (const [line, expected] of table) assertEquals(parsed(line), expected, line);
});

Deno.test("parseLine passes over empty lines and comments", () => {
  for (const line of ["", "  ", "\n", "# put k v", "  #"]) assertEquals(parsed(line), undefined);
});

Deno.test("LineWords reads quotes and escapes", () => {
  const table: [line: string, words: string[]][] = [
    [`"a b" 'c d'`, ["a b", "c d"]],
    [`"" ''`, ["", ""]],
    [String.raw`"a\"b\\c\n\t\u{1F600}\u0041"`, ['a"b\\c\n\t😀A']],
    [String.raw`'a\n'`, [String.raw`a\n`]],
    [`{"a":1} it's`, [`{"a":1}`, "it's"]],
  ];
  for (const [line, words] of table) {
    assertEquals(splitWords(line), words, line);
  }
});

Deno.test("LineWords refuses quotes that are not closed or not followed by a space", () => {
  for (const line of [`"a`, `'a`, `"a\\"`, `"a"b`, `"\\u12"`, `"\\u{110000}"`]) {
    const error = assertThrows(() => splitWords(line), KvError);
    assertEquals(error.code, "bad_request", line);
  }
});

Deno.test("commandName is the same in any case, with dashes or underscores", () => {
  assertEquals(commandName("LIST_NODES"), "list-nodes");
  assertEquals(commandName("list-Nodes"), "list-nodes");
});
