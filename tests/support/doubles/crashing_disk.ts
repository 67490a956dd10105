/**
 * The files of a journal and a table that outlive the storage that uses them, for tests of crashes. A crash comes
 * after a given number of steps: each byte that is appended is one, each other thing that is done to the disk a few. From then
 * on nothing happens, and nobody hears of anything. A file that is removed is written over by the next one, as real ones
 * are (`deno_journal_files.ts`).
 *
 * @module
 */
import type { JournalFile, JournalFiles } from "../../../node/storage/journal/journal_files.ts";
import { RowsSnapshot } from "../../../node/storage/memory/rows_snapshot.ts";
import type {
  SnapshotRange,
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../../../node/storage/storage.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { compareBytes } from "../../../shared/base/key_order.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";

/** What anything but a byte of an append costs. */
const STEPS = 5;

/** So much of a new file is filled with zeros in advance, at most. */
const FILLED_BYTES_MAX = 1_000;

/** A file as it is, and how much of it survives a power cut. */
interface CrashingFile {
  bytes: Uint8Array;
  synced: number;
  /** What the file had that it is written over, or the zeros of a new one: beyond `bytes`, it still has it. */
  earlier: Uint8Array;
}

/** A disk. */
export class CrashingDisk {
  readonly contents = new Map<string, CrashingFile>();
  readonly rows = new Map<string, Uint8Array>();
  /** Appends and the table's writes fail, some after a part. */
  full = false;
  /** Taken in advance. */
  reserved = 0;
  /** Was taken in advance, and is free now: a full disk takes so much. */
  spare = 0;
  /** Syncs fail, and what they should have synced may be lost in a power cut in spite of later ones. */
  syncFails = false;
  /** How many batches the table has taken. */
  tableBatches = 0;
  readonly #random: Random;
  /** A removed file that will be written over. */
  #spareFile: CrashingFile | undefined;
  #stepsLeft = Infinity;
  #dead = false;
  /** The number of the process that lives; an earlier one does nothing more. */
  #life = 0;
  #onDeath: () => void = () => {};
  /** What the table has not flushed: what was there before. */
  #unflushed: [key: string, before: Uint8Array | undefined][][] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  /** A new process, which dies after so many steps. @returns when it is dead */
  begin(steps: number): Promise<void> {
    this.#stepsLeft = steps;
    this.#dead = false;
    this.#life++;
    return new Promise((resolve) => this.#onDeath = resolve);
  }

  get isDead(): boolean {
    return this.#dead;
  }

  /** The process has died. @param power false: what was not synced is lost, or garbled */
  crash(power: boolean): void {
    this.#dead = true;
    if (power) return;
    for (const file of this.contents.values()) {
      const unsynced = file.bytes.length - file.synced;
      if (unsynced === 0) continue;
      const kept = file.synced + randomBelow(this.#random, unsynced + 1);
      file.bytes = file.bytes.slice(0, kept);
      // Pages reach the disk in any order.
      if (kept > file.synced && randomBelow(this.#random, 3) === 0) {
        const from = file.synced + randomBelow(this.#random, kept - file.synced);
        const to = Math.min(kept, from + 1 + randomBelow(this.#random, 40));
        file.bytes.fill(0, from, to);
        file.bytes.set(file.earlier.subarray(from, to), from);
      }
      file.synced = file.bytes.length;
    }
    // LevelDB may lose any part of its log without a word.
    for (const batch of this.#unflushed.splice(0).reverse()) {
      if (randomBelow(this.#random, 2) === 0) continue;
      for (const [key, before] of batch) {
        if (before === undefined) this.rows.delete(key);
        else this.rows.set(key, before);
      }
    }
  }

  files(): JournalFiles {
    const { contents } = this;
    const step = this.#stepper();
    return {
      list: () => step(STEPS, () => [...contents.keys()].sort()),
      read: (name) => step(STEPS, () => wholeOf(this.#file(name))),
      sync: (name) =>
        step(STEPS, () => {
          const file = this.#file(name);
          file.synced = file.bytes.length;
        }),
      create: async (name, content) => {
        const file: CrashingFile = {
          bytes: new Uint8Array(),
          synced: 0,
          // Filled with zeros in advance.
          earlier: new Uint8Array(randomBelow(this.#random, FILLED_BYTES_MAX)),
        };
        await step(STEPS, () => {
          if (this.#spareFile !== undefined) file.earlier = wholeOf(this.#spareFile);
          this.#spareFile = undefined;
          contents.set(name, file);
        });
        const opened = this.#open(file, step);
        await opened.append(content, true);
        return opened;
      },
      remove: (name) =>
        step(STEPS, () => {
          this.#spareFile ??= contents.get(name);
          contents.delete(name);
        }),
      reserve: (bytes) =>
        step(STEPS, () => {
          if (this.full && this.reserved < bytes) {
            throw new KvError("storage_failed", "no space is left to take in advance");
          }
          this.reserved = bytes;
          this.spare = 0;
        }),
      release: () =>
        step(STEPS, () => {
          this.spare = this.reserved;
          this.reserved = 0;
        }),
    };
  }

  table(): Storage {
    const sorted = (range: StorageRange): StorageRow[] => {
      const rows = [...this.rows].map(([key, value]): StorageRow => [bytesOf(key), value])
        .filter(([key]) => compareBytes(key, range.from) >= 0 && compareBytes(key, range.to) < 0);
      rows.sort(([a], [b]) => compareBytes(a, b) * (range.reverse === true ? -1 : 1));
      return rows;
    };
    const step = this.#stepper();
    const snapshot = (range: SnapshotRange): StorageSnapshot =>
      new RowsSnapshot(sorted(range), range);
    return {
      get: (key) => this.rows.get(textOf(key)),
      write: (changes, _sync, done) => {
        step(STEPS, () => this.#put(changes)).then(() => done(undefined), done);
      },
      range: (range) => snapshot(range).next(),
      snapshot,
      flush: () => step(STEPS, () => void (this.#unflushed = [])),
      close: () => Promise.resolve(),
    };
  }

  #put(changes: readonly StorageChange[]): void {
    if (this.full) throw new KvError("storage_failed", "the table has no room");
    this.tableBatches++;
    this.#unflushed.push(
      changes.map(({ key }) => [textOf(key), this.rows.get(textOf(key))] as const).map((
        [key, before],
      ) => [key, before]),
    );
    for (const { key, value } of changes) {
      if (value === undefined) this.rows.delete(textOf(key));
      else this.rows.set(textOf(key), value.slice());
    }
  }

  #open(file: CrashingFile, step: Step): JournalFile {
    return {
      append: async (bytes, sync) => {
        await step(0, () => {});
        if (this.full && bytes.length <= this.spare) this.spare -= bytes.length;
        else if (this.full) {
          const part = randomBelow(this.#random, bytes.length + 1);
          file.bytes = concatenated(file.bytes, bytes.subarray(0, part));
          throw new KvError("storage_failed", "no space is left");
        }
        const written = Math.min(bytes.length, this.#stepsLeft);
        file.bytes = concatenated(file.bytes, bytes.subarray(0, written));
        await step(bytes.length, () => {});
        if (!sync) return;
        if (this.syncFails) {
          await step(STEPS, () => {});
          throw new KvError("storage_failed", "the sync has failed");
        }
        await step(STEPS, () => void (file.synced = file.bytes.length));
      },
      close: () => {},
    };
  }

  #file(name: string): CrashingFile {
    const file = this.contents.get(name);
    if (file === undefined) throw new KvError("storage_failed", `there is no ${name}`);
    return file;
  }

  /** Does something for the process that lives now, or lets it die. */
  #stepper(): Step {
    const life = this.#life;
    return async (steps, action) => {
      if (!this.#dead && life === this.#life) {
        this.#stepsLeft -= steps;
        if (this.#stepsLeft <= 0) {
          this.#dead = true;
          this.#onDeath();
        }
      }
      if (this.#dead || life !== this.#life) return await new Promise<never>(() => {});
      const result = action();
      await Promise.resolve();
      return result;
    };
  }
}

/** All that is in a file. */
function wholeOf({ bytes, earlier }: CrashingFile): Uint8Array {
  return concatenated(bytes, earlier.subarray(bytes.length));
}

type Step = <T>(steps: number, action: () => T) => Promise<T>;

function concatenated(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function textOf(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
