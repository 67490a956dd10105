/**
 * One entry as a row of the database. All numbers are big-endian.
 *
 * Row key: partition (2 bytes), then the key's bytes. A key is never empty. So every row of a partition lies
 * after its state record (key: the two bytes alone; `state_record.ts`) and before that of the next partition.
 *
 * Row value:
 *
 *      0  CRC32C of the row key and of everything after these four bytes
 *      4  flags (1 byte)          5  format (1 byte), 1
 *      6  length of the extra block (2 bytes)
 *      8  term (4 bytes)         12  seq (8)      20  timestamp (8)      28  expiry (8)
 *     36  extra block, then the value up to the end
 *
 * The extra block is a sequence of items: a tag (1 byte), a length (2), and that many bytes. Tag 1: the
 * value's content type in ASCII. Tag 2: the key's version (8 bytes), if it is not seq. A reader skips items whose tag it does not know.
 *
 * The CRC also covers the row key, so a row that was moved or whose key was damaged is noticed.
 *
 * @module
 */
import type { ByteSlab } from "../../shared/base/byte_slab.ts";
import { crc32c } from "../../shared/base/crc32c.ts";
import { type Entry, NO_VALUE } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { STORED_KEY_BYTES_MAX } from "../../shared/limits/wire.ts";
import { bytesOfKey, keyOfBytes } from "../../shared/base/key_text.ts";

/** The format that this code writes, and the newest that it reads. */
export const RECORD_FORMAT = 1;
const EXPIRY_AT = 28;
const HEADER_BYTES = 36;
const ITEM_HEADER_BYTES = 3;
const CONTENT_TYPE_TAG = 1;
const VERSION_TAG = 2;
const VERSION_BYTES = 8;
const ASCII_SHORT_BYTES = 64;

/** No row has this key, nor a greater one. */
export const PAST_ALL_ROWS: Uint8Array = new Uint8Array(2 + STORED_KEY_BYTES_MAX + 1).fill(0xff);

/** What a row adds to the sums over a partition's rows. */
export interface Counted {
  readonly flags: number;
  readonly crc: number;
  /** The bytes of the row, without its key. */
  readonly bytes: number;
  /** Whether its entry expires at some date. */
  readonly expires: boolean;
}

