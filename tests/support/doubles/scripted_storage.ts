/**
 * A storage whose writes end when the test says so, with success or failure. It keeps every batch, so that a test can
 * ask what a crash would have left. Ranges can be held in the same way; their snapshot is taken when they are asked
 * for.
 *
 * @module
 */
import { assertExists } from "@std/assert";
import { keyOfRecordKey } from "../../../node/storage/record.ts";
import { decodeState, stateKey } from "../../../node/storage/state_record.ts";
import { RowsSnapshot } from "../../../node/storage/memory/rows_snapshot.ts";
import type {
  LostBatches,
  SnapshotRange,
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../../../node/storage/storage.ts";

interface HeldWrite {
  readonly changes: StorageChange[];
  readonly sync: boolean;
  readonly done: (error: Error | undefined) => void;
}

/** An ordered map under the test's control. */
export class ScriptedStorage implements Storage {
  /** Rows as of the last write that ended well, by key in hexadecimal. */
  readonly rows = new Map<string, Uint8Array>();
  /** Batches that ended well, in order. */
  readonly batches: StorageChange[][] = [];
  /** Writes under way, the oldest first. */
  readonly writes: HeldWrite[] = [];
  /** Ranges wait from now on, until {@linkcode releaseRanges}. */
  holdRanges = false;
  /** What it says was missing when it was opened. */
  lost: LostBatches | undefined;
  closed = false;
  /** It plays a storage that nobody opens again; the test still says when batches end. */
  volatile = false;
  /** The batches that it keeps for replicas that were away; it has no journal unless {@linkcode keepJournal} was called. */
  writtenSince?: NonNullable<Storage["writtenSince"]>;
  /** Snapshots that are open. */
  snapshots = 0;
  #ranges: (() => void)[] = [];

  /** A storage that holds what the given batches left. */
  static replay(batches: readonly StorageChange[][]): ScriptedStorage {
    const storage = new ScriptedStorage();
    for (const changes of batches) storage.#commit(copyOf(changes));
    return storage;
  }

  /** From now on it tells what was written, as far back as it keeps batches. @param batches how many; default: all */
  keepJournal(batches = Infinity): void {
    this.writtenSince = (partition, lastSeq) => {
      const found = new Set<string>();
      const state = hexOf(stateKey(partition));
      const first = Math.max(0, this.batches.length - batches);
      // What the state record said before a batch is what the batches before it have left.
      for (let i = this.batches.length - 1; i >= first; i--) {
        for (const { key } of this.batches[i] ?? []) {
          if (hexOf(key).startsWith(state) && key.length > 2) found.add(keyOfRecordKey(key));
        }
        const before = this.batches.slice(0, i).flat().findLast(({ key }) => hexOf(key) === state);
        const { value } = before ?? {};
        const saidBefore = value === undefined
          ? 0
          : decodeState(stateKey(partition), value).state.lastSeq;
        if (saidBefore <= lastSeq) return Promise.resolve(found);
      }
      return Promise.resolve(undefined);
    };
  }

  get batch(): number {
    return this.batches.length;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(hexOf(key))?.slice();
  }

  write(
    changes: StorageChange[],
    sync: boolean,
    done: (error: Error | undefined) => void,
  ): void {
    this.writes.push({ changes: copyOf(changes), sync, done });
  }

  put(key: Uint8Array, value: Uint8Array | undefined): void {
    if (value === undefined) this.rows.delete(hexOf(key));
    else this.rows.set(hexOf(key), value.slice());
  }

  range(range: StorageRange): Promise<StorageRow[]> {
    const from = hexOf(range.from);
    const to = hexOf(range.to);
    const keys = [...this.rows.keys()].filter((key) => key >= from && key < to).sort();
    if (range.reverse) keys.reverse();
    const rows: StorageRow[] = [];
    let bytes = 0;
    for (const key of keys) {
      if (rows.length >= range.rowsMax || bytes >= range.bytesMax) break;
      const value = this.rows.get(key) ?? new Uint8Array();
      rows.push([bytesOf(key), value.slice()]);
      bytes += key.length / 2 + value.length;
    }
    if (!this.holdRanges) return Promise.resolve(rows);
    return new Promise((resolve) => this.#ranges.push(() => resolve(rows)));
  }

  snapshot(range: SnapshotRange): StorageSnapshot {
    this.snapshots++;
    const { from, to } = range;
    const keys = [...this.rows.keys()].filter((key) => key >= hexOf(from) && key < hexOf(to))
      .sort();
    if (range.reverse) keys.reverse();
    const rows = keys.map((key): StorageRow => [bytesOf(key), this.rows.get(key) ?? bytesOf("")]);
    const snapshot = new RowsSnapshot(rows.map(([key, value]) => [key, value.slice()]), range);
    return {
      next: () => snapshot.next(),
      close: () => {
        this.snapshots--;
        return snapshot.close();
      },
    };
  }

  close(): Promise<void> {
    this.closed = true;
    return Promise.resolve();
  }

  /** Ends the oldest write well. */
  complete(): void {
    const write = this.writes.shift();
    assertExists(write, "a write is under way");
    this.#commit(write.changes);
    write.done(undefined);
  }

  /** Ends the oldest write badly; nothing of it is kept. */
  fail(error: Error): void {
    const write = this.writes.shift();
    assertExists(write, "a write is under way");
    write.done(error);
  }

  releaseRanges(): void {
    this.holdRanges = false;
    for (const release of this.#ranges.splice(0)) release();
  }

  /** Flips one bit of a row on disk. */
  flip(key: Uint8Array, bit: number): void {
    const row = this.rows.get(hexOf(key));
    assertExists(row, "the row is there");
    row[bit >>> 3] = (row[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
  }

  #commit(changes: StorageChange[]): void {
    this.batches.push(changes);
    for (const { key, value } of changes) this.put(key, value);
  }
}

function copyOf(changes: readonly StorageChange[]): StorageChange[] {
  return changes.map(({ key, value }) =>
    value === undefined ? { key: key.slice() } : { key: key.slice(), value: value.slice() }
  );
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}
