/**
 * Short-lived byte arrays cut from larger ones. An array of its own, however short, is an allocation
 * outside JavaScript's heap (0.9 µs); a piece is not (0.04 µs). A slab is never reused, so what was cut
 * from it stays unchanged. A piece keeps its whole slab alive: copy bytes that are kept for long.
 *
 * @module
 */

const SLAB_BYTES = 64 * 1024;
/** Anything larger gets an array of its own. */
const PIECE_BYTES_MAX = SLAB_BYTES / 16;

/** Cuts arrays from slabs. */
export class ByteSlab {
  #slab = new Uint8Array(0);
  #used = 0;

  /** An array of zeros. */
  take(length: number): Uint8Array {
    if (length > PIECE_BYTES_MAX) return new Uint8Array(length);
    if (this.#used + length > this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const begin = this.#used;
    this.#used += length;
    return new Uint8Array(this.#slab.buffer, begin, length);
  }

  /** A copy. */
  copy(bytes: Uint8Array): Uint8Array {
    const copy = this.take(bytes.length);
    copy.set(bytes);
    return copy;
  }
}
