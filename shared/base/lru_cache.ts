/**
 * A cache that drops the least recently used entry (LRU) once it holds more than its capacity.
 * Capacity is a number of entries or, with `sizeOf`, a sum of sizes such as bytes.
 *
 * Unlike a map, it may have dropped an entry by the next look, and it never keeps an entry that is
 * larger than the whole capacity.
 *
 * Invariant: `weight <= capacity`. All operations take O(1) time (`set`: on average).
 *
 * @module
 */
import { invariant } from "./errors.ts";

/** Entries form a ring, from the most recently used to the least, closed by the cache's own `#end`. */
interface Link<K, V> {
  key: K;
  value: V;
  size: number;
  newer: Link<K, V>;
  older: Link<K, V>;
}

/** A bounded cache. */
export class LruCache<K, V> {
  readonly capacity: number;
  readonly #sizeOf: ((value: V, key: K) => number) | undefined;
  readonly #links = new Map<K, Link<K, V>>();
  /** `#end.older` is the most recently used entry, `#end.newer` the least. Has no key or value. */
  readonly #end: Link<K, V>;
  #weight = 0;

  /**
   * @param capacity what the entries may weigh together; 0 keeps nothing
   * @param sizeOf the weight of an entry: a number from 0 that stays the same; 1 if not given
   */
  constructor(capacity: number, sizeOf?: (value: V, key: K) => number) {
    invariant(capacity >= 0, "a cache's capacity is a number from 0", { capacity });
    this.capacity = capacity;
    this.#sizeOf = sizeOf;
    const end = { size: 0 } as Link<K, V>;
    end.newer = end;
    end.older = end;
    this.#end = end;
  }

  /** The number of entries. */
  get size(): number {
    return this.#links.size;
  }

  /** What the entries weigh together. */
  get weight(): number {
    return this.#weight;
  }

  /** The value, if it is there. Counts as a use. */
  get(key: K): V | undefined {
    const link = this.#links.get(key);
    if (link === undefined) return undefined;
    if (this.#end.older !== link) {
      unlink(link);
      this.#linkNewest(link);
    }
    return link.value;
  }

  /** Whether the key is there. Does not count as a use. */
  has(key: K): boolean {
    return this.#links.has(key);
  }

  /**
   * Sets a value, replacing an earlier one, and drops entries until the rest fits. Counts as a use. A
   * value that is larger than the whole cache only removes the earlier one.
   */
  set(key: K, value: V): void {
    const size = this.#sizeOf === undefined ? 1 : this.#sizeOf(value, key);
    invariant(size >= 0, "an entry's size is a number from 0", { size });
    const link = this.#links.get(key);
    if (size > this.capacity) {
      if (link !== undefined) this.#drop(link);
      return;
    }
    this.#weight += size;
    if (link === undefined) {
      const fresh = { key, value, size, newer: this.#end, older: this.#end };
      this.#links.set(key, fresh);
      this.#linkNewest(fresh);
    } else {
      this.#weight -= link.size;
      link.value = value;
      link.size = size;
      unlink(link);
      this.#linkNewest(link);
    }
    // The newest entry fits by itself, so this ends before it would be dropped.
    while (this.#weight > this.capacity) this.#drop(this.#end.newer);
  }

  /** Removes an entry. Returns whether it was there. */
  delete(key: K): boolean {
    const link = this.#links.get(key);
    if (link === undefined) return false;
    this.#drop(link);
    return true;
  }

  /** Removes everything. */
  clear(): void {
    this.#links.clear();
    this.#end.newer = this.#end;
    this.#end.older = this.#end;
    this.#weight = 0;
  }

  /** The keys, most recently used first. The key that was returned last may be deleted meanwhile. */
  *keys(): Generator<K> {
    let link = this.#end.older;
    while (link !== this.#end) {
      const { older } = link;
      yield link.key;
      link = older;
    }
  }

  /** Checks the invariants of the structure. @throws {InvariantError} */
  checkInvariants(): void {
    let weight = 0;
    let count = 0;
    for (let link = this.#end.older; link !== this.#end; link = link.older) {
      invariant(link.newer.older === link && link.older.newer === link, "links go both ways");
      invariant(this.#links.get(link.key) === link, "a linked entry can be found");
      weight += link.size;
      count++;
    }
    const values = { count, size: this.size, weight, kept: this.#weight, capacity: this.capacity };
    invariant(count === this.size, "every entry is linked", values);
    invariant(weight === this.#weight && weight <= this.capacity, "weight is kept", values);
  }

  #linkNewest(link: Link<K, V>): void {
    const end = this.#end;
    link.newer = end;
    link.older = end.older;
    end.older.newer = link;
    end.older = link;
  }

  #drop(link: Link<K, V>): void {
    unlink(link);
    this.#links.delete(link.key);
    this.#weight -= link.size;
  }
}

function unlink<K, V>(link: Link<K, V>): void {
  link.newer.older = link.older;
  link.older.newer = link.newer;
}
