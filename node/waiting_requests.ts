/**
 * Requests that cannot be looked at yet: the partition is not served at the moment, or a read waits for
 * its confirmation. Bounded in number, each until its deadline.
 *
 * @module
 */
import { REQUEST_TIMEOUT_MS, WAITING_REQUESTS_MAX } from "../shared/limits.ts";
import type { Reply } from "../shared/messages.ts";
import { errorReply } from "../shared/operations/operation.ts";

/** A request that waits. */
export interface Waiting {
  readonly deadlineMs: number;
  /** It may be looked at now. */
  run(): void;
  /** It did not happen. */
  fail(reply: Reply): void;
}

/** Requests in the order in which they came. */
export class WaitingRequests {
  readonly #nowMs: () => number;
  #list: Waiting[] = [];

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#list.length;
  }

  /** Takes a request, or answers `overloaded`. */
  add(
    request: { timeout_ms?: number | undefined },
    reply: (reply: Reply) => void,
    run: () => void,
  ): void {
    if (this.#list.length >= WAITING_REQUESTS_MAX) {
      reply(errorReply("overloaded", "too many requests wait for this partition"));
      return;
    }
    const deadlineMs = this.#nowMs() + (request.timeout_ms ?? REQUEST_TIMEOUT_MS);
    this.#list.push({ deadlineMs, run, fail: reply });
  }

  /** All of them, which wait here no longer. */
  takeAll(): Waiting[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }

  /** Lets them wait on, before those that came since. */
  putBack(list: readonly Waiting[]): void {
    this.#list = [...list, ...this.#list];
  }

  /** Answers those whose deadline has passed. */
  expire(nowMs: number): void {
    if (this.#list.length === 0) return;
    const late = errorReply("timeout", "the deadline passed while the partition could not serve");
    this.#list = this.#list.filter((request) => {
      if (request.deadlineMs > nowMs) return true;
      request.fail(late);
      return false;
    });
  }

  /** Answers all of them. */
  failAll(reply: Reply): void {
    for (const request of this.takeAll()) request.fail(reply);
  }
}
