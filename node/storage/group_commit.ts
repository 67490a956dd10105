/**
 * Group commit: one for each node. Everything that all partitions write in one turn, and everything that
 * arrives while a batch is being written, goes to disk as one atomic batch with one sync.
 *
 * What a batch contains is appended to the journal as one frame (`journal/journal.ts`). Readers see what is not there
 * yet through `PartitionStore`, which knows the writes of its keys that are under way.
 *
 * Invariants
 * - Batches reach the disk one at a time, in the order in which they were filled. None is skipped.
 * - A batch is closed only between turns. So everything that one turn writes is in one batch, and a
 *   partition's state record never mentions an entry that is not in the same batch or an earlier one.
 * - Nobody is told that something is synced before it is (`fsync: "always"`).
 *
 * If the disk refuses a batch, the queue has *failed*: {@linkcode GroupCommit.failure} is set, and
 * `PartitionStore.apply` and `remove` are refused, so that no more can queue up. The same batch is tried
 * again every STORAGE_RETRY_MS until the disk accepts it. Meanwhile nothing is dropped and nothing is
 * acknowledged: memory is ahead of the disk by exactly the writes that wait, so replication need not undo anything
 * when the disk has recovered.
 *
 * The disk is also checked from time to time ({@linkcode GroupCommit.check}), because files that somebody has
 * deleted take writes as before. If something is wrong, writes are refused in the same way.
 *
 * If nothing outlives the process (`Storage.volatile`), a write is made at once, because no restart can
 * find half of a turn. Batches then only tell their members that their turn has ended (a primary that waits for no other
 * replica does not wait for that), and are not
 * recorded.
 *
 * `fsync`: "always" syncs each batch before anyone is told of it. "interval" tells at once and syncs at
 * most FSYNC_INTERVAL_MS later: the death of the process loses nothing, a power cut loses that much.
 * "never" leaves syncing to the operating system.
 *
 * @module
 */
import { CommitMetrics } from "../../shared/metrics/commit_metrics.ts";
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { failureOf, KvError } from "../../shared/base/errors.ts";
import {
  BATCH_BYTES_MAX,
  BATCH_ENTRIES_MAX,
  FSYNC_INTERVAL_MS,
  STATE_WRITE_DELAY_MS,
  STORAGE_RETRY_MS,
} from "../../shared/limits/storage.ts";
import type { EncodedRecord } from "./record.ts";
import type { Storage, StorageChange } from "./storage.ts";
import { ReadTimes } from "../../shared/scheduling/read_times.ts";
import type { RowCache } from "./row_cache.ts";
import { ByteSlab } from "../../shared/base/byte_slab.ts";

/** When a batch is made to survive a power cut. */
export type FsyncMode = "always" | "interval" | "never";

/** Options of a {@linkcode GroupCommit}. */
export interface GroupCommitOptions {
  fsync: FsyncMode;
  /** The cache for rows of all partitions that were read or written lately. Absent: none. */
  cache?: RowCache | undefined;
  /** Gives pages of scans their turns; each process has one. Default: one of its own. */
  work?: WorkScheduler | undefined;
  /** The disk refused a batch: called once per failure, not for its retries. */
  onError(error: KvError): void;
  /** The disk accepts writes again. */
  onRecovered?(): void;
}

/** What the queue calls in a partition's store. */
export interface MemberStore {
  /** As of the last call. */
  readonly state: { readonly lastSeq: number; readonly term: number };
  /** The record of it. */
  stateRecord(): StorageChange;
  /** A write is on disk. */
  written(write: PendingWrite): void;
  /** A batch with a state record that says this is on disk. */
  synced(lastSeq: number, term: number): void;
}

/** A partition's store, and what the queue knows of it. */
export class QueueMember {
  readonly store: MemberStore;
  /** The number of the newest batch that has, or is to have, its state record. */
  batch = 0;
  /** Its state has changed since its last record, in a way that need not be written at once; ... */
  hasChanged = false;
  /** ... and it is among those to look at for that. */
  isListed = false;

  constructor(store: MemberStore) {
    this.store = store;
  }
}

/** A key's record is removed. */
export interface Removal {
  readonly key: Uint8Array;
  readonly value?: never;
}

/** A write of one key that is not known to be on disk. */
export interface PendingWrite {
  readonly member: QueueMember;
  readonly key: string;
  readonly batch: Batch;
  /** Its place among the batch's changes. */
  readonly place: number;
  change: EncodedRecord | Removal;
  /** Undefined: the record is removed. */
  entry: Entry | undefined;
}

