/**
 * What the binary frames between nodes contain, version 1 (`shared/schema/binary_frames.ts`, docs/protocol.md): live
 * writes of a primary, and what a follower has of them on its disk. An entry travels as the row that each replica stores,
 * checksum included: its primary makes it once for all replicas, and a follower stores these bytes. All numbers are
 * big-endian. Pure.
 *
 *     append    parts, one after the other: partition (2), term (4), stream (8), commit seq (8), bytes of its entries (4),
 *               entries: key bytes (2), row bytes (4), key, row
 *     appended  partition (2), term (4), stream (8), seq (8), one after the other
 *
 * Invariant: what comes from a peer is checked as what comes in JSON is: an entry that the one lets through, the other does.
 *
 * @module
 */
import type { ByteSlab } from "../../shared/base/byte_slab.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { PARTITIONS_MAX } from "../../shared/limits/cluster.ts";
import { STORED_KEY_BYTES_MAX } from "../../shared/limits/wire.ts";
import { isMediaType, isTerm, isUint } from "../../shared/cluster/map_shape.ts";
import { beginFrame, FRAME_HEAD_BYTES } from "../../shared/schema/binary_frames.ts";
import {
  decodeRecord,
  type EncodedRecord,
  getUint32,
  getUint64,
  putUint32,
  putUint64,
  rowOf,
} from "../storage/record.ts";

/** The kinds of frames. */
export const APPEND_FRAME = 1;
export const APPENDED_FRAME = 2;

const PART_HEAD_BYTES = 26;
const ENTRY_HEAD_BYTES = 6;
const ACK_BYTES = 22;
const PARTITION_BYTES = 2;

/** The writes of one partition that belong to one stream. */
export interface FramePart {
  readonly partition: number;
  readonly term: number;
  readonly stream: number;
  readonly commitSeq: number;
  /** As they are stored. */
  readonly rows: readonly EncodedRecord[];
}

/** Bytes that a row takes in a frame. */
export function rowFrameBytes({ key, value }: EncodedRecord): number {
  return ENTRY_HEAD_BYTES + key.length - PARTITION_BYTES + value.length;
}

/** @param rowBytes of all rows, as {@linkcode rowFrameBytes} has them */
export function encodeAppend(parts: readonly FramePart[], rowBytes: number): Uint8Array {
  const frame = beginFrame(APPEND_FRAME, parts.length * PART_HEAD_BYTES + rowBytes);
  let at = FRAME_HEAD_BYTES;
  for (const { partition, term, stream, commitSeq, rows } of parts) {
    putUint16(frame, at, partition);
    putUint32(frame, at + 2, term);
    putUint64(frame, at + 6, stream);
    putUint64(frame, at + 14, commitSeq);
    const lengthAt = at + 22;
    at += PART_HEAD_BYTES;
    const from = at;
    for (const { key, value } of rows) {
      putUint16(frame, at, key.length - PARTITION_BYTES);
      putUint32(frame, at + 2, value.length);
      at += ENTRY_HEAD_BYTES;
      // A row's key begins with its partition.
      for (let i = PARTITION_BYTES; i < key.length; i++) {
        frame[at + i - PARTITION_BYTES] = key[i] ?? 0;
      }
      at += key.length - PARTITION_BYTES;
      frame.set(value, at);
      at += value.length;
    }
    putUint32(frame, lengthAt, at - from);
  }
  return frame;
}

/** What a follower takes of a part. */
export interface ReceivedPart {
  readonly partition: number;
  readonly stream: number;
  readonly commitSeq: number;
  readonly entries: readonly Entry[];
  /** Those of the entries, as they are to be stored. */
  readonly rows: readonly EncodedRecord[];
}

/**
 * The parts of an append frame.
 *
 * @param slab where rows are cut from, so that a row keeps no frame in memory
 * @throws {KvError} `bad_request` if it is none, `corrupt` if a row is not as its checksum says, `wrong_version`
 */
