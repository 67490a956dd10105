/**
 * The table of a simulated disk, with what LevelDB promises: batches take effect whole and in order; what was flushed
 * survives everything but an injected fault. A power cut may lose any batch that was not flushed, because LevelDB
 * skips what is garbled in its log.
 *
 * @module
 */
import type {
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
} from "../../../node/storage/storage.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import { RowsSnapshot } from "../../../node/storage/memory/rows_snapshot.ts";
import { between, type SimProcess } from "./scheduler.ts";
import { type DiskPorts, mayFail, readMs, syncMs } from "./sim_files.ts";
import { SortedRows, textOf } from "./sorted_rows.ts";

/** The share of batches with which files are compacted. */
const COMPACTION_RATE = 1 / 30;

/** A batch, and what was there before it. */
interface Written {
  readonly changes: readonly StorageChange[];
  readonly before: (Uint8Array | undefined)[];
}

/** A table. */
export class SimTable {
  readonly rows = new SortedRows();
  readonly #ports: DiskPorts;
  #unflushed: Written[] = [];
  /** Keys whose rows are in a block that cannot be read, and whether they have been written again since. */
  readonly #rotten = new Map<string, { written: boolean }>();
  /** It came upon that block while it compacted files: it takes no writes until it is repaired. */
  #compactionFailed = false;

  constructor(ports: DiskPorts) {
    this.#ports = ports;
  }

  /** The table as a process sees it. */
  open(process: SimProcess): Storage {
    return {
      get: (key) => {
        mayFail(this.#ports, "get");
        const text = textOf(key);
        if (this.#rotten.get(text)?.written === false) throw rot();
        return this.rows.get(text);
      },
      write: (changes, _sync, done) => this.#write(process, changes, done),
      range: (range) => this.#read(process, this.rows.range(range), range),
      snapshot: (range) => {
        const all = this.rows.range({ ...range, rowsMax: Infinity, bytesMax: Infinity });
        const snapshot = new RowsSnapshot(all, range);
        return {
          next: async () => {
            await this.#read(process, [], range);
            return snapshot.next();
          },
          close: () => snapshot.close(),
        };
      },
      flush: () => this.#flush(process),
      check: () => this.#check(process),
      close: () => Promise.resolve(),
    };
  }

  /** The process that used it is dead. @param power false: what was not flushed may be lost */
  crash(power: boolean): void {
    const unflushed = this.#unflushed;
    this.#unflushed = [];
    if (power) return;
    for (const { changes, before } of unflushed.toReversed()) {
      for (let i = changes.length - 1; i >= 0; i--) {
        const change = changes[i];
        if (change !== undefined) this.#put(textOf(change.key), before[i]);
      }
    }
    for (const written of unflushed) {
      if (randomFraction(this.#ports.random) < 0.5) this.#apply(written.changes);
    }
  }

  /** Flips one bit of a row's value. @returns the row as it is then */
  flipBit(key: string): Uint8Array | undefined {
    const value = this.rows.get(key);
    if (value === undefined || value.length === 0) return undefined;
    const flipped = value.slice();
    const bit = randomBelow(this.#ports.random, flipped.length * 8);
    flipped[bit >>> 3] = (flipped[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    this.rows.set(key, flipped);
    return flipped;
  }

  /** The block with these rows cannot be read any more. */
  rotBlock(keys: readonly string[]): void {
    for (const key of keys) this.#rotten.set(key, { written: false });
  }

  /** What can be read is kept, the rest is gone; `LevelStorage.repair`. */
  repair(): void {
    for (const [key, { written }] of this.#rotten) {
      if (!written) this.rows.delete(key);
    }
    this.#rotten.clear();
    this.#compactionFailed = false;
  }

  clear(): void {
    this.rows.clear();
    this.#unflushed = [];
    this.#rotten.clear();
    this.#compactionFailed = false;
  }

  copyTo(other: SimTable): void {
    for (const [key, value] of this.rows.entries()) other.rows.set(key, value);
  }

  #write(
    process: SimProcess,
    changes: readonly StorageChange[],
    done: (error: Error | undefined) => void,
  ): void {
    if (!process.alive) return;
    // The caller may use its array again.
    const copied = changes.map(({ key, value }) =>
      value === undefined ? { key: key.slice() } : { key: key.slice(), value: value.slice() }
    );
    const { scheduler, random } = this.#ports;
    scheduler.after(between(random, 0.02, 0.3), undefined, () => {
      if (!process.alive) return;
      const error = this.#refusal();
      if (error === undefined) this.#apply(copied);
      scheduler.after(0, process, () => done(error));
    });
  }

  #refusal(): KvError | undefined {
    const { random, faults, coverage } = this.#ports;
    if (this.#rotten.size > 0 && randomFraction(random) < COMPACTION_RATE) {
      this.#compactionFailed = true;
      coverage.hit("disk: compaction failed");
    }
    if (!faults.full && !this.#compactionFailed) return undefined;
    coverage.hit("disk: write refused");
    return this.#compactionFailed
      ? rot()
      : new KvError("storage_failed", "cannot write: no space is left");
  }

  #flush(process: SimProcess): Promise<void> {
    const { scheduler } = this.#ports;
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      scheduler.after(syncMs(this.#ports), undefined, () => {
        if (!process.alive) return;
        const error = this.#refusal();
        if (error === undefined) this.#unflushed = [];
        scheduler.after(0, process, () => error === undefined ? resolve() : reject(error));
      });
    });
  }

  #read(process: SimProcess, rows: StorageRow[], range: StorageRange): Promise<StorageRow[]> {
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      this.#ports.scheduler.after(readMs(this.#ports), process, () => {
        try {
          mayFail(this.#ports, "range");
          this.#checkRot(textOf(range.from), textOf(range.to));
          resolve(rows);
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #check(process: SimProcess): Promise<void> {
    const { scheduler, faults, coverage } = this.#ports;
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      scheduler.after(readMs(this.#ports), process, () => {
        if (!faults.filesMissing) return resolve();
        coverage.hit("disk: files found missing");
        reject(new KvError("storage_failed", "files of the database are not there"));
      });
    });
  }

  #apply(changes: readonly StorageChange[]): void {
    const before = changes.map(({ key, value }) => {
      const text = textOf(key);
      const was = this.rows.get(text);
      this.#put(text, value);
      return was;
    });
    this.#unflushed.push({ changes, before });
  }

  /** A range goes through the block, whether its rows have been replaced or deleted since or not. */
  #checkRot(from: string, to: string): void {
    for (const key of this.#rotten.keys()) if (key >= from && key < to) throw rot();
  }

  #put(key: string, value: Uint8Array | undefined): void {
    const rotten = this.#rotten.get(key);
    if (rotten !== undefined) rotten.written = true;
    if (value === undefined) this.rows.delete(key);
    else this.rows.set(key, value);
  }
}

function rot(): KvError {
  return new KvError("corrupt", "a block of the database cannot be read");
}
