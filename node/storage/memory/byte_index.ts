/**
 * A hash table from keys to records of an arena (`memory_arena.ts`), which also holds the keys. The table
 * itself is numbers in typed arrays, 20 to 30 bytes per key. So a key is never a JavaScript object, and
 * neither a read nor a write makes one. It knows nothing of order, except that it tells
 * `key_sequence.ts` which keys come and go.
 *
 * An entry has a number, from 1, until its key is deleted. The place of its record changes with each write
 * of the key, and when the arena moves the record. Entries of one hash chain are linked by number. A record
 * in the arena contains its entry's number, so that a moved record finds its entry without a search.
 *
 * When there are as many entries as chains, the number of chains is doubled at once, which takes 20 to 35 ns
 * per entry. Storage in memory has one table for each partition. So with 10 million keys in 256 partitions
 * one pause is about a millisecond; with all of them in one partition it is 0.3 s.
 *
 * @module
 */
import { invariant } from "../../../shared/base/errors.ts";
import type { KeyHash } from "../key_hash.ts";
import { KeySequence, type SequenceKeys } from "./key_sequence.ts";
import { ENTRY_MAX } from "./key_sort.ts";
import type { MemoryArena } from "./memory_arena.ts";

const CHAINS_MIN = 16;
/** Per entry: its key's hash, the next entry of the chain, and the record's chunk and place in it. */
const WIDTH = 4;
const NEXT = 1;
/** 0 if the entry has no key. */
const CHUNK = 2;
const AT = 3;
/** No entry has this number. */
const NONE = 0;

/** The keys of one bucket. */
export class ByteIndex implements SequenceKeys {
  readonly #arena: MemoryArena;
  readonly #hash: KeyHash;
  /** The first entry of each chain; its length is a power of 2. */
  #chains = new Int32Array(CHAINS_MIN);
  #entries = new Int32Array(CHAINS_MIN * WIDTH);
  /** Entries from this number on have never been used. */
  #unused = 1;
  /** The first of the entries that can be reused; they are linked like a chain. */
  #free = NONE;
  #size = 0;
  /** Undefined until an order is asked for. */
  #sequence: KeySequence | undefined;

  constructor(arena: MemoryArena, hash: KeyHash) {
    this.#arena = arena;
    this.#hash = hash;
  }

  /** The number of keys. */
  get size(): number {
    return this.#size;
  }

  /** The key's value, as a part of the arena. */
  get(key: Uint8Array): Uint8Array | undefined {
    const entry = this.#find(key, this.#hash.of(key));
    return entry === NONE ? undefined : this.value(entry);
  }

  /** @param tag a byte with which the value is to begin */
  set(key: Uint8Array, value: Uint8Array, tag?: number): void {
    const hash = this.#hash.of(key);
    const found = this.#find(key, hash);
    const entry = found === NONE ? this.#insert(hash) : found;
    const entries = this.#entries;
    const chunk = entries[entry * WIDTH + CHUNK] ?? 0;
    const at = entries[entry * WIDTH + AT] ?? 0;
    entries[entry * WIDTH + AT] = this.#arena.add(key, value, entry, tag);
    entries[entry * WIDTH + CHUNK] = this.#arena.filling;
    if (found === NONE) this.#sequence?.added(entry);
    // Last, because it may move other records.
    else this.#arena.free(chunk, at);
  }