/** The row of a write; undefined if it removes the record. */
export function rowOfWrite({ change }: PendingWrite): EncodedRecord | undefined {
  return change.value === undefined ? undefined : change;
}

/** What goes to disk as one batch. */
class Batch {
  /** In this process, from 1. */
  readonly number: number;
  readonly changes: StorageChange[] = [];
  readonly writes: PendingWrite[] = [];
  readonly members: QueueMember[] = [];
  readonly synced: { store: MemberStore; lastSeq: number; term: number }[] = [];
  readonly callbacks: ((error: KvError | undefined) => void)[] = [];
  bytes = 0;
  /** It contains nothing but a sync. */
  syncOnly = false;

  constructor(number: number) {
    this.number = number;
  }

  get isEmpty(): boolean {
    return this.changes.length === 0 && this.members.length === 0 && !this.syncOnly;
  }

  get isFull(): boolean {
    return this.bytes >= BATCH_BYTES_MAX || this.changes.length >= BATCH_ENTRIES_MAX;
  }
}
export type { Batch };

/** Takes all partitions' writes to the disk. */
export class GroupCommit {
  readonly storage: Storage;
  /**
   * Rows that are known to be on disk as they are here. This is not true of keys with a write under way;
   * readers look at such a write first.
   */
  readonly cache: RowCache | undefined;
  /** Gives heavy work its turns. */
  readonly work: WorkScheduler;
  /** How long rows take that are read from the disk. */
  readonly reads: ReadTimes;
  /** What batches cost. */
  readonly metrics = new CommitMetrics();
  /** For rows, which live until they are written. */
  readonly slab = new ByteSlab();
  readonly #clock: Clock;
  readonly #options: GroupCommitOptions;
  /** The number of the last batch that was there when the storage was opened. */
  readonly openedBatch: number;
  /** The number of the last batch that survives a power cut, as far as this process knows. */
  #syncedBatch: number;
  #filling = new Batch(1);
  /** Full batches that wait for their turn. */
  readonly #sealed: Batch[] = [];
  #writing: Batch | undefined;
  #turnEndScheduled = false;
  #failure: KvError | undefined;
  /** What the last check of the disk found wrong. */
  #sick: KvError | undefined;
  #checking = false;
  #retryTimer: Timer | undefined;
  /** Members whose state may have changed in a way that need not be written at once. */
  #later: QueueMember[] = [];
  #laterTimer: Timer | undefined;
  #syncTimer: Timer | undefined;
  #syncDue = false;
  #pendingBytes = 0;
  #closing: { resolve(): void; reject(error: KvError): void } | undefined;
  #closed = false;
  /** Closed, and everything is written: anything that comes now is dropped. */
  #ended = false;

  /**
   * @param storage open, and checked by `openPartitionStores` since it was opened
   */
  constructor(storage: Storage, clock: Clock, options: GroupCommitOptions) {
    this.storage = storage;
    this.#clock = clock;
    this.#options = options;
    this.cache = options.cache;
    this.reads = new ReadTimes(clock);
    this.work = options.work ?? new WorkScheduler(clock);
    this.openedBatch = this.#syncedBatch = storage.batch ?? 0;
  }

  /** The number of the last batch that survives a power cut; it only grows, also from process to process. */
  get syncedBatch(): number {
    return this.#syncedBatch;
  }

  /** Why the disk refuses writes; undefined if it accepts them. */
  get failure(): KvError | undefined {
    return this.#failure ?? this.#sick ?? this.storage.full;
  }

