/**
 * Notices that the whole machine was suspended (sleep, live migration): the monotonic clock stood still
 * meanwhile, and the date did not. What seems to have just happened may then be long ago.
 *
 * A date that is set forwards looks the same. So callers may only become more careful because of it.
 *
 * @module
 */
import { SUSPENSION_MS_MIN } from "../limits/membership.ts";
import type { Clock } from "./clock.ts";

/** Compares the two clocks each time it is asked. */
export class SuspensionWatch {
  readonly #clock: Clock;
  #aheadMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#aheadMs = clock.wallMs() - clock.monotonicMs();
  }

  /** How long the machine was suspended since the last call, in milliseconds; 0 if it was not. */
  lostMs(): number {
    const aheadMs = this.#clock.wallMs() - this.#clock.monotonicMs();
    const lostMs = aheadMs - this.#aheadMs;
    this.#aheadMs = aheadMs;
    return lostMs >= SUSPENSION_MS_MIN ? lostMs : 0;
  }
}
