/**
 * A bound of memory that several hold together: whoever wants to keep bytes takes them out of it, and
 * gives them back. It reserves nothing by itself.
 *
 * Invariant: what is taken is at most the bound, or one piece that alone is larger.
 *
 * @module
 */
import { invariant } from "./errors.ts";

/** So many bytes, for all who know of it. */
export class ByteBudget {
  readonly bytesMax: number;
  #taken = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Bytes that are taken. */
  get taken(): number {
    return this.#taken;
  }

  /** Takes bytes, or gives false where they are too many beside those that are taken. */
  take(bytes: number): boolean {
    if (this.#taken > 0 && this.#taken + bytes > this.bytesMax) return false;
    this.#taken += bytes;
    return true;
  }

  give(bytes: number): void {
    invariant(bytes <= this.#taken, "what is given back was taken", { bytes, taken: this.#taken });
    this.#taken -= bytes;
  }
}
