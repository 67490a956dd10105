/**
 * The journal: every batch is appended to it as one frame, and is on disk with one sync. It is read when it is opened, and
 * for replicas that were away (`journal_reader.ts`), for which the latest segments are kept. The rows of its batches go to the table in the background (`journal_storage.ts`); control rows, which say
 * something about the other rows, stay here alone, and each segment begins with all of them.
 *
 * A segment is never appended to after a failure, nor by a later process: a new one begins instead, whose name says
 * where the one before it ends (`replay.ts`). What was not synced before a failure is written again there, because a
 * failed sync may have lost it.
 *
 * Invariants
 * - A batch is acknowledged only when it and every batch before it are on disk.
 * - A segment is removed only when a synced frame says that the table has all of it; and it is when it is not kept for
 *   anybody, or the disk refuses a write.
 *
 * @module
 */
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import { failureOf, invariant } from "../../../shared/base/errors.ts";
import type { StorageChange } from "../storage.ts";
import { BATCH, encodeFrame, forEachChange, framesOf, RESTATEMENT, valueOf } from "./frame.ts";
import type { JournalFile, JournalFiles } from "./journal_files.ts";
import type { ReadableSegment } from "./journal_reader.ts";
import {
  beginsWell,
  checkpointOf,
  firstNeeded,
  planReplay,
  type ReplayedFrame,
  type ReplayPlan,
  type Segment,
  type SegmentName,
  segmentName,
  segmentsAmong,
} from "./replay.ts";

/** A segment that is there. */
interface KnownSegment extends SegmentName {
  bytes: number;
  /** When the next one began; -Infinity if another process wrote it, Infinity while it is written. */
  endedMs: number;
}

/** A segment that is being written. */
interface OpenSegment extends KnownSegment {
  readonly file: JournalFile;
}

/** What a journal needs. */
export interface JournalOptions {
  readonly files: JournalFiles;
  readonly random: Random;
  /** A segment of this size is followed by another one. */
  readonly segmentBytes: number;
  /** Segments that no start needs are kept up to this size. */
  readonly keptBytes: number;
  nowMs(): number;
}

/** What was found when a journal was opened. */
export interface OpenedJournal {
  readonly journal: Journal;
  readonly plan: ReplayPlan;
  /** There was no journal. */
  readonly isNew: boolean;
}

/** An open journal. One append at a time. */
export class Journal {
  readonly #options: JournalOptions;
  /** By key, one character for each byte. */
  readonly #controls = new Map<string, { readonly key: Uint8Array; value: Uint8Array }>();
  /** All that are there, in order; the last is the open one, if one is. */
  #segments: KnownSegment[];
  #keepMs = 0;
  /** The checkpoint that is on disk. */
  #checkpointOnDisk = 0;
  #open: OpenSegment | undefined;
  #mustRoll = true;
  #index: number;
  #last: number;
  #synced: number;
  /** The frames after `#synced`. */
  #unsynced: Uint8Array[] = [];
  #checkpoint: number;
  #bytesSinceCheckpoint = 0;
  #removing: Promise<void> = Promise.resolve();

  private constructor(
    options: JournalOptions,
    segments: readonly SegmentName[],
    last: number,
    checkpoint: number,
  ) {
    this.#options = options;
    this.#segments = segments.map((name) => ({ ...name, bytes: 0, endedMs: -Infinity }));
    this.#index = segments.at(-1)?.index ?? 0;
    this.#last = this.#synced = last;
    this.#checkpoint = checkpoint;
  }

