/**
 * An ordered map of byte strings for the simulated disk. Keys are strings of one character for each
 * byte, which compare as the bytes do; they are put in order when a range is asked for.
 *
 * @module
 */
import type { StorageRange, StorageRow } from "../../../node/storage/storage.ts";

/** The rows whose keys begin with the same two bytes. */
interface Bucket {
  readonly rows: Map<string, Uint8Array>;
  sorted: string[] | undefined;
}

/** Rows in order. */
export class SortedRows {
  readonly #buckets = new Map<string, Bucket>();
  #names: string[] | undefined;

  get(key: string): Uint8Array | undefined {
    return this.#buckets.get(key.slice(0, 2))?.rows.get(key);
  }

  set(key: string, value: Uint8Array): void {
    const name = key.slice(0, 2);
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = { rows: new Map(), sorted: undefined };
      this.#buckets.set(name, bucket);
      this.#names = undefined;
    }
    if (bucket.sorted !== undefined && !bucket.rows.has(key)) bucket.sorted = undefined;
    bucket.rows.set(key, value);
  }

  delete(key: string): void {
    const bucket = this.#buckets.get(key.slice(0, 2));
    if (bucket?.rows.delete(key)) bucket.sorted = undefined;
  }

  /** In no order that means anything. */
  *entries(): Iterable<[string, Uint8Array]> {
    for (const { rows } of this.#buckets.values()) yield* rows;
  }

  clear(): void {
    this.#buckets.clear();
    this.#names = undefined;
  }

  /** Keys in order, of one pair of first bytes. */
  keys(prefix: string): readonly string[] {
    const bucket = this.#buckets.get(prefix);
    return bucket === undefined ? [] : sortedKeys(bucket);
  }

  range(range: StorageRange): StorageRow[] {
    const from = textOf(range.from);
    const to = textOf(range.to);
    const found: StorageRow[] = [];
    let bytes = 0;
    this.#names ??= [...this.#buckets.keys()].sort(compare);
    const names = this.#names.filter((name) => name >= from.slice(0, 2) && name < to);
    if (range.reverse === true) names.reverse();
    for (const name of names) {
      const bucket = this.#buckets.get(name);
      if (bucket === undefined) continue;
      const keys = sortedKeys(bucket);
      const ordered = range.reverse === true ? keys.toReversed() : keys;
      for (const key of ordered) {
        if (key < from || key >= to) continue;
        if (found.length >= range.rowsMax || bytes >= range.bytesMax) return found;
        const value = bucket.rows.get(key);
        if (value === undefined) continue;
        found.push([bytesOf(key), value]);
        bytes += key.length + value.length;
      }
    }
    return found;
  }
}

function sortedKeys(bucket: Bucket): readonly string[] {
  return bucket.sorted ??= [...bucket.rows.keys()].sort(compare);
}

export function textOf(bytes: Uint8Array): string {
  // One argument for each byte: a key is short enough for that.
  return String.fromCharCode.apply(null, bytes as unknown as number[]);
}

function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