  /**
   * Checks the disk: its files must be there, and it must be possible to write and sync a batch. The result is in {@linkcode failure}. This finds a full disk before a client does.
   */
  check(): void {
    const { storage } = this;
    if (storage.check === undefined || this.#checking || this.#closed) return;
    this.#checking = true;
    const done = (sick: KvError | undefined) => {
      const before = this.#sick;
      this.#checking = false;
      this.#sick = sick;
      if (sick !== undefined && before === undefined) this.#options.onError(sick);
      if (sick === undefined && before !== undefined) this.#options.onRecovered?.();
    };
    storage.check().then(() => {
      if (this.#closed) return done(undefined);
      this.#filling.syncOnly = true;
      this.#scheduleTurnEnd();
      this.whenWritten(done);
    }, (error) => done(failureOf(error)));
  }

  /** Bytes of writes that are not on disk yet. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** @throws {KvError} `storage_failed` while the disk refuses writes, `unavailable` once closed */
  checkWritable(): void {
    if (this.#closed) throw new KvError("unavailable", "write: the node is closing its storage");
    const { failure } = this;
    if (failure !== undefined) {
      throw new KvError("storage_failed", `write: ${failure.message}`, {
        cause: failure,
      });
    }
  }

  /**
   * Puts a write into the batch that is being filled. If the key's newest write is already in this batch, it
   * is replaced.
   *
   * @param newest the member's newest write of this key that is under way
   */
  put(
    member: QueueMember,
    key: string,
    change: EncodedRecord | Removal,
    entry: Entry | undefined,
    newest: PendingWrite | undefined,
  ): PendingWrite {
    const batch = this.#filling;
    const bytes = change.value?.length ?? 0;
    this.touch(member);
    if (newest !== undefined && newest.batch === batch) {
      this.#grow(batch, bytes - (newest.change.value?.length ?? 0));
      batch.changes[newest.place] = newest.change = change;
      newest.entry = entry;
      return newest;
    }
    this.#grow(batch, change.key.length + bytes);
    const write = { member, key, batch, place: batch.changes.length, change, entry };
    batch.changes.push(change);
    batch.writes.push(write);
    return write;
  }

  /**
   * If nothing outlives the process: writes at once, so this turn's batch only has to tell its members.
   * Returns false if there is a disk.
   */
  putAtOnce(member: QueueMember, { key, value }: EncodedRecord | Removal): boolean {
    const { storage } = this;
    if (storage.volatile !== true || storage.put === undefined) return false;
    this.touch(member);
    storage.put(key, value);
    return true;
  }

  /** Accepts changes that no reader needs to see before they are on disk. */
  putUnseen(changes: StorageChange[]): void {
    if (this.#ended) return;
    for (const change of changes) {
      this.#filling.changes.push(change);
      this.#grow(this.#filling, change.key.length + (change.value?.length ?? 0));
    }
    this.#scheduleTurnEnd();
  }

  /** Makes sure that the member's state record is in the batch that is being filled. */
  touch(member: QueueMember): void {
    if (this.#ended) return;
    const { number, members } = this.#filling;
    if (member.batch !== number) {
      member.batch = number;
      members.push(member);
    }
    this.#scheduleTurnEnd();
  }

  /** The same without haste: with the member's next write, or STATE_WRITE_DELAY_MS from now. */
  touchLater(member: QueueMember): void {
    // In memory alone, a state record would be of no use after the process's end.
    if (this.storage.volatile === true) return;
    if (this.#closed || member.batch === this.#filling.number) return;
    member.hasChanged = true;
    if (!member.isListed) this.#later.push(member);
    member.isListed = true;
    this.#laterTimer ??= this.#clock.setTimer(STATE_WRITE_DELAY_MS, () => {
      this.#laterTimer = undefined;
      this.#touchAllLater();
    });
  }

  /** Calls back when everything put before is on disk; or, with an error, when it never will be. */
  whenWritten(callback: (error: KvError | undefined) => void): void {
    const batch = !this.#filling.isEmpty
      ? this.#filling
      : this.#sealed.at(-1) ?? this.#writing ?? undefined;
    if (this.#ended) {
      const error = new KvError("unavailable", "write: the node has closed its storage");
      this.#clock.defer(() => callback(error));
    } else if (batch === undefined) this.#clock.defer(() => callback(undefined));
    else batch.callbacks.push(callback);
  }

  /**
   * Writes what waits, then ends. The storage stays open; its owner closes it.
   *
   * @throws {KvError} `storage_failed` if the disk refuses what waits
   */
  close(): Promise<void> {
    this.#closed = true;
    this.reads.close();
    this.#laterTimer?.cancel();
    this.#laterTimer = undefined;
    this.#syncTimer?.cancel();
    if (this.#syncTimer !== undefined) this.#syncDue = true;
    this.#syncTimer = undefined;
    this.#touchAllLater();
    return new Promise((resolve, reject) => {
      this.#closing = { resolve, reject };
      if (this.#failure !== undefined) this.#retry();
      else this.#scheduleTurnEnd();
    });
  }

  #grow(batch: Batch, bytes: number): void {
    batch.bytes += bytes;
    this.#pendingBytes += bytes;
  }

  #touchAllLater(): void {
    const members = this.#later;
    this.#later = [];
    for (const member of members) {
      member.isListed = false;
      if (member.hasChanged) this.touch(member);
    }
  }

  #scheduleTurnEnd(): void {
    if (this.#turnEndScheduled) return;
    this.#turnEndScheduled = true;
    this.#clock.defer(this.#turnEnded);
  }

  readonly #turnEnded = (): void => {
    this.#turnEndScheduled = false;
    if (this.#writing === undefined) this.#writeNext();
    else if (this.#filling.isFull) this.#seal();
  };

  /** Closes the batch that is being filled: adds the state records. */
  #seal(): void {
    const batch = this.#filling;
    this.#filling = new Batch(batch.number + 1);
    for (const member of batch.members) {
      const { store } = member;
      member.hasChanged = false;
      if (this.storage.volatile !== true) batch.changes.push(store.stateRecord());
      const { lastSeq, term } = store.state;
      batch.synced.push({ store, lastSeq, term });
    }
    this.#sealed.push(batch);
  }

  /** Nothing is being written: begins the next batch, if there is one. */
  #writeNext(): void {
    if (this.#syncDue && this.#sealed.length === 0) this.#filling.syncOnly = true;
    if (this.#sealed.length === 0 && !this.#filling.isEmpty) this.#seal();
    this.#writing = this.#sealed.shift();
    if (this.#writing !== undefined) this.#write(this.#writing);
    else this.#finishClosing();
  }

  #write(batch: Batch): void {
    const { fsync } = this.#options;
    const sync = fsync === "always" || this.#syncDue || (fsync === "interval" && this.#closed);
    this.#syncDue = false;
    if (fsync === "interval" && !sync) {
      this.#syncTimer ??= this.#clock.setTimer(FSYNC_INTERVAL_MS, () => {
        this.#syncTimer = undefined;
        this.#syncDue = true;
        this.#scheduleTurnEnd();
      });
    }
    if (this.storage.volatile === true && batch.changes.length === 0) {
      this.#finish(batch);
      return;
    }
    const beganMs = this.#clock.monotonicMs();
    const done = (error: Error | undefined) => {
      if (error === undefined) {
        this.metrics.note(batch.changes.length, batch.bytes, this.#clock.monotonicMs() - beganMs);
        if (sync) this.#syncedBatch = this.storage.batch ?? 0;
        this.#finish(batch);
      } else {
        // What should have been synced with this batch must still be synced.
        if (sync && fsync === "interval") this.#syncDue = true;
        this.#fail(batch, error);
      }
    };
    try {
      this.storage.write(batch.changes, sync, done);
    } catch (error) {
      const failure = failureOf(error);
      this.#clock.defer(() => done(failure));
    }
  }

  #finish(batch: Batch): void {
    const recovered = this.#failure !== undefined;
    this.#failure = undefined;
    this.#pendingBytes -= batch.bytes;
    for (const write of batch.writes) write.member.store.written(write);
    this.#writing = undefined;
    // The disk gets its next batch before anyone is told of this one, because the disk is slower.
    if (!this.#turnEndScheduled) this.#writeNext();
    for (const { store, lastSeq, term } of batch.synced) store.synced(lastSeq, term);
    for (const callback of batch.callbacks) callback(undefined);
    if (recovered) this.#options.onRecovered?.();
  }

  #fail(batch: Batch, cause: Error): void {
    const first = this.#failure === undefined;
    const error = cause instanceof KvError ? cause : new KvError(
      "storage_failed",
      `the disk refused a batch of ${batch.changes.length} changes: ${cause.message}`,
      { cause },
    );
    this.#failure = error;
    if (this.#closing !== undefined) {
      this.#abandon(error);
      return;
    }
    this.#retryTimer = this.#clock.setTimer(STORAGE_RETRY_MS, () => this.#retry());
    if (first) this.#options.onError(error);
  }

  #retry(): void {
    // Without a timer, the batch is being tried at this moment.
    if (this.#retryTimer === undefined || this.#writing === undefined) return;
    this.#retryTimer.cancel();
    this.#retryTimer = undefined;
    this.#write(this.#writing);
  }

  #finishClosing(): void {
    if (this.#closing === undefined || this.#turnEndScheduled) return;
    this.#ended = true;
    this.#closing.resolve();
    this.#closing = undefined;
  }

  /** Closing while the disk refuses writes: tells those who wait. */
  #abandon(error: KvError): void {
    for (const batch of [this.#writing, ...this.#sealed, this.#filling]) {
      for (const callback of batch?.callbacks ?? []) callback(error);
    }
    this.#ended = true;
    this.#closing?.reject(error);
    this.#closing = undefined;
  }
}
