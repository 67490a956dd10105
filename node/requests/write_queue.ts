/**
 * The writes of one partition that are not committed, at its primary, in the order of their seqs: who
 * is to be answered when, and what else waits for them. When a write is committed is for `primary.ts`
 * to say.
 *
 * Invariants: entries come in the order of their seqs; each write is answered at most once; the bytes
 * of what is here are taken out of the node's budget; what waits is bounded in number, and waits no
 * longer than until its deadline.
 *
 * @module
 */
import type { ByteBudget } from "../../shared/base/byte_budget.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { REQUEST_OVERHEAD_BYTES } from "../../shared/limits/admission.ts";
import { WAITING_REQUESTS_MAX } from "../../shared/limits/replication.ts";
import { CALLER } from "../../shared/wire/caller.ts";
import type { Reply, ReplyTo } from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import {
  deadlineOf,
  splitLate,
  type Timed,
  tooManyWait,
  type Waiting,
  WaitingRequests,
} from "./waiting_requests.ts";

/** A write that is not committed. */
export interface InFlight {
  readonly entry: Entry;
  /** Undefined once answered, and in a group for all but the last. */
  reply: ReplyTo | undefined;
  readonly answer: Reply;
  /** To be answered when it is on this node's disk. */
  readonly early: boolean;
  readonly deadlineMs: number;
  /** What goes on when it is committed: reads of its key, refusals based on it. */
  waiters: Waiting[] | undefined;
  /** Whether it is the last of those that were written together. */
  readonly ends: boolean;
  committed: boolean;
  /** Filled in by the queue. */
  next: InFlight | undefined;
}

/** Told of each write of a partition when it is committed, in the order of their seqs. */
export interface CommitObserver {
  /** @param ends whether it is the last of those that were written together (rule W6) */
  committed(entry: Entry, ends: boolean): void;
  /** Everything that can be committed now was told. */
  advanced(): void;
}

/** What a write that is not committed takes of its node's budget. */
export function inFlightBytes({ key, value }: Entry): number {
  return key.length + value.length + REQUEST_OVERHEAD_BYTES;
}

/** Writes under way. */
export class WriteQueue {
  readonly #budget: ByteBudget;
  readonly #nowMs: () => number;
  #first: InFlight | undefined;
  #last: InFlight | undefined;
  /** The first that is not on this node's disk. */
  #undurable: InFlight | undefined;
  #size = 0;
  /** Requests that wait for one of them, ... */
  #waiting = 0;
  /** ... and requests whose write is committed. */
  readonly #released: WaitingRequests;
  /** By key; made when somebody asks, and gone when no write is under way. Most writes come and go unasked for. */
  #newest: Map<string, InFlight> | undefined;

  constructor(budget: ByteBudget, nowMs: () => number) {
    this.#budget = budget;
    this.#nowMs = nowMs;
    this.#released = new WaitingRequests(nowMs);
  }

  get size(): number {
    return this.#size;
  }

  /** Requests that wait for a write to be committed, or for their turn after that. */
  get waitingCount(): number {
    return this.#waiting + this.#released.size;
  }