/** An entry as a row. */
export interface EncodedRecord extends Counted {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

const encoder = new TextEncoder();
// What is no UTF-8 is no content type either, and is found where that is checked.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/**
 * The row key of a partition's key; of the partition's state record if `key` is empty.
 *
 * @param slab where it is cut from, if it is not kept for long
 */
export function recordKey(partition: number, key: string, slab?: ByteSlab): Uint8Array {
  const length = 2 + key.length;
  const bytes = slab === undefined ? new Uint8Array(length) : slab.take(length);
  bytes[0] = partition >>> 8;
  bytes[1] = partition;
  for (let i = 2; i < length; i++) {
    const unit = key.charCodeAt(i - 2);
    if (unit > 0x7f) return recordKeyBeyondAscii(partition, key);
    bytes[i] = unit;
  }
  return bytes;
}

function recordKeyBeyondAscii(partition: number, key: string): Uint8Array {
  const tail = bytesOfKey(key);
  const bytes = new Uint8Array(2 + tail.length);
  bytes[0] = partition >>> 8;
  bytes[1] = partition;
  bytes.set(tail, 2);
  return bytes;
}

/** The key in a row key. */
export function keyOfRecordKey(bytes: Uint8Array): string {
  const key = bytes.subarray(2);
  return shortAscii(key) ?? keyOfBytes(key);
}

/** A text that is short and ASCII: faster than the decoder, whose fixed cost dominates here. */
function shortAscii(bytes: Uint8Array): string | undefined {
  if (bytes.length > ASCII_SHORT_BYTES) return undefined;
  let all = 0;
  for (let i = 0; i < bytes.length; i++) all |= bytes[i] ?? 0;
  return all < 0x80 ? String.fromCharCode.apply(null, bytes as unknown as number[]) : undefined;
}

/** Where a partition's rows begin: before every key or, with `after`, after that key. */
export function rowsFrom(partition: number, after: string | undefined): Uint8Array {
  const key = recordKey(partition, after ?? "");
  const bytes = new Uint8Array(key.length + 1);
  bytes.set(key);
  return bytes;
}

/** Where a partition's rows end, exclusive: after `upto`, or after every key. */
export function rowsEnd(partition: number, upto: string | undefined): Uint8Array {
  if (upto !== undefined) return rowsFrom(partition, upto);
  const next = partition + 1;
  if (next > 0xffff) return PAST_ALL_ROWS;
  // A record of the database as a whole may lie before the next partition's state record: `state_record.ts`.
  return (next & 0xff) === 0 ? Uint8Array.of(next >>> 8) : recordKey(next, "");
}

/**
 * The row of an entry.
 *
 * @param slab where it is cut from, if it is not kept for long
 * @param key the row key, if it is known
 */
export function encodeRecord(
  partition: number,
  entry: Entry,
  slab?: ByteSlab,
  key: Uint8Array = recordKey(partition, entry.key, slab),
): EncodedRecord {
  const { contentType, version } = entry;
  const typeBytes = contentType === undefined ? 0 : ITEM_HEADER_BYTES + contentType.length;
  const length = recordBytes(entry);
  const extraBytes = length - HEADER_BYTES - entry.value.length;
  const value = slab === undefined ? new Uint8Array(length) : slab.take(length);
  value[4] = entry.flags;
  value[5] = RECORD_FORMAT;
  putUint32(value, 8, entry.term);
  putUint64(value, 12, entry.seq);
  putUint64(value, 20, entry.timestampMs);
  putUint64(value, EXPIRY_AT, entry.expiresAtMs);
  if (extraBytes > 0) {
    value[6] = extraBytes >>> 8;
    value[7] = extraBytes;
    if (contentType !== undefined) putContentType(value, contentType);
    if (version !== undefined) putVersion(value, HEADER_BYTES + typeBytes, version);
  }
  value.set(entry.value, HEADER_BYTES + extraBytes);
  const crc = crc32c(value, crc32c(key), 4);
  putUint32(value, 0, crc);
  return rowOf(entry, key, value, crc);
}

/** An entry with the row that it is. */
export function rowOf(
  { flags, expiresAtMs }: Entry,
  key: Uint8Array,
  value: Uint8Array,
  crc: number,
): EncodedRecord {
  return { key, value, flags, crc, bytes: value.length, expires: expiresAtMs !== 0 };
}

/** How long an entry's row is, without its key. */
export function recordBytes({ contentType, version, value }: Entry): number {
  return HEADER_BYTES + value.length +
    (contentType === undefined ? 0 : ITEM_HEADER_BYTES + contentType.length) +
    (version === undefined ? 0 : ITEM_HEADER_BYTES + VERSION_BYTES);
}

/**
 * The entry of a row. Its value is a part of `bytes`, not a copy.
 *
 * @param key the key, if it is known; otherwise it is read from `rowKey`
 * @throws {KvError} `corrupt` if the row is damaged; `wrong_version` if a newer program wrote it
 */
export function decodeRecord(rowKey: Uint8Array, bytes: Uint8Array, key?: string): Entry {
  checkRecord(rowKey, bytes);
  return decodeSoundRecord(rowKey, bytes, key);
}

/** The same for a row that is known to be as it was written. */
export function decodeSoundRecord(rowKey: Uint8Array, bytes: Uint8Array, key?: string): Entry {
  const valueAt = HEADER_BYTES + ((bytes[6] ?? 0) << 8 | (bytes[7] ?? 0));
  if (valueAt > bytes.length) throw damaged(rowKey, "its extra block is longer than the row");
  const entry: Entry = {
    key: key ?? keyOfRecordKey(rowKey),
    seq: getUint64(bytes, 12),
    term: getUint32(bytes, 8),
    flags: bytes[4] ?? 0,
    timestampMs: getUint64(bytes, 20),
    expiresAtMs: getUint64(bytes, 28),
    value: valueAt === bytes.length ? NO_VALUE : tailOf(bytes, valueAt),
  };
  if (valueAt === HEADER_BYTES) return entry;
  return { ...entry, ...extrasIn(rowKey, bytes.subarray(HEADER_BYTES, valueAt)) };
}

/** Twice as fast as `subarray`. */
function tailOf(bytes: Uint8Array, from: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + from, bytes.length - from);
}

function putVersion(row: Uint8Array, at: number, version: number): void {
  row[at] = VERSION_TAG;
  row[at + 1] = 0;
  row[at + 2] = VERSION_BYTES;
  putUint64(row, at + ITEM_HEADER_BYTES, version);
}

