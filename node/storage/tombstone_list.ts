/**
 * The tombstones that a partition's store has written since it was opened, oldest first, so that those
 * which nobody needs any more are found without reading the partition. A key that has been written since
 * is still in it; whoever takes one looks at the key's newest entry.
 *
 * @module
 */

/** One of them. */
export interface ListedTombstone {
  readonly key: string;
  readonly seq: number;
}

/** See the module. */
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

  /** The oldest is dealt with. */
  shift(): void {
    this.#first++;
    // Room is given back when half of it is empty, so that each is moved once.
    if (2 * this.#first < this.#items.length) return;
    this.#items = this.#items.slice(this.#first);
    this.#first = 0;
  }

  clear(): void {
    this.#items = [];
    this.#first = 0;
  }
}
