/**
 * The disk as a node sees it: an ordered map of byte strings with atomic, durable batches. It knows nothing
 * of partitions or records; `node/storage/partition_store.ts` does. The real versions are
 * `node/storage/journal/journal_storage.ts`, with `node/storage/leveldb/level_storage.ts` as its table, and
 * `node/storage/memory/memory_storage.ts`; the simulator has files and a table that lose, tear and garble data.
 *
 * @module
 */
import type { KvError } from "../../shared/base/errors.ts";
import type { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import type { MetricSet } from "../../shared/metrics/metric_set.ts";

/** One change of a batch; a missing value deletes the key. */
export interface StorageChange {
  key: Uint8Array;
  value?: Uint8Array;
}

/** A row of a range. */
export type StorageRow = [key: Uint8Array, value: Uint8Array];

/** Which rows {@linkcode Storage.range} returns. Keys compare as unsigned bytes. */
export interface StorageRange {
  /** First key, inclusive. */
  from: Uint8Array;
  /** End, exclusive. */
  to: Uint8Array;
  /** The most rows. */
  rowsMax: number;
  /** Stops after the row with which this many bytes (keys and values) are reached. */
  bytesMax: number;
  /** From the end to the beginning. Default false. */
  reverse?: boolean;
}

/** Which rows {@linkcode Storage.snapshot} shows, and how many at a time. */
export type SnapshotRange = StorageRange;

/** A range as it was at one moment, read once from its beginning to its end while writes go on. */
export interface StorageSnapshot {
  /**
   * The next rows in the order of the range: at most `rowsMax`, and none after the row with which `bytesMax` is reached;
   * none at all at the end. One call at a time.
   */
  next(): Promise<StorageRow[]>;
  /** Releases what it holds. Nothing may be called afterwards. */
  close(): Promise<void>;
}

/** Synced batches that were missing when a storage was opened. */
export interface LostBatches {
  /** What is missing, in words. */
  readonly why: string;
  /** Whether a row was certainly written after them. Known of control rows only: state records, the identity. */
  writtenSince(key: Uint8Array): boolean;
}

/** An ordered, durable map. */
export interface Storage {
  /**
   * Nothing of it outlives the process, so data that only a later start would need (state records, marks of
   * batches) need not be written. Default false.
   */
  readonly volatile?: boolean;
  /**
   * The number of the last batch that was written; it only grows, also from process to process. Absent: nothing is
   * numbered.
   */
  readonly batch?: number;
  /** What was found missing when it was opened; undefined if nothing was. */
  readonly lost?: LostBatches | undefined;
  /**
   * Why it should be given nothing new, although it still takes what was accepted: the disk is full, or nearly so. Undefined
   * if it takes writes.
   */
  readonly full?: KvError | undefined;
  /** For a volatile storage: writes a row, or deletes it if it has no value, within this call. */
  put?(key: Uint8Array, value: Uint8Array | undefined): void;
  /** The value of a key, as of the last finished write; from memory or disk, synchronously. */
  get(key: Uint8Array): Uint8Array | undefined;
  /** Whether {@linkcode Storage.get} may have to read the disk. Absent: never. */
  mayReadDisk?(key: Uint8Array): boolean;
  /** Has a thread read the rows of these keys, so that `get` finds them in memory. It tells no failure. */
  prefetch?(keys: Uint8Array[]): Promise<void>;
  /**
   * Writes all of the changes or none. If `sync` is true, they are on disk when `done` is called without an
   * error. `done` is never called from inside this call. Batches finish in the order in which they were
   * written.
   */
  write(changes: StorageChange[], sync: boolean, done: (error: Error | undefined) => void): void;
  /** A consistent snapshot of a range, as of the last finished write at the time of the call. */
  range(range: StorageRange): Promise<StorageRow[]>;
  /**
   * A snapshot of a range that does not change: as of the last finished write at the time of the call (one
   * that is under way may be in it, as a whole). It costs memory or disk until it is closed.
   */
  snapshot(range: SnapshotRange): StorageSnapshot;
  /**
   * Everything that was written before the call survives a power cut, and does not depend on a log that may be
   * damaged without a word. Absent: `sync` of a batch is all there is.
   *
   * @throws {KvError} `corrupt`, `storage_failed`; then what was written since the last flush may be lost
   */
  flush?(): Promise<void>;
  /** Puts what it says of itself in `/metrics` into a set. Absent: nothing. */
  collect?(set: MetricSet): void;
  /**
   * Checks that everything it needs on disk is there: files may be deleted under a running process, and
   * neither reads nor writes notice that. Absent: nothing can be missing.
   *
   * @throws {KvError} `storage_failed`, and says what is missing
   */
  check?(): Promise<void>;
  /**
   * About how many bytes a range takes on disk, including replaced or deleted data that is still there. Data
   * that is still in a write buffer is not counted. Absent: deleted data takes no space.
   *
   * @throws {KvError} `storage_failed`
   */
  sizeOf?(from: Uint8Array, to: Uint8Array): Promise<number>;
  /**
   * Rewrites the files that have rows of a range, so that replaced or deleted data takes no space any more.
   * What a snapshot shows stays; a later call removes it after something was written on both sides of it.
   * Reads and writes go on meanwhile; `close` waits for it.
   *
   * @throws {KvError} `corrupt` if a file cannot be read; `storage_failed`
   */
  compact?(from: Uint8Array, to: Uint8Array): Promise<void>;
  /**
   * Keeps what was written in the last `ms` for {@linkcode Storage.writtenSince}, within a bound in bytes. Absent: nothing is
   * kept.
   */
  keep?(ms: number): void;
  /**
   * The keys of all rows of a partition that were written since its state record said `lastSeq` at most, and that have a greater
   * seq or are no longer there; perhaps some more. Everything that was written before the call is considered.
   *
   * @param work gives the reading its turns
   * @returns undefined if what was written then is no longer kept, or cannot be read, or is too much
   */
  writtenSince?(
    partition: number,
    lastSeq: number,
    work: WorkScheduler,
  ): Promise<ReadonlySet<string> | undefined>;
  /** Ends it; waits for writes under way. Snapshots fail from then on. */
  close(): Promise<void>;
}
