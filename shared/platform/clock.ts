/**
 * Time, as coordinator, node and client see it. Nothing outside the real implementation below reads
 * a clock or sets a timer by itself, so that the simulator can run the same code on simulated time.
 *
 * Two times are kept apart: `monotonicMs` never goes back and has no meaning outside its process
 * (leases, timeouts), `wallMs` is the date (timestamps and expiry of keys) and may jump.
 *
 * @module
 */

/** A timer that has been set. Cancelling one that has fired, or twice, does nothing. */
export interface Timer {
  cancel(): void;
}

/** A source of time and of timers. */
export interface Clock {
  /** Milliseconds since an arbitrary moment; never goes back. May have a fraction. */
  monotonicMs(): number;
  /** Milliseconds since 1970-01-01 UTC, an integer. */
  wallMs(): number;
  /** Calls `callback` once, at least `delayMs` from now. */
  setTimer(delayMs: number, callback: () => void): Timer;
  /** Calls `callback` once the code that runs now has returned, before any I/O or timer. */
  defer(callback: () => void): void;
}

/** Calls `callback` every `periodMs` until cancelled. The next call is set after the last returned. */
export function setPeriodic(clock: Clock, periodMs: number, callback: () => void): Timer {
  let timer: Timer;
  let cancelled = false;
  const fire = () => {
    callback();
    if (!cancelled) timer = clock.setTimer(periodMs, fire);
  };
  timer = clock.setTimer(periodMs, fire);
  return {
    cancel() {
      cancelled = true;
      timer.cancel();
    },
  };
}

/** A promise of the moment `delayMs` from now. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.setTimer(delayMs, resolve);
  });
}

/** The machine's own clock. */
export class SystemClock implements Clock {
  monotonicMs(): number {
    return performance.now();
  }

  wallMs(): number {
    return Date.now();
  }

  setTimer(delayMs: number, callback: () => void): Timer {
    const id = setTimeout(callback, delayMs);
    return { cancel: () => clearTimeout(id) };
  }

  defer(callback: () => void): void {
    queueMicrotask(callback);
  }
}
