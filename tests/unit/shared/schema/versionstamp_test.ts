import { assert, assertEquals, assertThrows } from "@std/assert";
import { KvError } from "../../../../shared/base/errors.ts";
import { compareBytes } from "../../../../shared/base/key_order.ts";
import {
  STAMP_SUFFIX_BYTES,
  stampSuffix,
  versionOfStamp,
  versionstampOf,
} from "../../../../shared/schema/versionstamp.ts";

const VERSIONS = [1, 2, 255, 256, 65_535, 65_536, 2 ** 32, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER];

Deno.test("versionstampOf: ten bytes with the order of the versions, and back", () => {
  for (const [i, version] of VERSIONS.entries()) {
    const stamp = versionstampOf(version);
    assertEquals(stamp.length, 10);
    assertEquals(versionOfStamp(stamp), version);
    const next = VERSIONS[i + 1];
    if (next !== undefined) assert(compareBytes(stamp, versionstampOf(next)) < 0);
  }
});

Deno.test("versionOfStamp: another store's versionstamps are no version; other lengths are refused", () => {
  assertEquals(versionOfStamp(new Uint8Array(10)), undefined);
  assertEquals(versionOfStamp(new Uint8Array(10).fill(255)), undefined);
  assertEquals(versionOfStamp(Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1, 0, 1)), undefined);
  for (const length of [0, 9, 11]) {
    assertThrows(() => versionOfStamp(new Uint8Array(length)), KvError, "10 bytes");
  }
});

Deno.test("stampSuffix: a text among the parts of a key of Deno KV", () => {
  assertEquals(stampSuffix(258), "\u0002" + "00000000000001020000" + "\u0000");
  assertEquals(stampSuffix(1).length, STAMP_SUFFIX_BYTES);
});
