import { assert, assertEquals } from "@std/assert";
import { compareBytes, compareKeys, prefixEnd } from "../../../../shared/base/key_order.ts";
import {
  base64OfKey,
  bytesOfKey,
  byteText,
  canonicalKey,
  isKeyText,
  keyField,
  keyLength,
  keyOfBase64,
  keyOfBytes,
  percentEncoded,
  quotedKey,
} from "../../../../shared/base/key_text.ts";
import { percentDecoded } from "../../../../shared/http/protocol/target.ts";
import { keyPosition, positionByDigest } from "../../../../shared/cluster/position.ts";
import { type Random, randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

/** Pieces that make and break characters: whole ones, cut ones, overlong forms, halves of pairs, bytes without sense. */
const PIECES: readonly (readonly number[])[] = [
  [0x00],
  [0x61],
  [0x7f],
  [0x80],
  [0xbf],
  [0xc0, 0x80],
  [0xc2, 0x80],
  [0xc3],
  [0xc3, 0xa9],
  [0xdf, 0xbf],
  [0xe0, 0x80, 0x80],
  [0xe0, 0xa0, 0x80],
  [0xe2, 0x82],
  [0xe2, 0x82, 0xac],
  [0xed, 0x9f, 0xbf],
  [0xed, 0xa0, 0x80],
  [0xed, 0xb2, 0x80],
  [0xee, 0x80, 0x80],
  [0xef, 0xbb, 0xbf],
  [0xef, 0xbf, 0xbd],
  [0xf0, 0x80, 0x80, 0x80],
  [0xf0, 0x9f, 0x98, 0x80],
  [0xf0, 0x9f, 0x98],
  [0xf4, 0x8f, 0xbf, 0xbf],
  [0xf4, 0x90, 0x80, 0x80],
  [0xf5],
  [0xff],
];

function randomBytes(random: Random, piecesMax = 4): Uint8Array {
  const pieces = Array.from(
    { length: randomBelow(random, piecesMax + 1) },
    () => PIECES[randomBelow(random, PIECES.length)] ?? [],
  );
  return Uint8Array.from(pieces.flat());
}

Deno.test("keyOfBytes, bytesOfKey: one string for each bytes, and the bytes again for each string", () => {
  const random = new SeededRandom(41);
  for (let i = 0; i < 20_000; i++) {
    // Short ones and long ones are converted in different ways.
    const bytes = randomBytes(random, i % 1_000 === 0 ? 10_000 : i % 10 === 0 ? 40 : 4);
    const key = keyOfBytes(bytes);
    assertEquals(bytesOfKey(key), bytes, quotedKey(key));
    assertEquals(keyLength(key), bytes.length, quotedKey(key));
    assert(isKeyText(key), quotedKey(key));
    assertEquals(canonicalKey(key), key);
    assertEquals(canonicalKey([...bytes].map(byteText).join("")), key);
    assertEquals(keyOfBase64(base64OfKey(key)), key);
    assertEquals(percentDecoded(percentEncoded(key), "the key"), key);
    assertEquals(JSON.parse(JSON.stringify(key)), key);
  }
});

Deno.test("keyOfBytes: text stays text, and a byte that is none is U+DC00 and the byte, as in Python", () => {
  const text = "a\0grüße 🦊\ufeff\ufffd";
  assertEquals(keyOfBytes(new TextEncoder().encode(text)), text);
  // What Python's bytes.decode("utf-8", "surrogateescape") says.
  assertEquals(keyOfBytes(Uint8Array.of(0x61, 0xff, 0xc3, 0xa9, 0xc3)), "a\udcffé\udcc3");
  assertEquals(keyOfBytes(Uint8Array.of(0xed, 0xb2, 0x80)), "\udced\udcb2\udc80");
});

Deno.test("isKeyText: only one string for each key, and no half of a pair that is no byte", () => {
  for (const text of ["", "a", "é", "🦊", "\udc80", "a\udcff🦊\udcc3"]) assert(isKeyText(text));
  for (
    const text of ["\ud800", "\udc00", "\udc7f", "\udd00", "\udcc3\udca9", "a\ud800\udcff\ud800"]
  ) {
    assert(!isKeyText(text), JSON.stringify(text));
  }
  assertEquals(canonicalKey("\udcc3\udca9"), "é");
  assertEquals(canonicalKey("\ud800\udcff\udcff\ud800"), "\ud800\udcff\udcff\ud800");
});

Deno.test("compareKeys and prefixEnd: by bytes, whatever these are", () => {
  const random = new SeededRandom(42);
  for (let i = 0; i < 20_000; i++) {
    const [a, b] = [randomBytes(random), randomBytes(random)];
    const [x, y] = [keyOfBytes(a), keyOfBytes(b)];
    const about = `${quotedKey(x)} ${quotedKey(y)}`;
    assertEquals(Math.sign(compareKeys(x, y)), Math.sign(compareBytes(a, b)), about);
    const end = prefixEnd(x);
    const begins = a.every((byte, at) => b[at] === byte);
    const isWithin = compareKeys(y, x) >= 0 && (end === undefined || compareKeys(y, end) < 0);
    assertEquals(isWithin, begins, about);
  }
});

Deno.test("keyPosition: of the bytes, in one block and in many", () => {
  const random = new SeededRandom(43);
  for (let i = 0; i < 2_000; i++) {
    const key = keyOfBytes(Uint8Array.from({ length: i % 140 }, () => randomBelow(random, 256)));
    if (!key.includes("{")) assertEquals(keyPosition(key), positionByDigest(key), quotedKey(key));
  }
  // MD5 of the single byte FF, by another program: 00594fd4f42ba43fc1ca0427a0576295.
  assertEquals(keyPosition("\udcff"), 0x00594fd4);
  assertEquals(keyPosition("a{\udcff}b"), 0x00594fd4);
});

Deno.test("quotedKey, keyField: bytes for people, and for programs", () => {
  assertEquals(quotedKey("a\udcff\n🦊"), '"a\\xff\\n🦊"');
  // A key that has the characters \udcff themselves, before a byte FF.
  assertEquals(quotedKey("\\udcff\udcff"), String.raw`"\\udcff\xff"`);
  assertEquals(keyField("key", "é"), { key: "é" });
  assertEquals(keyField("next", "\udcff\udcfe"), { next64: "//4=" });
});
