/**
 * A cache of rows as they are on disk: bytes packed one after the other into large chunks, and a hash table
 * of numbers. A row in it is not a JavaScript object: as objects, rows of 100 bytes take ten times their
 * content, and the garbage collector looks at each.
 *
 * Unlike a map, it may have dropped any row by the next look. It knows neither what is on its way to disk
 * nor whether a row is still the one on disk: its users set and delete rows. A row is found under the owner
 * that set it; an owner that wants all its rows gone takes a new owner number.
 *
 * Policy: a circular log with second chance, as the store of MICA has it (Lim et al., "MICA: A Holistic
 * Approach to Fast In-Memory Key-Value Storage", NSDI 2014, section 4.3), here in chunks. Rows are added at
 * the end. When there is no room, the oldest chunk is dropped with everything in it. A row that is read while
 * it is in the oldest quarter of the chunks is added again, so that rows in use stay. This comes near to LRU
 * (about 2 % fewer hits if few keys are read often), and most hits write nothing. With the older half
 * instead, there would be more second copies, which take the room of other rows. For the same reason a row
 * is replaced in place if the new one fits.
 *
 * Chunks are numbered in the order in which they come. A chain of the table begins with its newest row and
 * only leads to older ones, so it ends where it leads to a chunk that is gone. To drop a chunk is therefore
 * to forget its number, whatever was in it. (A number is not used twice; when there are no more, everything
 * is forgotten.)
 *
 * Invariants
 * - Table and chunks together take at most `bytesMax`. What a user gets is a part of a chunk, which will be
 *   overwritten: it is valid until the next call.
 * - A key is in one chain, once. All operations take O(1) time on average.
 *
 * @module
 */
import type { KeyHash } from "./key_hash.ts";

const CHUNK_BYTES_MAX = 4 * 1024 * 1024;
const CHUNKS_MIN = 16;
/** Where the oldest quarter of all possible chunks begins. */
const OLD_FROM = 3 / 4;
/** A row that takes more than this part of a chunk is not cached: it might leave as much of a chunk empty. */
const CHUNK_SHARE_MAX = 1 / 2;
/** There is one chain for this many bytes, which is what a small row takes. */
const BYTES_PER_CHAIN = 128;
const CHAINS_MAX = 2 ** 28;

/**
 * In words of 4 bytes. A chain's head and a record both have the chunk and place of the (next) record. A
 * record also has the hash of its key, two lengths and its owner. Key and row follow, and up to 3 bytes that
 * fill the last word.
 */
const LINK_WORDS = 2;
const HASH = 2;
const KEY_BYTES = 3;
const ROW_BYTES = 4;
const OWNER = 5;
const HEADER_WORDS = 6;

class Chunk {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;

  constructor(words: number) {
    this.words = new Int32Array(words);
    this.bytes = new Uint8Array(this.words.buffer);
  }
}

/** Rows by row key. */
export class RowCache {
  readonly #hash: KeyHash;
  readonly #numberMax: number;
  /** Where each chain begins. The number of chains is a power of 2. */
  readonly #chains: Int32Array;
  readonly #linkMask: number;
  readonly #chunkWords: number;
  /** The most chunks that there may be. */
  readonly #chunksMax: number;
  /** Chunk `n` is at `(n - 1) % #chunksMax`; chunk `n + #chunksMax` reuses its memory. */
  readonly #chunks: Chunk[] = [];
  /** The numbers of the oldest chunk, and of the one that is being filled; 0 is not used. */
  #oldest = 1;
  #newest = 0;
  /** Words of the newest chunk. */
  #used: number;
  /** The link to the record that was found last: in the table, or in the previous record of its chain. */
  #links: Int32Array;
  #link = 0;
  #owners = 0;

