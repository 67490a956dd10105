/**
 * Requests that cannot be looked at yet: the partition is not served at the moment, or a read waits for
 * its confirmation. Bounded in number, each until its deadline, which stays the same wherever it waits next,
 * or until its caller is gone.
 *
 * Invariant: a caller's requests go on in the order in which they came. Callers have their turns one after
 * the other, so that whoever has few requests does not wait for all of those who have many.
 *
 * @module
 */
import { REQUEST_TIMEOUT_MS, WAITING_REQUESTS_MAX } from "../../shared/base/limits.ts";
import { type Called, CALLER, type Caller, isAbandoned } from "../../shared/wire/caller.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";

/** As much of a request as tells how long it may take, and who waits for it. */
export interface Timed extends Called {
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
export interface Waiting extends Called {
  readonly deadlineMs: number;
  /** It may be looked at now. */
  run(): void;
  /** It did not happen. */
  fail(reply: Reply): void;
}

/** Requests that wait, by their callers; all whose callers are not known count as one's. */
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

  /** Whether a request of the same caller waits, behind which this one belongs. */
  holdsUp(request: Called): boolean {
    return this.#size > 0 && this.#callers.has(request[CALLER]);
  }

  /** Takes a request, or answers `overloaded`. It is run with the time that is left to it then. */
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
   * The next that is still to be carried out, which waits here no longer. Those before it are answered:
   * their deadlines have passed, or nobody waits for them.
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

  /** All of them, which wait here no longer. */
  takeAll(): Waiting[] {
    const list = [...this.#callers.values()].flat();
    this.#callers.clear();
    this.#size = 0;
    return list;
  }

  /** Lets them wait on, before those that came since. */
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

/** Whether a request is not to be carried out any more. */
function isOver(request: Waiting, nowMs: number): boolean {
  return request.deadlineMs <= nowMs || isAbandoned(request);
}

/** The answer to whoever would wait beyond the bound. */
export function tooManyWait(): Reply {
  return errorReply("overloaded", "too many requests wait for this partition");
}

/**
 * Those whose deadline has passed or whose caller is gone, and those that wait on. The first are to be answered when the second
 * are in their place: an answer may bring the next request in the same turn.
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
