/**
 * Short-lived byte arrays cut from larger ones: an array of its own, beyond some 64 bytes, costs
 * JavaScript an allocation outside its heap. A slab is never used twice, so what was cut from it stays
 * as it is, and keeps the whole slab alive: whoever keeps bytes for long must copy them.
 *
 * @module
 */

const SLAB_BYTES = 64 * 1024;
/** What is larger gets an array of its own. */
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
    return this.#slab.subarray(begin, this.#used);
  }
}