  /**
   * @param bytesMax the most bytes that it may take
   * @param numberMax how many chunks are filled before everything is forgotten
   */
  constructor(bytesMax: number, hash: KeyHash, numberMax: number = 2 ** 31 - 1) {
    this.#hash = hash;
    this.#numberMax = numberMax;
    const chains = Math.min(Math.max(bytesMax / BYTES_PER_CHAIN, 1), CHAINS_MAX);
    this.#chains = new Int32Array(2 ** Math.floor(Math.log2(chains)) * LINK_WORDS);
    this.#linkMask = this.#chains.length - LINK_WORDS;
    this.#links = this.#chains;
    this.#chunkWords = Math.floor(Math.min(bytesMax / CHUNKS_MIN, CHUNK_BYTES_MAX) / 4);
    const chunkBytes = Math.max(this.#chunkWords * 4, 1);
    this.#chunksMax = Math.floor((bytesMax - this.#chains.byteLength) / chunkBytes);
    this.#used = this.#chunkWords;
  }

  /** The bytes that it takes now. */
  get bytes(): number {
    return this.#chains.byteLength + this.#chunks.length * this.#chunkWords * 4;
  }

  /** An owner number that was never used. */
  newOwner(): number {
    return this.#owners++;
  }

  /** The row of a key; the row counts as used. */
  get(key: Uint8Array, owner: number): Uint8Array | undefined {
    const hash = this.#hash.of(key);
    if (!this.#find(key, hash) || this.#owner() !== owner) return undefined;
    if (this.#isOld()) this.#renew(hash);
    return this.#found();
  }

  /** The same without counting as a use. */
  peek(key: Uint8Array, owner: number): Uint8Array | undefined {
    if (!this.#find(key, this.#hash.of(key)) || this.#owner() !== owner) return undefined;
    return this.#found();
  }

  /**
   * Stores a copy of a row, replacing the key's earlier row, whichever owner it had. A row that is too large
   * only removes the earlier one.
   */
  set(key: Uint8Array, row: Uint8Array, owner: number): void {
    const hash = this.#hash.of(key);
    const size = sizeOf(key.length, row.length);
    if (this.#find(key, hash)) {
      if (size <= sizeAt(this.#foundChunk(), this.#foundAt()) && !this.#isOld()) {
        putRow(this.#foundChunk(), this.#foundAt(), row, owner);
        return;
      }
      this.#unlink();
    }
    if (size > this.#chunkWords * CHUNK_SHARE_MAX) return;
    const chunk = this.#room(size);
    const at = this.#used;
    chunk.words[at + HASH] = hash;
    chunk.words[at + KEY_BYTES] = key.length;
    chunk.bytes.set(key, (at + HEADER_WORDS) * 4);
    putRow(chunk, at, row, owner);
    this.#add(chunk.words, hash, size);
  }

  /** Removes a key's row, if it is there. */
  delete(key: Uint8Array): void {
    if (this.#find(key, this.#hash.of(key))) this.#unlink();
  }

  /** Whether there is a row of this key; remembers the link to it. */
  #find(key: Uint8Array, hash: number): boolean {
    let links = this.#chains;
    let link = (hash * LINK_WORDS) & this.#linkMask;
    for (;;) {
      const number = links[link] ?? 0;
      if (number < this.#oldest) return false;
      const at = links[link + 1] ?? 0;
      const chunk = this.#chunk(number);
      if (chunk.words[at + HASH] === hash && isKey(chunk, at, key)) {
        this.#links = links;
        this.#link = link;
        return true;
      }
      links = chunk.words;
      link = at;
    }
  }

  #foundChunk(): Chunk {
    return this.#chunk(this.#links[this.#link] ?? 0);
  }

  #foundAt(): number {
    return this.#links[this.#link + 1] ?? 0;
  }

  /** The owner of the found row. */
  #owner(): number {
    return this.#foundChunk().words[this.#foundAt() + OWNER] ?? 0;
  }

  /** Whether the found row should be added again if it is in use. */
  #isOld(): boolean {
    return this.#newest - (this.#links[this.#link] ?? 0) >= this.#chunksMax * OLD_FROM;
  }

  /** The row that was found. */
  #found(): Uint8Array {
    const { words, bytes } = this.#foundChunk();
    const at = this.#foundAt();
    const begin = (at + HEADER_WORDS) * 4 + (words[at + KEY_BYTES] ?? 0);
    // Twice as fast as `subarray`.
    return new Uint8Array(bytes.buffer, begin, words[at + ROW_BYTES]);
  }

  /** Removes the found row from its chain. The record itself goes with its chunk. */
  #unlink(): void {
    const { words } = this.#foundChunk();
    const at = this.#foundAt();
    this.#links[this.#link] = words[at] ?? 0;
    this.#links[this.#link + 1] = words[at + 1] ?? 0;
  }

  /** Adds the found row again, as the found one. */
  #renew(hash: number): void {
    const from = this.#foundChunk();
    const at = this.#foundAt();
    const size = sizeAt(from, at);
    this.#unlink();
    // If this drops the record's own chunk, its words are still unchanged.
    const { words } = this.#room(size);
    words.set(from.words.subarray(at, at + size), this.#used);
    this.#add(words, hash, size);
  }

  /** Puts the record that was just written at the head of its chain. */
  #add(words: Int32Array, hash: number, size: number): void {
    const at = this.#used;
    this.#used += size;
    const links = this.#chains;
    const link = (hash * LINK_WORDS) & this.#linkMask;
    words[at] = links[link] ?? 0;
    words[at + 1] = links[link + 1] ?? 0;
    links[link] = this.#newest;
    links[link + 1] = at;
    this.#links = links;
    this.#link = link;
  }

  /** The newest chunk, with room for this many words. */
  #room(size: number): Chunk {
    if (this.#used + size > this.#chunkWords) {
      if (this.#newest === this.#numberMax) this.#forgetAll();
      this.#newest++;
      this.#oldest = Math.max(1, this.#newest - this.#chunksMax + 1);
      this.#used = 0;
    }
    return this.#chunk(this.#newest);
  }

  #forgetAll(): void {
    this.#chains.fill(0);
    this.#newest = 0;
  }

  #chunk(number: number): Chunk {
    const i = (number - 1) % this.#chunksMax;
    return this.#chunks[i] ??= new Chunk(this.#chunkWords);
  }
}

function sizeOf(keyBytes: number, rowBytes: number): number {
  return HEADER_WORDS + ((keyBytes + rowBytes + 3) >>> 2);
}

function sizeAt({ words }: Chunk, at: number): number {
  return sizeOf(words[at + KEY_BYTES] ?? 0, words[at + ROW_BYTES] ?? 0);
}

/** Writes a row behind the key of the record at `at`. */
function putRow({ words, bytes }: Chunk, at: number, row: Uint8Array, owner: number): void {
  words[at + ROW_BYTES] = row.length;
  words[at + OWNER] = owner;
  bytes.set(row, (at + HEADER_WORDS) * 4 + (words[at + KEY_BYTES] ?? 0));
}

function isKey({ words, bytes }: Chunk, at: number, key: Uint8Array): boolean {
  const { length } = key;
  if (words[at + KEY_BYTES] !== length) return false;
  const begin = (at + HEADER_WORDS) * 4;
  // From the end, because keys differ sooner there.
  for (let i = length - 1; i >= 0; i--) {
    if (bytes[begin + i] !== key[i]) return false;
  }
  return true;
}
