/**
 * Storage in memory, for `--storage memory` and for tests: everything is gone when the process ends.
 *
 * The rows' bytes lie in an arena (`memory_arena.ts`). Where, is known to buckets, one for each two
 * bytes that keys begin with, each a hash table: `get` and `write` take O(1) time. Order is only made
 * when a range is asked for: a bucket keeps its keys sorted as of the last range, and merges those
 * that came since. So a range costs O(n log n) of what
 * came since and O(n) of the bucket, where that is not empty.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Clock } from "../shared/clock.ts";
import { KvError } from "../shared/errors.ts";
import type {
  SnapshotRange,
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../shared/storage.ts";
import { RowsSnapshot } from "../shared/rows_snapshot.ts";
import { MemoryArena } from "./memory_arena.ts";

const bufferToString = Buffer.prototype.toString;

/** Keys as strings of one character for each byte: strings compare as the bytes do. */
class Bucket {
  /** Positions in the arena. */
  readonly rows = new Map<string, number>();
  /** Keys in order; some may be gone from `rows`. */
  #sorted: string[] = [];
  /** Keys that are not in `#sorted`. */
  #fresh: string[] = [];
  /** Keys in `#sorted` or `#fresh` that are gone. One that comes again meanwhile is not fresh. */
  readonly #gone = new Set<string>();

  /** Returns the position before. */
  set(key: string, position: number): number | undefined {
    const before = this.rows.get(key);
    this.rows.set(key, position);
    if (before === undefined && !this.#gone.delete(key)) this.#fresh.push(key);
    return before;
  }

  /** Returns the position before. */
  delete(key: string): number | undefined {
    const before = this.rows.get(key);
    if (before === undefined) return undefined;
    this.rows.delete(key);
    this.#gone.add(key);
    return before;
  }

  /** All keys in order, some of which may be gone. */
  sorted(): readonly string[] {
    if (this.#gone.size > 64 && this.#gone.size * 2 > this.#sorted.length + this.#fresh.length) {
      this.#sorted = this.#sorted.filter((key) => this.rows.has(key));
      this.#fresh = this.#fresh.filter((key) => this.rows.has(key));
      this.#gone.clear();
    }
    if (this.#fresh.length > 0) {
      this.#sorted = merge(this.#sorted, this.#fresh.sort(compare));
      this.#fresh = [];
    }
    return this.#sorted;
  }
}

/** An ordered map in memory. */
export class MemoryStorage implements Storage {
  readonly volatile: boolean;
  readonly #clock: Clock;
  /** By the first two bytes of a key, as a number; a shorter key's missing bytes count as 0. */
  readonly #buckets = new Map<number, Bucket>();
  readonly #arena = new MemoryArena();
  #names: number[] | undefined = [];
  #underWay = 0;
  #closed = false;
  #onIdle: (() => void) | undefined;

  /**
   * @param clock defers the call of `done`
   * @param options `volatile` (default false): nobody will open it again after its node has ended
   */
  constructor(clock: Clock, options: { volatile?: boolean } = {}) {
    this.#clock = clock;
    this.volatile = options.volatile ?? false;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const position = this.#buckets.get(bucketOf(key))?.rows.get(textOf(key));
    return position === undefined ? undefined : this.#arena.value(position);
  }

  write(
    changes: StorageChange[],
    _sync: boolean,
    done: (error: Error | undefined) => void,
  ): void {
    if (this.#closed) {
      const error = new KvError("storage_failed", "write: the storage is closed");
      this.#clock.defer(() => done(error));
      return;
    }
    for (const { key, value } of changes) {
      const text = textOf(key);
      const bucket = this.#bucket(bucketOf(key));
      const before = value === undefined
        ? bucket.delete(text)
        : bucket.set(text, this.#arena.add(key, value));
      if (before !== undefined) this.#arena.free(before, this.#move);
    }
    this.#underWay++;
    this.#clock.defer(() => {
      this.#underWay--;
      done(undefined);
      if (this.#underWay === 0) this.#onIdle?.();
    });
  }

  range(range: StorageRange): Promise<StorageRow[]> {
    return settled(this.#rows(range));
  }

  /** The rows' bytes are not copied: the arena never writes twice in one place. */
  snapshot(range: SnapshotRange): StorageSnapshot {
    const all = this.#rows({ ...range, rowsMax: Infinity, bytesMax: Infinity });
    return new RowsSnapshot(all, range);
  }

  #rows(range: StorageRange): StorageRow[] {
    const from = textOf(range.from);
    const to = textOf(range.to);
    const found: StorageRow[] = [];
    let bytes = 0;
    const first = bucketOf(range.from);
    const last = bucketOf(range.to);
    const names = this.#sortedNames().filter((name) => name >= first && name <= last);
    if (range.reverse) names.reverse();
    for (const name of names) {
      const bucket = this.#buckets.get(name);
      if (bucket === undefined) continue;
      const keys = bucket.sorted();
      const begin = lowerBound(keys, from);
      const end = lowerBound(keys, to);
      for (let i = begin; i < end; i++) {
        if (found.length >= range.rowsMax || bytes >= range.bytesMax) return found;
        const position = bucket.rows.get(keys[range.reverse ? begin + end - 1 - i : i] ?? "");
        if (position === undefined) continue;
        const row: StorageRow = [this.#arena.key(position), this.#arena.value(position)];
        found.push(row);
        bytes += row[0].length + row[1].length;
      }
    }
    return found;
  }

  close(): Promise<void> {
    this.#closed = true;
    if (this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle = resolve);
  }

  /** Moves a record within the arena, if it is one that is still held. */
  readonly #move = (position: number): void => {
    const key = this.#arena.key(position);
    const text = textOf(key);
    const bucket = this.#buckets.get(bucketOf(key));
    if (bucket?.rows.get(text) !== position) return;
    bucket.rows.set(text, this.#arena.add(key, this.#arena.value(position)));
  };

  #bucket(name: number): Bucket {
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new Bucket();
      this.#buckets.set(name, bucket);
      this.#names = undefined;
    }
    return bucket;
  }

  #sortedNames(): number[] {
    this.#names ??= [...this.#buckets.keys()].sort((a, b) => a - b);
    return this.#names;
  }
}

function settled(rows: StorageRow[]): Promise<StorageRow[]> {
  return Promise.resolve(rows);
}

function bucketOf(key: Uint8Array): number {
  return ((key[0] ?? 0) << 8) | (key[1] ?? 0);
}

function textOf(bytes: Uint8Array): string {
  return bufferToString.call(bytes, "latin1", 0, bytes.length);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The index of the first key that is not less. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function merge(a: readonly string[], b: readonly string[]): string[] {
  const merged: string[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const x = a[i];
    const y = b[j];
    if (y === undefined || (x !== undefined && x < y)) {
      if (x !== undefined) merged.push(x);
      i++;
    } else {
      merged.push(y);
      j++;
    }
  }
  return merged;
}
