/**
 * A simulated disk: it outlives the processes that use it. Holds an ordered map with LevelDB's
 * promises (`node/storage/storage.ts`) and JSON documents that are replaced as a whole. What it does
 * wrong, it does only when told to (`DiskFaults`).
 *
 * Invariants: batches take effect whole and in order; what was synced survives everything but an
 * injected fault; what was not is lost from the end backwards; a process that is dead changes
 * nothing any more and hears nothing.
 *
 * @module
 */
import type { DocumentStore } from "../../../shared/platform/document_store.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { type Random, randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import type {
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
} from "../../../node/storage/storage.ts";
import type { Coverage } from "../coverage.ts";
import type { Scheduler, SimProcess } from "./scheduler.ts";
import { between } from "./scheduler.ts";
import { RowsSnapshot } from "../../../node/storage/memory/rows_snapshot.ts";
import { SortedRows, textOf } from "./sorted_rows.ts";

/** What is wrong with a disk at this moment. */
export interface DiskFaults {
  /** Writes are refused. */
  full: boolean;
  /** A sync, or a read of several rows, takes up to this long; 0 for the usual. */
  slowMs: number;
  /** With this probability, a read fails. */
  readErrors: number;
  /** Files are not there: neither reads nor writes notice, but whoever looks does. */
  filesMissing: boolean;
}

/** The share of batches with which files are compacted. */
const COMPACTION_RATE = 1 / 300;
/** How many batches back one can vanish. */
const HISTORY_BATCHES = 48;

/** A batch that has been given to the disk. */
interface Written {
  readonly changes: readonly StorageChange[];
  /** What was there before; filled in when it takes effect. */
  readonly before: (Uint8Array | undefined)[];
}

/** A row whose bits were flipped, or which vanished. */
export interface Damage {
  readonly key: string;
  /** What is there instead; undefined for nothing. */
  readonly value: Uint8Array | undefined;
  readonly what: "flipped" | "vanished" | "rotten";
}

/** A disk. */
export class SimDisk {
  readonly name: string;
  readonly faults: DiskFaults = {
    full: false,
    slowMs: 0,
    readErrors: 0,
    filesMissing: false,
  };
  /** Damage that may still be there. */
  damage: Damage[] = [];
  /** Partitions in which a fault has ever flipped bits here. */
  readonly everFlipped = new Set<number>();
  /** Synced batches have vanished: then nothing that the disk tells is certain. */
  everVanished = false;
  /** Some of it has been damaged, or was unreadable for long enough to count as damaged. */
  mayBeDamaged = false;
  readonly rows = new SortedRows();
  readonly documents = new Map<string, string>();
  readonly #scheduler: Scheduler;
  readonly #coverage: Coverage;
  readonly #random: Random;
  /** Took effect and are not synced. */
  #unsynced: Written[] = [];
  /** Given to the disk by the process that lives; first in, first done. */
  #underWay: Written[] = [];
  /** Refused, although something of it may have got there. */
  #ghost: Written | undefined;
  /** Synced, the newest last. */
  readonly #history: Written[] = [];
  #busyUntilMs = 0;
  /** Keys whose rows are in a block that cannot be read, and whether they have been written again since. */
  readonly #rotten = new Map<string, { written: boolean }>();
  /** The database came upon that block while it compacted files: it takes no writes until it is repaired. */
  #compactionFailed = false;

  constructor(name: string, scheduler: Scheduler, coverage: Coverage) {
    this.name = name;
    this.#scheduler = scheduler;
    this.#coverage = coverage;
    this.#random = scheduler.random;
  }