function putContentType(row: Uint8Array, contentType: string): void {
  row[HEADER_BYTES] = CONTENT_TYPE_TAG;
  row[HEADER_BYTES + 1] = contentType.length >>> 8;
  row[HEADER_BYTES + 2] = contentType.length;
  encoder.encodeInto(contentType, row.subarray(HEADER_BYTES + ITEM_HEADER_BYTES));
}

function decoded(bytes: Uint8Array): string {
  return shortAscii(bytes) ?? decoder.decode(bytes);
}

/** @throws {KvError} `corrupt` */
function extrasIn(rowKey: Uint8Array, extra: Uint8Array): Pick<Entry, "contentType" | "version"> {
  const found: { contentType?: string; version?: number } = {};
  for (let at = 0; at < extra.length;) {
    const from = at + ITEM_HEADER_BYTES;
    const to = from + ((extra[at + 1] ?? 0) << 8 | (extra[at + 2] ?? 0));
    if (to > extra.length) throw damaged(rowKey, "an item of its extra block is cut");
    if (extra[at] === CONTENT_TYPE_TAG) {
      found.contentType = decoded(extra.subarray(from, to));
    } else if (extra[at] === VERSION_TAG && to - from === VERSION_BYTES) {
      found.version = getUint64(extra, from);
    }
    at = to;
  }
  return found;
}

/**
 * Checks length, CRC and format of a row, in this order: the format can be trusted only if the CRC is
 * right.
 *
 * @throws {KvError} `corrupt`, `wrong_version`
 */
export function checkRow(rowKey: Uint8Array, bytes: Uint8Array, bytesMin: number): void {
  if (bytes.length < bytesMin) {
    throw damaged(rowKey, `it has ${bytes.length} bytes and must have at least ${bytesMin}`);
  }
  if (crc32c(bytes, crc32c(rowKey), 4) !== getUint32(bytes, 0)) {
    throw damaged(rowKey, "its checksum is wrong");
  }
  const format = bytes[5] ?? 0;
  if (format !== RECORD_FORMAT) {
    throw new KvError(
      "wrong_version",
      `row ${hex(rowKey)} has format ${format}; this program reads format ${RECORD_FORMAT}: ` +
        "run the program version that wrote it",
    );
  }
}

/** As {@linkcode checkRow}, for an entry's row. */
export function checkRecord(rowKey: Uint8Array, bytes: Uint8Array): void {
  checkRow(rowKey, bytes, HEADER_BYTES);
}

/** The checksum of a row that was checked before. */
export function recordCrc(bytes: Uint8Array): number {
  return getUint32(bytes, 0);
}

/** What a row that was checked before adds to the sums. */
export function countedOf(bytes: Uint8Array): Counted {
  return {
    flags: bytes[4] ?? 0,
    crc: recordCrc(bytes),
    bytes: bytes.length,
    expires: recordExpires(bytes),
  };
}

/** The seq of the entry of a row. */
export function recordSeq(bytes: Uint8Array): number {
  return getUint64(bytes, 12);
}

/** Whether a row's entry expires at some date. */
function recordExpires(bytes: Uint8Array): boolean {
  for (let i = EXPIRY_AT; i < EXPIRY_AT + 8; i++) if (bytes[i] !== 0) return true;
  return false;
}

/**
 * What a row with this CRC adds to a sum over rows (mod 2^32). The CRCs are mixed first (with the
 * finalizer of MurmurHash3 by Austin Appleby), because sums of bare CRCs would cancel too easily.
 */
export function digestOf(crc: number): number {
  let h = crc;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

export function getUint32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) |
    ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

/** @param value a whole number up to 2^53-1 */
export function putUint64(bytes: Uint8Array, at: number, value: number): void {
  putUint32(bytes, at, Math.floor(value / 2 ** 32));
  putUint32(bytes, at + 4, value >>> 0);
}

export function getUint64(bytes: Uint8Array, at: number): number {
  return getUint32(bytes, at) * 2 ** 32 + getUint32(bytes, at + 4);
}

function damaged(rowKey: Uint8Array, what: string): KvError {
  return new KvError("corrupt", `row ${hex(rowKey)} is damaged: ${what}`);
}

function hex(bytes: Uint8Array): string {
  const text = Array.from(bytes.subarray(0, 64), (b) => b.toString(16).padStart(2, "0")).join("");
  return bytes.length > 64 ? `${text}…` : text;
}
