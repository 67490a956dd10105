/**
 * Storage with a journal before a table. A batch is on disk when it is in the journal; its rows are kept in memory
 * until they are in the table too, and what is in memory is read first. The table (LevelDB) is fed in the background:
 * the newest row of each key, in batches that are not synced, and then *flushed*, which does not depend on LevelDB's
 * own log. Only then do the rows leave memory, and the journal's checkpoint moves on.
 *
 * Invariants
 * - The table is never fed anything that the journal may still lose.
 * - What is in memory, over what is in the table, is what all batches have left. What is fed twice, or fed and not
 *   flushed before a crash, does no harm: the journal is replayed from the checkpoint on, over whatever is there.
 * - Memory holds at most two times `feedBytes` and two batches. If the table is slower than that, writes wait for it;
 *   if it refuses, they are refused.
 *
 * Control rows are in the journal and in memory alone; ranges and snapshots do not show them.
 *
 * @module
 */
import type { Clock, Timer } from "../../../shared/platform/clock.ts";
import { failureOf, isDamage, KvError } from "../../../shared/base/errors.ts";
import {
  FEED_BYTES,
  FEED_DELAY_MS,
  FEED_SLICE_BYTES,
  FEED_SLICE_ROWS,
  JOURNAL_BYTES,
  JOURNAL_KEPT_BYTES,
  JOURNAL_RESERVE_BYTES,
  JOURNAL_RESERVE_DELAY_MS,
  SEGMENT_BYTES,
  SEGMENT_BYTES_MIN,
  STORAGE_RETRY_MS,
} from "../../../shared/limits/storage.ts";
import type { MetricSet } from "../../../shared/metrics/metric_set.ts";
import type { Random } from "../../../shared/platform/random.ts";
import type { WorkScheduler } from "../../../shared/scheduling/work_scheduler.ts";
import { SeededKeyHash } from "../key_hash.ts";
import { decodeFed, encodeFed, type Fed, FED_KEY } from "../state_record.ts";
import type {
  LostBatches,
  SnapshotRange,
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../storage.ts";
import { forEachChange, valueOf } from "./frame.ts";
import type { JournalFiles } from "./journal_files.ts";
import { Journal, type OpenedJournal } from "./journal.ts";
import { JournalReader } from "./journal_reader.ts";
import { JournalMetrics } from "./journal_metrics.ts";
import { Memtable, newestRows, type StoredRow } from "./memtable.ts";
import { MergedRows } from "./merged_rows.ts";

/** What it needs. */
export interface JournalStorageOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly files: JournalFiles;
  /** What it closes. */
  readonly table: Storage;
  /** Which data it is, so that a table of other data is not taken for it. */
  readonly id: string;
  /** Neither journal nor table may be there yet. */
  readonly create: boolean;
  /** The table was repaired: it may have lost anything. Default false. */
  readonly repaired?: boolean;
  /** Whether a row is a control row. Default: none is. */
  isControl?(key: Uint8Array): boolean;
  /** Default: those of `shared/limits/storage.ts`. */
  readonly bounds?: Partial<JournalBounds>;
}

/** Sizes. */
export interface JournalBounds {
  /** Rows of this many bytes are fed to the table. */
  readonly feedBytes: number;
  /** So are fewer, after this time. */
  readonly feedDelayMs: number;
  /** So are fewer, if the journal has this many bytes that the table lacks. */
  readonly journalBytes: number;
  /** A segment of this size is followed by another one, ... */
  readonly segmentBytes: number;
  /** ... and so is one of this size when the table has been fed. */
  readonly segmentBytesMin: number;
  /** Segments that no start needs are kept for replicas that were away, up to this size. */
  readonly keptBytes: number;
  /** Space that is taken in advance. */
  readonly reserveBytes: number;
}

const BOUNDS: JournalBounds = {
  feedBytes: FEED_BYTES,
  feedDelayMs: FEED_DELAY_MS,
  journalBytes: JOURNAL_BYTES,
  segmentBytes: SEGMENT_BYTES,
  segmentBytesMin: SEGMENT_BYTES_MIN,
  keptBytes: JOURNAL_KEPT_BYTES,
  reserveBytes: JOURNAL_RESERVE_BYTES,
};

