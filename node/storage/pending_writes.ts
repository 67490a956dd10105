/**
 * The writes of one partition that are not known to be on disk: the newest of each key. Most partitions have none or a
 * few, which an array finds sooner than a `Map`, and without what `TurnoverMap` says of the tables of a `Map`: there
 * are many partitions, so that something would always be kept by one of them, and with it its batch.
 *
 * @module
 */
import { compareKeys } from "../../shared/base/key_order.ts";
import { TurnoverMap } from "../../shared/base/turnover_map.ts";
import { type PendingWrite, rowOfWrite } from "./group_commit.ts";
import type { PendingRow, ScanOptions } from "./scan_page.ts";

/** More are found by a table. */
const FEW_MAX = 12;

/** See the top of this file. */
export class PendingWrites implements Iterable<PendingWrite> {
  /** In no order that means anything. */
  readonly #few: PendingWrite[] = [];
  /** All of them, from when they were too many until there are none. */
  #many: TurnoverMap<string, PendingWrite> | undefined;

  get(key: string): PendingWrite | undefined {
    if (this.#many !== undefined) return this.#many.get(key);
    const at = this.#indexOf(key);
    return at < 0 ? undefined : this.#few[at];
  }

  /** Takes the place of an earlier write of its key. */
  set(write: PendingWrite): void {
    if (this.#many !== undefined) {
      this.#many.set(write.key, write);
      return;
    }
    const few = this.#few;
    const at = this.#indexOf(write.key);
    if (at >= 0) few[at] = write;
    else if (few.length < FEW_MAX) few.push(write);
    else {
      this.#many = new TurnoverMap();
      for (const one of few) this.#many.set(one.key, one);
      this.#many.set(write.key, write);
      few.length = 0;
    }
  }

  /** Takes out a write, unless a newer one of its key has taken its place. @returns whether it was there */
  delete(write: PendingWrite): boolean {
    const many = this.#many;
    if (many !== undefined) {
      if (many.get(write.key) !== write) return false;
      many.delete(write.key);
      if (many.size === 0) this.#many = undefined;
      return true;
    }
    const few = this.#few;
    const at = few.indexOf(write);
    if (at < 0) return false;
    const last = few.pop();
    if (last !== undefined && at < few.length) few[at] = last;
    return true;
  }

  /** Those of the keys that a page covers, in its order. */
  within(
    after: string | undefined,
    { upto, start, end, reverse = false }: ScanOptions,
  ): PendingRow[] {
    const found: PendingRow[] = [];
    for (const write of this) {
      const { key, entry } = write;
      if (after !== undefined) {
        const order = compareKeys(key, after);
        if (reverse ? order >= 0 : order <= 0) continue;
      }
      if (upto !== undefined && compareKeys(key, upto) > 0) continue;
      if (start !== undefined && compareKeys(key, start) < 0) continue;
      if (end !== undefined && compareKeys(key, end) >= 0) continue;
      // A copy: the write itself may be replaced in place while the rows are being read.
      const row = rowOfWrite(write);
      found.push({ key, entry, crc: row?.crc ?? 0, bytes: row?.bytes ?? 0 });
    }
    const sign = reverse ? -1 : 1;
    return found.sort((a, b) => sign * compareKeys(a.key, b.key));
  }

  *[Symbol.iterator](): IterableIterator<PendingWrite> {
    yield* this.#few;
    if (this.#many !== undefined) yield* this.#many.values();
  }

  #indexOf(key: string): number {
    const few = this.#few;
    for (let at = few.length - 1; at >= 0; at--) if (few[at]?.key === key) return at;
    return -1;
  }
}
