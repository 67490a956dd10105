/**
 * A partition, or a range of its keys, as it was at one moment, read page by page in key order (or backwards) while writes go on. It combines a
 * snapshot of the disk with the writes that were on their way there, which take precedence.
 *
 * Invariant: it returns exactly the newest entry of each key as of `asOfSeq`, once.
 *
 * @module
 */
import type { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { failureOf } from "../../shared/base/errors.ts";
import { compareKeys } from "../../shared/base/key_order.ts";
import type { StorageRow, StorageSnapshot } from "./storage.ts";
import { decodeRecord, keyOfRecordKey } from "./record.ts";
import type { PendingRow } from "./scan_page.ts";

/** An entry, or the fact that the newest write removed the record. */
interface Taken {
  readonly entry: Entry | undefined;
  readonly bytes: number;
}

/** A page that is being filled. */
interface FilledPage {
  readonly entries: Entry[];
  looked: number;
  bytes: number;
  ended: boolean;
}

/** See the top of this file. One call at a time. */
export class PartitionSnapshot {
  /** Every write up to this seq is in it, and no later one. */
  readonly asOfSeq: number;
  /** The partition's term at that moment. */
  readonly term: number;
  readonly #work: WorkScheduler;
  readonly #snapshot: StorageSnapshot;
  readonly #page: { rowsMax: number; bytesMax: number };
  /** 1, or -1 for a snapshot that is read backwards. */
  readonly #sign: 1 | -1;
  /** In the order of the snapshot; what has been returned is removed. */
  readonly #pending: PendingRow[];
  #rows: StorageRow[] = [];
  #at = 0;
  #rowsEnded = false;
  /** Rows for which the last page had no room. */
  #held: Taken | undefined;

  constructor(
    work: WorkScheduler,
    snapshot: StorageSnapshot,
    pending: readonly PendingRow[],
    page: { rowsMax: number; bytesMax: number; reverse?: boolean | undefined },
    { asOfSeq, term }: { asOfSeq: number; term: number },
  ) {
    this.#work = work;
    this.#snapshot = snapshot;
    this.#pending = pending.toReversed();
    this.#page = page;
    this.#sign = page.reverse === true ? -1 : 1;
    this.asOfSeq = asOfSeq;
    this.term = term;
  }

  /**
   * The next entries, tombstones included; `ended` is true with the last ones. At most twice the bytes of a
   * page, or one entry.
   *
   * @throws {KvError} `corrupt`, `storage_failed`
   */
  async next(): Promise<{ entries: Entry[]; ended: boolean }> {
    const page: FilledPage = { entries: [], looked: 0, bytes: 0, ended: false };
    while (!await this.#work.run(() => this.#fill(page))) await this.#readOn();
    return { entries: page.entries, ended: page.ended };
  }

  /** Puts what has been read into the page. @returns false if more must be read for it */
  #fill(page: FilledPage): boolean {
    const { rowsMax, bytesMax } = this.#page;
    for (; page.looked < rowsMax && page.bytes < bytesMax; page.looked++) {
      if (this.#at === this.#rows.length && !this.#rowsEnded) return false;
      const taken = this.#held ?? this.#take();
      this.#held = undefined;
      if (taken === undefined) {
        page.ended = true;
        return true;
      }
      if (page.looked > 0 && page.bytes + taken.bytes > 2 * bytesMax) {
        this.#held = taken;
        return true;
      }
      page.bytes += taken.bytes;
      if (taken.entry !== undefined) page.entries.push(taken.entry);
    }
    return true;
  }

  /** Releases the snapshot, even while a page is being read, which then fails. */
  close(): void {
    // There is nobody to tell, and nothing can be done about it.
    this.#snapshot.close().catch(failureOf);
  }

  async #readOn(): Promise<void> {
    this.#rows = await this.#snapshot.next();
    this.#at = 0;
    this.#rowsEnded = this.#rows.length === 0;
  }

  /** The next item in key order; without an entry if the newest write removed the record. */
  #take(): Taken | undefined {
    const row = this.#rows[this.#at];
    const write = this.#pending.at(-1);
    if (row === undefined && write === undefined) return undefined;
    const key = row === undefined ? undefined : keyOfRecordKey(row[0]);
    const order = key === undefined
      ? 1
      : write === undefined
      ? -1
      : this.#sign * compareKeys(key, write.key);
    let entry: Entry | undefined;
    let bytes = 0;
    if (row !== undefined && key !== undefined && order <= 0) {
      this.#at++;
      bytes += row[0].length + row[1].length;
      // Decoded, and so checked, even if a newer write takes precedence: damage should be found.
      entry = decodeRecord(row[0], row[1], key);
    }
    if (write !== undefined && order >= 0) {
      this.#pending.pop();
      entry = write.entry;
      bytes += write.key.length + (entry?.value.length ?? 0);
    }
    return { entry, bytes };
  }
}
