import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { beginFrame, FRAME_MARK } from "../../../../shared/schema/binary_frames.ts";
import { LineFramer } from "../../../../shared/wire/framing.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const encoder = new TextEncoder();
const bytes = (text: string) => encoder.encode(text);

/** What comes out of a framer, errors as their codes. */
function drain(framer: LineFramer): string[] {
  const out: string[] = [];
  for (let line = framer.next(); line !== undefined; line = framer.next()) {
    if (line instanceof Uint8Array) out.push(`frame ${line.join()}`);
    else out.push(typeof line === "string" ? line : `<${line.code}>`);
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

/** A frame of kind 7 with this body. */
function frame(...body: number[]): Uint8Array {
  const made = beginFrame(7, body.length);
  made.set(body, made.length - body.length);
  return made;
}

/** Frames beside lines; a frame's body may look like a line, and a line may contain the mark. */
const WITH_FRAMES = join(
  bytes('{"a":1}\n'),
  frame(1, 0x0a, FRAME_MARK, 0x7b),
  frame(),
  bytes("\nbetween\n"),
  frame(...bytes('{"b":2}\n')),
  new Uint8Array([0x61, FRAME_MARK, 0x0a]),
  frame(0x0a),
  bytes("last\n"),
);
const WITH_FRAMES_OUT = [
  '{"a":1}',
  "frame 245,7,0,0,0,4,1,10,245,123",
  "frame 245,7,0,0,0,0",
  "between",
  "frame 245,7,0,0,0,8,123,34,98,34,58,50,125,10",
  "<bad_request>",
  "frame 245,7,0,0,0,1,10",
  "last",
];

function framerOfFrames(frameBytesMax?: number): LineFramer {
  const framer = new LineFramer(frameBytesMax);
  framer.takeFrames();
  return framer;
}

Deno.test("LineFramer gives the same frames and lines wherever the bytes are cut", () => {
  assertEquals(feedAll(framerOfFrames(), [WITH_FRAMES]), WITH_FRAMES_OUT);
  const single = Array.from(WITH_FRAMES, (byte) => new Uint8Array([byte]));
  assertEquals(feedAll(framerOfFrames(), single), WITH_FRAMES_OUT);
  const random = new SeededRandom(1);
  for (let round = 0; round < 500; round++) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < WITH_FRAMES.length;) {
      const to = at + 1 + randomBelow(random, 12);
      pieces.push(WITH_FRAMES.slice(at, to));
      at = to;
    }
    const framer = framerOfFrames();
    assertEquals(feedAll(framer, pieces), WITH_FRAMES_OUT, `round ${round}`);
    assertEquals([framer.partialBytes, framer.keptBytes, framer.hasLines], [0, 0, false]);
  }
});

Deno.test("LineFramer does not keep the array of a frame that it was fed, and counts frames that are not taken", () => {
  const framer = framerOfFrames();
  const fed = frame(1, 2);
  assertEquals(framer.feed(fed), true);
  fed.fill(0);
  assertEquals(framer.keptBytes, 8);
  assertEquals(drain(framer), ["frame 245,7,0,0,0,2,1,2"]);
  assertEquals(framer.keptBytes, 0);
});

Deno.test("LineFramer takes no frame before it was told to, then also one that has begun", () => {
  assertEquals(feedAll(new LineFramer(), [join(frame(1), bytes("\n"))]), ["<bad_request>"]);
  for (let at = 1; at <= WITH_FRAMES.length; at++) {
    const framer = new LineFramer();
    const begun = join(frame(5, 6), WITH_FRAMES);
    framer.feed(begun.slice(0, Math.min(at, 8)));
    framer.takeFrames();
    framer.feed(begun.slice(Math.min(at, 8)));
    assertEquals(drain(framer), ["frame 245,7,0,0,0,2,5,6", ...WITH_FRAMES_OUT], `told at ${at}`);
  }
});

Deno.test("LineFramer refuses a frame that is too long by its head, and takes nothing after it", () => {
  const huge = new Uint8Array([FRAME_MARK, 1, 0xff, 0xff, 0xff, 0xff]);
  for (const size of [1, 3, 6]) {
    const framer = framerOfFrames(64);
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < huge.length; at += size) pieces.push(huge.slice(at, at + size));
    const out = feedAll(framer, [...pieces, bytes("more\n"), new Uint8Array(1_000)]);
    assertEquals([out, framer.broken, framer.keptBytes], [["<frame_too_large>"], true, 0]);
  }
  const exact = frame(...new Uint8Array(58));
  assertEquals(feedAll(framerOfFrames(64), [exact]).length, 1);
  assertEquals(feedAll(framerOfFrames(63), [exact]), ["<frame_too_large>"]);
});

Deno.test("LineFramer with frames takes any bytes without harm, and the same however they are cut", () => {
  const random = new SeededRandom(2);
  for (let round = 0; round < 2_000; round++) {
    const input = new Uint8Array(1 + randomBelow(random, 60)).map(() => {
      const chance = randomBelow(random, 10);
      return chance < 2
        ? FRAME_MARK
        : chance < 4
        ? 0x0a
        : chance < 7
        ? 0
        : randomBelow(random, 256);
    });
    const whole = feedAll(framerOfFrames(40), [input]);
    const single = feedAll(framerOfFrames(40), Array.from(input, (byte) => new Uint8Array([byte])));
    assertEquals(single, whole, `round ${round}: ${input.join()}`);
  }
});
