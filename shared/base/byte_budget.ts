/**
 * A memory bound that several holders share: whoever wants to keep bytes takes them from the budget and
 * gives them back later. The budget itself reserves no memory.
 *
 * Invariant: the taken bytes are at most the bound, except that one single piece may be larger.
 *
 * @module
 */
import { invariant } from "./errors.ts";

/** A number of bytes that several holders share. */
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

  /** Takes bytes; returns false if they do not fit beside those that are taken. */
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
