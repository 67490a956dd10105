/**
 * Whether reading rows from the disk holds up the event loop. A row that is not in memory is read where it is needed, by a
 * synchronous call, because in the system's memory that takes a microsecond or two, and a thread's turn takes twenty. If the
 * disk itself has to be read, the call takes as long as the disk. So the times are watched, and while they are long,
 * whoever can wait lets a thread read first (`cold_queue.ts`).
 *
 *     fast ── reads took SLOW_READS_MS of a SLOW_READS_WINDOW_MS ──> slow ── SLOW_READS_KEEP_MS have passed ──> fast
 *
 * @module
 */
import type { Clock, Timer } from "../platform/clock.ts";
import {
  SLOW_READ_MS_MIN,
  SLOW_READS_KEEP_MS,
  SLOW_READS_MS,
  SLOW_READS_WINDOW_MS,
} from "../limits/storage.ts";

/** See the module. */
export class ReadTimes {
  readonly #clock: Clock;
  #windowBeganMs = -Infinity;
  #spentMs = 0;
  #timer: Timer | undefined;
  /** A thread should read first. */
  slow = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Reads by a synchronous call, and watches how long that takes. */
  time<T>(read: () => T): T {
    const beganMs = this.#clock.monotonicMs();
    try {
      return read();
    } finally {
      const endMs = this.#clock.monotonicMs();
      if (endMs - beganMs >= SLOW_READ_MS_MIN) this.#note(endMs, endMs - beganMs);
    }
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #note(nowMs: number, tookMs: number): void {
    if (nowMs - this.#windowBeganMs > SLOW_READS_WINDOW_MS) {
      this.#windowBeganMs = nowMs;
      this.#spentMs = 0;
    }
    this.#spentMs += tookMs;
    if (this.#spentMs < SLOW_READS_MS || this.slow) return;
    this.slow = true;
    this.#timer = this.#clock.setTimer(SLOW_READS_KEEP_MS, () => {
      this.#timer = undefined;
      this.slow = false;
      this.#windowBeganMs = -Infinity;
    });
  }
}
