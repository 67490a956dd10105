/**
 * The journal's format: a segment is a sequence of frames. All numbers are big-endian.
 *
 *      0  "kvj" (3 bytes)        3  format (1 byte), 1
 *      4  salt of the segment (4)
 *      8  CRC-32 of everything after these four bytes
 *     12  bytes of the changes (4)
 *     16  kind (1): 0 a batch, 1 a restatement
 *     17  mark (3): the last three bytes of the salt; 0 in a frame that an earlier version wrote
 *     20  number (8)             28  upto (8)       36  checkpoint (8)
 *     44  changes: key bytes (2), value bytes (4), key, kind (1: 0 deleted, 1 a value), value
 *
 * `number` grows by one with each batch. `upto` of a batch is the number up to which everything had been synced when it
 * was written. A segment begins with a restatement: the control rows as they are after batch `number`, and the
 * changes of all batches after `upto`, whose frames in older segments need not be there. `checkpoint` is the number of
 * the last batch whose changes are safe in the table.
 *
 * The checksum is the CRC-32 of zlib, which the platform computes ten times as fast as we can compute a CRC32C; the
 * rows within have a CRC32C of their own, which stays with them. The salt is random and in the segment's name. Values
 * come from clients: without it, a value could contain a frame, which would be found where a frame is looked for
 * behind a torn one.
 *
 * A segment may be written over an earlier one, of which frames are left behind its end. They have another salt. But a
 * torn write may leave the new salt before the rest of an old frame. The mark says which salt that was, and is under the
 * checksum. An earlier version wrote none, and wrote no file over.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { getUint32, getUint64, putUint32, putUint64 } from "../record.ts";
import type { StorageChange } from "../storage.ts";

/** The format that this code writes and reads. */
export const JOURNAL_FORMAT = 1;
export const FRAME_HEADER_BYTES = 44;
const CHANGE_HEADER_BYTES = 6;
const MAGIC = [0x6b, 0x76, 0x6a];
const MARK = 0xffffff;

/** What a frame contains. */
export const BATCH = 0;
export const RESTATEMENT = 1;

/** What a stored value begins with. */
export const DELETED = 0;
export const VALUE = 1;

/** What a frame says beside its changes. */
export interface FrameHeader {
  readonly kind: typeof BATCH | typeof RESTATEMENT;
  readonly number: number;
  readonly upto: number;
  readonly checkpoint: number;
}

/** A frame that was found in a segment. */
export interface FoundFrame extends FrameHeader {
  /** Where it begins in the segment, and where it ends, exclusive. */
  readonly from: number;
  readonly to: number;
}

/** A frame as bytes. */
export function encodeFrame(
  salt: number,
  header: FrameHeader,
  changes: readonly StorageChange[],
): Uint8Array {
  let length = FRAME_HEADER_BYTES;
  for (const { key, value } of changes) length += changeBytes(key.length, value?.length ?? 0);
  const frame = new Uint8Array(length);
  frame.set(MAGIC);
  frame[3] = JOURNAL_FORMAT;
  putUint32(frame, 4, salt);
  putUint32(frame, 12, length - FRAME_HEADER_BYTES);
  frame[16] = header.kind;
  frame[17] = salt >>> 16;
  frame[18] = salt >>> 8;
  frame[19] = salt;
  putUint64(frame, 20, header.number);
  putUint64(frame, 28, header.upto);
  putUint64(frame, 36, header.checkpoint);
  let at = FRAME_HEADER_BYTES;
  for (const { key, value } of changes) at = putChange(frame, at, key, value);
  putUint32(frame, 8, crc32(frame.subarray(12)));
  return frame;
}

/** Bytes that a change takes in a frame. */
export function changeBytes(keyBytes: number, valueBytes: number): number {
  return CHANGE_HEADER_BYTES + keyBytes + 1 + valueBytes;
}

function putChange(
  frame: Uint8Array,
  at: number,
  key: Uint8Array,
  value: Uint8Array | undefined,
): number {
  const valueBytes = value?.length ?? 0;
  frame[at] = key.length >>> 8;
  frame[at + 1] = key.length;
  putUint32(frame, at + 2, valueBytes);
  frame.set(key, at + CHANGE_HEADER_BYTES);
  const kindAt = at + CHANGE_HEADER_BYTES + key.length;
  if (value !== undefined) {
    frame[kindAt] = VALUE;
    frame.set(value, kindAt + 1);
  }
  return kindAt + 1 + valueBytes;
}

/**
 * Calls back for each change of a frame: its key, and what it stores, which is the kind followed by the value.
 * Both are parts of `bytes`.
 *
 * @param frame of {@linkcode FoundFrame}, or where the bytes of a frame of one's own begin and end
 */
export function forEachChange(
  bytes: Uint8Array,
  frame: { readonly from: number; readonly to: number },
  each: (key: Uint8Array, stored: Uint8Array) => void,
): void {
  for (let at = frame.from + FRAME_HEADER_BYTES; at < frame.to;) {
    const keyAt = at + CHANGE_HEADER_BYTES;
    const kindAt = keyAt + ((bytes[at] ?? 0) << 8 | (bytes[at + 1] ?? 0));
    const end = kindAt + 1 + getUint32(bytes, at + 2);
    each(part(bytes, keyAt, kindAt), part(bytes, kindAt, end));
    at = end;
  }
}

/** Twice as fast as `subarray`. */
function part(bytes: Uint8Array, from: number, to: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from);
}

/** The value of what a change stores; undefined if it deletes. */
export function valueOf(stored: Uint8Array): Uint8Array | undefined {
  return stored[0] === DELETED ? undefined : part(stored, 1, stored.length);
}

/** All whole frames of a segment, in their order. What lies between them is passed over. */
export function framesOf(bytes: Uint8Array, salt: number): FoundFrame[] {
  const found: FoundFrame[] = [];
  for (let at = 0; at + FRAME_HEADER_BYTES <= bytes.length;) {
    const frame = frameAt(bytes, salt, at);
    if (frame !== undefined) {
      found.push(frame);
      at = frame.to;
      continue;
    }
    const next = bytes.indexOf(MAGIC[0] ?? 0, at + 1);
    if (next < 0) break;
    at = next;
  }
  return found;
}

/** The frame that begins there; undefined if there is none, or it is not whole. */
export function frameAt(bytes: Uint8Array, salt: number, at: number): FoundFrame | undefined {
  if (bytes[at] !== MAGIC[0] || bytes[at + 1] !== MAGIC[1] || bytes[at + 2] !== MAGIC[2]) {
    return undefined;
  }
  if (bytes[at + 3] !== JOURNAL_FORMAT || getUint32(bytes, at + 4) !== salt) return undefined;
  const to = at + FRAME_HEADER_BYTES + getUint32(bytes, at + 12);
  const kind = bytes[at + 16];
  if (to > bytes.length || (kind !== BATCH && kind !== RESTATEMENT)) return undefined;
  const mark = getUint32(bytes, at + 16) & MARK;
  if (mark !== 0 && mark !== (salt & MARK)) return undefined;
  if (crc32(part(bytes, at + 12, to)) !== getUint32(bytes, at + 8)) return undefined;
  return {
    kind,
    number: getUint64(bytes, at + 20),
    upto: getUint64(bytes, at + 28),
    checkpoint: getUint64(bytes, at + 36),
    from: at,
    to,
  };
}
