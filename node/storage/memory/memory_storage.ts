/**
 * Storage in memory, for `--storage memory` and for tests: everything is gone when the process ends.
 *
 * The rows' bytes are in an arena (`memory_arena.ts`). Buckets know their places: there is one for each
 * value of the first two bytes of keys, and each is a hash table (`byte_index.ts`). `get` and `write` take
 * O(1) time. Order is made only when a range is asked for (`key_sequence.ts`).
 *
 * @module
 */
import type { Clock } from "../../../shared/platform/clock.ts";
import { KvError } from "../../../shared/base/errors.ts";
import type { Random } from "../../../shared/platform/random.ts";
import type {
  SnapshotRange,
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../storage.ts";
import { RowsSnapshot } from "./rows_snapshot.ts";
import { ByteIndex } from "./byte_index.ts";
import { type KeyHash, SeededKeyHash } from "../key_hash.ts";
import { MemoryArena } from "./memory_arena.ts";

const BUCKETS = 2 ** 16;

/** An ordered map in memory. */
export class MemoryStorage implements Storage {
  readonly volatile: boolean;
  readonly #clock: Clock;
  readonly #hash: KeyHash;
  readonly #arena = new MemoryArena((chunk, at) => this.#move(chunk, at));
  /** By the first two bytes of a key, as a number; a shorter key's missing bytes count as 0. */
  readonly #buckets = new Array<ByteIndex | undefined>(BUCKETS);
  #underWay = 0;
  #closed = false;
  #onIdle: (() => void) | undefined;

  /**
   * @param clock defers the call of `done`
   * @param random keeps secret which keys collide
   * @param options `volatile` (default false): nobody will open it again after its node has ended
   */
  constructor(clock: Clock, random: Random, options: { volatile?: boolean } = {}) {
    this.#clock = clock;
    this.#hash = new SeededKeyHash(random);
    this.volatile = options.volatile ?? false;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#buckets[bucketOf(key)]?.get(key);
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
    for (const { key, value } of changes) this.put(key, value);
    this.#underWay++;
    this.#clock.defer(() => {
      this.#underWay--;
      done(undefined);
      if (this.#underWay === 0) this.#onIdle?.();
    });
  }

  put(key: Uint8Array, value: Uint8Array | undefined): void {
    const name = bucketOf(key);
    if (value === undefined) this.#buckets[name]?.delete(key);
    else (this.#buckets[name] ??= new ByteIndex(this.#arena, this.#hash)).set(key, value);
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
    const found: StorageRow[] = [];
    const first = bucketOf(range.from);
    const last = bucketOf(range.to);
    let bytes = 0;
    for (let i = first; i <= last; i++) {
      const bucket = this.#buckets[range.reverse ? first + last - i : i];
      if (bucket === undefined || bucket.size === 0) continue;
      const sequence = bucket.inOrder();
      const begin = sequence.lowerBound(range.from);
      const end = sequence.lowerBound(range.to);
      for (let at = begin; at < end; at++) {
        if (found.length >= range.rowsMax || bytes >= range.bytesMax) return found;
        const entry = sequence.at(range.reverse ? begin + end - 1 - at : at);
        if (!bucket.lives(entry)) continue;
        const row: StorageRow = [bucket.key(entry), bucket.value(entry)];
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

  /** Moves a record within the arena, if it is still in use. */
  #move(chunk: number, at: number): void {
    const first = this.#arena.keyByte(chunk, at, 0) ?? 0;
    const second = this.#arena.keyByte(chunk, at, 1) ?? 0;
    this.#buckets[(first << 8) | second]?.move(chunk, at);
  }
}

function settled(rows: StorageRow[]): Promise<StorageRow[]> {
  return Promise.resolve(rows);
}

function bucketOf(key: Uint8Array): number {
  return ((key[0] ?? 0) << 8) | (key[1] ?? 0);
}
