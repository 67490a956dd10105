import { KEY_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  decodeRecord,
  digestOf,
  encodeRecord,
  keyOfRecordKey,
  putUint32,
  recordCrc,
  recordKey,
  rowsEnd,
  rowsFrom,
} from "../../../../node/storage/record.ts";
import {
  decodeFed,
  decodeIdentity,
  decodeState,
  encodeFed,
  encodeIdentity,
  encodeState,
} from "../../../../node/storage/state_record.ts";
import { compareBytes } from "../../../../shared/base/key_order.ts";
import { crc32c } from "../../../../shared/base/crc32c.ts";
import { type Entry, NO_VALUE, TOMBSTONE } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { CONTENT_TYPE_CHARACTERS_MAX } from "../../../../shared/limits/wire.ts";

const FULL: Entry = {
  key: "naïve 😀",
  seq: Number.MAX_SAFE_INTEGER,
  term: 0xffffffff,
  flags: 0,
  timestampMs: 1_700_000_000_123,
  expiresAtMs: 2 ** 52 + 1,
  value: new Uint8Array([0, 255, 10]),
};
const EMPTY: Entry = {
  key: "\0",
  seq: 1,
  term: 1,
  flags: TOMBSTONE,
  timestampMs: 0,
  expiresAtMs: 0,
  value: NO_VALUE,
};

/** Gives a changed row the CRC that it should have. */
function resealed(key: Uint8Array, value: Uint8Array): Uint8Array {
  putUint32(value, 0, crc32c(value, crc32c(key), 4));
  return value;
}

Deno.test("decodeRecord gives back what encodeRecord was given", () => {
  for (const entry of [FULL, EMPTY, { ...FULL, value: new Uint8Array(70_000).fill(7) }]) {
    for (const partition of [0, 1, 255, 256, 65_535]) {
      const { key, value, crc } = encodeRecord(partition, entry);
      assertEquals(decodeRecord(key, value), entry);
      assertEquals(decodeRecord(key, value, entry.key), entry);
      assertEquals(recordCrc(value), crc);
      assertEquals(keyOfRecordKey(key), entry.key);
    }
  }
});

Deno.test("encodeRecord keeps a content type in the extra block", () => {
  const contentType = "text/html; charset=utf-8";
  for (const value of [FULL.value, NO_VALUE]) {
    const entry = { ...FULL, value, contentType };
    const row = encodeRecord(9, entry);
    assertEquals(decodeRecord(row.key, row.value), entry);
    assertEquals([row.value[5], row.value[6], row.value[7]], [1, 0, 3 + contentType.length]);
    // It is part of what replicas compare.
    assert(digestOf(row.crc) !== digestOf(encodeRecord(9, { ...FULL, value }).crc));
    assert(digestOf(row.crc) !== digestOf(encodeRecord(9, { ...entry, contentType: "a/b" }).crc));
  }
  const longest = { ...FULL, contentType: `a/${"b".repeat(CONTENT_TYPE_CHARACTERS_MAX - 2)}` };
  const row = encodeRecord(9, longest);
  assertEquals(decodeRecord(row.key, row.value), longest);
});

Deno.test("decodeRecord skips items of the extra block that it does not know, and refuses cut ones", () => {
  const withExtra = (...extra: number[]) => {
    const { key, value } = encodeRecord(7, FULL);
    const row = new Uint8Array([...value.subarray(0, 36), ...extra, ...FULL.value]);
    row[7] = extra.length;
    return { key, row: resealed(key, row) };
  };
  const known = [1, 0, 3, 0x61, 0x2f, 0x62];
  const unknown = [200, 0, 2, 9, 9];
  for (const extra of [[...unknown, ...known], [...known, ...unknown]]) {
    const { key, row } = withExtra(...extra);
    assertEquals(decodeRecord(key, row), { ...FULL, contentType: "a/b" });
  }
  const { key, row } = withExtra(...unknown);
  assertEquals(decodeRecord(key, row), FULL);
  for (const extra of [[1], [1, 0], [1, 0, 4, 0x61], [...unknown, 1, 255, 255]]) {
    const { key, row } = withExtra(...extra);
    assertEquals(assertThrows(() => decodeRecord(key, row), KvError).code, "corrupt");
  }
});

Deno.test("encodeRecord keeps the layout that its file describes", () => {
  const { key, value } = encodeRecord(0x0102, { ...FULL, key: "k", seq: 0x0000_0003_0000_0004 });
  assertEquals(key, new Uint8Array([1, 2, 0x6b]));
  assertEquals(value.subarray(4, 8), new Uint8Array([0, 1, 0, 0]));
  assertEquals(value.subarray(8, 12), new Uint8Array([255, 255, 255, 255]));
  assertEquals(value.subarray(12, 20), new Uint8Array([0, 0, 0, 3, 0, 0, 0, 4]));
  assertEquals(value.subarray(36), FULL.value);
});

