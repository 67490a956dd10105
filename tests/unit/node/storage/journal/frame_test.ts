import { crc32 } from "node:zlib";
import { assertEquals } from "@std/assert";
import {
  BATCH,
  encodeFrame,
  forEachChange,
  framesOf,
  RESTATEMENT,
  valueOf,
} from "../../../../../node/storage/journal/frame.ts";
import { encodeRecord } from "../../../../../node/storage/record.ts";
import { encodeState } from "../../../../../node/storage/state_record.ts";
import type { StorageChange } from "../../../../../node/storage/storage.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";

const SALT = 0x1c2d3e4f;

function randomChanges(random: SeededRandom): StorageChange[] {
  return Array.from({ length: randomBelow(random, 4) }, () => {
    const bytes = (length: number) => Uint8Array.from({ length }, () => random.uint32());
    const key = bytes(1 + randomBelow(random, 30));
    return randomBelow(random, 3) === 0 ? { key } : { key, value: bytes(randomBelow(random, 90)) };
  });
}

function changesOf(bytes: Uint8Array, frame: { from: number; to: number }): StorageChange[] {
  const changes: StorageChange[] = [];
  forEachChange(bytes, frame, (key, stored) => {
    const value = valueOf(stored);
    changes.push(
      value === undefined ? { key: key.slice() } : { key: key.slice(), value: value.slice() },
    );
  });
  return changes;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

Deno.test("framesOf finds what encodeFrame made, whatever is cut off or flipped", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const random = new SeededRandom(seed);
    const made = Array.from({ length: 1 + randomBelow(random, 4) }, (_, i) => {
      const header = {
        kind: i === 0 ? RESTATEMENT : BATCH,
        number: 2 ** 40 + i,
        upto: 7 + i,
        checkpoint: randomBelow(random, 100),
      } as const;
      const changes = randomChanges(random);
      return { header, changes, bytes: encodeFrame(SALT, header, changes) };
    });
    const bytes = joined(made.map((frame) => frame.bytes));
    const found = framesOf(bytes, SALT);
    assertEquals(
      found.map(({ kind, number, upto, checkpoint }) => ({ kind, number, upto, checkpoint })),
      made.map(({ header }) => header),
    );
    assertEquals(found.map((frame) => changesOf(bytes, frame)), made.map(({ changes }) => changes));
    assertEquals(framesOf(bytes, SALT + 1), [], "another segment's");
    for (let length = 0; length < bytes.length; length++) {
      const whole = found.filter(({ to }) => to <= length);
      assertEquals(framesOf(bytes.subarray(0, length), SALT), whole);
    }
    for (let i = 0; i < 200; i++) {
      const bit = randomBelow(random, bytes.length * 8);
      const garbled = bytes.slice();
      garbled[bit >>> 3] = (garbled[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      const sound = found.filter(({ from, to }) => bit < from * 8 || bit >= to * 8);
      assertEquals(framesOf(garbled, SALT), sound, `seed ${seed}, bit ${bit}`);
    }
  }
});

Deno.test("framesOf: a frame that a client has stored as a value is not taken for one of the journal", () => {
  const hostile = encodeFrame(0, { kind: BATCH, number: 2, upto: 1, checkpoint: 0 }, [{
    key: Uint8Array.of(0, 1, 2),
    value: Uint8Array.of(6, 6, 6),
  }]);
  const header = { kind: BATCH, number: 1, upto: 0, checkpoint: 0 } as const;
  const bytes = encodeFrame(SALT, header, [{ key: Uint8Array.of(1), value: hostile }]);
  bytes[9] = (bytes[9] ?? 0) ^ 1;
  assertEquals(framesOf(bytes, SALT), []);
});

Deno.test("framesOf: a frame of another salt does not count behind this one's, but one without a mark does", () => {
  const header = { kind: BATCH, number: 1, upto: 0, checkpoint: 0 } as const;
  const bytes = encodeFrame(SALT ^ 2, header, [{ key: Uint8Array.of(1, 2, 3) }]);
  const withSalt = (frame: Uint8Array) => {
    frame.set(encodeFrame(SALT, header, []).subarray(4, 8), 4);
    return frame;
  };
  assertEquals(framesOf(withSalt(bytes), SALT), []);
  // As an earlier version wrote it.
  bytes.fill(0, 17, 20);
  new DataView(bytes.buffer).setUint32(8, crc32(bytes.subarray(12)));
  assertEquals(framesOf(bytes, SALT).map(({ number }) => number), [1]);
});

Deno.test("encodeFrame writes what docs/storage.md shows", async () => {
  const entry = encodeRecord(20, {
    key: "username",
    seq: 7,
    term: 2,
    flags: 0,
    timestampMs: 1_795_225_047_320,
    expiresAtMs: 0,
    value: new TextEncoder().encode("alice"),
  });
  const state = encodeState(20, {
    term: 2,
    commitSeq: 7,
    lastSeq: 7,
    watermark: 0,
    count: 1,
    digest: 0xf40c0adb,
  });
  const header = { kind: BATCH, number: 9, upto: 8, checkpoint: 0 } as const;
  const frame = encodeFrame(SALT, header, [entry, state]);
  const { default: page } = await import("../../../../../docs/storage.md", {
    with: { type: "text" },
  });
  const [, example = ""] = /### The journal, in hex\n[^]*?```text\n([^]*?)```/.exec(page) ?? [];
  const shown = example.split("\n").flatMap((line) => {
    const [, bytes = ""] = /^[a-z]*\s+((?:[0-9a-f]{2}\s+)+)/.exec(`${line} `) ?? [];
    return bytes.trim().split(/\s+/).filter((byte) => byte !== "");
  });
  assertEquals(
    shown.join(" "),
    Array.from(frame, (b) => b.toString(16).padStart(2, "0")).join(" "),
  );
});
