import { assert, assertEquals } from "@std/assert";
import { splitInline } from "../../../../../node/resp/protocol/inline.ts";
import { parseInteger } from "../../../../../node/resp/protocol/integer_text.ts";
import { RespParser, type RespParserLimits } from "../../../../../node/resp/protocol/parser.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";
import { encodeCommand } from "../../../../support/clients/resp_bench.ts";

// Not quite Latin-1, but one character for each byte.
const latin1 = new TextDecoder("latin1");
const LIMITS: RespParserLimits = {
  argumentBytesMax: 100_000,
  argumentsMax: 50,
  commandBytesMax: 300_000,
  lineBytesMax: 1_000,
};

const bytesOf = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));

/** What comes of bytes that arrive in these pieces; each piece is wiped once it was fed. */
function parse(pieces: readonly Uint8Array[], limits = LIMITS): (string[] | string)[] {
  const parser = new RespParser(limits);
  const found: (string[] | string)[] = [];
  for (const piece of pieces) {
    const chunk = piece.slice();
    parser.feed(chunk);
    for (let words = parser.next(); words !== undefined; words = parser.next()) {
      found.push(words.map((word) => latin1.decode(word)));
    }
    parser.keep();
    chunk.fill(0xee);
    assert(
      parser.keptBytes <= (limits.commandBytesMax ?? 0) + (limits.lineBytesMax ?? 0) + piece.length,
    );
  }
  if (parser.error !== undefined) found.push(parser.error);
  return found;
}

const whole = (text: string) => parse([bytesOf(text)]);

Deno.test("RespParser: arrays of bulk strings, pipelined", () => {
  assertEquals(whole("*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n"), [["PING"], ["GET", ""]]);
  assertEquals(whole("*2\r\n$1\r\na\r\n$5\r\n\r\n*\r\x00\r\n"), [["a", "\r\n*\r\x00"]]);
  assertEquals(whole("*0\r\n*-1\r\n*1\r\n$1\r\nx\r\n"), [["x"]]);
});

Deno.test("RespParser: inline commands, with quotes as Redis has them", () => {
  const cases: [string, (string[] | string)[]][] = [
    ["PING\r\n", [["PING"]]],
    ["  set  a\tb \n\r\n\nget a\n", [["set", "a", "b"], ["get", "a"]]],
    [`set "a b" 'c d'\r\n`, [["set", "a b", "c d"]]],
    [`x "\\x41\\n\\r\\t\\b\\a\\"\\q\\\\"\n`, [["x", 'A\n\r\t\b\x07"q\\']]],
    [`x '\\'\\n' "\\xZZ"\n`, [["x", "'\\n", "xZZ"]]],
    [`x a"b c"\n`, [["x", "ab c"]]],
    [`x ""\n`, [["x", ""]]],
    [`x "a"b\n`, ["ERR Protocol error: unbalanced quotes in request"]],
    [`x "a\n`, ["ERR Protocol error: unbalanced quotes in request"]],
    [`x 'a\\'\n`, ["ERR Protocol error: unbalanced quotes in request"]],
  ];
  for (const [text, wanted] of cases) assertEquals(whole(text), wanted, JSON.stringify(text));
});

Deno.test("RespParser: protocol errors in the words of Redis, and nothing behind them", () => {
  const cases: [string, string][] = [
    ["*x\r\n", "invalid multibulk length"],
    ["*51\r\n", "invalid multibulk length"],
    ["*01\r\n", "invalid multibulk length"],
    ["*99999999999999999999\r\n", "invalid multibulk length"],
    ["*1\r\nGET\r\n", "expected '$', got 'G'"],
    ["*1\r\n*1\r\n$1\r\na\r\n", "expected '$', got '*'"],
    ["*1\r\n$-1\r\n", "invalid bulk length"],
    ["*1\r\n$100001\r\n", "invalid bulk length"],
    ["*1\r\n$1x\r\n", "invalid bulk length"],
    [`*${"1".repeat(100)}`, "too big mbulk count string"],
    [`*1\r\n$${"1".repeat(100)}`, "too big bulk count string"],
    ["a".repeat(1_001), "too big inline request"],
    [
      `*4\r\n${`$99999\r\n${"x".repeat(99_999)}\r\n`.repeat(3)}$99999\r\n`,
      "too big request",
    ],
  ];
  for (const [text, wanted] of cases) {
    assertEquals(
      whole(text + "PING\r\n".repeat(text.endsWith("\n") ? 1 : 0)),
      [`ERR Protocol error: ${wanted}`],
      JSON.stringify(text.slice(0, 40)),
    );
  }
});