  delete(key: Uint8Array): void {
    const hash = this.#hash.of(key);
    const entry = this.#find(key, hash);
    if (entry === NONE) return;
    this.#unlink(entry, hash);
    const chunk = this.#entries[entry * WIDTH + CHUNK] ?? 0;
    const at = this.#entries[entry * WIDTH + AT] ?? 0;
    this.#entries[entry * WIDTH + CHUNK] = 0;
    this.#size--;
    if (this.#size === 0) this.#clear();
    else if (this.#sequence === undefined) this.release(entry);
    else this.#sequence.removed(entry);
    this.#arena.free(chunk, at);
  }

  /** Moves a record within the arena, if it is still in use. */
  move(chunk: number, at: number): void {
    const i = this.#arena.owner(chunk, at) * WIDTH;
    const entries = this.#entries;
    if (entries[i + CHUNK] !== chunk || entries[i + AT] !== at) return;
    entries[i + AT] = this.#arena.copy(chunk, at);
    entries[i + CHUNK] = this.#arena.filling;
  }

  /** All entries, in no order that means anything. */
  *entries(): Generator<number> {
    for (let entry = 1; entry < this.#unused; entry++) if (this.lives(entry)) yield entry;
  }

  /** All keys in order. Valid until the next change. */
  inOrder(): KeySequence {
    if (this.#sequence === undefined) {
      this.#sequence = new KeySequence(this);
      for (const entry of this.entries()) this.#sequence.added(entry);
    }
    this.#sequence.settle();
    return this.#sequence;
  }

  lives(entry: number): boolean {
    return this.#entries[entry * WIDTH + CHUNK] !== 0;
  }

  key(entry: number): Uint8Array {
    return this.#arena.key(this.#chunkOf(entry), this.#atOf(entry));
  }

  value(entry: number): Uint8Array {
    return this.#arena.value(this.#chunkOf(entry), this.#atOf(entry));
  }

  compareTo(entry: number, key: Uint8Array): number {
    return this.#arena.compareKey(this.#chunkOf(entry), this.#atOf(entry), key);
  }

  keyByte(entry: number, index: number): number | undefined {
    return this.#arena.keyByte(this.#chunkOf(entry), this.#atOf(entry), index);
  }

  /** Allows the number of an entry without a key to be reused. */
  release(entry: number): void {
    this.#entries[entry * WIDTH + NEXT] = this.#free;
    this.#free = entry;
  }

  #chunkOf(entry: number): number {
    return this.#entries[entry * WIDTH + CHUNK] ?? 0;
  }

  #atOf(entry: number): number {
    return this.#entries[entry * WIDTH + AT] ?? 0;
  }

  #find(key: Uint8Array, hash: number): number {
    const entries = this.#entries;
    let entry = this.#chains[hash & (this.#chains.length - 1)] ?? NONE;
    while (entry !== NONE) {
      const i = entry * WIDTH;
      if (
        entries[i] === hash &&
        this.#arena.isKey(entries[i + CHUNK] ?? 0, entries[i + AT] ?? 0, key)
      ) return entry;
      entry = entries[i + NEXT] ?? NONE;
    }
    return NONE;
  }

  /** A new entry in the chain of its hash, still without a record. */
  #insert(hash: number): number {
    if (this.#size >= this.#chains.length) this.#growChains();
    let entry = this.#free;
    if (entry !== NONE) this.#free = this.#entries[entry * WIDTH + NEXT] ?? NONE;
    else entry = this.#unusedEntry();
    this.#entries[entry * WIDTH] = hash;
    this.#link(entry);
    this.#size++;
    return entry;
  }

  #unusedEntry(): number {
    const entry = this.#unused++;
    const { length } = this.#entries;
    if (entry * WIDTH >= length) {
      invariant(entry <= ENTRY_MAX, "a bucket has fewer keys than it can count", { entry });
      // By half, because what is not used yet takes memory too.
      const grown = new Int32Array((length + (length >>> 1)) & -WIDTH);
      grown.set(this.#entries);
      this.#entries = grown;
    }
    return entry;
  }

  #growChains(): void {
    this.#chains = new Int32Array(2 * this.#chains.length);
    for (let entry = 1; entry < this.#unused; entry++) {
      if (this.lives(entry)) this.#link(entry);
    }
  }

  #link(entry: number): void {
    const i = entry * WIDTH;
    const chain = (this.#entries[i] ?? 0) & (this.#chains.length - 1);
    this.#entries[i + NEXT] = this.#chains[chain] ?? NONE;
    this.#chains[chain] = entry;
  }

  #unlink(entry: number, hash: number): void {
    const entries = this.#entries;
    const chain = hash & (this.#chains.length - 1);
    const next = entries[entry * WIDTH + NEXT] ?? NONE;
    let before = this.#chains[chain] ?? NONE;
    if (before === entry) {
      this.#chains[chain] = next;
      return;
    }
    while (entries[before * WIDTH + NEXT] !== entry) {
      before = entries[before * WIDTH + NEXT] ?? NONE;
    }
    entries[before * WIDTH + NEXT] = next;
  }

  /** Releases the memory of a bucket that has become empty. */
  #clear(): void {
    this.#chains = new Int32Array(CHAINS_MIN);
    this.#entries = new Int32Array(CHAINS_MIN * WIDTH);
    this.#unused = 1;
    this.#free = NONE;
    this.#sequence = undefined;
  }
}