/** Rows that are being fed. */
interface Feeding {
  readonly rows: Memtable;
  /** The last batch among them. */
  readonly upto: number;
  /** What the journal had then that the table lacked. */
  readonly journalBytes: number;
}

/** An ordered map whose writes are appended. */
export class JournalStorage implements Storage {
  readonly lost: LostBatches | undefined;
  readonly sizeOf?: NonNullable<Storage["sizeOf"]>;
  readonly compact?: NonNullable<Storage["compact"]>;
  readonly #options: JournalStorageOptions;
  readonly #table: Storage;
  readonly #journal: Journal;
  readonly #reader: JournalReader;
  readonly #bounds: JournalBounds;
  readonly #hash: SeededKeyHash;
  readonly #metrics = new JournalMetrics();
  #memory: Memtable;
  /** The last batch whose rows are in memory. */
  #remembered: number;
  /** The last batch that was fed with all before it. */
  #fedUpto: number;
  /** Older than what is in memory, newer than the table. */
  #feeding: Feeding | undefined;
  #feedRun: Promise<void> | undefined;
  /** Why the table refuses what it is fed. */
  #feedFailure: KvError | undefined;
  #feedTimer: Timer | undefined;
  /** The table may not be fed before the journal is synced. */
  #syncWanted: { resolve(): void; reject(error: unknown): void } | undefined;
  /** Space was taken in advance. */
  #reserved = false;
  /** Why it cannot be taken: the disk is full. */
  #reserveFailure: KvError | undefined;
  #reserveTimer: Timer | undefined;
  #compacting: Promise<unknown> = Promise.resolve();
  readonly #queue: (() => Promise<void>)[] = [];
  #queueRuns = false;
  #onIdle: (() => void) | undefined;
  #closed = false;

