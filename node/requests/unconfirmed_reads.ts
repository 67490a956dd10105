/**
 * Reads of a partition without a lease: each waits until all replicas that writes wait for have confirmed, in a round of
 * questions that began after it came, that this node is still their primary (rule R2 of docs/replication.md). The
 * rounds themselves are `read_confirmations.ts`. Those that are confirmed run one
 * at a time, when their primary has its turn.
 *
 * Invariant: a read that is confirmed and has not run waits here, so that it fails if this node stops being
 * the primary.
 *
 * @module
 */
import { WAITING_REQUESTS_MAX } from "../../shared/limits/replication.ts";
import type { Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { type Timed, tooManyWait, type Waiting, WaitingRequests } from "./waiting_requests.ts";

/** Those of the round under way, those for the next, and those that are confirmed. */
export class UnconfirmedReads {
  readonly #ask: () => void;
  readonly #asked: WaitingRequests;
  readonly #next: WaitingRequests;
  readonly #confirmed: WaitingRequests;

  /** @param ask asks for a round; may be called while one is under way */
  constructor(nowMs: () => number, ask: () => void) {
    this.#ask = ask;
    this.#asked = new WaitingRequests(nowMs);
    this.#next = new WaitingRequests(nowMs);
    this.#confirmed = new WaitingRequests(nowMs);
  }

  get size(): number {
    return this.#asked.size + this.#next.size + this.#confirmed.size;
  }

  /** Runs `then`, with what the request has of its time then; or answers why not. */
  add<R extends Timed>(request: R, reply: ReplyTo, then: (request: R) => void): void {
    // One bound for all: a round that fails gives its reads back, and the next takes all.
    if (this.size >= WAITING_REQUESTS_MAX) {
      reply(tooManyWait());
      return;
    }
    this.#next.add(request, reply, then);
    this.#ask();
  }

  /** A round begins: it speaks for the reads that wait now. @returns false if none waits */
  begin(): boolean {
    this.#asked.putBack([...this.#asked.takeAll(), ...this.#next.takeAll()]);
    return this.#asked.size > 0;
  }

  /** The round has ended: its reads may run, or wait for the next. */
  end(confirmed: boolean): void {
    const reads = this.#asked.takeAll();
    if (!confirmed) {
      this.#next.putBack(reads);
      return;
    }
    for (const read of reads) this.#confirmed.push(read);
    if (this.#next.size > 0) this.#ask();
  }

  /** The next read that is confirmed. */
  takeConfirmed(): Waiting | undefined {
    return this.#confirmed.takeNext();
  }

  /** What is confirmed and has not run waits for another confirmation. */
  askAgain(): void {
    this.#next.putBack(this.#confirmed.takeAll());
  }

  /** Answers those whose deadline has passed, and asks again for the others. */
  tick(nowMs: number): void {
    this.#next.expire(nowMs);
    this.#asked.expire(nowMs);
    this.#confirmed.expire(nowMs);
    if (this.#next.size > 0) this.#ask();
  }

  /** Answers all of them. */
  failAll(reply: Reply): void {
    this.#confirmed.failAll(reply);
    this.#asked.failAll(reply);
    this.#next.failAll(reply);
  }
}
