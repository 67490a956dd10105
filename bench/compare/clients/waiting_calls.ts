/**
 * The calls of one connection that answers in order, oldest first. A ring, so that both ends are cheap even
 * if many calls wait.
 *
 * @module
 */
import type { Done } from "./store_client.ts";

/** A queue of calls. */
export class WaitingCalls {
  #ring: (Done | undefined)[] = new Array(16);
  #first = 0;
  #count = 0;
  /** Why nothing is answered any more. */
  #ended: string | undefined;

  push(done: Done): void {
    if (this.#ended !== undefined) {
      const reason = this.#ended;
      // Not within the call: the caller would call again from there, without end.
      setTimeout(() => done(reason), 0);
      return;
    }
    if (this.#count === this.#ring.length) this.#grow();
    this.#ring[(this.#first + this.#count) & (this.#ring.length - 1)] = done;
    this.#count++;
  }

  /** Answers the oldest. */
  answer(error?: string): void {
    if (this.#count === 0) return;
    const done = this.#ring[this.#first];
    this.#ring[this.#first] = undefined;
    this.#first = (this.#first + 1) & (this.#ring.length - 1);
    this.#count--;
    done?.(error);
  }

  /** Answers all of them, and all that come later. */
  end(reason: string): void {
    this.#ended = reason;
    while (this.#count > 0) this.answer(reason);
  }

  #grow(): void {
    const larger: (Done | undefined)[] = new Array(this.#ring.length * 2);
    for (let i = 0; i < this.#count; i++) {
      larger[i] = this.#ring[(this.#first + i) & (this.#ring.length - 1)];
    }
    this.#ring = larger;
    this.#first = 0;
  }
}
