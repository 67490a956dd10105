/**
 * A clock that stands still until it is told to go on. Timers fire in the order of their times, and in the order in
 * which they were set if these are equal; deferred calls run before the next timer. Nothing waits for real time.
 *
 * @module
 */
import type { Clock, Timer } from "../../../shared/platform/clock.ts";

interface ManualTimer {
  dueMs: number;
  order: number;
  callback: () => void;
}

/** A {@linkcode Clock} under the test's control. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #wallOffsetMs: number;
  #order = 0;
  #timers = new Set<ManualTimer>();
  #deferred: (() => void)[] = [];

  /** @param wallMs the date at the beginning */
  constructor(wallMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = wallMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return Math.floor(this.#nowMs) + this.#wallOffsetMs;
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const timer = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, callback };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  }

  defer(callback: () => void): void {
    this.#deferred.push(callback);
  }

  afterSockets(callback: () => void): void {
    this.setTimer(0, callback);
  }

  /** Runs what was deferred, and what that defers. */
  settle(): void {
    for (let next = this.#deferred.shift(); next !== undefined; next = this.#deferred.shift()) {
      next();
    }
  }

  /** Time passes and nothing runs, as in a synchronous call that takes so long. */
  holdUp(ms: number): void {
    this.#nowMs += ms;
  }

  /** Runs everything that is due within `ms`, in order, and lets that time pass. */
  advance(ms = 0): void {
    const untilMs = this.#nowMs + ms;
    this.settle();
    for (let timer = this.#next(untilMs); timer; timer = this.#next(untilMs)) {
      this.#fire(timer);
      this.settle();
    }
    this.#nowMs = untilMs;
  }

  /** As {@linkcode advance}, and lets promises go on before and after each timer. */
  async run(ms = 0): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await this.#settlePromises();
    for (let timer = this.#next(untilMs); timer; timer = this.#next(untilMs)) {
      this.#fire(timer);
      await this.#settlePromises();
    }
    this.#nowMs = untilMs;
  }

  /** Moves the date, but not the monotonic time. */
  setWall(wallMs: number): void {
    this.#wallOffsetMs = wallMs - Math.floor(this.#nowMs);
  }

  #next(untilMs: number): ManualTimer | undefined {
    let first: ManualTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > untilMs) continue;
      const earlier = first === undefined || timer.dueMs < first.dueMs ||
        (timer.dueMs === first.dueMs && timer.order < first.order);
      if (earlier) first = timer;
    }
    return first;
  }

  #fire(timer: ManualTimer): void {
    this.#timers.delete(timer);
    this.#nowMs = Math.max(this.#nowMs, timer.dueMs);
    timer.callback();
  }

  async #settlePromises(): Promise<void> {
    // A chain of a few dozen promises is longer than any that the code under test makes in one go.
    for (let i = 0; i < 64; i++) {
      this.settle();
      await Promise.resolve();
    }
    this.settle();
  }
}
