/**
 * Rows on their way from the journal to the table: the newest of each key, in memory. Deletions are rows too, since
 * they hide what the table still has.
 *
 * What it stores of a key is the kind, {@linkcode DELETED} or {@linkcode VALUE}, and then the value, as in a frame of
 * the journal. What it gives out stays unchanged.
 *
 * @module
 */
import { NO_VALUE } from "../../../shared/base/entry.ts";
import { compareBytes } from "../../../shared/base/key_order.ts";
import type { KeyHash } from "../key_hash.ts";
import { ByteIndex } from "../memory/byte_index.ts";
import { MemoryArena } from "../memory/memory_arena.ts";
import type { StorageChange } from "../storage.ts";
import { DELETED, VALUE, valueOf } from "./frame.ts";

/** A key, and what is stored of it. */
export type StoredRow = readonly [key: Uint8Array, stored: Uint8Array];

/** Where rows lie: from inclusive, to exclusive. */
export interface RowRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly reverse?: boolean | undefined;
}

/** The newest row of each key. */
export class Memtable {
  readonly #hash: KeyHash;
  readonly #arena = new MemoryArena((chunk, at) => this.#move(chunk, at));
  /** By the first two bytes of a key, as a number: one for each partition. */
  readonly #buckets = new Map<number, ByteIndex>();

  constructor(hash: KeyHash) {
    this.#hash = hash;
  }

  /** Bytes of what it holds, without its hash tables. */
  get bytes(): number {
    return this.#arena.liveBytes;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#buckets.get(bucketOf(key))?.get(key);
  }

  /** @param value undefined if the key is deleted */
  set(key: Uint8Array, value: Uint8Array | undefined): void {
    const name = bucketOf(key);
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = new ByteIndex(this.#arena, this.#hash);
      this.#buckets.set(name, bucket);
    }
    if (value === undefined) bucket.set(key, NO_VALUE, DELETED);
    else bucket.set(key, value, VALUE);
  }

  /** All rows, partition by partition, otherwise in no order that means anything: LevelDB sorts them anyway. */
  *changes(): Generator<StorageChange> {
    for (const bucket of this.#buckets.values()) {
      for (const entry of bucket.entries()) {
        const key = bucket.key(entry);
        const value = valueOf(bucket.value(entry));
        yield value === undefined ? { key } : { key, value };
      }
    }
  }

  /** The rows of a range in order. Nothing may be set before the last was taken. */
  *rows({ from, to, reverse = false }: RowRange): Generator<StoredRow> {
    const names = [...this.#buckets.keys()]
      .filter((name) => name >= bucketOf(from) && name <= bucketOf(to))
      .sort((a, b) => reverse ? b - a : a - b);
    for (const name of names) {
      const bucket = this.#buckets.get(name);
      if (bucket === undefined) continue;
      const sequence = bucket.inOrder();
      const begin = sequence.lowerBound(from);
      const end = sequence.lowerBound(to);
      for (let at = begin; at < end; at++) {
        const entry = sequence.at(reverse ? begin + end - 1 - at : at);
        yield [bucket.key(entry), bucket.value(entry)];
      }
    }
  }

  #move(chunk: number, at: number): void {
    const first = this.#arena.keyByte(chunk, at, 0) ?? 0;
    const second = this.#arena.keyByte(chunk, at, 1) ?? 0;
    this.#buckets.get((first << 8) | second)?.move(chunk, at);
  }
}

/** Rows of two sources, each in order; if both have a key, that of the first. */
export function* newestRows(
  newer: Iterable<StoredRow>,
  older: Iterable<StoredRow>,
  reverse = false,
): Generator<StoredRow> {
  const sign = reverse ? -1 : 1;
  const [a, b] = [newer[Symbol.iterator](), older[Symbol.iterator]()];
  let [x, y] = [a.next(), b.next()];
  while (!x.done && !y.done) {
    const order = sign * compareBytes(x.value[0], y.value[0]);
    if (order <= 0) yield x.value;
    else yield y.value;
    if (order >= 0) y = b.next();
    if (order <= 0) x = a.next();
  }
  for (; !x.done; x = a.next()) yield x.value;
  for (; !y.done; y = b.next()) yield y.value;
}

function bucketOf(key: Uint8Array): number {
  return ((key[0] ?? 0) << 8) | (key[1] ?? 0);
}
