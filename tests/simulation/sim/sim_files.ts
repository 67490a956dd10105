/**
 * The files of a simulated disk, as a journal sees them. They outlive the processes that use them. A power cut leaves any
 * part of what was not synced, cut at any byte, with holes, and may bring back what was removed. A file that is removed is
 * written over by the next one, as real ones are (`deno_journal_files.ts`).
 *
 * Invariant: what was synced survives everything but an injected fault.
 *
 * @module
 */
import type { JournalFile, JournalFiles } from "../../../node/storage/journal/journal_files.ts";
import { framesOf } from "../../../node/storage/journal/frame.ts";
import { segmentsAmong } from "../../../node/storage/journal/replay.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { type Random, randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import type { Coverage } from "../coverage.ts";
import { between, type Scheduler, type SimProcess } from "./scheduler.ts";

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

/** What the parts of a disk have in common. */
export interface DiskPorts {
  readonly scheduler: Scheduler;
  readonly coverage: Coverage;
  readonly random: Random;
  readonly faults: DiskFaults;
}

/** What is told of the files. */
export interface FileEvents {
  /** A frame was appended, whole. */
  onFrame(frame: Uint8Array): void;
  /** All that was appended is synced. */
  onSynced(): void;
}

interface SimFile {
  bytes: Uint8Array;
  synced: number;
  /** What the file had that it is written over, or the zeros of a new one: beyond `bytes`, it still has it. */
  earlier: Uint8Array;
  isNew: boolean;
}

/** So much of a new file is filled with zeros in advance. */
const FILLED_BYTES = 4_096;

/** How large a hole is that a power cut leaves. */
const HOLE_BYTES_MAX = 600;

/** The files of one journal. */
export class SimFiles {
  readonly #ports: DiskPorts;
  readonly #events: FileEvents;
  readonly #contents = new Map<string, SimFile>();
  /** Removed, which a power cut may undo. */
  #removed = new Map<string, SimFile>();
  /** One of them, which will be written over, and its name. */
  #spareFile: readonly [name: string, file: SimFile] | undefined;
  /** Taken in advance. */
  #reserved = 0;
  /** Was taken in advance, and is free now: a full disk takes so much. */
  #spare = 0;

  constructor(ports: DiskPorts, events: FileEvents) {
    this.#ports = ports;
    this.#events = events;
  }

