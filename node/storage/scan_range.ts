/**
 * Which rows of a partition a page of a scan covers: of those on disk, and of the writes under way. Pure.
 *
 * @module
 */
import { compareBytes, compareKeys } from "../../shared/base/key_order.ts";
import { type PendingWrite, rowOfWrite } from "./group_commit.ts";
import { recordKey, rowsEnd, rowsFrom } from "./record.ts";
import type { PendingRow } from "./scan_page.ts";

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

/** The writes under way of the keys that a page covers, in its order. */
export function writesWithin(
  writes: ReadonlyMap<string, PendingWrite>,
  after: string | undefined,
  { upto, start, end, reverse = false }: ScanOptions,
): PendingRow[] {
  const found: PendingRow[] = [];
  for (const [key, write] of writes) {
    if (after !== undefined) {
      const order = compareKeys(key, after);
      if (reverse ? order >= 0 : order <= 0) continue;
    }
    if (upto !== undefined && compareKeys(key, upto) > 0) continue;
    if (start !== undefined && compareKeys(key, start) < 0) continue;
    if (end !== undefined && compareKeys(key, end) >= 0) continue;
    // A copy: the write itself may be replaced in place while the rows are being read.
    const row = rowOfWrite(write);
    found.push({ key, entry: write.entry, crc: row?.crc ?? 0, bytes: row?.bytes ?? 0 });
  }
  const sign = reverse ? -1 : 1;
  return found.sort((a, b) => sign * compareKeys(a.key, b.key));
}

function later(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compareBytes(a, b) >= 0 ? a : b;
}

function earlier(a: Uint8Array, b: Uint8Array): Uint8Array {
  return compareBytes(a, b) <= 0 ? a : b;
}
