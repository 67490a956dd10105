/**
 * Work of a node that failed and is tried again, for all its replicas: how often it has failed in a row, since when, and
 * why. It says when to try again, and makes sure that nothing is repeated silently: from the third failure on, the work is
 * in the log (then at each doubling) and, until it succeeds or is given up, in `health` and `stats`. It repeats nothing
 * itself.
 *
 * @module
 */
import type { KvError } from "../../shared/base/errors.ts";
import { RETRIES_SILENT_MAX } from "../../shared/limits/connections.ts";
import { FOLLOWER_RETRY_MS_MAX, FOLLOWER_RETRY_MS_MIN } from "../../shared/limits/replication.ts";
import { backoffMs, isLoggedFailure } from "../../shared/scheduling/backoff.ts";
import type { Logger } from "../../shared/platform/logger.ts";

/** Something that has failed, and has not succeeded since. */
export interface Retry {
  readonly what: string;
  readonly partition: number;
  /** In a row. */
  attempts: number;
  /** When the first of them failed, in monotonic milliseconds. */
  readonly sinceMs: number;
  /** It must not be tried before this time. */
  againMs: number;
  /** Why the last one failed. */
  error: string;
}

/** What one node repeats. */
export class Retries {
  readonly #log: Logger;
  readonly #nowMs: () => number;
  readonly #failing = new Map<string, Retry>();

  constructor(log: Logger, nowMs: () => number) {
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** An attempt has failed. */
  failed(what: string, partition: number, error: KvError): Retry {
    const nowMs = this.#nowMs();
    const key = keyOf(what, partition);
    const retry = this.#failing.get(key) ??
      { what, partition, attempts: 0, sinceMs: nowMs, againMs: nowMs, error: "" };
    this.#failing.set(key, retry);
    retry.attempts++;
    retry.againMs = nowMs + retryDelayMs(retry.attempts);
    retry.error = error.message;
    if (isLoggedFailure(retry.attempts)) {
      this.#log.warn("something fails again and again", {
        what,
        partition,
        attempts: retry.attempts,
        for_ms: Math.round(nowMs - retry.sinceMs),
        error: retry.error,
      });
    }
    return retry;
  }

  /** Whether it may be tried: it has not failed, or long enough ago. */
  isDue(what: string, partition: number): boolean {
    if (this.#failing.size === 0) return true;
    return this.#nowMs() >= (this.#failing.get(keyOf(what, partition))?.againMs ?? -Infinity);
  }

  /** It has succeeded, or it is no longer wanted. */
  ended(what: string, partition: number): void {
    const key = keyOf(what, partition);
    const retry = this.#failing.get(key);
    if (retry === undefined) return;
    this.#failing.delete(key);
    if (retry.attempts < RETRIES_SILENT_MAX) return;
    this.#log.info("no longer fails", { what, partition, attempts: retry.attempts });
  }

  /** Nothing of a partition is tried any more: its replica has been replaced, or is gone. */
  forget(partition: number): void {
    for (const [key, retry] of this.#failing) {
      if (retry.partition === partition) this.#failing.delete(key);
    }
  }

  /** What an operator should know: everything that has failed at least three times in a row. */
  shown(): Retry[] {
    return [...this.#failing.values()].filter(({ attempts }) => attempts >= RETRIES_SILENT_MAX);
  }
}

/** How long to wait after this many failures in a row, from 1; in milliseconds. */
export function retryDelayMs(attempts: number): number {
  return backoffMs(FOLLOWER_RETRY_MS_MIN, FOLLOWER_RETRY_MS_MAX, attempts - 1);
}

function keyOf(what: string, partition: number): string {
  return `${partition} ${what}`;
}
