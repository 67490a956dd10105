/**
 * The hash of a key's bytes for a hash table: HalfSipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF", 2012; Linux has this form as `hsiphash`). It is SipHash with words of 32 bits, which
 * JavaScript computes with.
 *
 * Keys come from clients. Somebody who knows how a table hashes can choose keys that all fall into one
 * chain, so that every request is as slow as the chain is long. Here that requires knowing 64 random bits,
 * which each process draws anew and never shows. (A faster hash with only a random start value would not
 * be enough: for those there are keys that collide under every start value.) It protects only while nobody
 * knows those bits, and it is no checksum: the numbers differ from process to process.
 *
 * @module
 */
import type { Random } from "../../shared/platform/random.ts";

/** Maps bytes to 32 bits. Tests use one that collides. */
export interface KeyHash {
  /** As a signed 32-bit integer. */
  of(key: Uint8Array): number;
}

/** HalfSipHash-1-3 with its own key. */
export class SeededKeyHash implements KeyHash {
  readonly #low: number;
  readonly #high: number;

  /** @param random gives the 64 bits of the hash's key */
  constructor(random: Random) {
    this.#low = random.uint32() | 0;
    this.#high = random.uint32() | 0;
  }

  of(key: Uint8Array): number {
    const { length } = key;
    let v0 = this.#low;
    let v1 = this.#high;
    let v2 = 0x6c796765 ^ this.#low;
    let v3 = 0x74656462 ^ this.#high;
    const last = length & ~3;
    // One round for each whole word, one for the rest with the length, and three without input.
    for (let at = 0; at <= last + 12; at += 4) {
      let word = 0;
      if (at < last) {
        word = (key[at] ?? 0) | ((key[at + 1] ?? 0) << 8) | ((key[at + 2] ?? 0) << 16) |
          ((key[at + 3] ?? 0) << 24);
      } else if (at === last) {
        word = length << 24;
        for (let i = last; i < length; i++) word |= (key[i] ?? 0) << ((i & 3) << 3);
      } else if (at === last + 4) {
        v2 ^= 0xff;
      }
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
    }
    return v1 ^ v3;
  }
}
