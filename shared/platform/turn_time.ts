/**
 * The time of a turn of the event loop. A look at the clock takes 40 to 80 ns, and a turn may have hundreds of requests; all of
 * them get the time of the first that asked. It is as late as the turn is long, so it is for timestamps, deadlines and
 * measurements, and not for a lease.
 *
 * Invariant: what it tells is from this turn, so it is never older than what another turn was told.
 *
 * @module
 */
import type { Clock } from "./clock.ts";

/** Tells the time of the turn. */
export class TurnTime {
  readonly #clock: Clock;
  #monotonicMs: number | undefined;
  #wallMs: number | undefined;
  #endScheduled = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** As {@linkcode Clock.monotonicMs}. */
  monotonicMs(): number {
    this.#scheduleEnd();
    return this.#monotonicMs ??= this.#clock.monotonicMs();
  }

  /** As {@linkcode Clock.wallMs}. */
  wallMs(): number {
    this.#scheduleEnd();
    return this.#wallMs ??= this.#clock.wallMs();
  }

  #scheduleEnd(): void {
    if (this.#endScheduled) return;
    this.#endScheduled = true;
    this.#clock.defer(this.#onEnd);
  }

  readonly #onEnd = (): void => {
    this.#endScheduled = false;
    this.#monotonicMs = this.#wallMs = undefined;
  };
}