Deno.test("decodeRecord finds every flipped bit, cut tail and exchanged row", () => {
  const rows = [
    { ...encodeRecord(7, FULL), decode: decodeRecord },
    { ...encodeRecord(7, EMPTY), decode: decodeRecord },
    {
      ...encodeState(7, { term: 3, commitSeq: 4, lastSeq: 5, watermark: 6, count: 7, digest: 8 }),
      decode: decodeState,
    },
    {
      ...encodeState(7, {
        ...{ term: 3, commitSeq: 4, lastSeq: 5, watermark: 6, count: 7, digest: 8 },
        filled: { upto: "k", commitSeq: 9, term: 2 },
      }),
      decode: decodeState,
    },
  ];
  for (const { key, value, decode } of rows) {
    for (let bit = 0; bit < 8 * value.length; bit++) {
      const garbled = value.slice();
      garbled[bit >>> 3] = (garbled[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      assertEquals(assertThrows(() => decode(key, garbled), KvError).code, "corrupt");
    }
    for (let bit = 0; bit < 8 * key.length; bit++) {
      const garbled = key.slice();
      garbled[bit >>> 3] = (garbled[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      assertEquals(assertThrows(() => decode(garbled, value), KvError).code, "corrupt");
    }
    for (let length = 0; length < value.length; length++) {
      const cut = value.subarray(0, length);
      assertEquals(assertThrows(() => decode(key, cut), KvError).code, "corrupt");
    }
  }
});

Deno.test("decodeRecord refuses a newer format, and skips an extra block", () => {
  const { key, value } = encodeRecord(1, FULL);
  const newer = value.slice();
  newer[5] = 2;
  const error = assertThrows(() => decodeRecord(key, resealed(key, newer)), KvError);
  assertEquals(error.code, "wrong_version");

  const extended = new Uint8Array(value.length + 4);
  extended.set(value.subarray(0, 36));
  extended.set(value.subarray(36), 40);
  extended[7] = 4;
  // An item that no reader knows, with one byte.
  extended.set([99, 0, 1, 0xee], 36);
  assertEquals(decodeRecord(key, resealed(key, extended)), FULL);
  extended[6] = 1;
  assertThrows(() => decodeRecord(key, resealed(key, extended)), KvError, "extra block");
});

Deno.test("rowsFrom and rowsEnd enclose all keys of a partition and nothing else", () => {
  const keys = ["\0", "\0\0", "a", "ab", "b", "ÿ", "\u{10ffff}", "\u{10ffff}".repeat(9)]
    .concat(["\udc80", "\udcff", "\udcff".repeat(KEY_BYTES_MAX)]);
  const inside = (row: Uint8Array, from: Uint8Array, to: Uint8Array) =>
    compareBytes(row, from) >= 0 && compareBytes(row, to) < 0;
  for (const partition of [0, 0xff, 0x100, 0xfffe, 0xffff]) {
    const from = rowsFrom(partition, undefined);
    const to = rowsEnd(partition, undefined);
    for (const key of keys) assertEquals(inside(recordKey(partition, key), from, to), true, key);
    assertEquals(inside(recordKey(partition, ""), from, to), false, "state record");
    for (const other of [partition - 1, partition + 1]) {
      if (other < 0 || other > 0xffff) continue;
      for (const key of keys) assertEquals(inside(recordKey(other, key), from, to), false);
    }
    for (const own of [encodeFed({ number: 1, begun: 2, id: "i" }), encodeIdentity("i")]) {
      assertEquals(inside(own.key, from, to), false, "the database's own");
    }
  }
  const after = rowsFrom(3, "a");
  assertEquals(compareBytes(recordKey(3, "a"), after) < 0, true);
  assertEquals(compareBytes(recordKey(3, "a\0"), after) >= 0, true);
  assertEquals(compareBytes(recordKey(3, "a"), rowsEnd(3, "a")) < 0, true);
  assertEquals(compareBytes(recordKey(3, "a\0"), rowsEnd(3, "a")) < 0, false);
});

Deno.test("the database's own records come back as they were", () => {
  const state = {
    term: 1,
    commitSeq: 2 ** 40,
    lastSeq: 2 ** 41,
    watermark: 5,
    count: 6,
    digest: 7,
  };
  const tombstones = { tombstones: 2 ** 34, tombstoneDigest: 8 };
  const row = encodeState(65_535, { ...state, ...tombstones, damaged: true }, true);
  assertEquals(decodeState(row.key, row.value), {
    state: { ...state, ...tombstones, highSeq: state.lastSeq, damaged: true },
    clearing: true,
  });
  for (const upto of ["k", "", "\0db/x", "é", "a\udcff", "x".repeat(KEY_BYTES_MAX)]) {
    const filled = { upto, commitSeq: 2 ** 40 + 1, term: 0xffffffff };
    const { key, value } = encodeState(1, { ...state, filled });
    assertEquals(decodeState(key, value).state.filled, filled);
  }
  const fed = { number: 2 ** 33, begun: 2 ** 34, id: "0123456789abcdef" };
  assertEquals(decodeFed(encodeFed(fed).value), fed);
  assertEquals(decodeIdentity(encodeIdentity("0123456789abcdef").value), "0123456789abcdef");
});

Deno.test("digestOf spreads neighbouring checksums", () => {
  assertEquals(digestOf(0), 0);
  const seen = new Set(Array.from({ length: 10_000 }, (_, i) => digestOf(i)));
  assertEquals(seen.size, 10_000);
});
