/**
 * A map whose entries come and go all the time: requests under way, writes that are not on disk yet.
 *
 * Why not a `Map`: when entries have come and gone, V8 gives a `Map` a new table, and lets the old one keep its entries
 * and point to the new one. A table that was in use when all of memory was collected is old, and nothing but
 * the next collection of all memory frees it. Until then it keeps each later table, and so everything that was ever in the
 * map: each young collection copies all of that, and collections of all memory come many times as often.
 *
 * Here two maps take turns. What is put in goes into the newer one; after some time it becomes the older one, and an
 * empty one takes its place. So nothing points from an earlier map's tables to a later map's.
 *
 * Invariants: it has the entries of a `Map`, in the order in which their keys came; a key is in one of the two maps.
 *
 * @module
 */

/** So many entries come before the maps change places; more if more are there at a time. */
const ROOM_MIN = 64;

/** See the top of this file. */
export class TurnoverMap<K, V extends object> implements Iterable<[K, V]> {
  #older = new Map<K, V>();
  #newer = new Map<K, V>();
  /** How many entries may still come before the maps change places. */
  #room = ROOM_MIN;

  get size(): number {
    return this.#older.size + this.#newer.size;
  }

  get(key: K): V | undefined {
    return this.#newer.get(key) ?? (this.#older.size > 0 ? this.#older.get(key) : undefined);
  }

  set(key: K, value: V): void {
    if (this.#older.size > 0 && this.#older.has(key)) {
      this.#older.set(key, value);
      return;
    }
    if (this.#room <= 0 && !this.#newer.has(key)) this.#turn();
    const before = this.#newer.size;
    this.#newer.set(key, value);
    this.#room -= this.#newer.size - before;
  }

  delete(key: K): boolean {
    return this.#newer.delete(key) || (this.#older.size > 0 && this.#older.delete(key));
  }

  /** Entries may be deleted meanwhile, and none may be put in. */
  *[Symbol.iterator](): IterableIterator<[K, V]> {
    yield* this.#older;
    yield* this.#newer;
  }

  *values(): IterableIterator<V> {
    yield* this.#older.values();
    yield* this.#newer.values();
  }

  #turn(): void {
    // What stays long is taken along, each time.
    this.#older = this.#older.size === 0 ? this.#newer : new Map([...this.#older, ...this.#newer]);
    this.#newer = new Map();
    this.#room = Math.max(ROOM_MIN, 2 * this.#older.size);
  }
}
