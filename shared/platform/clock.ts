/**
 * Time, as coordinator, node and client see it. Only the real implementation below reads a clock or sets
 * a timer, so the simulator can run all other code on simulated time.
 *
 * There are two times. `monotonicMs` never goes back and has no meaning outside its process; it is for
 * leases and timeouts. `wallMs` is the date and may jump; it is for timestamps and the expiry of keys.
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
  /**
   * Calls `callback` later, once the process has looked at its sockets: what had arrived by now was handed
   * over before. A timer does not promise that, because a runtime may look at sockets and timers separately.
   */
  afterSockets(callback: () => void): void;
}

/** Calls `callback` every `periodMs` until cancelled. The next call is scheduled after the last one returned. */
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

/** A promise that resolves `delayMs` from now. */
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

  /** For a process with little to do: see `deno/deno_clock.ts`. */
  afterSockets(callback: () => void): void {
    setTimeout(callback, 0);
  }
}
