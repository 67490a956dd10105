/**
 * Which keys a scan covers: its prefix, bounds, direction and the last page's end, combined into one
 * smallest and one greatest key. Pure.
 *
 * @module
 */
import { compareKeys, greaterKey, prefixEnd, smallerKey } from "./key_order.ts";

/** The bounds that a caller gives. */
export interface KeyBounds {
  readonly prefix?: string | undefined;
  /** Inclusive. */
  readonly start?: string | undefined;
  /** Exclusive. */
  readonly end?: string | undefined;
}

/** The resulting range. */
export interface KeyRange {
  /** First key, inclusive; undefined for the very first key. */
  readonly start: string | undefined;
  /** End, exclusive; undefined for the end of all keys. */
  readonly end: string | undefined;
  /** True if no key can be in the range. */
  readonly empty: boolean;
}

/** Whether a key is in a range. */
export function isInRange(key: string, { start, end, empty }: KeyRange): boolean {
  return !empty && (start === undefined || compareKeys(start, key) <= 0) &&
    (end === undefined || compareKeys(key, end) < 0);
}

/** The keys between a caller's bounds. */
export function keyRange({ prefix, start: from, end: to }: KeyBounds): KeyRange {
  const begins = prefix === undefined || prefix === "" ? undefined : prefix;
  const start = greaterKey(from === "" ? undefined : from, begins);
  const end = smallerKey(to, begins === undefined ? undefined : prefixEnd(begins));
  const empty = end !== undefined && (end === "" || compareKeys(start ?? "", end) >= 0);
  return { start, end, empty };
}
