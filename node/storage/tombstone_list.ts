/**
 * The tombstones that a partition's store has written since it was opened, oldest first, so that those that
 * are no longer needed can be found without reading the partition. A key that has been written since stays
 * in the list; whoever takes a tombstone from it checks the key's newest entry.
 *
 * @module
 */

/** One of them. */
export interface ListedTombstone {
  readonly key: string;
  readonly seq: number;
}

/** See the top of this file. */
export class TombstoneList {
  #items: ListedTombstone[] = [];
  #first = 0;

  get size(): number {
    return this.#items.length - this.#first;
  }

  /** The oldest. */
  get first(): ListedTombstone | undefined {
    return this.#items[this.#first];
  }

  note(key: string, seq: number): void {
    this.#items.push({ key, seq });
  }

  /** The oldest has been handled. */
  shift(): void {
    this.#first++;
    // When half of the array is empty, it is compacted; so each item is moved once on average.
    if (2 * this.#first < this.#items.length) return;
    this.#items = this.#items.slice(this.#first);
    this.#first = 0;
  }

  clear(): void {
    this.#items = [];
    this.#first = 0;
  }
}
