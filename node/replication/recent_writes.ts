/**
 * The keys of a partition's last few writes, by seq, so that a replica which missed only those is
 * brought level without reading the whole partition. Memory only, bounded; what it does not know it
 * says.
 *
 * Invariant: it knows the key of every seq in (floor, last].
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";

/** A ring of the latest keys, or of none if nobody could miss them. */
export class RecentWrites {
  readonly #max: number;
  #keys: string[] = [];
  #floor: number;
  #last: number;
  #base: number;

  /**
   * @param lastSeq the seq up to which nothing is known
   * @param max how many keys it knows
   */
  constructor(lastSeq: number, max: number) {
    this.#max = max;
    this.#floor = lastSeq;
    this.#last = lastSeq;
    this.#base = lastSeq;
  }

  /** Every write after this seq was noted, one after the other, whether its key is still known or not. */
  get base(): number {
    return this.#base;
  }

  /** The seq of the last write that was noted. */
  get lastSeq(): number {
    return this.#last;
  }

  /** Notes the write that follows the last one. */
  push(seq: number, key: string): void {
    invariant(seq === this.#last + 1, "writes are noted in order", { seq, last: this.#last });
    if (this.#max > 0) this.#keys[seq % this.#max] = key;
    this.#last = seq;
    if (this.#floor < seq - this.#max) this.#floor = seq - this.#max;
  }

  /** Forgets everything, and goes on from `lastSeq`. */
  reset(lastSeq: number): void {
    this.#keys = [];
    this.#floor = lastSeq;
    this.#last = lastSeq;
    this.#base = lastSeq;
  }

  /** Whether it knows the keys of all writes after `seq`. */
  reachesBackTo(seq: number): boolean {
    return seq >= this.#floor;
  }

  /** The distinct keys written after `seq`, or undefined if some of them are forgotten. */
  since(seq: number): Set<string> | undefined {
    if (!this.reachesBackTo(seq)) return undefined;
    const keys = new Set<string>();
    for (let s = seq + 1; s <= this.#last; s++) {
      const key = this.#keys[s % this.#max];
      invariant(key !== undefined, "the key of a recent write is known", { seq: s });
      keys.add(key);
    }
    return keys;
  }
}