export function decodeAppend(frame: Uint8Array, slab: ByteSlab): ReceivedPart[] {
  const parts: ReceivedPart[] = [];
  for (let at = FRAME_HEAD_BYTES; at < frame.length;) {
    if (frame.length - at < PART_HEAD_BYTES) throw cut("a part");
    const partition = partitionAt(frame, at);
    const stream = uintAt(frame, at + 6, "stream");
    const commitSeq = uintAt(frame, at + 14, "commit seq");
    const from = at + PART_HEAD_BYTES;
    const to = from + getUint32(frame, at + 22);
    if (to > frame.length) throw cut("the entries of a part");
    const entries: Entry[] = [];
    const rows: EncodedRecord[] = [];
    takeWrites(frame, partition, from, to, slab, entries, rows);
    parts.push({ partition, stream, commitSeq, entries, rows });
    at = to;
  }
  return parts;
}

/** Adds what a part contains to `entries` and `rows`. */
function takeWrites(
  frame: Uint8Array,
  partition: number,
  from: number,
  to: number,
  slab: ByteSlab,
  entries: Entry[],
  rows: EncodedRecord[],
): void {
  for (let at = from; at < to;) {
    if (to - at < ENTRY_HEAD_BYTES) throw cut("an entry");
    const keyBytes = getUint16(frame, at);
    const rowAt = at + ENTRY_HEAD_BYTES + keyBytes;
    const end = rowAt + getUint32(frame, at + 2);
    if (end > to) throw cut("an entry");
    if (keyBytes === 0 || keyBytes > STORED_KEY_BYTES_MAX) throw bad("key");
    // The row's key as it is stored begins with its partition.
    const key = slab.take(PARTITION_BYTES + keyBytes);
    putUint16(key, 0, partition);
    for (let i = 0; i < keyBytes; i++) {
      key[PARTITION_BYTES + i] = frame[at + ENTRY_HEAD_BYTES + i] ?? 0;
    }
    const value = slab.copy(frame.subarray(rowAt, end));
    const entry = decodeRecord(key, value);
    const { seq, term, timestampMs, expiresAtMs, contentType, version } = entry;
    if (!isUint(seq) || seq === 0) throw bad("seq");
    if (!isTerm(term)) throw bad("term");
    if (!isUint(timestampMs)) throw bad("timestamp");
    if (!isUint(expiresAtMs)) throw bad("expiry");
    if (contentType !== undefined && !isMediaType(contentType)) throw bad("content type");
    if (version !== undefined && (!isUint(version) || version === 0)) throw bad("version");
    entries.push(entry);
    rows.push(rowOf(entry, key, value, getUint32(value, 0)));
    at = end;
  }
}

/** A partition, a term, a stream, and the seq up to which everything is on the follower's disk. */
export type FrameAck = readonly [partition: number, term: number, stream: number, seq: number];

export function encodeAppended(acks: readonly FrameAck[]): Uint8Array {
  const frame = beginFrame(APPENDED_FRAME, acks.length * ACK_BYTES);
  let at = FRAME_HEAD_BYTES;
  for (const [partition, term, stream, seq] of acks) {
    putUint16(frame, at, partition);
    putUint32(frame, at + 2, term);
    putUint64(frame, at + 6, stream);
    putUint64(frame, at + 14, seq);
    at += ACK_BYTES;
  }
  return frame;
}

/** Calls back for each acknowledgement of an appended frame. @throws {KvError} `bad_request` */
export function decodeAppended(
  frame: Uint8Array,
  each: (partition: number, stream: number, seq: number) => void,
): void {
  if ((frame.length - FRAME_HEAD_BYTES) % ACK_BYTES !== 0) throw cut("an acknowledgement");
  for (let at = FRAME_HEAD_BYTES; at < frame.length; at += ACK_BYTES) {
    each(
      partitionAt(frame, at),
      uintAt(frame, at + 6, "stream"),
      uintAt(frame, at + 14, "seq"),
    );
  }
}

function partitionAt(frame: Uint8Array, at: number): number {
  const partition = getUint16(frame, at);
  if (partition >= PARTITIONS_MAX) throw bad("partition");
  return partition;
}

function uintAt(frame: Uint8Array, at: number, what: string): number {
  const value = getUint64(frame, at);
  if (!isUint(value)) throw bad(what);
  return value;
}

function putUint16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

function getUint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) << 8 | (bytes[at + 1] ?? 0);
}

function cut(what: string): KvError {
  return new KvError("bad_request", `a binary frame ends within ${what}`);
}

function bad(what: string): KvError {
  return new KvError("bad_request", `an entry of a binary frame is wrong: ${what}`);
}