/** The same bytes in pieces of random size. */
function cut(bytes: Uint8Array, random: SeededRandom, longest: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + randomBelow(random, longest);
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

Deno.test("RespParser: commands come out as they went in, however they are cut", () => {
  for (let seed = 0; seed < 60; seed++) {
    const random = new SeededRandom(seed);
    const commands: string[][] = [];
    const parts: Uint8Array[] = [];
    for (let i = 0; i < 20; i++) {
      const words = Array.from({ length: 1 + randomBelow(random, 5) }, () => {
        const length = randomBelow(random, 40) === 0 ? 90_000 : 12;
        return Uint8Array.from(
          { length: randomBelow(random, length) },
          () => random.uint32() & 0xff,
        );
      });
      const size = words.reduce((sum, word) => sum + word.length, 0);
      if (size > 200_000) continue;
      commands.push(words.map((word) => latin1.decode(word)));
      parts.push(encodeCommand(words));
    }
    const joined = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const part of parts) {
      joined.set(part, at);
      at += part.length;
    }
    const longest = [7, 50, 5_000, 70_000][seed % 4] ?? 1;
    assertEquals(parse(cut(joined, random, longest)), commands, `seed ${seed}`);
  }
});

Deno.test("RespParser: hostile bytes never throw, and mean the same however they are cut", () => {
  const pieces = [
    "*",
    "$",
    "\r\n",
    "\n",
    "\r",
    "1",
    "2",
    "3",
    "-1",
    "0",
    "9999999999",
    "GET",
    "a b",
    '"',
    "'",
    "\\",
    "\\x4",
    "\0",
    "*1\r\n$4\r\nPING\r\n",
    "*2\r\n$3\r\nGET\r\n",
    "$1\r\nk\r\n",
    "SET a b\r\n",
    "\xff\xfe",
    "x".repeat(300),
    "*50\r\n",
    "$70000\r\n",
  ];
  for (let seed = 0; seed < 1_000; seed++) {
    const random = new SeededRandom(seed);
    let text = "";
    const count = 1 + randomBelow(random, 40);
    for (let i = 0; i < count; i++) {
      text += randomBelow(random, 8) === 0
        ? String.fromCharCode(random.uint32() & 0xff)
        : pieces[randomBelow(random, pieces.length)];
    }
    const bytes = bytesOf(text);
    const wanted = parse([bytes]);
    // An error may be known before the bytes that a longer piece would still have given.
    for (const longest of [1, 7, 100]) {
      assertEquals(parse(cut(bytes, random, longest)), wanted, `seed ${seed}`);
    }
  }
});

Deno.test("RespParser: a length alone takes no memory, and a command in the making is bounded", () => {
  const parser = new RespParser({ argumentBytesMax: 1 << 30, commandBytesMax: 1 << 30 });
  parser.feed(bytesOf("*2\r\n$3\r\nSET\r\n$1000000000\r\nabc"));
  assertEquals(parser.next(), undefined);
  parser.keep();
  assert(parser.hasPart);
  assertEquals(parser.error, undefined);
});

Deno.test("splitInline and parseInteger: what is none", () => {
  assertEquals(splitInline(bytesOf("")), []);
  for (const text of ["", "-", "+1", "01", "-0", " 1", "1 ", "1.0", "9223372036854775808"]) {
    assertEquals(parseInteger(bytesOf(text)), undefined, text);
  }
  for (
    const text of ["0", "-1", "9223372036854775807", "-9223372036854775808", "999999999999999"]
  ) {
    assertEquals(parseInteger(bytesOf(text)), BigInt(text), text);
  }
});
