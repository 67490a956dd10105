/**
 * Requests that cannot be handled yet: the partition is not served at the moment, or a read waits for its confirmation. They are
 * bounded in number. Each waits until its deadline, which stays the same wherever it waits next, or until its caller is gone.
 *
 * Invariant: a caller's requests go on in the order in which they arrived. Callers take turns, so a caller with few requests does
 * not wait for all requests of one that has many.
 *
 * @module
 */
import { WAITING_REQUESTS_MAX } from "../../shared/limits/replication.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import { type Called, CALLER, type Caller, isAbandoned } from "../../shared/wire/caller.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";

/** The part of a request that says how long it may take, and who waits for it. */
export interface Timed extends Called {
  readonly timeout_ms?: number | undefined;
}

/** When a request that arrived at `nowMs` must be answered. */
export function deadlineOf(request: Timed, nowMs: number): number {
  return nowMs + (request.timeout_ms ?? REQUEST_TIMEOUT_MS);
}

/** A request that goes on after it has waited, with the time that is left to it. */
export function withTimeLeft<R extends Timed>(request: R, deadlineMs: number, nowMs: number): R {
  return { ...request, timeout_ms: Math.max(1, deadlineMs - nowMs) };
}

/** A request that waits. */
export interface Waiting extends Called {
  readonly deadlineMs: number;
  /** It may be handled now. */
  run(): void;
  /** It did not happen. */
  fail(reply: Reply): void;
}

/** Waiting requests, by their callers; all whose callers are not known count as one caller's. */
export class WaitingRequests {
  readonly #nowMs: () => number;
  readonly #callers = new Map<Caller | undefined, Waiting[]>();
  #size = 0;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return this.#size;
  }

  /** Whether a request of the same caller waits, so that this one must wait behind it. */
  holdsUp(request: Called): boolean {
    return this.#size > 0 && this.#callers.has(request[CALLER]);
  }

  /** Accepts a request, or answers `overloaded`. Later it is run with the time that is left to it then. */
  add<R extends Timed>(
    request: R,
    reply: (reply: Reply) => void,
    run: (request: R) => void,
  ): void {
    if (this.#size >= WAITING_REQUESTS_MAX) {
      reply(tooManyWait());
      return;
    }
    const deadlineMs = deadlineOf(request, this.#nowMs());
    this.push({
      deadlineMs,
      [CALLER]: request[CALLER],
      run: () => run(withTimeLeft(request, deadlineMs, this.#nowMs())),
      fail: reply,
    });
  }

  /** Lets one wait, behind those of the same caller. */
  push(request: Waiting): void {
    const caller = request[CALLER];
    const theirs = this.#callers.get(caller);
    if (theirs === undefined) this.#callers.set(caller, [request]);
    else theirs.push(request);
    this.#size++;
  }

  /**
   * The next request that must still be carried out; it is removed from here. Those before it are answered, because their deadlines
   * have passed, or dropped, because nobody waits for them.
   */
  takeNext(): Waiting | undefined {
    const nowMs = this.#nowMs();
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      if (!isOver(next, nowMs)) return next;
      next.fail(tooLate());
    }
    return undefined;
  }

  /** The first of the caller whose turn it is. */
  #take(): Waiting | undefined {
    for (const [caller, theirs] of this.#callers) {
      this.#callers.delete(caller);
      const first = theirs.shift();
      if (first === undefined) continue;
      if (theirs.length > 0) this.#callers.set(caller, theirs);
      this.#size--;
      return first;
    }
    return undefined;
  }

  /** Removes and returns all of them. */
  takeAll(): Waiting[] {
    const list = [...this.#callers.values()].flat();
    this.#callers.clear();
    this.#size = 0;
    return list;
  }

  /** Puts them back, before those that have arrived since. */
  putBack(list: readonly Waiting[]): void {
    const since = this.takeAll();
    for (const request of list) this.push(request);
    for (const request of since) this.push(request);
  }

  /** Answers those whose deadline has passed, and drops those that nobody waits for. */
  expire(nowMs: number): void {
    if (this.#size === 0) return;
    const { late, others } = splitLate(this.takeAll(), nowMs);
    for (const request of others) this.push(request);
    for (const request of late) request.fail(tooLate());
  }

  /** Answers all of them. */
  failAll(reply: Reply): void {
    for (const request of this.takeAll()) request.fail(reply);
  }
}

function tooLate(): Reply {
  return errorReply("timeout", "the deadline passed while the partition could not serve");
}

/** Whether a request must not be carried out any more. */
function isOver(request: Waiting, nowMs: number): boolean {
  return request.deadlineMs <= nowMs || isAbandoned(request);
}

/** The answer to a request beyond the bound. */
export function tooManyWait(): Reply {
  return errorReply("overloaded", "too many requests wait for this partition");
}

/**
 * Those whose deadline has passed or whose caller is gone, and those that keep waiting. Answer the first only when the second are back
 * in their place: an answer may bring the next request in the same turn.
 */
export function splitLate(
  waiting: readonly Waiting[],
  nowMs: number,
): { late: Waiting[]; others: Waiting[] } {
  const late: Waiting[] = [];
  const others: Waiting[] = [];
  for (const request of waiting) (isOver(request, nowMs) ? late : others).push(request);
  return { late, others };
}