  /**
   * Reads what is there. Nothing may be appended before the plan's frames were applied.
   *
   * @param fed the last batch that the table says it has, and the last of which it may have something
   * @throws {KvError} `storage_failed`
   */
  static async open(
    options: JournalOptions,
    fed: { readonly number: number; readonly begun: number },
  ): Promise<OpenedJournal> {
    const { files } = options;
    const names = segmentsAmong(await files.list());
    const read = new Map<string, Segment>();
    const segmentAt = async (at: number): Promise<Segment | undefined> => {
      const name = names[at];
      if (name === undefined) return undefined;
      const known = read.get(name.name) ?? { ...name, bytes: await files.read(name.name) };
      read.set(name.name, known);
      return known;
    };
    // The newest checkpoint is in the last segment that has anything.
    let checkpoint = 0;
    for (let at = names.length - 1; at >= 0; at--) {
      const segment = await segmentAt(at);
      if (segment === undefined || framesOf(segment.bytes, segment.salt).length === 0) continue;
      checkpoint = checkpointOf([segment]);
      break;
    }
    const tableHas = Math.min(checkpoint, fed.number);
    let first = firstNeeded(names, tableHas);
    while (first > 0 && !beginsWell(await segmentAt(first))) first--;
    const segments: Segment[] = [];
    for (let at = first; at < names.length; at++) {
      const segment = await segmentAt(at);
      if (segment !== undefined) segments.push(segment);
    }
    const known = Math.max(checkpoint, fed.number, fed.begun);
    const plan = planReplay(segments, tableHas, known);
    // What a process that died has appended may be in the system's memory alone.
    for (const { name } of segments) await files.sync(name);
    const journal = new Journal(options, names, Math.max(plan.last, known), checkpoint);
    return { journal, plan, isNew: names.length === 0 };
  }

  /** The number of the last batch that was written. */
  get last(): number {
    return this.#last;
  }

  /** Everything up to this batch survives a power cut. */
  get synced(): number {
    return this.#synced;
  }

  /** Bytes of the frames that are not known to be safe in the table. */
  get bytesSinceCheckpoint(): number {
    return this.#bytesSinceCheckpoint;
  }

  /** Bytes of the segment that is being written. */
  get segmentBytes(): number {
    return this.#open?.bytes ?? 0;
  }

