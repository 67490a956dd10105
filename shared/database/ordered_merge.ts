/**
 * Merges several runs of keys, each in order and each read up to some key, into one page in order. A
 * node merges its partitions this way, and a caller of several nodes their answers. Pure.
 *
 * Invariant: a page holds every item that any run has between the page's beginning and `next`.
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
  /** Nothing more will come. */
  readonly ended: boolean;
}

/** A page. */
export interface MergedPage<T> {
  readonly items: T[];
  /** The page is complete up to this key; undefined if there is nothing more. */
  readonly next: string | undefined;
}

/** The bounds of a page. */
export interface PageLimits<T> {
  readonly reverse: boolean;
  readonly itemsMax: number;
  /** The page ends before an item that would make it larger than this, unless that is its first item. */
  readonly bytesMax: number;
  bytesOf(item: T): number;
}

/** Orders keys in the direction of a scan. */
export function scanOrder(reverse: boolean): (a: string, b: string) => number {
  return reverse ? (a, b) => compareKeys(b, a) : compareKeys;
}

/** How far all runs together are read; `key` is undefined with `ended` false if one was not read at all. */
function readBound<T extends { readonly key: string }>(
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

/** How many items the page that could be made now would have without a limit. */
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

/** Whether the page that could be made now has reached its limit. */
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
 * The page that can be made now. If several runs have an item, it is returned once: the one that `newer`
 * prefers. Undefined if a run has not been read at all.
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
  // Sorted pieces one after the other: the sort merges them.
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

/** How many of the items are up to a key, inclusive. */
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
 * How many of the next `items` in order to ask one source for that holds `part` of all items: the
 * number that it most likely has of them, and some more, so that it need not be asked twice.
 */
export function shareOf(items: number, part: number): number {
  const expected = items * part;
  return Math.max(1, Math.min(items, Math.ceil(expected + 2 * Math.sqrt(expected) + 1)));
}
