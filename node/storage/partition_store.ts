/**
 * One partition's data on this node: its newest entries, whether they are on disk yet or not, and its
 * state. It knows nothing of replication: the replica decides what is written when, and who may read what.
 *
 * A read looks first at the writes under way, then in the cache, then on disk. The checksum of every record
 * from disk is checked. What the cache or a volatile storage holds has not left this process's memory since,
 * which is trusted with everything else too; there only `scan` and `verify` check.
 *
 * Invariants
 * - `state.count` and `state.digest` describe the entries that `get` finds, without tombstones;
 *   `state.tombstones` and `state.tombstoneDigest` describe the tombstones.
 * - The state record on disk and the entries on disk agree after any crash (`group_commit.ts`).
 *
 * The caller's duty: `apply`, `remove` and the `setState` that belongs to them happen in one turn
 * (without an await between them).
 *
 * @module
 */
import { type Entry, isTombstone } from "../../shared/base/entry.ts";
import { invariant } from "../../shared/base/errors.ts";
import { isNamedKey, NAMED_END, NAMED_FROM } from "../../shared/cluster/databases.ts";
import {
  PARTITION_SHARE_MAX,
  PASS_PAGE_BYTES,
  PASS_PAGE_ROWS,
} from "../../shared/limits/storage.ts";
import type { StorageChange, StorageRow } from "./storage.ts";
import {
  type GroupCommit,
  type PendingWrite,
  QueueMember,
  type Removal,
  rowOfWrite,
} from "./group_commit.ts";
import type { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { PartitionSnapshot } from "./partition_snapshot.ts";
import { PartitionSums } from "./partition_sums.ts";
import { PendingWrites } from "./pending_writes.ts";
import {
  checkRecord,
  type Counted,
  countedOf,
  decodeRecord,
  decodeSoundRecord,
  type EncodedRecord,
  encodeRecord,
  recordBytes,
  recordKey,
  rowsFrom,
} from "./record.ts";
import { DatabaseTallies } from "./database_tallies.ts";
import { ExpiryIndex } from "./expiry_index.ts";
import { TombstoneList } from "./tombstone_list.ts";
import { rowsOf, type ScanOptions, type ScanPage, scanPage } from "./scan_page.ts";
import {
  decodeState,
  encodeState,
  NO_STATE,
  type PartitionState,
  stateKey,
} from "./state_record.ts";

export { type FsyncMode, GroupCommit, type GroupCommitOptions } from "./group_commit.ts";
export { NO_STATE, type PartitionState } from "./state_record.ts";
export { OpenedPartitions, openPartitionStores } from "./recovery.ts";
export type { ScanPage } from "./scan_page.ts";

/** Told of every change of the rows whose keys are the system's own: they begin with NUL. */
export interface SystemRows {
  /** An entry of such a key, perhaps a tombstone. */
  note(entry: Entry): void;
  /** A key's record was removed. */
  forget(key: string): void;
  /** Everything was. */
  clear(): void;
}

/** A partition's data. One store for each partition at a time. */
export class PartitionStore {
  readonly partition: number;
  /** Which of the keys expire next. */
  readonly expiring: ExpiryIndex;
  /** The tombstones that were written since it was opened. */
  readonly tombstones = new TombstoneList();
  /** What named databases have of it. */
  readonly databases: DatabaseTallies;
  /** Who is told of the system's own rows. */
  systemRows: SystemRows | undefined;
  readonly #queue: GroupCommit;
  readonly #state: PartitionState;
  readonly #member: QueueMember;
  /** Writes that are not known to be on disk. */
  readonly #pending = new PendingWrites();
  readonly #sums: PartitionSums;
  #changes = 0;
  /** The owner under which it finds its rows in the cache; `clear` takes a new one. */
  #cacheOwner: number;
  #clearing: "no" | "rows" | "state" = "no";
  #clearRuns = false;

  /**
   * @param state as `openPartitionStores` found it, or `NO_STATE` if it found nothing
   * @param onSynced a batch is on disk: everything up to `lastSeq`, under this term
   * @param expiringMax how many of the keys that expire next are kept in memory
   */
  constructor(
    queue: GroupCommit,
    partition: number,
    state: Readonly<PartitionState>,
    onSynced: (lastSeq: number, term: number) => void,
    expiringMax = PARTITION_SHARE_MAX,
  ) {
    this.partition = partition;
    this.expiring = new ExpiryIndex(expiringMax, state.count === 0);
    this.databases = new DatabaseTallies(state.count === 0 && (state.tombstones ?? 0) === 0);
    this.#queue = queue;
    this.#state = { ...state };
    this.#sums = new PartitionSums(this.#state);
    this.#cacheOwner = queue.cache?.newOwner() ?? 0;
    this.#member = new QueueMember({
      stateRecord: () => this.#stateRecord(),
      state: this.#state,
      written: (write) => this.#written(write),
      synced: onSynced,
    });
  }

  /** Gives heavy work its turns. */
  get work(): WorkScheduler {
    return this.#queue.work;
  }

  /** There is no disk: a write is there as soon as it was made. */
  get isVolatile(): boolean {
    return this.#queue.storage.volatile === true;
  }

  /** As of the last call, ahead of the disk. */
  get state(): Readonly<PartitionState> {
    return this.#state;
  }

  /** Another number after each change of what `get` finds; for whoever keeps what has been read. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * Bytes of the rows that are in use, tombstones included, without the rows' keys; undefined until the
   * partition has been read through since it was opened.
   */
  get liveBytes(): number | undefined {
    return this.#sums.liveBytes;
  }

  /** How many of the entries expire; as far as is known in memory until the partition has been read through. */
  get expiringCount(): number {
    return this.#sums.expiring ?? this.expiring.size;
  }

  /** A pass begins that looks for entries which expire: what they are is known then, and how many. */
  beginExpiryPass(): void {
    this.expiring.beginPass();
    this.#sums.beginExpiringPass();
  }

  /** The next page of that pass. @throws {KvError} as {@linkcode scan} */
  async readExpiryPage(after: string | undefined, options: ScanOptions): Promise<ScanPage> {
    this.expiring.beginPage();
    this.#sums.beginExpiringPage();
    const page = await this.scan(after, options);
    for (const { key, expiresAtMs } of page.entries) {
      if (expiresAtMs !== 0) this.expiring.noteOfPage(key, expiresAtMs);
    }
    this.#sums.countExpiring(page);
    return page;
  }

  /** @param whole whether it has reached the end of the partition */
  endExpiryPass(whole: boolean): void {
    this.expiring.endPass(whole);
    this.#sums.endExpiringPass(whole);
  }

  /**
   * The newest entry of a key, on disk or on its way there, tombstones included.
   *
   * @throws {KvError} `corrupt` if the record on disk is damaged; `storage_failed` if it cannot be read
   */
  get(key: string): Entry | undefined {
    if (this.#clearing !== "no") return undefined;
    const write = this.#underWay(key);
    if (write !== undefined) return write.entry;
    const rowKey = this.#rowKey(key);
    const { storage, cache, slab } = this.#queue;
    const cached = cache?.get(rowKey, this.#cacheOwner);
    if (cached !== undefined) return decodeSoundRecord(rowKey, slab.copy(cached), key);
    const bytes = storage.volatile === true ? storage.get(rowKey) : this.#readRow(rowKey);
    if (bytes === undefined) return undefined;
    if (storage.volatile === true) return decodeSoundRecord(rowKey, bytes, key);
    const entry = decodeRecord(rowKey, bytes, key);
    cache?.set(rowKey, bytes, this.#cacheOwner);
    return entry;
  }

  /** Rows that are not in memory take so long that a thread should read them first. */
  get readsAreSlow(): boolean {
    return this.#queue.reads.slow;
  }

  /** Whether {@linkcode PartitionStore.get} of this key may have to read the disk. */
  isCold(key: string): boolean {
    const { storage, cache } = this.#queue;
    if (storage.mayReadDisk === undefined || this.#underWay(key) !== undefined) return false;
    const rowKey = this.#rowKey(key);
    return cache?.peek(rowKey, this.#cacheOwner) === undefined && storage.mayReadDisk(rowKey);
  }

  /** Has a thread read the rows of these keys that are cold. It tells no failure. */
  async prefetch(keys: readonly string[]): Promise<void> {
    const cold = [...new Set(keys)].filter((key) => this.isCold(key));
    const rowKeys = cold.map((key) => recordKey(this.partition, key));
    if (cold.length > 0) await this.#queue.storage.prefetch?.(rowKeys);
  }

  /** An entry's row, for `apply` and `applyAll`. */
  encode(entry: Entry): EncodedRecord {
    return encodeRecord(this.partition, entry, this.#queue.slab);
  }

  /**
   * Queues an entry for the next batch, replacing an older one of its key. If it throws, nothing has
   * changed. Does not touch `lastSeq`, `term` or `commitSeq`.
   *
   * @param row the entry's, if it is there already
   * @throws {KvError} `corrupt` if the key's record on disk is damaged; `storage_failed`,
   * `unavailable` as {@linkcode GroupCommit.checkWritable}
   */
  apply(entry: Entry, row: EncodedRecord = this.encode(entry)): void {
    this.#checkWritable();
    this.#replace(entry, row, this.#counted(entry.key, row.key));
  }

  /**
   * As {@linkcode PartitionStore.apply} for writes that belong together, in their order, and then for
   * records to remove: all of it, or nothing if it throws.
   *
   * @param given the entries' rows, if they are there already
   */
  applyAll(
    entries: readonly Entry[],
    removed: readonly string[] = [],
    given?: readonly EncodedRecord[],
  ): void {
    const [only] = entries;
    // Most frames bring a single write to a follower: it does not pay for what a group needs.
    if (only !== undefined && entries.length === 1 && removed.length === 0) {
      this.apply(only, given?.[0]);
      return;
    }
    this.#checkWritable();
    const rows = given ?? entries.map((entry) => this.encode(entry));
    // What must be read is read before anything is changed; a key's later writes replace its first.
    const old = new Map<string, Counted | undefined>();
    for (const [i, { key }] of entries.entries()) {
      if (!old.has(key)) old.set(key, this.#counted(key, rows[i]?.key ?? this.#rowKey(key)));
    }
    for (const key of removed) {
      if (!old.has(key)) old.set(key, this.#counted(key, this.#rowKey(key)));
    }
    for (const [i, entry] of entries.entries()) {
      const { key } = entry;
      const row = rows[i] ?? this.encode(entry);
      this.#replace(entry, row, old.get(key));
      old.set(key, row);
    }
    for (const key of removed) {
      this.#takeAway(key, old.get(key));
      old.delete(key);
    }
  }

  #replace(entry: Entry, row: EncodedRecord, old: Counted | undefined): void {
    if (old !== undefined) this.#account(entry.key, old, -1);
    this.#account(entry.key, row, 1);
    this.#put(entry.key, row, entry);
    this.expiring.note(entry.key, entry.expiresAtMs);
    if (isTombstone(entry)) this.tombstones.note(entry.key, entry.seq);
    if (mayBeSystemKey(entry.key)) this.systemRows?.note(entry);
    const state = this.#state;
    if (entry.seq > (state.highSeq ?? state.lastSeq)) state.highSeq = entry.seq;
  }

  /**
   * Removes a key's record, without a tombstone. Does nothing if there is none.
   *
   * @throws {KvError} as {@linkcode PartitionStore.apply}
   */
  remove(key: string): void {
    this.#checkWritable();
    this.#takeAway(key, this.#counted(key, this.#rowKey(key)));
  }

  #takeAway(key: string, old: Counted | undefined): void {
    if (old === undefined) return;
    this.#account(key, old, -1);
    this.#put(key, { key: this.#rowKey(key) }, undefined);
    this.expiring.note(key, 0);
    if (mayBeSystemKey(key)) this.systemRows?.forget(key);
  }

  /** Changes the state. It goes to disk with the partition's next write, or soon by itself. */
  setState(
    change: Partial<
      Pick<PartitionState, "term" | "commitSeq" | "lastSeq" | "watermark" | "filled">
    >,
  ): void {
    const state = this.#state;
    const { term, commitSeq, lastSeq, watermark } = change;
    if (term !== undefined) state.term = term;
    if (commitSeq !== undefined) state.commitSeq = commitSeq;
    if (lastSeq !== undefined) state.lastSeq = lastSeq;
    if (watermark !== undefined) state.watermark = watermark;
    if ("filled" in change) state.filled = change.filled;
    if (this.#clearing === "no") this.#queue.touchLater(this.#member);
  }

  /** Counts what named databases have, if that is not known. @throws {KvError} `corrupt`, `storage_failed` */
  async countDatabases(): Promise<void> {
    if (this.databases.known) return;
    const options = { rowsMax: PASS_PAGE_ROWS, bytesMax: PASS_PAGE_BYTES, end: NAMED_END };
    await this.databases.count(
      (after) => this.scan(after, { ...options, start: NAMED_FROM }),
      recordBytes,
    );
  }

  /** Makes sure that the current state goes to disk with the next batch; `onSynced` follows. */
  flush(): void {
    if (this.#clearing === "no") this.#queue.touch(this.#member);
  }

  /** Calls back when everything that was written before this call is on disk. Not at all if the disk fails for good. */
  whenWritten(callback: () => void): void {
    this.#queue.whenWritten((error) => {
      if (error === undefined) callback();
    });
  }

  /** Notes on disk that the data is damaged; this stays so until it is cleared. */
  markDamaged(): void {
    this.#state.damaged = true;
    this.flush();
  }

  /**
   * A page of entries in key order (or backwards), after the key `after`, tombstones included. `asOfSeq`: the
   * page reflects every write up to this seq (and perhaps some later ones). `next`: the `after` of the next
   * page; undefined at the end.
   *
   * @throws {KvError} `corrupt`
   */
  async scan(after: string | undefined, options: ScanOptions): Promise<ScanPage> {
    const asOfSeq = this.#state.lastSeq;
    // Both snapshots are taken in this turn: of the writes under way, and, by `range`, of the disk. If a
    // batch ends meanwhile, it is in the first, and may be in the second too, with the same content.
    const pending = this.#pending.within(after, options);
    const rows = await this.#rows(after, options);
    return await this.#queue.work.run(() => scanPage(rows, pending, { ...options, asOfSeq }));
  }

  /**
   * A snapshot of the partition, or of a range of its keys, as it is now: exactly the writes up to `asOfSeq`, on disk or on
   * their way there. Several that are taken in one turn are of one moment. It must be closed.
   */
  snapshot(
    page: Pick<ScanOptions, "rowsMax" | "bytesMax" | "start" | "end" | "reverse">,
  ): PartitionSnapshot {
    const { lastSeq, term } = this.#state;
    const { rowsMax, bytesMax, reverse = false } = page;
    const pending = this.#pending.within(undefined, page);
    const from = rowsFrom(this.partition, undefined);
    // Taken in this turn, as in `scan`.
    const snapshot = this.#queue.storage.snapshot({
      ...(rowsOf(this.partition, undefined, page) ?? { from, to: from }),
      rowsMax,
      bytesMax,
      reverse,
    });
    const { work } = this.#queue;
    return new PartitionSnapshot(work, snapshot, pending, page, { asOfSeq: lastSeq, term });
  }

  /**
   * The keys of all entries with a seq beyond `seq`, or undefined if there are more than `max`.
   *
   * @param upto the last key of interest; default: all
   * @throws {KvError} `corrupt`
   */
  async keysBeyond(seq: number, max: number, upto?: string): Promise<string[] | undefined> {
    const keys: string[] = [];
    if ((this.#state.highSeq ?? this.#state.lastSeq) <= seq) return keys;
    const options = { rowsMax: PASS_PAGE_ROWS, bytesMax: PASS_PAGE_BYTES, beyondSeq: seq };
    const range = upto === undefined ? options : { ...options, upto };
    let after: string | undefined;
    do {
      const page = await this.scan(after, range);
      for (const entry of page.entries) keys.push(entry.key);
      if (keys.length > max) return undefined;
      after = page.next;
    } while (after !== undefined);
    return keys;
  }

  /** Whether {@linkcode PartitionStore.writtenSince} may tell anything. */
  get hasJournal(): boolean {
    return this.#queue.storage.writtenSince !== undefined;
  }

  /**
   * The keys of all writes after `seq`, and perhaps of some more, as the journal tells, provided that every write since has
   * come in order. It knows of them up to `upto`; what is later is not on disk yet. Undefined: there is no journal.
   */
  writtenSince(
    seq: number,
  ):
    | { readonly upto: number; readonly keys: Promise<ReadonlySet<string> | undefined> }
    | undefined {
    const { storage, work } = this.#queue;
    if (storage.writtenSince === undefined || this.#clearing !== "no") return undefined;
    const key = stateKey(this.partition);
    const state = storage.get(key);
    if (state === undefined) return undefined;
    const upto = decodeState(key, state).state.lastSeq;
    return { upto, keys: storage.writtenSince(this.partition, seq, work) };
  }

  /**
   * Deletes everything of the partition, its state included, in pieces. A crash in between leaves a mark,
   * with which the next start finishes the deletion. Until the promise is fulfilled nothing else may be
   * called; afterwards the store's state is `NO_STATE`. If it fails, the rest counts as deleted, and another
   * call goes on with it.
   *
   * @throws {KvError} `corrupt` if rows cannot be read, so that nobody knows what must be deleted;
   * `storage_failed` if the disk fails to read, or the node is closed before it is done
   */
  async clear(): Promise<void> {
    invariant(!this.#clearRuns, "a partition is cleared once at a time", {
      partition: this.partition,
    });
    this.#clearRuns = true;
    try {
      await this.#clear();
    } finally {
      this.#clearRuns = false;
    }
  }

  /** Everything is being deleted, or must still be after a failure; nothing may be read or written. */
  get isClearing(): boolean {
    return this.#clearing !== "no";
  }

  async #clear(): Promise<void> {
    this.#clearing = "rows";
    this.#cacheOwner = this.#queue.cache?.newOwner() ?? 0;
    Object.assign(this.#state, NO_STATE, { highSeq: 0, damaged: false, filled: undefined });
    this.#changes++;
    this.#sums.clear();
    this.databases.clear();
    this.expiring.clear();
    this.tombstones.clear();
    this.systemRows?.clear();
    // First the state record says that the rest is void, so that a part is not mistaken for the whole.
    // What is still under way goes to disk before that, and is deleted with the rest.
    this.#queue.touch(this.#member);
    await this.#allWritten();
    for (;;) {
      const rows = await this.#rows(undefined, {
        rowsMax: PASS_PAGE_ROWS,
        bytesMax: PASS_PAGE_BYTES,
      });
      if (rows.length === 0) break;
      this.#queue.putUnseen(rows.map(([key]) => ({ key })));
      await this.#allWritten();
    }
    this.#clearing = "state";
    this.#queue.touch(this.#member);
    await this.#allWritten();
    this.#clearing = "no";
  }

  /**
   * Reads the whole partition from disk: whether every checksum is right, and count and digest are those of
   * the state. Writes may go on meanwhile. If a pass is already running, its result is returned.
   *
   * @throws {KvError} `storage_failed`, `wrong_version`
   */
  verify(): Promise<boolean> {
    const page = { rowsMax: PASS_PAGE_ROWS, bytesMax: PASS_PAGE_BYTES };
    return this.#sums.verify((after) => this.scan(after, page));
  }

  #checkWritable(): void {
    this.#queue.checkWritable();
    invariant(this.#clearing === "no", "nothing is written to a partition that is being cleared", {
      partition: this.partition,
    });
  }

  /** For one read or write. */
  #rowKey(key: string): Uint8Array {
    return recordKey(this.partition, key, this.#queue.slab);
  }

  /**
   * What the newest entry of a key adds to the sums; nothing is decoded for that.
   *
   * @throws {KvError} as {@linkcode PartitionStore.get}
   */
  #counted(key: string, rowKey: Uint8Array): Counted | undefined {
    const write = this.#underWay(key);
    if (write !== undefined) return rowOfWrite(write);
    const { storage, cache } = this.#queue;
    let bytes = cache?.peek(rowKey, this.#cacheOwner);
    if (bytes === undefined) {
      bytes = storage.volatile === true ? storage.get(rowKey) : this.#readRow(rowKey);
      if (bytes === undefined) return undefined;
      if (storage.volatile !== true) checkRecord(rowKey, bytes);
    }
    return countedOf(bytes);
  }

  #readRow(rowKey: Uint8Array): Uint8Array | undefined {
    const { storage, reads } = this.#queue;
    return reads.time(() => storage.get(rowKey));
  }

  /** Most partitions have none, and those in memory never. */
  #underWay(key: string): PendingWrite | undefined {
    return this.#pending.get(key);
  }

  /** @param entry undefined: the key's record is removed */
  #put(key: string, change: EncodedRecord | Removal, entry: Entry | undefined): void {
    if (this.#queue.putAtOnce(this.#member, change)) return;
    const newest = this.#pending.get(key);
    const write = this.#queue.put(this.#member, key, change, entry, newest);
    if (write !== newest) this.#pending.set(write);
  }

  /** Keeps count, digest and live bytes up to date, also for passes that are counting now. */
  #account(key: string, row: Counted, sign: 1 | -1): void {
    this.#changes++;
    this.#sums.change(key, row, sign);
    if (mayBeSystemKey(key) && isNamedKey(key)) this.databases.change(key, row, sign);
  }

  #stateRecord(): StorageChange {
    if (this.#clearing === "state") return { key: stateKey(this.partition) };
    const { slab } = this.#queue;
    return encodeState(this.partition, this.#state, this.#clearing === "rows", slab);
  }

  #written(write: PendingWrite): void {
    const { change } = write;
    if (!this.#pending.delete(write)) return;
    const { cache } = this.#queue;
    if (change.value === undefined || this.#clearing !== "no") cache?.delete(change.key);
    else cache?.set(change.key, change.value, this.#cacheOwner);
  }

  #rows(after: string | undefined, options: ScanOptions): Promise<StorageRow[]> {
    const range = rowsOf(this.partition, after, options);
    if (range === undefined) return Promise.resolve([]);
    const { rowsMax, bytesMax, reverse = false } = options;
    return this.#queue.storage.range({ ...range, rowsMax, bytesMax, reverse });
  }

  #allWritten(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.whenWritten((error) => error === undefined ? resolve() : reject(error));
    });
  }
}

function mayBeSystemKey(key: string): boolean {
  return key.charCodeAt(0) === 0;
}
