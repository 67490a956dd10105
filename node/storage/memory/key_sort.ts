/**
 * Sorts entries by keys whose bytes are elsewhere, without comparing keys: three bytes of each key and
 * the entry's number make one number, and these numbers are sorted. Entries with the same three bytes
 * are then sorted by the next three.
 *
 * @module
 */
import { invariant } from "../../../shared/base/errors.ts";

/** The greatest entry number, so that it fits beside three bytes of its key into 53 bits. */
export const ENTRY_MAX = 2 ** 27 - 1;
const ENTRY_SPAN = 2 ** 27;
const STEP_BYTES = 3;
/** Up to this many entries are sorted by comparison. */
const FEW = 12;

/** The keys, by their entries' numbers. No two are equal. */
export interface SortableKeys {
  key(entry: number): Uint8Array;
  /** Negative, 0 or positive as the entry's key comes before, is, or comes after `key`. */
  compareTo(entry: number, key: Uint8Array): number;
  /** The key's byte at `index`, or undefined after its end. */
  keyByte(entry: number, index: number): number | undefined;
}

/** Sorts the list in place. */
export function sortByKey(entries: Int32Array, keys: SortableKeys): void {
  sortFrom(entries, keys, 0);
}

/** @param depth the number of bytes in which all keys agree */
function sortFrom(entries: Int32Array, keys: SortableKeys, depth: number): void {
  if (entries.length <= FEW) return sortFew(entries, keys);
  const coded = new Float64Array(entries.length);
  while (!encode(entries, keys, depth, coded)) depth += STEP_BYTES;
  coded.sort();
  let start = 0;
  for (let i = 0; i < coded.length; i++) {
    const step = stepOf(coded, i);
    entries[i] = (coded[i] ?? 0) - step * ENTRY_SPAN;
    if (i + 1 < coded.length && stepOf(coded, i + 1) === step) continue;
    if (i > start) sortFrom(entries.subarray(start, i + 1), keys, depth + STEP_BYTES);
    start = i + 1;
  }
}

/** Fills `coded`. Returns whether any two keys differ in these bytes. */
function encode(
  entries: Int32Array,
  keys: SortableKeys,
  depth: number,
  coded: Float64Array,
): boolean {
  let differ = false;
  for (let i = 0; i < entries.length; i++) {
    const entry = entries[i] ?? 0;
    coded[i] = stepAt(keys, entry, depth) * ENTRY_SPAN + entry;
    differ ||= stepOf(coded, i) !== stepOf(coded, 0);
  }
  // Each key ends somewhere, and no two are equal.
  invariant(differ || stepOf(coded, 0) % 4 === STEP_BYTES, "keys that are sorted differ", {
    depth,
  });
  return differ;
}

/** Three bytes and, in the last two bits, how many of them there are: an ended key comes first. */
function stepAt(keys: SortableKeys, entry: number, depth: number): number {
  const first = keys.keyByte(entry, depth);
  if (first === undefined) return 0;
  const second = keys.keyByte(entry, depth + 1);
  if (second === undefined) return (first << 18) | 1;
  const third = keys.keyByte(entry, depth + 2);
  if (third === undefined) return (first << 18) | (second << 10) | 2;
  return (first << 18) | (second << 10) | (third << 2) | 3;
}

function stepOf(coded: Float64Array, i: number): number {
  return Math.floor((coded[i] ?? 0) / ENTRY_SPAN);
}

/** Insertion sort. */
function sortFew(entries: Int32Array, keys: SortableKeys): void {
  for (let i = 1; i < entries.length; i++) {
    const entry = entries[i] ?? 0;
    const key = keys.key(entry);
    let at = i;
    for (; at > 0; at--) {
      const before = entries[at - 1] ?? 0;
      if (keys.compareTo(before, key) < 0) break;
      entries[at] = before;
    }
    entries[at] = entry;
  }
}
