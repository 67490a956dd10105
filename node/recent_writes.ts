/**
 * The keys of a partition's last few writes, by seq, so that a copy which missed only those is
 * brought level without reading the whole partition. Memory only, bounded; what it does not know it
 * says.
 *
 * Invariant: it knows the key of every seq in (floor, last].
 *
 * @module
 */
import { invariant } from "../shared/errors.ts";
import { RECENT_WRITES_MAX } from "../shared/limits.ts";

/** A ring of the latest keys. */
export class RecentWrites {
  #keys: string[] = [];
  #floor: number;
  #last: number;

  /** @param lastSeq the seq up to which nothing is known */
  constructor(lastSeq: number) {
    this.#floor = lastSeq;
    this.#last = lastSeq;
  }

  /** The seq of the last write that was noted. */
  get lastSeq(): number {
    return this.#last;
  }

  /** Notes the write that follows the last one. */
  push(seq: number, key: string): void {
    invariant(seq === this.#last + 1, "writes are noted in order", { seq, last: this.#last });
    this.#keys[seq % RECENT_WRITES_MAX] = key;
    this.#last = seq;
    if (this.#floor < seq - RECENT_WRITES_MAX) this.#floor = seq - RECENT_WRITES_MAX;
  }

  /** Forgets everything, and goes on from `lastSeq`. */
  reset(lastSeq: number): void {
    this.#keys = [];
    this.#floor = lastSeq;
    this.#last = lastSeq;
  }

  /** The distinct keys written after `seq`, or undefined where some of them are forgotten. */
  since(seq: number): Set<string> | undefined {
    if (seq < this.#floor) return undefined;
    const keys = new Set<string>();
    for (let s = seq + 1; s <= this.#last; s++) {
      const key = this.#keys[s % RECENT_WRITES_MAX];
      invariant(key !== undefined, "the key of a recent write is known", { seq: s });
      keys.add(key);
    }
    return keys;
  }
}
