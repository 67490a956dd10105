import { assertEquals } from "@std/assert";
import { md5FirstWord, ONE_BLOCK_BYTES_MAX } from "../../../../shared/cluster/md5_block.ts";
import {
  firstPositionOf,
  keyPosition,
  partitionOf,
  partitionOfPosition,
  positionByDigest,
  RING_SIZE,
  textPosition,
} from "../../../../shared/cluster/position.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("textPosition: the test suite of RFC 1321, section A.5", () => {
  const digests: [text: string, digest: string][] = [
    ["", "d41d8cd98f00b204e9800998ecf8427e"],
    ["a", "0cc175b9c0f1b6a831c399e269772661"],
    ["abc", "900150983cd24fb0d6963f7d28e17f72"],
    ["message digest", "f96b697d7cb7938d525a2f31aaf161d0"],
    ["abcdefghijklmnopqrstuvwxyz", "c3fcd3d76192e4007dfb496cca67e13b"],
    [
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
      "d174ab98d277d9f5a5611c2c9f419d9f",
    ],
    ["1234567890".repeat(8), "57edf4a22be3c955ac49da2e2107b67a"],
  ];
  for (const [text, digest] of digests) {
    assertEquals(textPosition(text), Number.parseInt(digest.slice(0, 8), 16), text);
  }
});

Deno.test("md5FirstWord: an empty message", () => {
  const block = new Int32Array(16);
  block[0] = 0x80;
  assertEquals(md5FirstWord(block), 0xd41d8cd9);
});

Deno.test("textPosition: equals the digest of @std/crypto at every length round a block", () => {
  for (let length = 0; length <= 2 * 64 + 1; length++) {
    for (const letter of ["x", "\x7f", "\x80", "é", "中", "😀"]) {
      const text = letter.repeat(length);
      assertEquals(textPosition(text), positionByDigest(text), `${length} times ${letter}`);
      const mixed = "k".repeat(ONE_BLOCK_BYTES_MAX).slice(0, length) + letter;
      assertEquals(textPosition(mixed), positionByDigest(mixed), mixed);
    }
  }
});

Deno.test("textPosition: equals the digest of @std/crypto on random texts, lone surrogates too", () => {
  const random = new SeededRandom(1321);
  for (let i = 0; i < 5_000; i++) {
    const codes = Array.from(
      { length: randomBelow(random, 70) },
      () => randomBelow(random, [0x80, 0x800, 0x10000][i % 3] ?? 0),
    );
    const text = String.fromCharCode(...codes);
    assertEquals(textPosition(text), positionByDigest(text), JSON.stringify(text));
  }
});

Deno.test("keyPosition: hashes the tag alone, if there is one that is not empty", () => {
  const cases: [key: string, hashed: string][] = [
    ["user:{42}:cart", "42"],
    ["{42}", "42"],
    ["a{b}{c}", "b"],
    ["a{{b}}", "{b"],
    ["{é}x", "é"],
    [`{${"t".repeat(80)}}x`, "t".repeat(80)],
    ["{}x", "{}x"],
    ["a{}{b}", "a{}{b}"],
    ["a{b", "a{b"],
    ["a}b{c", "a}b{c"],
    ["a}{b}", "b"],
    ["plain", "plain"],
  ];
  for (const [key, hashed] of cases) {
    assertEquals(keyPosition(key), positionByDigest(hashed), key);
  }
});

Deno.test("textPosition: does not know tags", () => {
  assertEquals(textPosition("user:{42}:cart"), positionByDigest("user:{42}:cart"));
});

Deno.test("partitionOf: is the position's top bits", () => {
  const random = new SeededRandom(7);
  for (let bits = 0; bits <= 16; bits++) {
    const count = 2 ** bits;
    for (let i = 0; i < 100; i++) {
      const key = `key${random.uint32()}`;
      const top = keyPosition(key).toString(2).padStart(32, "0").slice(0, bits);
      assertEquals(partitionOf(key, count), top === "" ? 0 : Number.parseInt(top, 2));
    }
  }
});

Deno.test("firstPositionOf: begins the arc that partitionOfPosition knows", () => {
  for (const count of [1, 2, 256, 65_536]) {
    for (const partition of [0, count >> 1, count - 1]) {
      const first = firstPositionOf(partition, count);
      assertEquals(partitionOfPosition(first, count), partition);
      if (first > 0) assertEquals(partitionOfPosition(first - 1, count), partition - 1);
    }
    assertEquals(partitionOfPosition(RING_SIZE - 1, count), count - 1);
  }
});
