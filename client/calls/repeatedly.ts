/**
 * One step of a long job, tried again until it succeeds: with growing pauses, as long as another attempt may
 * fare better and does no harm, and until a moment that the job names.
 *
 * @module
 */
import { type KvError, toKvError } from "../../shared/base/errors.ts";
import { mayRepeat, type Repeat } from "../../shared/operations/repeat.ts";
import { type Clock, sleep } from "../../shared/platform/clock.ts";
import type { Random } from "../../shared/platform/random.ts";
import { backoffMs } from "../../shared/scheduling/backoff.ts";

/** How to go about it. */
export interface RepeatOptions {
  readonly clock: Clock;
  /** Spreads the pauses of many steps. */
  readonly random?: Random;
  /** What another attempt would be. */
  readonly repeat: Repeat;
  readonly pauseMsMin: number;
  readonly pauseMsMax: number;
  /** No attempt begins after this moment, of the monotonic clock. Asked after each failure. */
  untilMs(): number;
  readonly signal?: AbortSignal | undefined;
  /** An attempt has failed, and there will be another. */
  onRetry?(error: KvError): void;
}

/**
 * @returns what the attempt gives that succeeds
 * @throws what the last attempt has thrown; the reason of the signal
 */
export async function repeatedly<T>(
  options: RepeatOptions,
  attempt: () => Promise<T>,
): Promise<T> {
  const { clock, random, repeat, pauseMsMin, pauseMsMax, signal } = options;
  for (let failures = 0;; failures++) {
    signal?.throwIfAborted();
    try {
      return await attempt();
    } catch (thrown) {
      signal?.throwIfAborted();
      const error = toKvError(thrown);
      if (!mayRepeat(repeat, error.code) || clock.monotonicMs() >= options.untilMs()) throw thrown;
      options.onRetry?.(error);
    }
    await sleep(clock, backoffMs(pauseMsMin, pauseMsMax, failures, random));
  }
}
