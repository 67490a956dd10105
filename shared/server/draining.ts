/**
 * How a server that stops ends its connections: everything that was asked is answered, no request is
 * lost on its way, and all of it takes a bounded time.
 *
 * First each connection is *retired*: it should end between two requests, as soon as it can. A client
 * that asks without a pause, or does not do its part, has RETIRE_MS for that. Then its *input ends*:
 * nothing more is read, and the connection ends when everything that was read is answered. A connection
 * that is still open after STOP_GRACE_MS, for example because its client does not read, is cut off.
 *
 * @module
 */
import type { Clock, Timer } from "../platform/clock.ts";
import { RETIRE_MS, STOP_GRACE_MS } from "../limits/connections.ts";

/** A connection that can be ended without harm. */
export interface Retirable {
  /** The number of its unanswered requests. */
  readonly outstanding: number;
  /** Ends it between two requests, or asks the other side to do so. */
  retire(): void;
  /** Reads nothing more; ends it when all that was read is answered. */
  endInput(): void;
}

/** The open connections of a server. */
export class Draining {
  readonly #clock: Clock;
  readonly #open = new Set<Retirable>();
  #phase: "serving" | "retiring" | "ending" = "serving";
  #onEmpty: (() => void) | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The number of unanswered requests of all of them. */
  get outstanding(): number {
    let sum = 0;
    for (const { outstanding } of this.#open) sum += outstanding;
    return sum;
  }

  /** A connection has been opened. */
  add(connection: Retirable): void {
    this.#open.add(connection);
    if (this.#phase !== "serving") connection.retire();
  }

  /** It has ended, or it is one that nobody has to wait for. */
  delete(connection: Retirable): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** Ends them all. @returns how many were left when the time was over */
  drain(): Promise<number> {
    this.#phase = "retiring";
    for (const connection of [...this.#open]) connection.retire();
    if (this.#open.size === 0) return Promise.resolve(0);
    return new Promise((resolve) => {
      const timers: Timer[] = [];
      const done = () => {
        this.#onEmpty = undefined;
        for (const timer of timers) timer.cancel();
        resolve(this.#open.size);
      };
      this.#onEmpty = done;
      timers.push(
        this.#clock.setTimer(RETIRE_MS, () => {
          this.#phase = "ending";
          for (const connection of [...this.#open]) connection.endInput();
        }),
        this.#clock.setTimer(STOP_GRACE_MS, done),
      );
    });
  }
}
