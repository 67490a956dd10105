/**
 * Byte strings packed one after the other into large chunks, for storage in memory: a million small
 * arrays of their own would take more memory than their content.
 *
 * A chunk of which three quarters are dead is emptied: the rest is copied elsewhere, and the chunk is left
 * to the garbage collector. While half of everything held is dead, a chunk that is half dead is emptied
 * too. The later a chunk is emptied, the less there is to copy. Written bytes are never overwritten, so
 * what was given out stays unchanged.
 *
 * A record is identified by the number of its chunk, from 1, and its place in it, counted in words of 4
 * bytes: two small integers, which are cheap to pass on and will not run out. A record consists of the
 * length of the key, the length of the value, its owner's number for it (one word each), key, value, and
 * up to 3 bytes that fill the last word.
 *
 * @module
 */
import { invariant } from "../../../shared/base/errors.ts";

const CHUNK_BYTES_MIN = 64 * 1024;
const CHUNK_BYTES_MAX = 1024 * 1024;
const HEADER_WORDS = 3;
const HEADER_BYTES = HEADER_WORDS * 4;

/** A chunk, and how much of it is in use, in words. */
class Chunk {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  used = 0;
  dead = 0;

  constructor(words: number) {
    this.words = new Int32Array(words);
    this.bytes = new Uint8Array(this.words.buffer);
  }

  /** The words of the record at `at`. */
  sizeAt(at: number): number {
    return sizeOf(this.words[at] ?? 0, this.words[at + 1] ?? 0);
  }
}

/** Records by chunk and place. */
export class MemoryArena {
  /** By number. Number 0 is not used. */
  readonly #chunks: (Chunk | undefined)[] = [undefined];
  /** Numbers of chunks that are gone, for reuse. */
  readonly #numbers: number[] = [];
  readonly #move: (chunk: number, at: number) => void;
  #filling = 0;
  #chunkBytes = CHUNK_BYTES_MIN / 2;
  /** Of all chunks, in words. */
  #used = 0;
  #dead = 0;

  /**
   * @param move is called for each record of a chunk that is being emptied: it must check whether the
   *   record at that place is still in use, and {@linkcode copy} it if so
   */
  constructor(move: (chunk: number, at: number) => void) {
    this.#move = move;
  }

