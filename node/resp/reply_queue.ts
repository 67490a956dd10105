/**
 * Replies that are not there yet, in the order of their commands. Commands of one connection run at the same
 * time; their answers leave in order.
 *
 * Invariants: a reply is written after all before it; a slot is used for one command at a time.
 *
 * @module
 */
import type { RequestSeries } from "../../shared/metrics/request_metrics.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import type { OnePlan } from "./command/command.ts";
import { bytesOfReply } from "./command/replies.ts";
import type { RespWriter } from "./protocol/writer.ts";

/** What a queue calls. */
export interface ReplyQueueHandlers {
  /** It is a command's turn: `write` its answer. */
  onTurn(write: (out: RespWriter) => void, bytes: number): void;
  /** The same for a command of one request, without a closure. */
  onReply(plan: OnePlan, reply: Reply, bytes: number): void;
  /** The bytes of the replies that wait for their turn have changed to this number. */
  onKept(bytes: number): void;
  /** Commands have been answered. */
  onProgress(): void;
  /** A command that is measured has its answer, though perhaps not its turn. @param code of the error, if it is one */
  onMeasured(slot: Slot, series: RequestSeries, code: string | undefined): void;
}

/** A command's place in the queue. */
export class Slot {
  plan: OnePlan | undefined;
  reply: Reply | undefined;
  write: ((out: RespWriter) => void) | undefined;
  ready = false;
  /** The bytes of the command's arguments. */
  bytes = 0;
  /** The bytes of its replies while they wait for their turn. */
  replyBytes = 0;
  /** Where the command is counted; undefined if it is counted elsewhere, or was already. */
  series: RequestSeries | undefined;
  beganMs = 0;
  /** The next place. */
  next: Slot | undefined;
  readonly #queue: ReplyQueue;
  /** Accepts the reply to the request of `plan`. */
  readonly onReply = (reply: Reply): void => {
    this.reply = reply;
    this.ready = true;
    this.#queue.measure(this, reply.req_type === "error" ? reply.code : undefined);
    if (this.#queue.holdsUp(this)) this.#queue.keep(this, bytesOfReply(reply));
    else this.#queue.drain();
  };

  constructor(queue: ReplyQueue) {
    this.#queue = queue;
  }

  /** The command ends with what this writes, using `replies`. @param code of the error, if it failed before any reply */
  finish(write: (out: RespWriter) => void, replies: readonly Reply[] = [], code?: string): void {
    this.write = write;
    this.ready = true;
    this.#queue.measure(this, code ?? firstCode(replies));
    if (!this.#queue.holdsUp(this)) {
      this.#queue.drain();
      return;
    }
    let bytes = 0;
    for (const reply of replies) bytes += bytesOfReply(reply);
    this.#queue.keep(this, bytes);
  }
}

/** The queue of one connection. */
export class ReplyQueue {
  readonly #handlers: ReplyQueueHandlers;
  readonly #free: Slot[] = [];
  #first: Slot | undefined;
  #last: Slot | undefined;
  #size = 0;
  #replyBytes = 0;
  #draining = false;

  constructor(handlers: ReplyQueueHandlers) {
    this.#handlers = handlers;
  }

  get size(): number {
    return this.#size;
  }

  /** The approximate bytes of the replies that wait for their turn. */
  get replyBytes(): number {
    return this.#replyBytes;
  }

  /** A place at the end. */
  add(bytes: number): Slot {
    const slot = this.#free.pop() ?? new Slot(this);
    slot.bytes = bytes;
    if (this.#last === undefined) this.#first = slot;
    else this.#last.next = slot;
    this.#last = slot;
    this.#size++;
    return slot;
  }

  /** Whether others must be answered before a slot. */
  holdsUp(slot: Slot): boolean {
    return this.#first !== slot || this.#draining;
  }

  /** Called by a slot that is ready. */
  measure(slot: Slot, code: string | undefined): void {
    const { series } = slot;
    if (series === undefined) return;
    slot.series = undefined;
    this.#handlers.onMeasured(slot, series, code);
  }

  /** Called by a slot that is ready before its turn. */
  keep(slot: Slot, replyBytes: number): void {
    slot.replyBytes = replyBytes;
    this.#replyBytes += replyBytes;
    this.#handlers.onKept(this.#replyBytes);
  }

  /** Called by a slot that is ready when it is its turn: answers it, and the ready ones after it. */
  drain(): void {
    const kept = this.#replyBytes;
    this.#draining = true;
    while (this.#first?.ready) {
      const first: Slot = this.#first;
      const { plan, reply, write, bytes } = first;
      this.#first = first.next;
      if (first.next === undefined) this.#last = undefined;
      this.#size--;
      this.#replyBytes -= first.replyBytes;
      this.#release(first);
      if (write !== undefined) this.#handlers.onTurn(write, bytes);
      else if (plan !== undefined && reply !== undefined) {
        this.#handlers.onReply(plan, reply, bytes);
      }
    }
    this.#draining = false;
    if (this.#replyBytes !== kept) this.#handlers.onKept(this.#replyBytes);
    this.#handlers.onProgress();
  }

  /** Gives up all that wait. @returns the bytes of their arguments */
  clear(): number {
    let bytes = 0;
    for (let slot = this.#first; slot !== undefined; slot = slot.next) bytes += slot.bytes;
    // Their replies may still come: the slots are not reused.
    this.#first = this.#last = undefined;
    this.#size = this.#replyBytes = 0;
    return bytes;
  }

  #release(slot: Slot): void {
    slot.plan = undefined;
    slot.reply = undefined;
    slot.write = undefined;
    slot.ready = false;
    slot.replyBytes = 0;
    slot.next = undefined;
    this.#free.push(slot);
  }
}

/** The code of the first error among replies. */
function firstCode(replies: readonly Reply[]): string | undefined {
  for (const reply of replies) if (reply.req_type === "error") return reply.code;
  return undefined;
}
