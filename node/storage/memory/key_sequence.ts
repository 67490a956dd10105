/**
 * The order of the keys of a `byte_index.ts`, as a list of entry numbers that is brought up to date only
 * when the order is asked for: keys that came since the last time are sorted and merged in. An entry keeps
 * its number while its record moves, so overwriting a key changes nothing here.
 *
 * With n keys, of which f are new: O(f log n) comparisons, and n numbers moved in memory, in blocks; for a
 * million keys that takes less than a millisecond. So pages of a range may be read between writes.
 *
 * The entry of a deleted key stays in the list, and its number is not reused, until a quarter of the list
 * is such entries: `removed` says when.
 *
 * @module
 */
import { type SortableKeys, sortByKey } from "./key_sort.ts";

/** Where an entry is listed. */
const NOWHERE = 0;
const FRESH = 1;
const SORTED = 2;
const GONE_MIN = 64;

/** The index that holds the keys. */
export interface SequenceKeys extends SortableKeys {
  /** Whether the entry has a key. */
  lives(entry: number): boolean;
  /** The number of an entry without a key may be reused. */
  release(entry: number): void;
}

/** Entry numbers in the order of their keys. */
export class KeySequence {
  readonly #keys: SequenceKeys;
  #sorted = new Int32Array(0);
  #sortedCount = 0;
  #fresh = new Int32Array(16);
  #freshCount = 0;
  /** By entry. */
  #listed = new Uint8Array(16);
  /** Entries in `#sorted` without a key. */
  #gone = 0;

  constructor(keys: SequenceKeys) {
    this.#keys = keys;
  }

  /** How many entries are listed, including some whose keys are gone. */
  get length(): number {
    return this.#sortedCount;
  }

  /** The entry there. */
  at(index: number): number {
    return this.#sorted[index] ?? 0;
  }

  /** An entry has got a key. */
  added(entry: number): void {
    if (entry >= this.#listed.length) {
      const grown = new Uint8Array(Math.max(2 * this.#listed.length, entry + 1));
      grown.set(this.#listed);
      this.#listed = grown;
    }
    // An entry that was fresh and lost its key may come again with another key.
    if (this.#listed[entry] !== NOWHERE) return;
    this.#listed[entry] = FRESH;
    if (this.#freshCount === this.#fresh.length) this.#fresh = longer(this.#fresh, 1);
    this.#fresh[this.#freshCount++] = entry;
  }

  /** An entry has lost its key: releases it, now or later. */
  removed(entry: number): void {
    if (this.#listed[entry] !== SORTED) return this.#keys.release(entry);
    this.#gone++;
    if (this.#gone > GONE_MIN && this.#gone * 4 > this.#sortedCount) this.#sweep();
  }

  /** Merges the fresh entries in. */
  settle(): void {
    const fresh = this.#takeFresh();
    if (fresh.length === 0) return;
    sortByKey(fresh, this.#keys);
    const missing = this.#sortedCount + fresh.length - this.#sorted.length;
    if (missing > 0) this.#sorted = longer(this.#sorted, missing);
    const sorted = this.#sorted;
    // From the end, so that each number is moved once.
    let end = this.#sortedCount;
    for (let i = fresh.length - 1; i >= 0; i--) {
      const entry = fresh[i] ?? 0;
      const at = end === 0 ? 0 : this.lowerBound(this.#keys.key(entry), end);
      if (at < end) sorted.copyWithin(at + i + 1, at, end);
      sorted[at + i] = entry;
      end = at;
    }
    this.#sortedCount += fresh.length;
  }

  /** The index of the first of the first `high` entries whose key is not less than `key`. */
  lowerBound(key: Uint8Array, high: number = this.#sortedCount): number {
    let low = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      // Some entries have lost their keys: the next one that has a key stands for them.
      let asked = middle;
      while (asked < high && !this.#keys.lives(this.at(asked))) asked++;
      if (asked < high && this.#keys.compareTo(this.at(asked), key) < 0) low = asked + 1;
      else high = middle;
    }
    return low;
  }

  /** The fresh entries that still have keys; afterwards no entry is fresh. */
  #takeFresh(): Int32Array {
    const fresh = this.#fresh.subarray(0, this.#freshCount);
    this.#freshCount = 0;
    let count = 0;
    for (const entry of fresh) {
      const lives = this.#keys.lives(entry);
      this.#listed[entry] = lives ? SORTED : NOWHERE;
      if (lives) fresh[count++] = entry;
    }
    return fresh.subarray(0, count);
  }

  #sweep(): void {
    const sorted = this.#sorted;
    let count = 0;
    for (let i = 0; i < this.#sortedCount; i++) {
      const entry = sorted[i] ?? 0;
      if (this.#keys.lives(entry)) {
        sorted[count++] = entry;
      } else {
        this.#listed[entry] = NOWHERE;
        this.#keys.release(entry);
      }
    }
    this.#sortedCount = count;
    this.#gone = 0;
  }
}

/** At least half as long again. */
function longer(list: Int32Array, missing: number): Int32Array<ArrayBuffer> {
  const grown = new Int32Array(list.length + Math.max(missing, list.length >>> 1));
  grown.set(list);
  return grown;
}
