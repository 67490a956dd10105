/**
 * Several runs of keys, each in order and each read up to somewhere, as one page in order. Both a node
 * (over its partitions) and whoever asks the nodes (over their answers) make their pages so. Pure.
 *
 * Invariant: a page holds every item that any of the runs has between its beginning and `next`.
 *
 * @module
 */
import { compareKeys } from "../base/key_order.ts";

/** A run: what has been read of it so far. */
export interface Run<T extends { readonly key: string }> {
  /** In the order of the scan. */
  readonly items: readonly T[];
  /** Everything up to this key is in `items`; undefined: nothing has been read. */
  readonly readTo: string | undefined;
  /** Nothing comes any more. */
  readonly ended: boolean;
}

/** A page. */
export interface MergedPage<T> {
  readonly items: T[];
  /** It is complete up to this key; undefined: there is nothing more. */
  readonly next: string | undefined;
}

/** What bounds a page. */
export interface PageLimits<T> {
  readonly reverse: boolean;
  readonly itemsMax: number;
  /** The page ends before an item with which it would be larger, unless that is its first. */
  readonly bytesMax: number;
  bytesOf(item: T): number;
}

/** Orders keys in the direction of a scan. */
export function scanOrder(reverse: boolean): (a: string, b: string) => number {
  return reverse ? (a, b) => compareKeys(b, a) : compareKeys;
}

/** How far all runs together are read: `key` undefined with `ended` false: nowhere yet. */
export function readBound<T extends { readonly key: string }>(
  runs: Iterable<Run<T>>,
  reverse: boolean,
): { ended: boolean; key: string | undefined } {
  const order = scanOrder(reverse);
  let ended = true;
  let key: string | undefined;
  for (const run of runs) {
    if (run.ended) continue;
    if (run.readTo === undefined) return { ended: false, key: undefined };
    if (ended || key === undefined || order(run.readTo, key) < 0) key = run.readTo;
    ended = false;
  }
  return { ended, key };
}

/** How many items the page that could be made now would have, were there no limit. */
export function countReady<T extends { readonly key: string }>(
  runs: Iterable<Run<T>>,
  reverse: boolean,
): number {
  const bound = readBound(runs, reverse);
  if (!bound.ended && bound.key === undefined) return 0;
  let count = 0;
  for (const { items } of runs) {
    count += bound.key === undefined ? items.length : upTo(items, bound.key, reverse);
  }
  return count;
}

/** Whether the page that could be made now is as long as it may be. */
export function isPageFull<T extends { readonly key: string }>(
  runs: Iterable<Run<T>>,
  { reverse, itemsMax, bytesMax, bytesOf }: PageLimits<T>,
): boolean {
  const bound = readBound(runs, reverse);
  if (!bound.ended && bound.key === undefined) return false;
  let count = 0;
  let bytes = 0;
  for (const { items } of runs) {
    const end = bound.key === undefined ? items.length : upTo(items, bound.key, reverse);
    count += end;
    for (let i = 0; i < end && bytes <= bytesMax; i++) {
      const item = items[i];
      if (item !== undefined) bytes += bytesOf(item);
    }
    if (count >= itemsMax || bytes > bytesMax) return true;
  }
  return false;
}

/**
 * The page that can be made now. An item that several runs have is given once: the one that `newer`
 * prefers. Undefined where a run has not been read at all.
 */
export function mergePage<T extends { readonly key: string }>(
  runs: readonly Run<T>[],
  limits: PageLimits<T>,
  newer: (a: T, b: T) => T,
): MergedPage<T> | undefined {
  const { reverse } = limits;
  const bound = readBound(runs, reverse);
  if (!bound.ended && bound.key === undefined) return undefined;
  const order = scanOrder(reverse);
  const ready: T[] = [];
  for (const { items } of runs) {
    const end = bound.key === undefined ? items.length : upTo(items, bound.key, reverse);
    for (let i = 0; i < end; i++) {
      const item = items[i];
      if (item !== undefined) ready.push(item);
    }
  }
  // Sorted pieces one behind the other: the sort merges them.
  ready.sort((a, b) => order(a.key, b.key));
  const items: T[] = [];
  let bytes = 0;
  for (const item of ready) {
    const last = items.at(-1);
    if (last !== undefined && last.key === item.key) {
      items[items.length - 1] = newer(last, item);
      continue;
    }
    bytes += limits.bytesOf(item);
    const full = items.length >= limits.itemsMax || bytes > limits.bytesMax;
    if (full && last !== undefined) return { items, next: last.key };
    items.push(item);
  }
  return { items, next: bound.key };
}

/** How many of the items come up to a key, inclusive. */
function upTo(items: readonly { readonly key: string }[], key: string, reverse: boolean): number {
  const order = scanOrder(reverse);
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && order(item.key, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Of so many items in order, how many to ask one of several sources for, that holds `part` of all: what
 * it has of them most likely, and some more, so that it need not be asked twice.
 */
export function shareOf(items: number, part: number): number {
  const expected = items * part;
  return Math.max(1, Math.min(items, Math.ceil(expected + 2 * Math.sqrt(expected) + 1)));
}