  /** The bytes that the chunks take. */
  get bytes(): number {
    let bytes = 0;
    for (const chunk of this.#chunks) bytes += chunk?.bytes.length ?? 0;
    return bytes;
  }

  /** The bytes of the records that are in use. */
  get liveBytes(): number {
    return (this.#used - this.#dead) * 4;
  }

  /** The number of the chunk in which the last record was put. */
  get filling(): number {
    return this.#filling;
  }

  /**
   * Puts a record into chunk {@linkcode filling}. Returns its place there.
   *
   * @param tag a byte with which the value is to begin
   */
  add(key: Uint8Array, value: Uint8Array, owner: number, tag?: number): number {
    const tagBytes = tag === undefined ? 0 : 1;
    const size = sizeOf(key.length, tagBytes + value.length);
    const { words, bytes, used } = this.#room(size);
    words[used] = key.length;
    words[used + 1] = tagBytes + value.length;
    words[used + 2] = owner;
    const keyAt = used * 4 + HEADER_BYTES;
    bytes.set(key, keyAt);
    const valueAt = keyAt + key.length;
    if (tag !== undefined) bytes[valueAt] = tag;
    bytes.set(value, valueAt + tagBytes);
    return this.#advance(size);
  }

  /** Copies a record into chunk {@linkcode filling}. Returns its place there. */
  copy(number: number, at: number): number {
    const from = this.#chunk(number);
    const size = from.sizeAt(at);
    const { words, used } = this.#room(size);
    words.set(from.words.subarray(at, at + size), used);
    return this.#advance(size);
  }

  /** The record's key, as a part of the chunk. */
  key(number: number, at: number): Uint8Array {
    const { words, bytes } = this.#chunk(number);
    const start = at * 4 + HEADER_BYTES;
    return part(bytes, start, words[at] ?? 0);
  }

  /** The record's value, as a part of the chunk. */
  value(number: number, at: number): Uint8Array {
    const { words, bytes } = this.#chunk(number);
    const start = at * 4 + HEADER_BYTES + (words[at] ?? 0);
    return part(bytes, start, words[at + 1] ?? 0);
  }

  /** The owner's number for the record. */
  owner(number: number, at: number): number {
    return this.#chunk(number).words[at + 2] ?? 0;
  }

  /** Whether the record's key is `key`. */
  isKey(number: number, at: number, key: Uint8Array): boolean {
    const { words, bytes } = this.#chunk(number);
    const { length } = key;
    if (words[at] !== length) return false;
    const start = at * 4 + HEADER_BYTES;
    // From the end, because keys differ sooner there.
    for (let i = length - 1; i >= 0; i--) {
      if (bytes[start + i] !== key[i]) return false;
    }
    return true;
  }

  /** Negative, 0 or positive as the record's key comes before, is, or comes after `key`. */
  compareKey(number: number, at: number, key: Uint8Array): number {
    const { words, bytes } = this.#chunk(number);
    const length = words[at] ?? 0;
    const start = at * 4 + HEADER_BYTES;
    const common = Math.min(length, key.length);
    for (let i = 0; i < common; i++) {
      const difference = (bytes[start + i] ?? 0) - (key[i] ?? 0);
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  /** The key's byte at `index`, or undefined after its end. */
  keyByte(number: number, at: number, index: number): number | undefined {
    const { words, bytes } = this.#chunk(number);
    return index < (words[at] ?? 0) ? bytes[at * 4 + HEADER_BYTES + index] : undefined;
  }

  /** Marks a record as dead. */
  free(number: number, at: number): void {
    const chunk = this.#chunk(number);
    const size = chunk.sizeAt(at);
    chunk.dead += size;
    this.#dead += size;
    if (number === this.#filling || chunk.dead * 2 <= chunk.used) return;
    if (chunk.dead * 4 <= chunk.used * 3 && this.#dead * 2 <= this.#used) return;
    if (chunk.dead < chunk.used) this.#empty(number, chunk);
    this.#drop(number, chunk);
  }

  #empty(number: number, chunk: Chunk): void {
    for (let at = 0; at < chunk.used;) {
      this.#move(number, at);
      at += chunk.sizeAt(at);
    }
  }

  #drop(number: number, chunk: Chunk): void {
    this.#chunks[number] = undefined;
    this.#numbers.push(number);
    this.#used -= chunk.used;
    this.#dead -= chunk.dead;
  }

  #chunk(number: number): Chunk {
    const chunk = this.#chunks[number];
    invariant(chunk !== undefined, "a record that is asked for is held");
    return chunk;
  }

  /** The chunk with room for this many words. A record that is larger than a chunk gets its own. */
  #room(size: number): Chunk {
    const filling = this.#chunks[this.#filling];
    if (filling !== undefined) {
      if (filling.used + size <= filling.words.length) return filling;
      // All of it is dead: no later death in it could trigger its release.
      if (filling.dead === filling.used) this.#drop(this.#filling, filling);
    }
    this.#chunkBytes = Math.min(2 * this.#chunkBytes, CHUNK_BYTES_MAX);
    const chunk = new Chunk(Math.max(size, this.#chunkBytes / 4));
    this.#filling = this.#numbers.pop() ?? this.#chunks.length;
    this.#chunks[this.#filling] = chunk;
    return chunk;
  }

  /** Finishes writing a record into the chunk that is being filled. Returns where it begins. */
  #advance(size: number): number {
    const chunk = this.#chunk(this.#filling);
    const at = chunk.used;
    chunk.used += size;
    this.#used += size;
    return at;
  }
}

/** Twice as fast as `subarray`. */
function part(bytes: Uint8Array, from: number, length: number): Uint8Array {
  return new Uint8Array(bytes.buffer, from, length);
}

function sizeOf(keyBytes: number, valueBytes: number): number {
  return HEADER_WORDS + ((keyBytes + valueBytes + 3) >>> 2);
}
