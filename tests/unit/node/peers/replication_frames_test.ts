import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import {
  decodeAppend,
  decodeAppended,
  encodeAppend,
  encodeAppended,
  type FramePart,
  rowFrameBytes,
} from "../../../../node/peers/replication_frames.ts";
import protocol from "../../../../docs/protocol.md" with { type: "text" };
import { EncodedWrites } from "../../../../node/requests/live_writes.ts";
import { encodeRecord, putUint32, putUint64 } from "../../../../node/storage/record.ts";
import { ByteSlab } from "../../../../shared/base/byte_slab.ts";
import { crc32c } from "../../../../shared/base/crc32c.ts";
import type { Entry } from "../../../../shared/base/entry.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { TERM_MAX } from "../../../../shared/limits/cluster.ts";
import { STORED_KEY_BYTES_MAX } from "../../../../shared/limits/wire.ts";
import { fromWireEntry } from "../../../../shared/schema/value_codec.ts";
import { FRAME_HEAD_BYTES } from "../../../../shared/schema/binary_frames.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

function entry(key: string, seq: number, more: Partial<Entry> = {}): Entry {
  const value = new TextEncoder().encode(`value of ${key}`);
  return {
    key,
    seq,
    term: 3,
    flags: 0,
    timestampMs: 1_700_000_000_000,
    expiresAtMs: 0,
    value,
    ...more,
  };
}

/** Everything that an entry may have. */
const ENTRIES: readonly Entry[] = [
  entry("a", 7),
  entry("ü€🐎", 8, { expiresAtMs: 2 ** 53 - 1, contentType: "text/plain" }),
  entry("\udc80\udcff", 9, { value: new Uint8Array([0, 255, 10]), flags: 2 }),
  entry("\0s", 10, { value: new Uint8Array(0), flags: 1, version: 9 }),
  entry("x".repeat(STORED_KEY_BYTES_MAX), 2 ** 53 - 1, { term: TERM_MAX }),
];

function part(
  partition: number,
  entries: readonly Entry[],
  more: Partial<FramePart> = {},
): FramePart {
  const rows = entries.map((one) => encodeRecord(partition, one));
  return { partition, term: 3, stream: 12, commitSeq: 6, rows, ...more };
}

function encode(...parts: FramePart[]): Uint8Array {
  const rows = parts.flatMap(({ rows }) => rows);
  return encodeAppend(parts, rows.reduce((sum, row) => sum + rowFrameBytes(row), 0));
}

const decode = (frame: Uint8Array) => decodeAppend(frame, new ByteSlab());

Deno.test("decodeAppend: reads what encodeAppend writes, and rows are the bytes that the primary stores", () => {
  const parts = [
    part(0, ENTRIES),
    part(65_535, ENTRIES, { stream: 2 ** 53 - 1, commitSeq: 2 ** 53 - 1 }),
    part(1, []),
  ];
  const frame = encode(...parts);
  const read = decode(frame);
  frame.fill(0);
  assertEquals(
    read.map(({ partition, stream, commitSeq }) => [partition, stream, commitSeq]),
    parts.map(({ partition, stream, commitSeq }) => [partition, stream, commitSeq]),
  );
  for (const [i, { entries, rows }] of read.entries()) {
    assertEquals(rows, parts[i]?.rows ?? []);
    assertEquals(entries, i === 2 ? [] : ENTRIES);
  }
});

Deno.test("decodeAppend: an entry means the same as the one in JSON that a peer without frames is sent", () => {
  const { json } = new EncodedWrites(ENTRIES, []);
  assertEquals(JSON.parse(`[${json}]`).map(fromWireEntry), [...ENTRIES]);
});

Deno.test("encodeAppend and encodeAppended: the example of docs/protocol.md", () => {
  const value = new TextEncoder().encode("hi");
  const { rows } = part(3, [entry("k", 5, { value, term: 1, timestampMs: 1_000 })]);
  const bytes = [
    ...encode({ partition: 3, term: 1, stream: 9, commitSeq: 4, rows }),
    ...encodeAppended([[3, 1, 9, 5]]),
  ];
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const [, example = ""] = /\n\n((?: {4,}[0-9a-f ]+\n)+)/.exec(protocol) ?? [];
  assertEquals(example.replace(/\s/g, ""), hex);
});

Deno.test("decodeAppended: reads what encodeAppended writes", () => {
  const acks = [[0, 1, 2, 3], [65_535, 2 ** 32 - 1, 2 ** 53 - 1, 2 ** 53 - 1]] as const;
  const read: number[][] = [];
  decodeAppended(encodeAppended(acks), (...ack) => read.push(ack));
  assertEquals(read, acks.map(([partition, , stream, seq]) => [partition, stream, seq]));
});

