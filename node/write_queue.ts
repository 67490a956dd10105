/**
 * The writes of one partition that are not committed, at its primary, in the order of their seqs: who
 * is to be answered when, and what else waits for them. When a write is committed is for `primary.ts`
 * to say.
 *
 * Invariants: entries come in the order of their seqs; each write is answered at most once; the bytes
 * of what is here are taken out of the node's budget.
 *
 * @module
 */
import type { ByteBudget } from "../shared/byte_budget.ts";
import type { Entry } from "../shared/entry.ts";
import type { Reply } from "../shared/messages.ts";
import { errorReply } from "../shared/operations/operation.ts";

/** Takes the one reply to a request. */
export type ReplyTo = (reply: Reply) => void;

/** Something that waits for a write to be committed: a read of its key, or a refusal based on it. */
interface Waiter {
  run(): void;
  fail(reply: Reply): void;
}

/** A write that is not committed. */
export interface InFlight {
  readonly entry: Entry;
  /** Taken out of the node's budget. */
  readonly bytes: number;
  /** Undefined once answered, and in a group for all but the last. */
  reply: ReplyTo | undefined;
  readonly answer: Reply;
  /** To be answered when it is on this node's disk. */
  readonly early: boolean;
  readonly deadlineMs: number;
  waiters: Waiter[] | undefined;
  committed: boolean;
}

/** Writes under way. */
export class WriteQueue {
  readonly #budget: ByteBudget;
  #list: InFlight[] = [];
  /** Index in `#list` of the first that is not on this node's disk. */
  #undurable = 0;
  readonly #newest = new Map<string, InFlight>();

  constructor(budget: ByteBudget) {
    this.#budget = budget;
  }

  get size(): number {
    return this.#list.length;
  }

  /** The newest write of a key. */
  newest(key: string): InFlight | undefined {
    return this.#newest.get(key);
  }

  /** The newest write of all. */
  get last(): InFlight | undefined {
    return this.#list.at(-1);
  }

  /** Takes the write whose seq follows the last one; its bytes are taken out of the budget already. */
  push(write: InFlight): void {
    this.#list.push(write);
    this.#newest.set(write.entry.key, write);
  }

  /** This node's disk has everything up to `seq`: those that wait for no more are answered. */
  onDurable(seq: number): void {
    while (this.#undurable < this.#list.length) {
      const write = this.#list[this.#undurable];
      if (write === undefined || write.entry.seq > seq) break;
      this.#undurable++;
      if (write.early) answer(write);
    }
  }

  /** Everything up to `seq` is committed: answers, and lets go on what waited. */
  commit(seq: number, onCommitted: (key: string) => void): void {
    let count = 0;
    for (const write of this.#list) {
      if (write.entry.seq > seq) break;
      count++;
    }
    const committed = this.#list.splice(0, count);
    this.#undurable -= count;
    for (const write of committed) {
      const { entry } = write;
      write.committed = true;
      this.#budget.give(write.bytes);
      if (this.#newest.get(entry.key) === write) this.#newest.delete(entry.key);
      onCommitted(entry.key);
      answer(write);
      const { waiters } = write;
      if (waiters !== undefined) { for (const waiter of waiters) waiter.run(); }
    }
  }

  /** Answers those whose deadline has passed; they go on. */
  expire(nowMs: number): void {
    for (const write of this.#list) {
      if (write.deadlineMs > nowMs || write.reply === undefined) continue;
      const { reply } = write;
      write.reply = undefined;
      reply(errorReply("outcome_unknown", "the deadline passed before all copies had the write"));
    }
  }

  /** This node is not primary any more: nobody here will know how they end. */
  abandon(notPrimary: Reply): void {
    const list = this.#list;
    this.#list = [];
    this.#undurable = 0;
    this.#newest.clear();
    for (const { entry, bytes, reply, waiters } of list) {
      this.#budget.give(bytes);
      reply?.(errorReply(
        "outcome_unknown",
        `the node stopped being primary before the write ${entry.seq} was committed`,
      ));
      for (const waiter of waiters ?? []) waiter.fail(notPrimary);
    }
  }
}

/** Runs `then` when the write, if there is one, is committed. */
export function whenCommitted(
  write: InFlight | undefined,
  fail: (reply: Reply) => void,
  then: () => void,
): void {
  if (write === undefined || write.committed) then();
  else (write.waiters ??= []).push({ run: then, fail });
}

function answer(write: InFlight): void {
  const { reply } = write;
  if (reply === undefined) return;
  write.reply = undefined;
  reply(write.answer);
}