  /** The disk as a process sees it. @param volatile it is gone when the process ends */
  open(process: SimProcess, volatile = false): Storage {
    const atOnce = {
      put: (key: Uint8Array, value: Uint8Array | undefined) => {
        if (process.alive) this.#put(textOf(key), value?.slice());
      },
    };
    return {
      volatile,
      ...(volatile ? atOnce : { check: () => this.#check(process) }),
      get: (key) => {
        this.#mayFail("get");
        const text = textOf(key);
        if (this.#rotten.get(text)?.written === false) throw rot();
        return this.rows.get(text);
      },
      write: (changes, sync, done) => this.#write(process, changes, sync, done),
      range: (range) => this.#range(process, range),
      snapshot: (range) => {
        const all = this.rows.range({ ...range, rowsMax: Infinity, bytesMax: Infinity });
        const snapshot = new RowsSnapshot(all, range);
        return {
          next: () =>
            this.#later(process, () => {
              this.#checkRot(textOf(range.from), textOf(range.to));
              return snapshot.next();
            }),
          close: () => snapshot.close(),
        };
      },
      close: () => {
        if (this.#underWay.length === 0) return Promise.resolve();
        return new Promise((resolve) => this.#whenIdle(process, resolve));
      },
    };
  }

  document(process: SimProcess, name: string): DocumentStore {
    return {
      read: () => {
        const text = this.documents.get(name);
        return Promise.resolve(text === undefined ? undefined : JSON.parse(text));
      },
      write: (document) => {
        const text = JSON.stringify(document);
        return new Promise((resolve, reject) => {
          if (!process.alive) return;
          const begun = { text };
          this.#documentsUnderWay.set(name, begun);
          this.#scheduler.after(this.#syncMs(), undefined, () => {
            if (!process.alive || this.#documentsUnderWay.get(name) !== begun) return;
            this.#documentsUnderWay.delete(name);
            const { full } = this.faults;
            if (!full) this.documents.set(name, text);
            this.#scheduler.after(0, process, () => {
              if (!full) resolve();
              else {
                this.#coverage.hit("disk: write refused");
                reject(new KvError("storage_failed", `cannot write ${name}: no space is left`));
              }
            });
          });
        });
      },
    };
  }

  readonly #documentsUnderWay = new Map<string, { readonly text: string }>();