  private constructor(
    options: JournalStorageOptions,
    { journal, plan }: OpenedJournal,
    fedUpto: number,
  ) {
    this.#options = options;
    this.#table = options.table;
    this.#journal = journal;
    this.#reader = new JournalReader(options.files, options.clock);
    this.#bounds = { ...BOUNDS, ...options.bounds };
    this.#hash = new SeededKeyHash(options.random);
    this.#memory = new Memtable(this.#hash);
    const since = new Set<string>();
    for (const [i, frame] of plan.frames.entries()) {
      const isSince = plan.gap !== undefined && i >= plan.gap.framesBefore;
      journal.replaying(frame);
      forEachChange(frame.bytes, frame, (key, stored) => {
        this.#remember(key, valueOf(stored));
        if (isSince && this.#isControl(key)) since.add(key.join());
      });
    }
    this.lost = plan.gap === undefined
      ? undefined
      : { why: plan.gap.why, writtenSince: (key) => since.has(key.join()) };
    this.#remembered = journal.last;
    this.#fedUpto = fedUpto;
    const { sizeOf, compact } = options.table;
    if (sizeOf !== undefined) this.sizeOf = sizeOf.bind(options.table);
    if (compact !== undefined) {
      this.compact = (from, to) => {
        const compacting = this.feed().then(() => options.table.compact?.(from, to));
        this.#compacting = compacting.catch(() => {});
        return compacting;
      };
    }
  }

  /**
   * @throws {KvError} `corrupt` if journal or table are gone, or are not those of the given id; `storage_failed`;
   * `wrong_version`
   */
  static async open(options: JournalStorageOptions): Promise<JournalStorage> {
    const { table, files, random, id, create, repaired = false } = options;
    const { segmentBytes, keptBytes } = { ...BOUNDS, ...options.bounds };
    const nowMs = () => options.clock.monotonicMs();
    const fed = readFed(table);
    if (fed === undefined) {
      if (!create && !repaired) throw new KvError("corrupt", "the database has lost its content");
    } else if (fed.id !== id) {
      throw new KvError("corrupt", "the database is not the one that belongs to this journal");
    }
    const opened = await Journal.open(
      { files, random, segmentBytes, keptBytes, nowMs },
      fed ?? { number: 0, begun: 0 },
    );
    try {
      if (opened.isNew && !create) throw new KvError("corrupt", "the journal is gone");
      if (fed === undefined) {
        await feedTable(table, [fedRow({ number: 0, begun: 0, id })]);
        await table.flush?.();
      }
      const storage = new JournalStorage(options, opened, fed?.number ?? 0);
      await opened.journal.roll();
      storage.#feedIfDue();
      storage.#reserveIn(JOURNAL_RESERVE_DELAY_MS);
      return storage;
    } catch (error) {
      await opened.journal.close();
      throw error;
    }
  }

  /** The number of the last batch. */
  get batch(): number {
    return this.#remembered;
  }

  /** There is no space to take in advance; or the table refuses what it is fed, and half of the memory for it is taken. */
  get full(): KvError | undefined {
    if (this.#reserveFailure !== undefined) return this.#reserveFailure;
    if (this.#feedFailure === undefined) return undefined;
    return this.#memory.bytes >= this.#bounds.feedBytes / 2 ? this.#feedFailure : undefined;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    if (this.#isControl(key)) return this.#journal.control(key);
    const stored = this.#memory.get(key) ?? this.#feeding?.rows.get(key);
    return stored === undefined ? this.#table.get(key) : valueOf(stored);
  }

  mayReadDisk(key: Uint8Array): boolean {
    if (this.#isControl(key)) return false;
    return this.#memory.get(key) === undefined && this.#feeding?.rows.get(key) === undefined;
  }

  async prefetch(keys: Uint8Array[]): Promise<void> {
    await this.#table.prefetch?.(keys.filter((key) => this.mayReadDisk(key)));
  }

  write(
    changes: StorageChange[],
    sync: boolean,
    done: (error: Error | undefined) => void,
  ): void {
    const isLate = this.#closed;
    this.#enqueue(async () => {
      let failure: KvError | undefined;
      try {
        if (isLate) throw new KvError("storage_failed", "write: the storage is closed");
        await this.#append(changes, sync);
      } catch (error) {
        failure = failureOf(error);
      }
      done(failure);
    });
  }

  async range(range: StorageRange): Promise<StorageRow[]> {
    const memory = this.#rowsInMemory(range, range.rowsMax, range.bytesMax);
    if (memory.length === 0) return await this.#table.range(range);
    const merged = new MergedRows(memory, this.#table.snapshot(range), range);
    try {
      return await merged.next();
    } finally {
      await merged.close();
    }
  }

  snapshot(range: SnapshotRange): StorageSnapshot {
    const memory = this.#rowsInMemory(range, Infinity, Infinity);
    const table = this.#table.snapshot(range);
    return memory.length === 0 ? table : new MergedRows(memory, table, range);
  }

  keep(ms: number): void {
    this.#journal.keep(ms);
  }

  writtenSince(
    partition: number,
    lastSeq: number,
    work: WorkScheduler,
  ): Promise<ReadonlySet<string> | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    return this.#reader.writtenSince(partition, lastSeq, work, async () => {
      // What is written to is read again for each partition, so it is to be short.
      if (this.#journal.segmentBytes >= this.#bounds.segmentBytesMin) await this.#roll();
      return this.#journal.segments;
    });
  }

  async check(): Promise<void> {
    await this.#table.check?.();
    const { fileName } = this.#journal;
    if (fileName === undefined || this.#closed) return;
    if (
      !(await this.#options.files.list()).includes(fileName) && fileName === this.#journal.fileName
    ) {
      throw new KvError("storage_failed", `the journal's file ${fileName} is gone`);
    }
  }

  collect(set: MetricSet): void {
    const { segmentCount, bytesSinceCheckpoint } = this.#journal;
    this.#metrics.collect(set, {
      segments: segmentCount,
      unfedBatches: this.#remembered - this.#fedUpto,
      unfedBytes: bytesSinceCheckpoint,
      memoryBytes: this.#memory.bytes + (this.#feeding?.rows.bytes ?? 0),
      tableRefuses: this.#feedFailure !== undefined,
    });
  }

  /** Feeds the table with everything there is. @throws {KvError} why the table refuses */
  async feed(): Promise<void> {
    const upto = this.#remembered;
    while (this.#fedUpto < upto && (this.#feeding !== undefined || this.#memory.bytes > 0)) {
      await this.#beginFeeding();
      if (this.#feedFailure !== undefined) throw this.#feedFailure;
    }
  }

  /** Feeds the table first, if it takes it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#reserveTimer?.cancel();
    await this.#reader.close();
    if (this.#queueRuns) await new Promise<void>((resolve) => this.#onIdle = resolve);
    await this.#compacting;
    await this.#feedRun;
    if (this.#feedFailure === undefined) await this.#leaveNothing();
    this.#feedTimer?.cancel();
    await this.#journal.close();
    await this.#table.close();
  }

  /** The table gets everything, so that the next start has nothing to replay. If it fails, that start replays. */
  async #leaveNothing(): Promise<void> {
    try {
      await this.feed();
      await this.#journal.roll();
    } catch (error) {
      failureOf(error);
    }
  }

  #isControl(key: Uint8Array): boolean {
    return this.#options.isControl?.(key) ?? false;
  }

