/**
 * The disk, as a node sees it: an ordered map of byte strings with atomic, durable batches. It knows
 * nothing of partitions or records; those are `node/storage/partition_store.ts`. Real versions:
 * `node/storage/leveldb/level_storage.ts` and `node/storage/memory/memory_storage.ts`; the simulator has one that forgets, tears
 * and garbles.
 *
 * @module
 */

/** One change of a batch; a missing value deletes the key. */
export interface StorageChange {
  key: Uint8Array;
  value?: Uint8Array;
}

/** A row of a range. */
export type StorageRow = [key: Uint8Array, value: Uint8Array];

/** Which rows {@linkcode Storage.range} gives. Keys compare as unsigned bytes. */
export interface StorageRange {
  /** First key, inclusive. */
  from: Uint8Array;
  /** End, exclusive. */
  to: Uint8Array;
  /** At most so many rows. */
  rowsMax: number;
  /** Stops after the row with which so many bytes (keys and values) are reached. */
  bytesMax: number;
  /** From the end to the beginning. Default false. */
  reverse?: boolean;
}

/** Which rows {@linkcode Storage.snapshot} shows, and how many at a time. */
export type SnapshotRange = Omit<StorageRange, "reverse">;

/** A range as it was at one moment, read once from its beginning to its end while writes go on. */
export interface StorageSnapshot {
  /**
   * The next rows in key order: at most `rowsMax`, and none after the one with which `bytesMax` is
   * reached; none at all at the end. One call at a time.
   */
  next(): Promise<StorageRow[]>;
  /** Lets go of what it holds. Nothing may be called afterwards. */
  close(): Promise<void>;
}

/** An ordered, durable map. */
export interface Storage {
  /**
   * Nothing of it outlives the process, so that what would only serve a later start (state records,
   * marks of batches) need not be written. Default false.
   */
  readonly volatile?: boolean;
  /** Of a volatile one: writes a row, or deletes it where it has no value, within this call. */
  put?(key: Uint8Array, value: Uint8Array | undefined): void;
  /** The value of a key, as of the last write that was begun and finished; from memory or disk, synchronously. */
  get(key: Uint8Array): Uint8Array | undefined;
  /**
   * Writes all of the changes or none. When `sync` is true they are on disk when `done` is called
   * without an error. `done` is never called from inside this call. Batches finish in the order in
   * which they were written.
   */
  write(changes: StorageChange[], sync: boolean, done: (error: Error | undefined) => void): void;
  /** A consistent snapshot of a range, as of the last finished write at the time of the call. */
  range(range: StorageRange): Promise<StorageRow[]>;
  /**
   * A snapshot of a range that stays as it is: that of the last finished write at the time of the call
   * (one that is under way may be in it, whole). It costs memory or disk until it is closed.
   */
  snapshot(range: SnapshotRange): StorageSnapshot;
  /**
   * Looks whether all is there that it needs on disk: files may be deleted under a running process, which
   * neither its reads nor its writes notice. Absent: nothing can be missing.
   *
   * @throws {KvError} `storage_failed`, with what is missing
   */
  check?(): Promise<void>;
  /**
   * About how many bytes a range takes on disk, with what was replaced or deleted and is still there. What
   * has not left a write buffer yet is not counted. Absent: what is deleted takes no space.
   *
   * @throws {KvError} `storage_failed`
   */
  sizeOf?(from: Uint8Array, to: Uint8Array): Promise<number>;
  /**
   * Rewrites the files that have rows of a range, so that what was replaced or deleted takes no space any more.
   * What a snapshot shows stays, and is let go of by a later call after something was written on either
   * side of it. Reads and writes go on meanwhile; `close` waits for it.
   *
   * @throws {KvError} `corrupt` if a file cannot be read; `storage_failed`
   */
  compact?(from: Uint8Array, to: Uint8Array): Promise<void>;
  /** Ends it; waits for writes under way. Snapshots fail from then on. */
  close(): Promise<void>;
}
