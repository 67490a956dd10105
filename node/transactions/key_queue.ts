/**
 * Requests that wait for keys that a transaction holds (rule X3), in their order for each key. A request waits while
 * one of its keys is held, or a request that came before it waits for one of them.
 *
 * Invariants: a request that waits is in the queue of each of its keys until it runs or fails; it runs only when it is
 * the first in all of them and none of the keys is held; the number of requests is bounded, and each waits until its
 * deadline, or until its caller is gone.
 *
 * @module
 */
import { WAITING_REQUESTS_MAX } from "../../shared/limits/replication.ts";
import { CALLER, isAbandoned } from "../../shared/wire/caller.ts";
import type { Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import {
  deadlineOf,
  type Timed,
  tooManyWait,
  type Waiting,
  WaitingRequests,
  withTimeLeft,
} from "../requests/waiting_requests.ts";

/** One that waits. */
interface Waiter extends Waiting {
  readonly keys: readonly string[];
  /** `released`: it may run, and waits for its turn. */
  state: "waits" | "released" | "gone";
}

/** The queues of one partition's keys. */
export class KeyQueue {
  readonly #nowMs: () => number;
  readonly #isHeld: (key: string) => boolean;
  readonly #queues = new Map<string, Waiter[]>();
  readonly #waiters = new Set<Waiter>();
  readonly #released: WaitingRequests;
  /** The one that runs now: it is the first in its queues until it has been judged. */
  #running: Waiter | undefined;
  /** Told that there is something to run. */
  onReleased: () => void = () => {};

  constructor(nowMs: () => number, isHeld: (key: string) => boolean) {
    this.#nowMs = nowMs;
    this.#isHeld = isHeld;
    this.#released = new WaitingRequests(nowMs);
  }

  /** How many wait. A number of its own, since each request of the partition asks for it. */
  size = 0;

  /** Whether a request for these keys must wait. */
  isBusy(keys: Iterable<string>): boolean {
    for (const key of keys) {
      if (this.#isHeld(key)) return true;
      const first = this.#queues.get(key)?.[0];
      if (first !== undefined && first !== this.#running) return true;
    }
    return false;
  }

  /** Whether anybody waits for one of these keys. */
  isWanted(keys: Iterable<string>): boolean {
    if (this.#queues.size === 0) return false;
    for (const key of keys) if (this.#queues.has(key)) return true;
    return false;
  }

  /** Lets a request wait; it runs with the time that it has left then. Beyond the bound it is refused. */
  add<R extends Timed>(
    keys: Iterable<string>,
    request: R,
    fail: ReplyTo,
    run: (request: R) => void,
  ): void {
    if (this.#waiters.size >= WAITING_REQUESTS_MAX) {
      fail(tooManyWait());
      return;
    }
    const deadlineMs = deadlineOf(request, this.#nowMs());
    const waiter: Waiter = {
      keys: [...new Set(keys)],
      state: "waits",
      deadlineMs,
      [CALLER]: request[CALLER],
      run: () => {
        this.#running = waiter;
        try {
          run(withTimeLeft(request, deadlineMs, this.#nowMs()));
        } finally {
          this.#running = undefined;
          this.#leave(waiter);
        }
      },
      fail: (reply) => {
        this.#leave(waiter);
        fail(reply);
      },
    };
    this.#waiters.add(waiter);
    this.size = this.#waiters.size;
    for (const key of waiter.keys) {
      const queue = this.#queues.get(key);
      if (queue === undefined) this.#queues.set(key, [waiter]);
      else queue.push(waiter);
    }
  }

  /** Keys are free: those who are first may go on. */
  wake(keys: readonly string[]): void {
    if (this.#queues.size === 0) return;
    let any = false;
    for (const key of keys) {
      const first = this.#queues.get(key)?.[0];
      if (first === undefined || first.state !== "waits" || !this.#mayRun(first)) continue;
      first.state = "released";
      this.#released.push(first);
      any = true;
    }
    if (any) this.onReleased();
  }

  #mayRun(waiter: Waiter): boolean {
    return waiter.keys.every((key) => !this.#isHeld(key) && this.#queues.get(key)?.[0] === waiter);
  }

  /** The next one that may run. */
  takeReleased(): Waiting | undefined {
    return this.#released.takeNext();
  }

  #leave(waiter: Waiter): void {
    if (waiter.state === "gone") return;
    waiter.state = "gone";
    this.#waiters.delete(waiter);
    this.size = this.#waiters.size;
    for (const key of waiter.keys) {
      const queue = this.#queues.get(key);
      if (queue === undefined) continue;
      const at = queue.indexOf(waiter);
      if (at >= 0) queue.splice(at, 1);
      if (queue.length === 0) this.#queues.delete(key);
    }
    this.wake(waiter.keys);
  }

  /** Answers those whose deadline has passed, and drops those that nobody waits for. */
  expire(nowMs: number): void {
    if (this.#waiters.size === 0) return;
    this.#released.expire(nowMs);
    const late = [...this.#waiters].filter((waiter) =>
      waiter.state === "waits" && (waiter.deadlineMs <= nowMs || isAbandoned(waiter))
    );
    for (const waiter of late) {
      waiter.fail(errorReply(
        "timeout",
        "the deadline passed while a transaction held a key of the request",
      ));
    }
  }

  /** Answers all of them. */
  failAll(reply: Reply): void {
    this.#released.takeAll();
    for (const waiter of [...this.#waiters]) waiter.fail(reply);
    this.#released.takeAll();
  }
}