  /** The newest write of a key. */
  newest(key: string): InFlight | undefined {
    if (this.#first === undefined) return undefined;
    if (this.#newest === undefined) {
      this.#newest = new Map();
      for (const write of this.#all()) this.#newest.set(write.entry.key, write);
    }
    return this.#newest.get(key);
  }

  /** The newest write of all. */
  get last(): InFlight | undefined {
    return this.#last;
  }

  /** Takes the write whose seq follows the last one; its bytes are taken out of the budget already. */
  push(write: InFlight): void {
    if (this.#last === undefined) this.#first = write;
    else this.#last.next = write;
    this.#last = write;
    this.#undurable ??= write;
    this.#size++;
    this.#newest?.set(write.entry.key, write);
  }

  /** This node's disk has everything up to `seq`: those that wait for no more are answered. */
  onDurable(seq: number): void {
    for (let write = this.#undurable; write !== undefined; write = this.#undurable) {
      if (write.entry.seq > seq) return;
      this.#undurable = write.next;
      if (write.early) answer(write);
    }
  }

  /** The next request whose write is committed. */
  takeReleased(): Waiting | undefined {
    return this.#released.takeNext();
  }

  /**
   * Everything up to `seq` is committed: answers. What waited for that is released, to be taken.
   *
   * @param instead what the writes' clients are told in place of their answers
   * @param observer told of each write, before its client is
   */
  commit(seq: number, instead?: Reply, observer?: CommitObserver): void {
    for (let write = this.#first; write !== undefined; write = this.#first) {
      if (write.entry.seq > seq) return;
      this.#takeFirst(write);
      write.committed = true;
      observer?.committed(write.entry, write.ends);
      this.#budget.give(inFlightBytes(write.entry));
      answer(write, instead);
      const { waiters } = write;
      if (waiters === undefined) continue;
      this.#waiting -= waiters.length;
      for (const waiter of waiters) this.#released.push(waiter);
    }
  }

  /** Runs `then` when the write, if there is one, is committed. Refuses what would wait beyond the bound. */
  whenCommitted(
    write: InFlight | undefined,
    request: Timed,
    fail: ReplyTo,
    then: () => void,
  ): void {
    if (write === undefined || write.committed) then();
    else if (this.waitingCount >= WAITING_REQUESTS_MAX) fail(tooManyWait());
    else {
      this.#waiting++;
      const deadlineMs = deadlineOf(request, this.#nowMs());
      (write.waiters ??= []).push({ deadlineMs, [CALLER]: request[CALLER], run: then, fail });
    }
  }

  #takeFirst(write: InFlight): void {
    const { key } = write.entry;
    this.#first = write.next;
    if (this.#undurable === write) this.#undurable = write.next;
    // One that has become old memory would keep all that came after it until all of memory is collected.
    write.next = undefined;
    this.#size--;
    if (this.#first === undefined) {
      this.#last = undefined;
      this.#newest = undefined;
    } else if (this.#newest?.get(key) === write) this.#newest.delete(key);
  }

  *#all(): Generator<InFlight, void, void> {
    for (let write = this.#first; write !== undefined; write = write.next) yield write;
  }

  /** Answers those whose deadline has passed, and says why they are not done; the writes go on. */
  expire(nowMs: number, why: string): void {
    if (this.#first === undefined) return;
    for (const write of this.#all()) {
      if (write.waiters !== undefined) this.#expireWaiters(write, write.waiters, nowMs);
      if (write.deadlineMs > nowMs || write.reply === undefined) continue;
      const { reply } = write;
      write.reply = undefined;
      reply(errorReply("outcome_unknown", why));
    }
  }

  #expireWaiters(write: InFlight, waiters: readonly Waiting[], nowMs: number): void {
    const { late, others } = splitLate(waiters, nowMs);
    write.waiters = others.length === 0 ? undefined : others;
    this.#waiting -= late.length;
    if (late.length === 0) return;
    const reply = errorReply(
      "timeout",
      "the deadline passed before all replicas had a write of the key",
    );
    for (const waiter of late) waiter.fail(reply);
  }

  /** This node is not primary any more: nobody here will know how they end. Rule T4. */
  abandon(notPrimary: Reply): void {
    const writes = [...this.#all()];
    this.#first =
      this.#last =
      this.#undurable =
      this.#newest =
        undefined;
    this.#size = 0;
    this.#waiting = 0;
    this.#released.failAll(notPrimary);
    for (const { entry, reply, waiters } of writes) {
      this.#budget.give(inFlightBytes(entry));
      reply?.(errorReply(
        "outcome_unknown",
        `the node stopped being primary before the write ${entry.seq} was committed`,
      ));
      for (const waiter of waiters ?? []) waiter.fail(notPrimary);
    }
  }
}

function answer(write: InFlight, instead?: Reply): void {
  const { reply } = write;
  if (reply === undefined) return;
  write.reply = undefined;
  reply(instead === undefined ? write.answer : { ...instead });
}
