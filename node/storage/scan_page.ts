/**
 * A page of a partition in key order, made of a page of rows from disk and the writes under way, which
 * take precedence; and which rows a page covers. Pure functions, so that their edge cases can be tested alone.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import type { StorageRow } from "./storage.ts";
import { isDamage } from "../../shared/base/errors.ts";
import { compareBytes, compareKeys } from "../../shared/base/key_order.ts";
import { decodeRecord, keyOfRecordKey, recordCrc, recordKey, rowsEnd, rowsFrom } from "./record.ts";
import { Tally } from "./state_record.ts";

/** Which part of a partition a page covers. */
export interface ScanOptions {
  /** Looks at no more rows than this. Fewer entries are returned if `beyondSeq` leaves some out. */
  rowsMax: number;
  /** Stops after the row with which this many bytes have been looked at. */
  bytesMax: number;
  /** Only entries with a greater seq. */
  beyondSeq?: number;
  /** The last key of interest, inclusive. */
  upto?: string;
  /** The smaller end, inclusive; default: the first key. In either direction. */
  start?: string | undefined;
  /** The greater end, exclusive; default: after the last key. */
  end?: string | undefined;
  /** From the greater end to the smaller; `after` is then the key before which the page begins. */
  reverse?: boolean | undefined;
  /** Told of each row that is damaged, which is then passed over; without it such a row makes the page fail. */
  onDamaged?: ((key: string) => void) | undefined;
}

/** The row keys from which and before which a page's rows are; undefined if there can be none. */
export function rowsOf(
  partition: number,
  after: string | undefined,
  { upto, start, end, reverse = false }: ScanOptions,
): { from: Uint8Array; to: Uint8Array } | undefined {
  let from = rowsFrom(partition, reverse ? undefined : after);
  let to = rowsEnd(partition, upto);
  if (start !== undefined && start !== "") from = later(from, recordKey(partition, start));
  if (end !== undefined) to = earlier(to, recordKey(partition, end));
  if (reverse && after !== undefined) to = earlier(to, recordKey(partition, after));
  return compareBytes(from, to) >= 0 ? undefined : { from, to };
}

/** A page of entries. */
export interface ScanPage {
  entries: Entry[];
  /** The next page begins after this key; undefined if there is nothing more. */
  next: string | undefined;
  /** Every write up to this seq is reflected. */
  asOfSeq: number;
  /** Count and digest of the entries. */
  tally: Tally;
  /** Bytes of the entries' rows, without the rows' keys. */
  bytes: number;
  /** How many of the entries expire. */
  expiring: number;
}

/** A write under way; without an entry if the record is removed. */
export interface PendingRow {
  readonly key: string;
  readonly entry: Entry | undefined;
  readonly crc: number;
  /** Bytes of the row's value; 0 without an entry. */
  readonly bytes: number;
}

/**
 * A page ends when it has `bytesMax` bytes or more, and before an entry that would make it more than twice
 * as large. So it has at most twice `bytesMax` bytes, or one entry.
 *
 * @param rows what follows the last page's end: `rowsMax` rows or `bytesMax` bytes of it
 * @param pending writes under way in the same range, in the same order
 * @throws {KvError} `corrupt`, unless `onDamaged` is there to be told of a row that is passed over
 */
export function scanPage(
  rows: readonly StorageRow[],
  pending: readonly PendingRow[],
  options: {
    rowsMax: number;
    bytesMax: number;
    beyondSeq?: number;
    asOfSeq: number;
    reverse?: boolean | undefined;
    onDamaged?: ((key: string) => void) | undefined;
  },
): ScanPage {
  const { rowsMax, bytesMax, asOfSeq } = options;
  const sign = options.reverse === true ? -1 : 1;
  const beyondSeq = options.beyondSeq ?? -1;
  const entries: Entry[] = [];
  const rowsEnded = isLastPage(rows, rowsMax, bytesMax);
  let looked = 0;
  let bytes = 0;
  const tally = new Tally();
  let liveBytes = 0;
  let expiring = 0;
  let last: string | undefined;
  let r = 0;
  let p = 0;
  for (;;) {
    const row = rows[r];
    const write = pending[p];
    if (row === undefined && (write === undefined || !rowsEnded)) break;
    if (looked >= rowsMax || bytes >= bytesMax) break;
    const rowKey = row === undefined ? undefined : keyOfRecordKey(row[0]);
    const order = rowKey === undefined
      ? 1
      : write === undefined
      ? -1
      : sign * compareKeys(rowKey, write.key);
    const rowBytes = row !== undefined && order <= 0 ? row[0].length + row[1].length : 0;
    const writeBytes = write !== undefined && order >= 0
      ? write.key.length + (write.entry?.value.length ?? 0)
      : 0;
    if (looked > 0 && bytes + rowBytes + writeBytes > 2 * bytesMax) break;
    looked++;
    bytes += rowBytes + writeBytes;
    let crc = 0;
    let valueBytes = 0;
    let entry: Entry | undefined;
    if (row !== undefined && rowKey !== undefined && order <= 0) {
      r++;
      last = rowKey;
      // Decoded, and so checked, even if a newer write takes precedence: damage should be found.
      entry = decode(row, rowKey, options.onDamaged);
      crc = recordCrc(row[1]);
      valueBytes = row[1].length;
    }
    if (write !== undefined && order >= 0) {
      p++;
      last = write.key;
      entry = write.entry;
      crc = write.crc;
      valueBytes = write.bytes;
    }
    if (entry === undefined || entry.seq <= beyondSeq) continue;
    entries.push(entry);
    tally.add(entry.flags, crc, 1);
    liveBytes += valueBytes;
    if (entry.expiresAtMs !== 0) expiring++;
  }
  const ended = rowsEnded && r === rows.length && p === pending.length;
  return { entries, next: ended ? undefined : last, asOfSeq, tally, bytes: liveBytes, expiring };
}

function decode(
  [recordKey, value]: StorageRow,
  key: string,
  onDamaged: ((key: string) => void) | undefined,
): Entry | undefined {
  try {
    return decodeRecord(recordKey, value, key);
  } catch (error) {
    if (onDamaged === undefined || !isDamage(error)) throw error;
    onDamaged(key);
    return undefined;
  }
}

function isLastPage(rows: readonly StorageRow[], rowsMax: number, bytesMax: number): boolean {
  if (rows.length >= rowsMax) return false;
  let bytes = 0;
  for (const [key, value] of rows) bytes += key.length + value.length;
  return bytes < bytesMax;
}

function later(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compareBytes(a, b) >= 0 ? a : b;
}

function earlier(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compareBytes(a, b) <= 0 ? a : b;
}
