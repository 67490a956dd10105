import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { LineFramer } from "../../../../shared/wire/framing.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text);

/** What comes out of a framer, errors as their codes. */
function drain(framer: LineFramer): string[] {
  const out: string[] = [];
  for (let line = framer.next(); line !== undefined; line = framer.next()) {
    out.push(typeof line === "string" ? line : `<${line.code}>`);
  }
  return out;
}

function feedAll(framer: LineFramer, pieces: Uint8Array[]): string[] {
  return pieces.flatMap((piece) => {
    framer.feed(piece);
    return drain(framer);
  });
}

function join(...parts: Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap((part) => [...part]));
}

const MIXED = join(
  bytes('{"a":1}\n'),
  bytes("\n\r\n"),
  bytes("žluťoučký 🐎\r\n"),
  new Uint8Array([0x61, 0xff, 0x0a]),
  bytes("after\n"),
  new Uint8Array([0xed, 0xa0, 0x80, 0x0a]),
  bytes("\ufeffmark\nlast\n"),
);
const MIXED_LINES = [
  '{"a":1}',
  "žluťoučký 🐎\r",
  "<bad_request>",
  "after",
  "<bad_request>",
  "\ufeffmark",
  "last",
];

Deno.test("LineFramer gives the same lines for one piece and for single bytes", () => {
  assertEquals(feedAll(new LineFramer(), [MIXED]), MIXED_LINES);
  const single = Array.from(MIXED, (byte) => new Uint8Array([byte]));
  assertEquals(feedAll(new LineFramer(), single), MIXED_LINES);
});

Deno.test("LineFramer gives the same lines wherever the bytes are cut", () => {
  for (let at = 0; at <= MIXED.length; at++) {
    const pieces = [MIXED.slice(0, at), MIXED.slice(at)];
    assertEquals(feedAll(new LineFramer(), pieces), MIXED_LINES, `cut at ${at}`);
  }
  const random = new SeededRandom(1);
  for (let round = 0; round < 200; round++) {
    const pieces: Uint8Array[] = [];
    for (let from = 0; from < MIXED.length;) {
      const to = from + 1 + randomBelow(random, 12);
      pieces.push(MIXED.slice(from, to));
      from = to;
    }
    assertEquals(feedAll(new LineFramer(), pieces), MIXED_LINES, `round ${round}`);
  }
});

Deno.test("LineFramer does not keep the array that it was fed", () => {
  const framer = new LineFramer();
  const buffer = bytes("one\ntw");
  framer.feed(buffer);
  buffer.fill(0x78);
  framer.feed(bytes("o\n"));
  assertEquals(drain(framer), ["one", "two"]);
});

Deno.test("LineFramer keeps lines that are not taken, in order", () => {
  const framer = new LineFramer();
  framer.feed(bytes("1\n2\n3"));
  assertEquals(framer.next(), "1");
  framer.feed(bytes("3\n4\n"));
  assertEquals(drain(framer), ["2", "33", "4"]);
});

Deno.test("LineFramer tells how much of an unfinished line there is", () => {
  const framer = new LineFramer();
  assertEquals(framer.feed(bytes("abc")), false);
  assertEquals(framer.partialBytes, 3);
  assertEquals(framer.feed(bytes("d\nef")), true);
  assertEquals(framer.partialBytes, 2);
});

Deno.test("LineFramer lets a line of exactly the limit through and refuses a longer one", () => {
  const limit = 16;
  const fits = "x".repeat(limit) + "\n";
  const tooLong = "y".repeat(limit + 1) + "\n";
  for (const size of [1, 3, 15, 16, 17, 18, 100]) {
    const all = bytes(fits + "a\n" + tooLong + "never\n");
    const pieces: Uint8Array[] = [];
    for (let from = 0; from < all.length; from += size) pieces.push(all.slice(from, from + size));
    const framer = new LineFramer(limit);
    const lines = feedAll(framer, pieces);
    assertEquals(lines, ["x".repeat(limit), "a", "<frame_too_large>"], `pieces of ${size}`);
    assertEquals(framer.broken, true);
  }
});

Deno.test("LineFramer refuses a line that is too long before its newline comes", () => {
  const framer = new LineFramer(8);
  framer.feed(bytes("12345"));
  assertEquals(drain(framer), []);
  framer.feed(bytes("6789"));
  const error = framer.next();
  assertInstanceOf(error, KvError);
  assertEquals(error.code, "frame_too_large");
  assertEquals(framer.partialBytes, 0);
});

Deno.test("LineFramer counts bytes, not characters", () => {
  assertEquals(feedAll(new LineFramer(8), [bytes("čččč\n")]), ["čččč"]);
  assertEquals(feedAll(new LineFramer(7), [bytes("čččč\n")]), ["<frame_too_large>"]);
});

Deno.test("LineFramer.push throws what is wrong and goes on behind it", () => {
  const framer = new LineFramer();
  const lines: string[] = [];
  const error = assertThrows(
    () =>
      framer.push(
        join(bytes("a\n"), new Uint8Array([0xff, 0x0a]), bytes("b\n")),
        (line) => lines.push(line),
      ),
    KvError,
  );
  assertEquals(error.code, "bad_request");
  framer.push(bytes("c\n"), (line) => lines.push(line));
  assertEquals(lines, ["a", "b", "c"]);
});

Deno.test("LineFramer takes a large line in many pieces", () => {
  const framer = new LineFramer(3_000_000);
  const text = "0123456789".repeat(250_000);
  const all = bytes(text + "\n");
  const lines: string[] = [];
  for (let from = 0; from < all.length; from += 65_536) {
    framer.push(all.subarray(from, from + 65_536), (line) => lines.push(line));
  }
  assertEquals(lines.length, 1);
  assertEquals(lines[0] === text, true);
});