  /** Names and contents. */
  *entries(): Iterable<[name: string, bytes: Uint8Array]> {
    for (const [name, file] of this.#contents) yield [name, wholeOf(file)];
  }

  /** The files as a process sees them. */
  open(process: SimProcess): JournalFiles {
    const read = <T>(what: string, action: () => T): Promise<T> =>
      this.#later(process, readMs(this.#ports), () => {
        mayFail(this.#ports, what);
        return action();
      });
    return {
      list: () => read("list", () => [...this.#contents.keys()]),
      read: (name) => read("read", () => wholeOf(this.#file(name))),
      sync: (name) =>
        this.#later(process, syncMs(this.#ports), () => {
          this.#refuseIfFull();
          const file = this.#file(name);
          file.synced = file.bytes.length;
        }),
      create: async (name, content) => {
        const earlier = new Uint8Array(FILLED_BYTES);
        const file: SimFile = { bytes: new Uint8Array(), synced: 0, earlier, isNew: true };
        if (process.alive) {
          this.#writeOver(file);
          this.#contents.set(name, file);
        }
        const opened = this.#opened(process, file, false);
        await opened.append(content, true);
        return opened;
      },
      remove: (name) =>
        this.#later(process, between(this.#ports.random, 0.02, 0.3), () => {
          const file = this.#contents.get(name);
          this.#contents.delete(name);
          if (file === undefined) return;
          this.#removed.set(name, file);
          this.#spareFile ??= [name, file];
        }),
      reserve: (bytes) =>
        this.#later(process, syncMs(this.#ports), () => {
          if (this.#reserved < bytes) this.#refuseIfFull();
          this.#reserved = bytes;
          this.#spare = 0;
        }),
      release: () =>
        this.#later(process, between(this.#ports.random, 0.02, 0.3), () => {
          this.#spare = this.#reserved;
          this.#reserved = 0;
        }),
    };
  }

  /** The process that used them is dead. @param power false: what was not synced may be lost */
  crash(power: boolean): void {
    const { random, coverage } = this.#ports;
    for (const [name, file] of this.#contents) {
      const unsynced = file.bytes.length - file.synced;
      if (!power && unsynced > 0) {
        const kept = file.synced + randomBelow(random, unsynced + 1);
        coverage.hit(kept < file.bytes.length ? "disk: journal torn" : "disk: unsynced kept");
        if (kept === 0 && file.isNew) this.#contents.delete(name);
        file.bytes = file.bytes.slice(0, kept);
        // Pages reach the disk in any order.
        if (kept > file.synced && randomFraction(random) < 0.3) {
          const from = file.synced + randomBelow(random, kept - file.synced);
          const to = Math.min(kept, from + 1 + randomBelow(random, HOLE_BYTES_MAX));
          file.bytes.fill(0, from, to);
          file.bytes.set(file.earlier.subarray(from, to), from);
        }
        if (file.earlier.length > kept) {
          coverage.hit(
            file.isNew
              ? "disk: zeros show behind a torn end"
              : "disk: an earlier file shows behind a torn one",
          );
        }
      }
      file.synced = file.bytes.length;
    }
    if (!power) {
      for (const [name, file] of this.#removed) {
        if (randomFraction(random) < 0.5) this.#contents.set(name, file);
      }
    }
    this.#removed = new Map();
    this.#spareFile = undefined;
  }

  /** A new file is written over one that was removed, whose name is then gone for good. */
  #writeOver(file: SimFile): void {
    if (this.#spareFile === undefined) return;
    const [name, spare] = this.#spareFile;
    this.#spareFile = undefined;
    this.#removed.delete(name);
    file.earlier = wholeOf(spare);
    file.isNew = false;
    this.#ports.coverage.hit("disk: a file is written over");
  }

  /**
   * Flips a bit of one frame that is not the last. @returns false if there is none
   */
  flipBit(): boolean {
    const { random } = this.#ports;
    const frames = segmentsAmong(this.#contents.keys()).flatMap(({ name, salt }) => {
      const { bytes } = this.#file(name);
      return framesOf(bytes, salt).map(({ from, to }) => ({ bytes, from, to }));
    });
    const frame = frames[randomBelow(random, Math.max(1, frames.length - 1))];
    if (frame === undefined || frames.length < 2) return false;
    const bit = frame.from * 8 + randomBelow(random, (frame.to - frame.from) * 8);
    frame.bytes[bit >>> 3] = (frame.bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    return true;
  }

  clear(): void {
    this.#contents.clear();
    this.#removed = new Map();
    this.#spareFile = undefined;
  }

  copyTo(other: SimFiles): void {
    for (const [name, { bytes, earlier, isNew }] of this.#contents) {
      other.#contents.set(name, { bytes: bytes.slice(), synced: bytes.length, earlier, isNew });
    }
  }

  #opened(process: SimProcess, file: SimFile, tellsFrames: boolean): JournalFile {
    let tells = tellsFrames;
    return {
      append: (bytes, sync) => {
        if (!process.alive) return new Promise<never>(() => {});
        const { random, faults, coverage } = this.#ports;
        const told = tells;
        tells = true;
        const fits = bytes.length <= this.#spare;
        if (faults.full && fits) {
          this.#spare -= bytes.length;
          coverage.hit("disk: the reserve is written to");
        } else if (faults.full) {
          file.bytes = concatenated(
            file.bytes,
            bytes.subarray(0, randomBelow(random, bytes.length)),
          );
          coverage.hit("disk: write refused");
          return this.#later(process, 0, () => this.#refuseIfFull(true));
        }
        file.bytes = concatenated(file.bytes, bytes);
        if (told) this.#events.onFrame(bytes);
        const length = file.bytes.length;
        if (!sync) return this.#later(process, between(random, 0.02, 0.3), () => {});
        return this.#later(process, syncMs(this.#ports), () => {
          if (!fits) this.#refuseIfFull();
          file.synced = Math.max(file.synced, length);
          this.#events.onSynced();
        });
      },
      close: () => {},
    };
  }

  #refuseIfFull(isFull = this.#ports.faults.full): void {
    if (!isFull) return;
    this.#ports.coverage.hit("disk: write refused");
    throw new KvError("storage_failed", "cannot write: no space is left");
  }

  #file(name: string): SimFile {
    const file = this.#contents.get(name);
    if (file === undefined) throw new KvError("storage_failed", `there is no ${name}`);
    return file;
  }

  /** The disk does its work whether the process is stopped or not, but for a dead one. */
  #later<T>(process: SimProcess, ms: number, action: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!process.alive) return;
      this.#ports.scheduler.after(ms, undefined, () => {
        if (!process.alive) return;
        try {
          const result = action();
          this.#ports.scheduler.after(0, process, () => resolve(result));
        } catch (error) {
          this.#ports.scheduler.after(0, process, () => reject(error));
        }
      });
    });
  }
}

/** All that is in a file. */
function wholeOf({ bytes, earlier }: SimFile): Uint8Array {
  return earlier.length > bytes.length
    ? concatenated(bytes, earlier.subarray(bytes.length))
    : bytes;
}

export function syncMs({ random, faults }: DiskPorts): number {
  return between(random, 0.3, faults.slowMs > 0 ? faults.slowMs : 1.5);
}

/** A disk that is slow is so for reads as well. */
export function readMs({ random, faults }: DiskPorts): number {
  return between(random, 0.05, faults.slowMs > 0 ? faults.slowMs : 0.5);
}

/** @throws {KvError} `storage_failed` with the probability of a read error */
export function mayFail({ random, faults, coverage }: DiskPorts, what: string): void {
  if (faults.readErrors === 0 || randomFraction(random) >= faults.readErrors) return;
  coverage.hit("fault: read error");
  throw new KvError("storage_failed", `cannot read (${what}): an error of the disk`);
}

function concatenated(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
