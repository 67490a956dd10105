/**
 * A snapshot that is a list of rows in memory, for storages that have their rows in memory anyway.
 *
 * @module
 */
import type { SnapshotRange, StorageRow, StorageSnapshot } from "../storage.ts";

/** Returns the rows of a list, page by page. */
export class RowsSnapshot implements StorageSnapshot {
  readonly #range: Pick<SnapshotRange, "rowsMax" | "bytesMax">;
  #rows: readonly StorageRow[];
  #at = 0;

  /** @param rows all of them, in key order */
  constructor(rows: readonly StorageRow[], range: Pick<SnapshotRange, "rowsMax" | "bytesMax">) {
    this.#rows = rows;
    this.#range = range;
  }

  next(): Promise<StorageRow[]> {
    const { rowsMax, bytesMax } = this.#range;
    const page: StorageRow[] = [];
    for (let bytes = 0; page.length < rowsMax && bytes < bytesMax;) {
      const row = this.#rows[this.#at];
      if (row === undefined) break;
      this.#at++;
      bytes += row[0].length + row[1].length;
      page.push(row);
    }
    return Promise.resolve(page);
  }

  close(): Promise<void> {
    this.#rows = [];
    return Promise.resolve();
  }
}
