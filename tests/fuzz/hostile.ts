/**
 * What a hostile or broken program might put into a message: values, JSON texts, and changes of a text that
 * was sound. All front ends' cases are made of these.
 *
 * @module
 */
import fc from "fast-check";
import { KEY_BYTES_MAX } from "../../shared/limits/wire.ts";

/** Deep enough for any recursive walk to overflow, if nothing looks at the depth first. */
const DEPTHS = [1, 64, 65, 1_000, 20_000, 20_000];

/** What one level of a deep value begins with. */
const OPENINGS = ["[", '{"a":', '{"requests":[', '{"req_type":"batch","requests":['];

const CURIOUS_NUMBERS = [
  "0",
  "-0",
  "-1",
  "1.5",
  "1e400",
  "-1e400",
  "1e-400",
  "9007199254740991",
  "9007199254740993",
  "18446744073709551616",
  "4294967295",
  "4294967296",
  "00",
  "+1",
  "0x10",
  "NaN",
  "Infinity",
];

const CURIOUS_TEXTS = [
  "",
  "a",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "\u0000",
  "\ud800",
  "\udfff\ud800",
  "\u001b[2J",
  "\u202e",
  "\r\n",
  "\ufeff",
  "\u{10ffff}",
  "{}",
  "{tag}",
  "*",
  "../../etc/passwd",
  "%00",
  "\udcff",
  "\udcc3\udca9",
  "a\udcc3",
  "k".repeat(KEY_BYTES_MAX + 1),
];

/** A number as it may stand in a text. */
export const numberText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...CURIOUS_NUMBERS),
  fc.integer().map(String),
  fc.double().map(String),
);

/** Any text. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom(...CURIOUS_TEXTS),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme-ascii", maxLength: 12 }),
);

/** A value inside of a value inside of a value. */
export const deepJson: fc.Arbitrary<string> = fc.tuple(
  fc.constantFrom(...DEPTHS),
  fc.constantFrom(...OPENINGS),
).map(([depth, open]) => nested(open, depth));

/** JSON without a reason: any value, deep ones among them, written as text. */
export const jsonText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: anyText.map((text) => JSON.stringify(text)) },
  { weight: 4, arbitrary: numberText },
  { weight: 1, arbitrary: fc.constantFrom("null", "true", "false", "[]", "{}", "[[]]", '{"":0}') },
  { weight: 2, arbitrary: fc.json({ maxDepth: 3 }) },
  { weight: 1, arbitrary: deepJson },
);

function nested(open: string, depth: number): string {
  const close = [...open].reverse().map((c) => c === "[" ? "]" : c === "{" ? "}" : "").join("");
  return open.repeat(depth) + "0" + close.repeat(depth);
}

/** An object as text: the given fields, some left out, doubled, or with another value. */
export function objectText(
  fields: Readonly<Record<string, fc.Arbitrary<string>>>,
): fc.Arbitrary<string> {
  const names = Object.keys(fields);
  const values = fc.tuple(
    ...names.map((name) =>
      fc.oneof(
        { weight: 6, arbitrary: fields[name] ?? jsonText },
        { weight: 1, arbitrary: jsonText },
        { weight: 1, arbitrary: fc.constant("") },
      )
    ),
  );
  const more = fc.array(fc.tuple(anyText, jsonText), { maxLength: 2 });
  return fc.tuple(values, more).map(([given, further]) => {
    const parts = [
      ...names.flatMap((name, i) => given[i] === "" ? [] : [`${JSON.stringify(name)}:${given[i]}`]),
      ...further.map(([name, value]) => `${JSON.stringify(name)}:${value}`),
    ];
    return `{${parts.join(",")}}`;
  });
}

/** How bytes are changed on their way. */
type Change = { kind: "cut" | "double" | "flip" | "insert"; at: number; byte: number };

/** Bytes as they are, or cut, doubled, with a byte flipped or put in: a place is a share of the length. */
export function damaged(bytes: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const change: fc.Arbitrary<Change> = fc.record({
    kind: fc.constantFrom("cut", "double", "flip", "insert"),
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    byte: fc.nat(255),
  });
  return fc.oneof(
    { weight: 3, arbitrary: bytes },
    { weight: 1, arbitrary: fc.tuple(bytes, change).map(([all, how]) => changed(all, how)) },
  );
}

function changed(bytes: Uint8Array, { kind, at, byte }: Change): Uint8Array {
  const place = Math.min(bytes.length, Math.floor(at * bytes.length));
  const head = bytes.subarray(0, place);
  const tail = bytes.subarray(place);
  switch (kind) {
    case "cut":
      return head.slice();
    case "double":
      return joined(bytes, bytes);
    case "insert":
      return joined(head, Uint8Array.of(byte), tail);
    case "flip": {
      const copy = bytes.slice();
      if (place < copy.length) copy[place] = byte;
      return copy;
    }
  }
}

/** Pieces as one. */
export function joined(...pieces: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Text as UTF-8; half surrogates become what a program would send that does not look: three bytes each. */
export function bytesOf(text: string): Uint8Array {
  if (text.isWellFormed()) return new TextEncoder().encode(text);
  const bytes: number[] = [];
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    if (code < 0xd800 || code > 0xdfff) bytes.push(...new TextEncoder().encode(character));
    else bytes.push(0xed, 0x80 | (code >> 6) & 0x3f, 0x80 | code & 0x3f);
  }
  return Uint8Array.from(bytes);
}
