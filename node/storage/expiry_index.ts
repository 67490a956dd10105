/**
 * Which of a partition's keys expire next: a bounded heap in memory, so that the sweep finds what is due
 * without reading the partition. If there are more keys than fit, it forgets those that expire last, and
 * knows up to which date it is complete. Keys beyond that date are found by one more pass over the
 * partition when the date is near. It deletes nothing itself.
 *
 * Invariant: a key whose newest entry here expires before `completeMs` is in it, with that entry's date;
 * a key whose newest entry does not expire is not.
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";

/** A key that will expire. */
export interface ExpiringKey {
  readonly key: string;
  /** Milliseconds since 1970. */
  readonly expiresAtMs: number;
}

interface Item extends ExpiringKey {
  expiresAtMs: number;
  /** Its index in the heap. */
  at: number;
}

/** See the top of this file. */
export class ExpiryIndex {
  /** The most keys that it knows. */
  readonly max: number;
  readonly #items = new Map<string, Item>();
  /** A heap, earliest first: no item is later than those at twice its index plus one, and plus two. */
  #heap: Item[] = [];
  #completeMs: number;
  /** Keys written since the pass asked for the page that it waits for; absent without a pass. */
  #touched: Set<string> | undefined;

  /**
   * @param max at least four
   * @param empty whether the partition is empty, so that a pass would find nothing
   */
  constructor(max: number, empty: boolean) {
    invariant(max >= 4, "an index has room for some keys", { max });
    this.max = max;
    this.#completeMs = empty ? Infinity : 0;
  }

  /** The number of known keys. */
  get size(): number {
    return this.#heap.length;
  }

  /** Keys that expire before this date are all known; 0 while a pass is under way. */
  get completeMs(): number {
    return this.#touched === undefined ? this.#completeMs : 0;
  }

  /** A key has another newest entry. @param expiresAtMs 0 if it never expires, or is gone */
  note(key: string, expiresAtMs: number): void {
    this.#touched?.add(key);
    if (expiresAtMs !== 0 && expiresAtMs < this.#completeMs) this.#set(key, expiresAtMs);
    else if (this.#heap.length > 0) this.#remove(key);
  }

  /** All keys that have expired by a date, at most `max` of them, in no order. */
  due(wallMs: number, max = Infinity): ExpiringKey[] {
    const found: ExpiringKey[] = [];
    this.#visitDue(0, wallMs, (item) => found.push(item) < max);
    return found;
  }

  /** The number of keys that have expired by a date. */
  dueCount(wallMs: number): number {
    let count = 0;
    this.#visitDue(0, wallMs, () => ++count > 0);
    return count;
  }

  /** Whether any key has expired by a date. */
  hasDue(wallMs: number): boolean {
    const first = this.#heap[0];
    return first !== undefined && first.expiresAtMs <= wallMs;
  }

  /** A pass over the partition begins: from now on, everything that it shows or that is written must be known. */
  beginPass(): void {
    this.#touched = new Set();
    this.#completeMs = Infinity;
  }

  /** The pass asks for its next page: what is written from now on may not be in it. */
  beginPage(): void {
    this.#touched?.clear();
  }

  /** An entry of the page. If the key was written again since, the newer write counts. */
  noteOfPage(key: string, expiresAtMs: number): void {
    if (this.#touched?.has(key) === true || expiresAtMs >= this.#completeMs) return;
    this.#set(key, expiresAtMs);
  }

  /** @param whole whether the pass has reached the end of the partition */
  endPass(whole: boolean): void {
    this.#touched = undefined;
    if (!whole) this.#completeMs = 0;
  }

  /** The partition is empty. */
  clear(): void {
    this.#items.clear();
    this.#heap = [];
    this.#touched?.clear();
    this.#completeMs = Infinity;
  }

  #set(key: string, expiresAtMs: number): void {
    const known = this.#items.get(key);
    if (known !== undefined) {
      known.expiresAtMs = expiresAtMs;
      this.#sift(known);
      return;
    }
    const item: Item = { key, expiresAtMs, at: this.#heap.length };
    this.#items.set(key, item);
    this.#heap.push(item);
    this.#sift(item);
    if (this.#heap.length > this.max) this.#forgetLatest();
  }

  #remove(key: string): void {
    const item = this.#items.get(key);
    if (item === undefined) return;
    this.#items.delete(key);
    const last = this.#heap.pop();
    if (last === undefined || last === item) return;
    last.at = item.at;
    this.#heap[last.at] = last;
    this.#sift(last);
  }

  /** Forgets half of them, so that it is seldom done. A sorted list is a heap. */
  #forgetLatest(): void {
    this.#heap.sort((a, b) => a.expiresAtMs - b.expiresAtMs);
    const [first] = this.#heap.splice(this.max >>> 1);
    // Other keys that expire at the same moment may have been forgotten.
    if (first !== undefined) this.#completeMs = first.expiresAtMs;
    this.#items.clear();
    this.#heap = this.#heap.filter(({ expiresAtMs }) => expiresAtMs < this.#completeMs);
    for (const [at, item] of this.#heap.entries()) {
      item.at = at;
      this.#items.set(item.key, item);
    }
  }

  /** Moves an item to its place. */
  #sift(item: Item): void {
    const heap = this.#heap;
    for (;;) {
      const parent = heap[(item.at - 1) >> 1];
      if (item.at === 0 || parent === undefined || parent.expiresAtMs <= item.expiresAtMs) break;
      this.#exchange(item, parent);
    }
    for (;;) {
      const left = heap[2 * item.at + 1];
      const right = heap[2 * item.at + 2];
      const child = right !== undefined && left !== undefined &&
          right.expiresAtMs < left.expiresAtMs
        ? right
        : left;
      if (child === undefined || child.expiresAtMs >= item.expiresAtMs) break;
      this.#exchange(item, child);
    }
  }

  #exchange(a: Item, b: Item): void {
    [a.at, b.at] = [b.at, a.at];
    this.#heap[a.at] = a;
    this.#heap[b.at] = b;
  }

  /** @returns false if `visit` has said that it needs no more */
  #visitDue(at: number, wallMs: number, visit: (item: Item) => boolean): boolean {
    const item = this.#heap[at];
    if (item === undefined || item.expiresAtMs > wallMs) return true;
    return visit(item) && this.#visitDue(2 * at + 1, wallMs, visit) &&
      this.#visitDue(2 * at + 2, wallMs, visit);
  }
}
