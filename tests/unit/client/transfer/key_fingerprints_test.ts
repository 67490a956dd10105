import { assert, assertEquals } from "@std/assert";
import { KeyFingerprints } from "../../../../client/transfer/key_fingerprints.ts";

Deno.test("KeyFingerprints tells new keys from known ones, as a Set does", () => {
  const model = new Set<string>();
  const set = new KeyFingerprints(1_000_000);
  for (let i = 0; i < 60_000; i++) {
    const key = i % 3 === 0
      ? `key-${i % 30_000}`
      : String.fromCodePoint(0x4e00 + i % 20_000) + i % 7;
    assertEquals(set.add(key), !model.has(key), key);
    model.add(key);
  }
  assertEquals(set.size, model.size);
});

Deno.test("KeyFingerprints tells keys apart that differ in one character or in length", () => {
  const set = new KeyFingerprints(100_000);
  for (let a = 0; a < 128; a++) {
    for (let b = 0; b < 128; b++) {
      assert(set.add(String.fromCharCode(a, b)), `${a} ${b}`);
    }
  }
  for (let length = 0; length < 1_000; length++) assert(set.add("\0".repeat(length + 3)));
});

Deno.test("KeyFingerprints stops at its bound", () => {
  const set = new KeyFingerprints(10);
  for (let i = 0; i < 20; i++) assertEquals(set.add(`k${i}`), i < 10);
  assert(set.full);
  assertEquals(set.size, 10);
});
