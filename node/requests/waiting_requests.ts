/**
 * Requests that cannot be looked at yet: the partition is not served at the moment, or a read waits for
 * its confirmation. Bounded in number, each until its deadline, which stays the same wherever it waits next.
 *
 * @module
 */
import { REQUEST_TIMEOUT_MS, WAITING_REQUESTS_MAX } from "../../shared/base/limits.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";

/** As much of a request as tells how long it may take. */
export interface Timed {
  readonly timeout_ms?: number | undefined;
}

/** When a request that came at `nowMs` is to be answered. */
export function deadlineOf(request: Timed, nowMs: number): number {
  return nowMs + (request.timeout_ms ?? REQUEST_TIMEOUT_MS);
}

/** A request that goes on after it has waited, with the time that is left to it. */
export function withTimeLeft<R extends Timed>(request: R, deadlineMs: number, nowMs: number): R {
  return { ...request, timeout_ms: Math.max(1, deadlineMs - nowMs) };
}

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

  /** Takes a request, or answers `overloaded`. It is run with the time that is left to it then. */
  add<R extends Timed>(
    request: R,
    reply: (reply: Reply) => void,
    run: (request: R) => void,
  ): void {
    if (this.#list.length >= WAITING_REQUESTS_MAX) {
      reply(tooManyWait());
      return;
    }
    const deadlineMs = deadlineOf(request, this.#nowMs());
    this.#list.push({
      deadlineMs,
      run: () => run(withTimeLeft(request, deadlineMs, this.#nowMs())),
      fail: reply,
    });
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
    const { late, others } = splitLate(this.#list, nowMs);
    this.#list = others;
    const reply = errorReply("timeout", "the deadline passed while the partition could not serve");
    for (const request of late) request.fail(reply);
  }

  /** Answers all of them. */
  failAll(reply: Reply): void {
    for (const request of this.takeAll()) request.fail(reply);
  }
}

/** The answer to whoever would wait beyond the bound. */
export function tooManyWait(): Reply {
  return errorReply("overloaded", "too many requests wait for this partition");
}

/**
 * Those whose deadline has passed, and those that wait on. The first are to be answered when the second
 * are in their place: an answer may bring the next request in the same turn.
 */
export function splitLate(
  waiting: readonly Waiting[],
  nowMs: number,
): { late: Waiting[]; others: Waiting[] } {
  const late: Waiting[] = [];
  const others: Waiting[] = [];
  for (const request of waiting) (request.deadlineMs <= nowMs ? late : others).push(request);
  return { late, others };
}
