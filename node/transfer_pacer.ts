/**
 * Keeps the transfers to copies that nobody waits for below a rate, so that clients do not feel them.
 *
 * @module
 */
import type { Clock } from "../shared/clock.ts";

/** One for each node. */
export class TransferPacer {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  /** When all that was let through so far would have been sent at the rate. */
  #freeMs = 0;

  /** @param bytesPerSecond the rate; a quarter of a second's worth may go at once */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** Runs `then`, now or when the rate allows it. */
  pace(bytes: number, then: () => void): void {
    const now = this.#clock.monotonicMs();
    this.#freeMs = Math.max(this.#freeMs, now - 250) + bytes / this.#bytesPerMs;
    const waitMs = this.#freeMs - now;
    if (waitMs <= 0) then();
    else this.#clock.setTimer(waitMs, then);
  }
}
