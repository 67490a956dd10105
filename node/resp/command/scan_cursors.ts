/**
 * The cursors of SCAN. Redis's are numbers; ours stand for the last key that was returned. A node remembers
 * which number stands for which key, for a bounded number of cursors, and forgets the least recently used.
 *
 * Invariant: a number never stands for two keys; 0 stands for none.
 *
 * @module
 */
import { RESP_CURSORS_MAX } from "../../../shared/limits/resp.ts";
import type { Random } from "../../../shared/platform/random.ts";

/** The cursors of one node. */
export class ScanCursors {
  readonly #random: Random;
  readonly #max: number;
  /** The least recently used cursor is first. */
  readonly #keys = new Map<number, string>();

  constructor(random: Random, max: number = RESP_CURSORS_MAX) {
    this.#random = random;
    this.#max = max;
  }

  get size(): number {
    return this.#keys.size;
  }

  /** A number for the last key that was returned. */
  add(key: string): number {
    let cursor: number;
    // 48 bits: every client can hold it in a double.
    do cursor = (this.#random.uint32() & 0xffff) * 2 ** 32 + this.#random.uint32(); while (
      cursor === 0 || this.#keys.has(cursor)
    );
    this.#keys.set(cursor, key);
    if (this.#keys.size > this.#max) {
      const [oldest] = this.#keys.keys();
      if (oldest !== undefined) this.#keys.delete(oldest);
    }
    return cursor;
  }

  /** The key; undefined if the number is not known (any more). It may be asked for again. */
  keyOf(cursor: number): string | undefined {
    const key = this.#keys.get(cursor);
    if (key === undefined) return undefined;
    this.#keys.delete(cursor);
    this.#keys.set(cursor, key);
    return key;
  }
}