/** What is told to whoever sent it; anything else would end the process. */
function refusalOf(act: () => unknown): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    assertInstanceOf(error, KvError);
    return error.code;
  }
}

Deno.test("decodeAppend, decodeAppended: a frame that is cut anywhere is refused", () => {
  const frame = encode(part(2, ENTRIES));
  for (let length = FRAME_HEAD_BYTES + 1; length < frame.length; length++) {
    assertEquals(refusalOf(() => decode(frame.slice(0, length))), "bad_request", String(length));
  }
  const acks = encodeAppended([[0, 1, 2, 3]]);
  for (let length = FRAME_HEAD_BYTES + 1; length < acks.length; length++) {
    assertEquals(refusalOf(() => decodeAppended(acks.slice(0, length), () => {})), "bad_request");
  }
});

Deno.test("decodeAppend: no changed byte of an entry is taken", () => {
  const whole = encode(part(2, [entry("key", 7, { contentType: "text/plain", version: 4 })]));
  const entriesAt = FRAME_HEAD_BYTES + 26;
  for (let at = entriesAt; at < whole.length; at++) {
    for (const bit of [1, 0x80]) {
      const changed = whole.slice();
      changed[at] = (changed[at] ?? 0) ^ bit;
      assert(refusalOf(() => decode(changed)) !== undefined, `byte ${at}`);
    }
  }
});

Deno.test("decodeAppend, decodeAppended: any bytes are read or refused, and nothing else happens", () => {
  const random = new SeededRandom(1);
  const samples = [
    encode(part(2, ENTRIES.slice(0, 4)), part(3, [])),
    encodeAppended([[0, 1, 2, 3]]),
  ];
  for (let round = 0; round < 20_000; round++) {
    const sample = samples[round % 2] ?? new Uint8Array();
    const mutated = sample.slice(0, FRAME_HEAD_BYTES + randomBelow(random, sample.length));
    for (let i = randomBelow(random, 6); i > 0; i--) {
      mutated[randomBelow(random, mutated.length)] = randomBelow(random, 256);
    }
    refusalOf(() => decode(mutated));
    refusalOf(() => decodeAppended(mutated, () => {}));
  }
});

/** A row with any content, whose checksum is right. */
function rowWith(
  key: string,
  change: (row: Uint8Array) => void,
  more: Partial<Entry> = {},
): FramePart {
  const made = part(2, [entry(key, 7, more)]);
  const [row] = made.rows;
  assert(row !== undefined);
  change(row.value);
  putUint32(row.value, 0, crc32c(row.value, crc32c(row.key), 4));
  return made;
}

Deno.test("decodeAppend: what no node writes is refused although its checksum is right", () => {
  const cases: [string, FramePart, string][] = [
    ["no seq", rowWith("k", (row) => putUint64(row, 12, 0)), "bad_request"],
    ["a seq beyond whole numbers", rowWith("k", (row) => row[12] = 255), "bad_request"],
    ["a timestamp beyond them", rowWith("k", (row) => row[20] = 255), "bad_request"],
    ["an expiry beyond them", rowWith("k", (row) => row[28] = 255), "bad_request"],
    ["another format", rowWith("k", (row) => row[5] = 9), "wrong_version"],
    ["an extra block that is too long", rowWith("k", (row) => row[6] = 255), "corrupt"],
    [
      "an item that is cut",
      rowWith("k", (row) => row[37] = 255, { contentType: "a/b" }),
      "corrupt",
    ],
    [
      "a type that is none",
      rowWith("k", (row) => row[39] = 255, { contentType: "a/b" }),
      "bad_request",
    ],
    ["version 0", rowWith("k", (row) => putUint64(row, 39, 0), { version: 5 }), "bad_request"],
    ["no key", rowWith("", () => {}), "bad_request"],
    [
      "a key that is too long",
      rowWith("x".repeat(STORED_KEY_BYTES_MAX + 1), () => {}),
      "bad_request",
    ],
  ];
  for (const [what, made, code] of cases) {
    assertEquals(refusalOf(() => decode(encode(made))), code, what);
  }
  const far = encode(part(2, []));
  putUint64(far, FRAME_HEAD_BYTES + 6, 2 ** 53 - 1);
  far[FRAME_HEAD_BYTES + 6] = 255;
  assertThrows(() => decode(far), KvError, "stream");
});
