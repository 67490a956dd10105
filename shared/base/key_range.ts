/**
 * Which keys a scan is about, as the smaller and the greater end that its prefix, bounds, direction and
 * the last page's end come to. Pure.
 *
 * @module
 */
import { compareKeys, greaterKey, prefixEnd, smallerKey } from "./key_order.ts";

/** What a caller says. */
export interface KeyBounds {
  readonly prefix?: string | undefined;
  /** Inclusive. */
  readonly start?: string | undefined;
  /** Exclusive. */
  readonly end?: string | undefined;
}

/** What it comes to. */
export interface KeyRange {
  /** First key, inclusive; undefined: the first there is. */
  readonly start: string | undefined;
  /** End, exclusive; undefined: behind the last there is. */
  readonly end: string | undefined;
  /** No key can be in it. */
  readonly empty: boolean;
}

/** The keys between a caller's bounds. */
export function keyRange({ prefix, start: from, end: to }: KeyBounds): KeyRange {
  const begins = prefix === undefined || prefix === "" ? undefined : prefix;
  const start = greaterKey(from === "" ? undefined : from, begins);
  const end = smallerKey(to, begins === undefined ? undefined : prefixEnd(begins));
  const empty = end !== undefined && (end === "" || compareKeys(start ?? "", end) >= 0);
  return { start, end, empty };
}
