/**
 * Replies that are not there yet, in the order of their commands. Commands of one connection run at the
 * same time; what they answer leaves in turn.
 *
 * Invariants: a reply is written after all before it; a slot is used for one command at a time.
 *
 * @module
 */
import type { Reply } from "../../shared/messages.ts";
import type { OnePlan } from "./command.ts";
import type { RespWriter } from "./writer.ts";

/** What a queue calls. */
export interface ReplyQueueHandlers {
  /** A command's turn: `write` what it answers. */
  onTurn(write: (out: RespWriter) => void, bytes: number): void;
  /** The same for a command of one request, without a closure. */
  onReply(plan: OnePlan, reply: Reply, bytes: number): void;
  /** Turns have been taken. */
  onProgress(): void;
}

/** A command's place in the queue. */
export class Slot {
  plan: OnePlan | undefined;
  reply: Reply | undefined;
  write: ((out: RespWriter) => void) | undefined;
  ready = false;
  /** What the command's arguments came to. */
  bytes = 0;
  readonly #queue: ReplyQueue;
  /** Takes the reply to the request of `plan`. */
  readonly onReply = (reply: Reply): void => {
    this.reply = reply;
    this.ready = true;
    this.#queue.settled(this);
  };

  constructor(queue: ReplyQueue) {
    this.#queue = queue;
  }

  /** The command ends with what this writes. */
  finish(write: (out: RespWriter) => void): void {
    this.write = write;
    this.ready = true;
    this.#queue.settled(this);
  }
}

/** The queue of one connection. */
export class ReplyQueue {
  readonly #handlers: ReplyQueueHandlers;
  readonly #free: Slot[] = [];
  #slots: Slot[] = [];
  #head = 0;
  #draining = false;

  constructor(handlers: ReplyQueueHandlers) {
    this.#handlers = handlers;
  }

  get size(): number {
    return this.#slots.length - this.#head;
  }

  /** A place at the end. */
  add(bytes: number): Slot {
    const slot = this.#free.pop() ?? new Slot(this);
    slot.bytes = bytes;
    this.#slots.push(slot);
    return slot;
  }

  /** Called by a slot that is ready. */
  settled(slot: Slot): void {
    if (this.#slots[this.#head] !== slot || this.#draining) return;
    this.#draining = true;
    while (this.#head < this.#slots.length) {
      const head = this.#slots[this.#head];
      if (head === undefined || !head.ready) break;
      this.#head++;
      const { plan, reply, write, bytes } = head;
      this.#release(head);
      if (write !== undefined) this.#handlers.onTurn(write, bytes);
      else if (plan !== undefined && reply !== undefined) {
        this.#handlers.onReply(plan, reply, bytes);
      }
    }
    if (this.#head === this.#slots.length) {
      this.#slots.length = 0;
      this.#head = 0;
    } else if (this.#head > 256 && this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
    this.#draining = false;
    this.#handlers.onProgress();
  }

  /** Gives up all that wait. @returns what their arguments came to */
  clear(): number {
    let bytes = 0;
    for (let i = this.#head; i < this.#slots.length; i++) bytes += this.#slots[i]?.bytes ?? 0;
    // Their replies may still come: the slots are not used again.
    this.#slots = [];
    this.#head = 0;
    return bytes;
  }

  #release(slot: Slot): void {
    slot.plan = undefined;
    slot.reply = undefined;
    slot.write = undefined;
    slot.ready = false;
    this.#free.push(slot);
  }
}
