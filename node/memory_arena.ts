/**
 * Byte strings packed one behind the other into large chunks, for storage in memory: a million small
 * arrays of their own would cost JavaScript more than what is in them.
 *
 * A chunk of which three quarters are dead is emptied by copying the rest elsewhere, and is then left
 * to the garbage collector; while half of all that is held is dead, one that is half dead. The later a
 * chunk is emptied, the less there is to copy. Bytes once written are never overwritten, so that what
 * was given out stays as it was.
 *
 * A record: length of the key (4 bytes), length of the value (4 bytes), key, value.
 *
 * @module
 */
import { invariant } from "../shared/errors.ts";
import { getUint32, putUint32 } from "./record.ts";

const CHUNK_BYTES_MIN = 64 * 1024;
const CHUNK_BYTES_MAX = 1024 * 1024;
const HEADER_BYTES = 8;
/** A position is a chunk's number times this, plus the offset in it. */
const CHUNK_SPAN = 2 ** 30;

interface Chunk {
  readonly bytes: Uint8Array;
  used: number;
  dead: number;
}

/** Records by position. */
export class MemoryArena {
  readonly #chunks = new Map<number, Chunk>();
  /** The number of the chunk that is being filled. Numbers are never used again. */
  #filling = -1;
  #chunkBytes = CHUNK_BYTES_MIN / 2;
  /** Of all chunks. */
  #used = 0;
  #dead = 0;

  /** Bytes that the chunks take. */
  get bytes(): number {
    let bytes = 0;
    for (const chunk of this.#chunks.values()) bytes += chunk.bytes.length;
    return bytes;
  }

  /** Copies a record in. Returns its position. */
  add(key: Uint8Array, value: Uint8Array): number {
    const size = HEADER_BYTES + key.length + value.length;
    const { chunk, number } = this.#room(size);
    const at = chunk.used;
    chunk.used += size;
    this.#used += size;
    putUint32(chunk.bytes, at, key.length);
    putUint32(chunk.bytes, at + 4, value.length);
    chunk.bytes.set(key, at + HEADER_BYTES);
    chunk.bytes.set(value, at + HEADER_BYTES + key.length);
    return number * CHUNK_SPAN + at;
  }

  /** The record's key, as a part of the chunk. */
  key(position: number): Uint8Array {
    const { bytes } = this.#chunk(position);
    const at = position % CHUNK_SPAN;
    const start = at + HEADER_BYTES;
    return bytes.subarray(start, start + getUint32(bytes, at));
  }

  /** The record's value, as a part of the chunk. */
  value(position: number): Uint8Array {
    const { bytes } = this.#chunk(position);
    const at = position % CHUNK_SPAN;
    const start = at + HEADER_BYTES + getUint32(bytes, at);
    return bytes.subarray(start, start + getUint32(bytes, at + 4));
  }

  /**
   * Gives a record up. Where its chunk is to be emptied, calls `move` for each record of the chunk
   * that may live: it must ask whether the record at that position does, and `add` it again if so.
   */
  free(position: number, move: (position: number) => void): void {
    const number = Math.floor(position / CHUNK_SPAN);
    const chunk = this.#chunk(position);
    const bytes = recordBytes(chunk.bytes, position % CHUNK_SPAN);
    chunk.dead += bytes;
    this.#dead += bytes;
    if (number === this.#filling || chunk.dead * 2 <= chunk.used) return;
    if (chunk.dead * 4 <= chunk.used * 3 && this.#dead * 2 <= this.#used) return;
    for (let at = 0; at < chunk.used && chunk.dead < chunk.used;) {
      const size = recordBytes(chunk.bytes, at);
      move(number * CHUNK_SPAN + at);
      at += size;
    }
    this.#drop(number, chunk);
  }

  #drop(number: number, chunk: Chunk): void {
    this.#chunks.delete(number);
    this.#used -= chunk.used;
    this.#dead -= chunk.dead;
  }

  #chunk(position: number): Chunk {
    const chunk = this.#chunks.get(Math.floor(position / CHUNK_SPAN));
    invariant(chunk !== undefined, "a position is that of a living record", { position });
    return chunk;
  }

  /** A chunk with room for so many bytes. A record that is larger than a chunk gets its own. */
  #room(size: number): { chunk: Chunk; number: number } {
    const filling = this.#chunks.get(this.#filling);
    if (filling !== undefined && filling.used + size <= filling.bytes.length) {
      return { chunk: filling, number: this.#filling };
    }
    // All dead: nothing is left in it whose end could give it up.
    if (filling !== undefined && filling.dead === filling.used) this.#drop(this.#filling, filling);
    this.#chunkBytes = Math.min(2 * this.#chunkBytes, CHUNK_BYTES_MAX);
    const chunk = { bytes: new Uint8Array(Math.max(size, this.#chunkBytes)), used: 0, dead: 0 };
    this.#filling++;
    this.#chunks.set(this.#filling, chunk);
    return { chunk, number: this.#filling };
  }
}

function recordBytes(bytes: Uint8Array, at: number): number {
  return HEADER_BYTES + getUint32(bytes, at) + getUint32(bytes, at + 4);
}
