/**
 * Rows of a range from memory and table together: what is in memory is newer. A snapshot, if both are.
 *
 * @module
 */
import { compareBytes } from "../../../shared/base/key_order.ts";
import type { StorageRow, StorageSnapshot } from "../storage.ts";
import { valueOf } from "./frame.ts";
import type { StoredRow } from "./memtable.ts";

/** Pages of rows. */
export class MergedRows implements StorageSnapshot {
  readonly #memory: readonly StoredRow[];
  readonly #table: StorageSnapshot;
  readonly #page: { rowsMax: number; bytesMax: number; reverse?: boolean };
  #memoryAt = 0;
  #read: StorageRow[] = [];
  #readAt = 0;
  #tableEnded = false;

  /**
   * @param memory in the order of the range
   * @param table the same range of the table, with the same bounds of a page
   */
  constructor(
    memory: readonly StoredRow[],
    table: StorageSnapshot,
    page: { rowsMax: number; bytesMax: number; reverse?: boolean },
  ) {
    this.#memory = memory;
    this.#table = table;
    this.#page = page;
  }

  async next(): Promise<StorageRow[]> {
    const { rowsMax, bytesMax, reverse = false } = this.#page;
    const page: StorageRow[] = [];
    for (let bytes = 0; page.length < rowsMax && bytes < bytesMax;) {
      if (this.#readAt === this.#read.length && !this.#tableEnded) await this.#readOn();
      const below = this.#read[this.#readAt];
      const above = this.#memory[this.#memoryAt];
      if (below === undefined && above === undefined) break;
      const order = above === undefined
        ? 1
        : below === undefined
        ? -1
        : compareBytes(above[0], below[0]) * (reverse ? -1 : 1);
      if (order >= 0) this.#readAt++;
      let row = below;
      if (order <= 0 && above !== undefined) {
        this.#memoryAt++;
        const value = valueOf(above[1]);
        row = value === undefined ? undefined : [above[0], value];
      }
      if (row === undefined) continue;
      bytes += row[0].length + row[1].length;
      page.push(row);
    }
    return page;
  }

  close(): Promise<void> {
    return this.#table.close();
  }

  async #readOn(): Promise<void> {
    this.#read = await this.#table.next();
    this.#readAt = 0;
    this.#tableEnded = this.#read.length === 0;
  }
}