  /** What a copy of it that somebody makes now would hold. */
  copy(name: string): SimDisk {
    const copy = new SimDisk(name, this.#scheduler, this.#coverage);
    for (const [document, text] of this.documents) copy.documents.set(document, text);
    for (const [key, value] of this.rows.entries()) copy.rows.set(key, value);
    for (const partition of this.everFlipped) copy.everFlipped.add(partition);
    copy.everVanished = this.everVanished;
    return copy;
  }

  /** An older copy of it is put in its place, while no process uses it. */
  putBack(copy: SimDisk): void {
    const newer = [...this.rows.entries()];
    this.wipe();
    for (const [document, text] of copy.documents) this.documents.set(document, text);
    for (const [key, value] of copy.rows.entries()) this.rows.set(key, value);
    for (const [key, was] of newer) {
      const value = this.rows.get(key);
      if (value !== was) this.damage.push({ key, value, what: "vanished" });
    }
    this.everVanished = true;
    this.mayBeDamaged = true;
  }

  /** Nothing is left: it was memory. */
  wipe(): void {
    this.rows.clear();
    this.documents.clear();
    this.damage = [];
    this.#unsynced = [];
    this.#underWay = [];
    this.#ghost = undefined;
    this.#history.length = 0;
    this.#busyUntilMs = 0;
    this.#rotten.clear();
    this.#compactionFailed = false;
  }

  /** The process that used the disk is dead. @param power false: what the system held in memory is gone too */
  crash(power: boolean): void {
    for (const [name, { text }] of this.#documentsUnderWay) {
      // A rename has happened or has not.
      if (randomFraction(this.#random) < 0.5) this.documents.set(name, text);
    }
    this.#documentsUnderWay.clear();
    if (!power && this.#unsynced.length > 0) {
      const kept = randomBelow(this.#random, this.#unsynced.length + 1);
      const lost = this.#unsynced.splice(kept);
      for (const written of lost.reverse()) this.#undo(written);
      if (lost.length > 0) this.#underWay = [];
    }
    const candidates = this.#ghost === undefined
      ? this.#underWay
      : [this.#ghost, ...this.#underWay];
    this.#underWay = [];
    this.#ghost = undefined;
    let keeping = true;
    for (const written of candidates) {
      keeping &&= randomFraction(this.#random) < 0.5;
      this.#coverage.hit(keeping ? "disk: batch under way kept" : "disk: batch under way lost");
      if (keeping) this.#apply(written);
      if (keeping) this.#unsynced.push(written);
    }
    // Opening the database again writes what is there to a new file.
    this.#sync();
    this.#busyUntilMs = 0;
  }

  /** The row as it would be after a power cut at this moment. */
  durable(key: string): Uint8Array | undefined {
    for (const { changes, before } of this.#unsynced) {
      const at = changes.findIndex((change) => textOf(change.key) === key);
      if (at >= 0) return before[at];
    }
    return this.rows.get(key);
  }

  /** Flips one bit of a row's value. */
  flipBit(key: string): void {
    const value = this.rows.get(key);
    if (value === undefined || value.length === 0) return;
    const flipped = value.slice();
    const bit = randomBelow(this.#random, flipped.length * 8);
    flipped[bit >>> 3] = (flipped[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    this.rows.set(key, flipped);
    this.mayBeDamaged = true;
    this.damage.push({ key, value: flipped, what: "flipped" });
    this.everFlipped.add(key.charCodeAt(0) << 8 | key.charCodeAt(1));
  }

  /** A block of the database, with some rows that lie together, cannot be read any more. */
  rotBlock(keys: readonly string[]): void {
    // A repair lets go of it, and what is there then is certain only when it has been read through.
    this.everVanished = true;
    for (const key of keys) {
      this.#rotten.set(key, { written: false });
      this.mayBeDamaged = true;
      this.damage.push({ key, value: undefined, what: "rotten" });
    }
  }

  /** What can be read is kept, the rest is gone; `LevelStorage.repair`. */
  repair(): void {
    for (const [key, { written }] of this.#rotten) {
      if (!written) this.rows.delete(key);
    }
    this.#coverage.hit("disk: repaired");
    this.#rotten.clear();
    this.#compactionFailed = false;
    this.damage = this.damage.map((damage) =>
      damage.what === "rotten" ? { ...damage, what: "vanished" } : damage
    );
  }

  /**
   * Some batches that were synced are gone from the middle of the log, as after a garbled block.
   * Only while no process uses the disk. @returns the keys that are not what they were
   */
  loseBatches(): string[] {
    const ends = this.#history.length - 1;
    if (ends < 1) return [];
    const first = randomBelow(this.#random, ends);
    const count = 1 + randomBelow(this.#random, Math.min(3, ends - first));
    const lost: string[] = [];
    for (let i = first + count - 1; i >= first; i--) {
      const written = this.#history[i];
      written?.changes.forEach((change, at) => {
        const key = textOf(change.key);
        for (let later = first + count; later < this.#history.length; later++) {
          if (this.#history[later]?.changes.some((other) => textOf(other.key) === key)) return;
        }
        this.#put(key, written.before[at]);
        lost.push(key);
      });
    }
    this.#history.length = 0;
    for (const key of new Set(lost)) {
      this.mayBeDamaged = true;
      this.damage.push({ key, value: this.rows.get(key), what: "vanished" });
    }
    if (lost.length > 0) this.everVanished = true;
    return lost;
  }

  /** Damage that nobody has mended: the damaged rows are there as they were. */
  outstandingDamage(): Damage[] {
    this.damage = this.damage.filter(({ key, value, what }) =>
      what === "rotten" || this.rows.get(key) === value
    );
    return this.damage;
  }

  #write(
    process: SimProcess,
    changes: readonly StorageChange[],
    sync: boolean,
    done: (error: Error | undefined) => void,
  ): void {
    if (!process.alive) return;
    // The caller may use its array again.
    const written: Written = { changes: changes.map((change) => ({ ...change })), before: [] };
    this.#underWay.push(written);
    const tookMs = sync ? this.#syncMs() : between(this.#random, 0.02, 0.3);
    this.#busyUntilMs = Math.max(this.#busyUntilMs, this.#scheduler.nowMs) + tookMs;
    // The disk does its work whether the process is stopped or not.
    this.#scheduler.after(this.#busyUntilMs - this.#scheduler.nowMs, undefined, () => {
      if (!process.alive || !this.#underWay.includes(written)) return;
      if (this.#rotten.size > 0 && randomFraction(this.#random) < COMPACTION_RATE) {
        this.#compactionFailed = true;
        this.#coverage.hit("disk: compaction failed");
      }
      if (this.faults.full || this.#compactionFailed) {
        this.#underWay.shift();
        this.#ghost = written;
        this.#coverage.hit("disk: write refused");
        const error = this.#compactionFailed
          ? rot()
          : new KvError("storage_failed", "cannot write: no space is left");
        this.#scheduler.after(0, process, () => done(error));
        return;
      }
      this.#ghost = undefined;
      this.#scheduler.after(0, process, () => {
        // What is read sees the batch when the process is told of it, at the latest.
        done(undefined);
      });
      this.#underWay.shift();
      this.#apply(written);
      this.#unsynced.push(written);
      if (sync) this.#sync();
    });
  }

  #range(process: SimProcess, range: StorageRange): Promise<StorageRow[]> {
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      const rows = this.rows.range(range);
      this.#scheduler.after(this.#readMs(), process, () => {
        try {
          this.#mayFail("range");
          this.#checkRot(textOf(range.from), textOf(range.to));
          resolve(rows);
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /** What is read, when the disk has read it. */
  #later<T>(process: SimProcess, read: () => T | Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      this.#scheduler.after(this.#readMs(), process, () => {
        try {
          this.#mayFail("snapshot");
          resolve(read());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #check(process: SimProcess): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      this.#scheduler.after(this.#readMs(), process, () => {
        if (!this.faults.filesMissing) return resolve();
        this.#coverage.hit("disk: files found missing");
        reject(new KvError("storage_failed", "files of the database are not there"));
      });
    });
  }

  #whenIdle(process: SimProcess, then: () => void): void {
    if (this.#underWay.length === 0) then();
    else this.#scheduler.after(1, process, () => this.#whenIdle(process, then));
  }

  #mayFail(what: string): void {
    const { readErrors } = this.faults;
    if (readErrors === 0 || randomFraction(this.#random) >= readErrors) return;
    this.#coverage.hit("fault: read error");
    throw new KvError("storage_failed", `cannot read (${what}): an error of the disk`);
  }

  #syncMs(): number {
    const { slowMs } = this.faults;
    if (slowMs > 0) return between(this.#random, 0.3, slowMs);
    return between(this.#random, 0.3, 1.5);
  }

  /** A disk that is slow is so for reads as well. */
  #readMs(): number {
    const { slowMs } = this.faults;
    return between(this.#random, 0.05, slowMs > 0 ? slowMs : 0.5);
  }

  #apply(written: Written): void {
    written.before.length = 0;
    for (const { key, value } of written.changes) {
      const text = textOf(key);
      written.before.push(this.rows.get(text));
      this.#put(text, value);
    }
  }

  #undo(written: Written): void {
    for (let i = written.changes.length - 1; i >= 0; i--) {
      const change = written.changes[i];
      if (change !== undefined) this.#put(textOf(change.key), written.before[i]);
    }
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

  #sync(): void {
    this.#history.push(...this.#unsynced);
    this.#unsynced = [];
    const surplus = this.#history.length - HISTORY_BATCHES;
    if (surplus > 0) this.#history.splice(0, surplus);
  }
}

function rot(): KvError {
  return new KvError("corrupt", "a block of the database cannot be read");
}
