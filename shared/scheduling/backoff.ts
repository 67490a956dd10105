/**
 * How long to wait before something that failed is tried again: twice as long after each failure in a
 * row, between two bounds (exponential back-off). It sets no timer and repeats nothing; a state machine
 * asks it for a number.
 *
 * With a `random`, the upper half of each pause is left to chance (equal jitter), so that callers which
 * failed together do not come back together: see Marc Brooker, "Exponential Backoff and Jitter", AWS
 * Architecture Blog, 2015. A single caller of something that is its own, as its disk, needs none.
 *
 * @module
 */
import { RETRIES_SILENT_MAX } from "../limits/connections.ts";
import { type Random, randomFraction } from "../platform/random.ts";

/**
 * The pause before the next attempt, in milliseconds.
 *
 * @param failures attempts that have failed in a row, not counting the first of them: 0 gives `minMs`
 */
export function backoffMs(
  minMs: number,
  maxMs: number,
  failures: number,
  random?: Random,
): number {
  const fullMs = Math.min(minMs * 2 ** failures, maxMs);
  return random === undefined ? fullMs : fullMs * (0.5 + randomFraction(random) / 2);
}

/** Whether a failure in a row, counted from 1, belongs in the log: the third, and then each time that their number has doubled. */
export function isLoggedFailure(failures: number): boolean {
  const times = failures / RETRIES_SILENT_MAX;
  return Number.isInteger(times) && Number.isInteger(Math.log2(times));
}