  /** What happens to the journal happens one after the other. */
  #enqueue(work: () => Promise<void>): void {
    this.#queue.push(work);
    if (this.#queueRuns) return;
    this.#queueRuns = true;
    void this.#runQueue();
  }

  async #runQueue(): Promise<void> {
    // Nobody is called back from inside a call.
    await Promise.resolve();
    for (let work = this.#queue.shift(); work !== undefined; work = this.#queue.shift()) {
      await work();
    }
    this.#queueRuns = false;
    this.#onIdle?.();
  }

  async #append(changes: readonly StorageChange[], sync: boolean): Promise<void> {
    await this.#room();
    const { clock } = this.#options;
    const beganMs = clock.monotonicMs();
    try {
      await this.#journal.append(changes, sync);
    } catch (error) {
      if (!this.#reserved) throw error;
      // What was accepted gets the space that was taken for it; nothing more is accepted until it can be taken again.
      this.#reserved = false;
      this.#reserveFailure = failureOf(error);
      await this.#options.files.release();
      this.#reserveIn(STORAGE_RETRY_MS);
      await this.#journal.append(changes, sync);
    }
    if (sync) this.#metrics.noteSync(clock.monotonicMs() - beganMs);
    for (const { key, value } of changes) this.#remember(key, value);
    this.#remembered = this.#journal.last;
    this.#feedIfDue();
  }

  /** Takes space in advance, and tries it again for as long as there is none. */
  #reserveIn(ms: number): void {
    const { clock, files } = this.#options;
    if (this.#closed) return;
    this.#reserveTimer?.cancel();
    this.#reserveTimer = clock.setTimer(ms, () => {
      this.#reserveTimer = undefined;
      this.#enqueue(async () => {
        if (this.#closed) return;
        try {
          await files.reserve(this.#bounds.reserveBytes);
          this.#reserved = true;
          this.#reserveFailure = undefined;
        } catch (error) {
          this.#reserveFailure = failureOf(error);
          this.#reserveIn(STORAGE_RETRY_MS);
        }
      });
    });
  }

  /** Waits until there is room in memory. @throws {KvError} why the table refuses what would make room */
  async #room(): Promise<void> {
    const failure = this.#feedFailure;
    if (failure !== undefined && isDamage(failure)) throw failure;
    if (this.#memory.bytes < this.#bounds.feedBytes || this.#feeding === undefined) return;
    if (failure !== undefined && this.#feedRun === undefined) throw failure;
    await this.#syncIfWanted();
    await this.#feedRun;
    if (this.#feedFailure !== undefined) throw this.#feedFailure;
  }

  #remember(key: Uint8Array, value: Uint8Array | undefined): void {
    if (this.#isControl(key)) this.#journal.setControl(key, value);
    else this.#memory.set(key, value);
  }

  #rowsInMemory(
    range: { from: Uint8Array; to: Uint8Array; reverse?: boolean },
    rowsMax: number,
    bytesMax: number,
  ): StoredRow[] {
    const newest = this.#memory.rows(range);
    const rows = this.#feeding === undefined
      ? newest
      : newestRows(newest, this.#feeding.rows.rows(range), range.reverse);
    const found: StoredRow[] = [];
    let count = 0;
    let bytes = 0;
    for (const row of rows) {
      found.push(row);
      if (valueOf(row[1]) === undefined) continue;
      bytes += row[0].length + row[1].length - 1;
      // Each of these will be in the page, so the page cannot go beyond them.
      if (++count >= rowsMax || bytes >= bytesMax) break;
    }
    return found;
  }

  #feedIfDue(): void {
    if (this.#closed || this.#feedRun !== undefined || this.#feedFailure !== undefined) return;
    const { feedBytes, feedDelayMs, journalBytes } = this.#bounds;
    const { bytes } = this.#memory;
    if (bytes === 0) return;
    if (bytes >= feedBytes || this.#journal.bytesSinceCheckpoint >= journalBytes) {
      void this.#beginFeeding();
    } else {
      this.#feedTimer ??= this.#options.clock.setTimer(feedDelayMs, () => {
        this.#feedTimer = undefined;
        void this.#beginFeeding();
      });
    }
  }

  #beginFeeding(): Promise<void> {
    this.#feedTimer?.cancel();
    this.#feedTimer = undefined;
    this.#feedRun ??= this.#feed().finally(() => {
      this.#feedRun = undefined;
      if (this.#feedFailure === undefined) this.#feedIfDue();
      else if (!this.#closed) {
        this.#feedTimer = this.#options.clock.setTimer(STORAGE_RETRY_MS, () => {
          this.#feedTimer = undefined;
          void this.#beginFeeding();
        });
      }
    });
    return this.#feedRun;
  }

  async #feed(): Promise<void> {
    if (this.#feeding === undefined) {
      const { bytesSinceCheckpoint: journalBytes } = this.#journal;
      this.#feeding = { rows: this.#memory, upto: this.#remembered, journalBytes };
      this.#memory = new Memtable(this.#hash);
    }
    const { rows, upto, journalBytes } = this.#feeding;
    const { clock } = this.#options;
    const beganMs = clock.monotonicMs();
    try {
      if (this.#journal.synced < upto) await this.#sync();
      const { id } = this.#options;
      await feedTable(this.#table, [fedRow({ number: this.#fedUpto, begun: upto, id })]);
      await this.#feedRows(rows);
      await feedTable(this.#table, [fedRow({ number: upto, begun: upto, id })]);
      await this.#table.flush?.();
    } catch (error) {
      this.#feedFailure = failureOf(error);
      return;
    }
    this.#metrics.noteFeed(clock.monotonicMs() - beganMs);
    this.#feedFailure = undefined;
    this.#feeding = undefined;
    this.#fedUpto = upto;
    this.#journal.setCheckpoint(upto, journalBytes);
    if (this.#journal.segmentBytes < this.#bounds.segmentBytesMin || this.#closed) return;
    void this.#roll();
  }

  #roll(): Promise<void> {
    return new Promise((resolve) => {
      this.#enqueue(async () => {
        try {
          await this.#journal.roll();
        } catch (error) {
          // The next batch tries again.
          failureOf(error);
        }
        resolve();
      });
    });
  }

  #sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#syncWanted = { resolve, reject };
      this.#enqueue(() => this.#syncIfWanted());
    });
  }

  /** Also called by a write that waits for the feeding, which waits for the sync. */
  async #syncIfWanted(): Promise<void> {
    const wanted = this.#syncWanted;
    this.#syncWanted = undefined;
    if (wanted === undefined) return;
    try {
      await this.#journal.append([], true);
      wanted.resolve();
    } catch (error) {
      wanted.reject(error);
    }
  }

  /** The newest row of each key, in batches that the event loop can bear. */
  async #feedRows(rows: Memtable): Promise<void> {
    let changes: StorageChange[] = [];
    let bytes = 0;
    for (const change of rows.changes()) {
      changes.push(change);
      bytes += change.key.length + (change.value?.length ?? 0);
      if (bytes < FEED_SLICE_BYTES && changes.length < FEED_SLICE_ROWS) continue;
      await feedTable(this.#table, changes);
      changes = [];
      bytes = 0;
    }
    if (changes.length > 0) await feedTable(this.#table, changes);
  }
}

function readFed(table: Storage): Fed | undefined {
  const bytes = table.get(FED_KEY);
  return bytes === undefined ? undefined : decodeFed(bytes);
}

function fedRow(fed: Fed): StorageChange {
  const { key, value } = encodeFed(fed);
  return { key, value };
}

function feedTable(table: Storage, changes: StorageChange[]): Promise<void> {
  return new Promise((resolve, reject) => {
    table.write(changes, false, (error) => error === undefined ? resolve() : reject(error));
  });
}