  /** All segments that are there. */
  get segments(): ReadableSegment[] {
    return this.#segments.map(({ name, index, number, salt }, i) => {
      const next = this.#segments[i + 1];
      const last = next?.number ?? this.#last;
      return { name, index, number, salt, last, ended: next !== undefined };
    });
  }

  /** From now on, segments that no start needs are kept if they ended in the last `ms`. */
  keep(ms: number): void {
    this.#keepMs = ms;
    this.#removeOld();
  }

  /** How many segments there are. */
  get segmentCount(): number {
    return this.#segments.length;
  }

  /** The name of the file that is being written. */
  get fileName(): string | undefined {
    return this.#open?.name;
  }

  /** A control row. */
  control(key: Uint8Array): Uint8Array | undefined {
    return this.#controls.get(textOf(key))?.value.slice();
  }

  /** Keeps a control row of a frame, or of a batch that was appended just now. @param value undefined if it is deleted */
  setControl(key: Uint8Array, value: Uint8Array | undefined): void {
    const text = textOf(key);
    if (value === undefined) {
      this.#controls.delete(text);
      return;
    }
    const known = this.#controls.get(text);
    // In place: this is done for each partition of each batch.
    if (known?.value.length === value.length) known.value.set(value);
    else this.#controls.set(text, { key: key.slice(), value: value.slice() });
  }

  /** A frame that was read comes next. */
  replaying(frame: ReplayedFrame): void {
    this.#bytesSinceCheckpoint += frame.to - frame.from;
    // What is not restated was deleted.
    if (frame.kind === RESTATEMENT) this.#controls.clear();
  }

  /**
   * Everything up to this batch is safe in the table.
   *
   * @param bytes what {@linkcode bytesSinceCheckpoint} was when that was the last batch
   */
  setCheckpoint(number: number, bytes: number): void {
    this.#checkpoint = number;
    this.#bytesSinceCheckpoint -= bytes;
  }

  /**
   * Appends a batch. Its control rows are to be set before anything else is called. If it fails, the batch has not
   * happened, and may be tried again.
   *
   * @throws {KvError} `storage_failed`
   */
  async append(changes: readonly StorageChange[], sync: boolean): Promise<void> {
    const { segmentBytes } = this.#options;
    if (this.#mustRoll || this.segmentBytes >= segmentBytes) await this.roll();
    const segment = this.#open;
    invariant(segment !== undefined, "a segment is open");
    const checkpoint = this.#checkpoint;
    const header = { kind: BATCH, number: this.#last + 1, upto: this.#synced, checkpoint } as const;
    const frame = encodeFrame(segment.salt, header, changes);
    this.#mustRoll = true;
    try {
      await segment.file.append(frame, sync);
    } catch (error) {
      this.#keepNothing();
      throw error;
    }
    this.#mustRoll = false;
    this.#last++;
    segment.bytes += frame.length;
    this.#bytesSinceCheckpoint += frame.length;
    if (sync) this.#allSynced(checkpoint);
    else this.#unsynced.push(frame);
  }

  /** Begins a new segment. Everything is synced then. @throws {KvError} `storage_failed` */
  async roll(): Promise<void> {
    this.#mustRoll = true;
    const { files, random } = this.#options;
    const name = segmentName(++this.#index, this.#last, saltFrom(random));
    const checkpoint = this.#checkpoint;
    const header = {
      kind: RESTATEMENT,
      number: this.#last,
      upto: this.#synced,
      checkpoint,
    } as const;
    const content = encodeFrame(name.salt, header, this.#restated());
    let file: JournalFile;
    try {
      file = await files.create(name.name, content);
    } catch (error) {
      // A full disk refuses this every second; what it has left is not to pile up.
      await this.#remove([name]);
      this.#keepNothing();
      throw error;
    }
    if (this.#open !== undefined) {
      this.#open.endedMs = this.#options.nowMs();
      this.#open.file.close();
    }
    this.#open = { ...name, file, bytes: content.length, endedMs: Infinity };
    this.#segments.push(this.#open);
    this.#mustRoll = false;
    this.#allSynced(checkpoint);
  }

  /** Waits for what is being removed, and closes the file. */
  async close(): Promise<void> {
    await this.#removing;
    this.#open?.file.close();
    this.#open = undefined;
  }

  /** All control rows, and every other row that is not synced. */
  #restated(): StorageChange[] {
    const changes: StorageChange[] = [...this.#controls.values()];
    for (const frame of this.#unsynced) {
      forEachChange(frame, { from: 0, to: frame.length }, (key, stored) => {
        if (this.#controls.has(textOf(key))) return;
        const value = valueOf(stored);
        changes.push(value === undefined ? { key } : { key, value });
      });
    }
    return changes;
  }

  /** @param said the checkpoint that is on disk now */
  #allSynced(said: number): void {
    this.#synced = this.#last;
    this.#unsynced = [];
    this.#checkpointOnDisk = said;
    this.#removeOld();
  }

  #removeOld(): void {
    const { keptBytes, nowMs } = this.#options;
    let from = this.#firstNeeded();
    if (from <= 0) return;
    const since = nowMs() - this.#keepMs;
    let left = keptBytes;
    for (let before = this.#segments[from - 1]; before !== undefined;) {
      left -= before.bytes;
      if (before.endedMs <= since || left < 0) break;
      before = this.#segments[--from - 1];
    }
    this.#removeBefore(from);
  }

  /** The disk refuses a write: perhaps it is full. */
  #keepNothing(): void {
    this.#removeBefore(this.#firstNeeded());
  }

  /** The first segment that a start needs. */
  #firstNeeded(): number {
    const said = this.#checkpointOnDisk;
    return this.#segments.findLastIndex(({ number }) => number <= said);
  }

  #removeBefore(keptFrom: number): void {
    if (keptFrom <= 0) return;
    const removed = this.#segments.slice(0, keptFrom);
    this.#segments = this.#segments.slice(keptFrom);
    this.#removing = this.#removing.then(() => this.#remove(removed));
  }

  async #remove(segments: readonly SegmentName[]): Promise<void> {
    for (const { name } of segments) {
      try {
        await this.#options.files.remove(name);
      } catch (error) {
        // It is void: the next start tries again.
        failureOf(error);
      }
    }
  }
}

/** An odd number of 32 bits: a frame's mark must not be 0. */
function saltFrom(random: Random): number {
  return randomBelow(random, 2 ** 31) * 2 + 1;
}

/** Keys of control rows are short, and nearly all have two bytes, which are a partition's number. */
function textOf(key: Uint8Array): string {
  if (key.length === 2) return String.fromCharCode(key[0] ?? 0, key[1] ?? 0);
  return String.fromCharCode.apply(null, key as unknown as number[]);
}
