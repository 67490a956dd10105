/**
 * Binary frames as a hostile node would send them after its handshake: sound ones, changed ones, ones that end early,
 * and rows with a right checksum that no node writes.
 *
 * @module
 */
import fc from "fast-check";
import { packLine } from "../../node/peers/packed_line.ts";
import {
  encodeAppend,
  encodeAppended,
  rowFrameBytes,
} from "../../node/peers/replication_frames.ts";
import { encodeRecord, putUint32 } from "../../node/storage/record.ts";
import { crc32c } from "../../shared/base/crc32c.ts";
import { beginFrame, FRAME_MARK } from "../../shared/schema/binary_frames.ts";
import { bytesOf, damaged, joined } from "./hostile.ts";

/** Where the cluster's id is to be put; it is as long. */
export const CLUSTER_ID_SLOT = "c1c1c1c1c1c1c1c1";

/** What a node says first, and waits for the answer. */
export const FRAMES_HELLO =
  `{"req_type":"hello","protocol":1,"role":"peer","node":"stranger","id":1,"frames":1,"cluster_id":"${CLUSTER_ID_SLOT}"}\n`;

const count: fc.Arbitrary<number> = fc.oneof(fc.nat(9), fc.maxSafeNat());

/** A row of any content with a right checksum, or of a sound entry. */
const row = fc.record({
  key: fc.oneof(fc.string({ minLength: 1, maxLength: 8 }), fc.constantFrom("", "k", "\0\0s")),
  seq: count,
  value: fc.uint8Array({ maxLength: 40 }),
  contentType: fc.option(fc.constantFrom("text/plain", "a", ""), { nil: undefined }),
  version: fc.option(count, { nil: undefined }),
  changes: fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 2 }),
}).map(({ key, seq, value, contentType, version, changes }) => {
  const made = encodeRecord(3, {
    ...{ key, seq, term: 1, flags: 0, timestampMs: 1, expiresAtMs: 0, value },
    ...(contentType === undefined ? {} : { contentType }),
    ...(version === undefined ? {} : { version }),
  });
  for (const [at, byte] of changes) if (at < made.value.length) made.value[at] = byte;
  putUint32(made.value, 0, crc32c(made.value, crc32c(made.key), 4));
  return made;
});

const append = fc.array(
  fc.record({
    partition: fc.constantFrom(0, 3, 7, 8, 65_535),
    term: fc.nat(9),
    stream: count,
    commitSeq: count,
    rows: fc.array(row, { maxLength: 3 }),
  }),
  { maxLength: 3 },
).map((parts) =>
  encodeAppend(
    parts,
    parts.flatMap(({ rows }) => rows).reduce((sum, r) => sum + rowFrameBytes(r), 0),
  )
);

const appended = fc.array(fc.tuple(fc.nat(65_535), fc.nat(9), count, count), { maxLength: 3 })
  .map(encodeAppended);

const packed = fc.record({ seq: count, keys: fc.array(fc.string(), { maxLength: 40 }) })
  .map(({ seq, keys }) => {
    const about = { p: 3, term: 1, stream: 1, seq, full: true };
    const entries = keys.map((key) => [key, seq, 1, 0, 1, 0, "v".repeat(200)]);
    return packLine(JSON.stringify({ req_type: "resync_chunk", ...about, entries }));
  }).map((frame) => frame ?? new Uint8Array());

const nonsense = fc.oneof(
  fc.uint8Array({ maxLength: 60 }).map((body) => joined(new Uint8Array([FRAME_MARK]), body)),
  fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 40 })).map(([kind, body]) =>
    joined(beginFrame(kind, body.length).subarray(0, 6), body)
  ),
  fc.constant(bytesOf('{"req_type":"ping","id":2}\n')),
  fc.uint8Array({ maxLength: 60 }),
);

/** After {@linkcode FRAMES_HELLO}. */
export const PEER_FRAMES: fc.Arbitrary<Uint8Array> = fc.array(
  fc.oneof(
    append,
    damaged(append),
    appended,
    damaged(appended),
    packed,
    damaged(packed),
    nonsense,
  ),
  { minLength: 1, maxLength: 5 },
).map((all) => joined(...all));
