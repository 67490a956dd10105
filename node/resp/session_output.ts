/**
 * What one connection of the Redis front end answers. Replies are collected here and written together; a
 * client that leaves too many of them unread is reported, and at last cut off. Whose turn it is to answer is
 * not known here (`reply_queue.ts`).
 *
 * Invariant: while more than `REPLY_BYTES_PAUSE` of replies are unread, `backedUp` is true.
 *
 * @module
 */
import { REPLY_BYTES_MAX, REPLY_BYTES_PAUSE } from "../../shared/limits/admission.ts";
import { RESP_PUSH_BYTES_MAX } from "../../shared/limits/resp.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import type { Stream } from "../../shared/platform/transport.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { ReplyLengths } from "../../shared/wire/reply_lengths.ts";
import type { ByteSlab } from "../../shared/base/byte_slab.ts";
import type { OnePlan, ReplyMode, Write } from "./command/command.ts";
import type { StreamGuard } from "./protocol/stream_guard.ts";
import { RespWriter } from "./protocol/writer.ts";

/** What becomes of a client that does not read. */
export interface OutputEvents {
  /** Nothing more is to be asked until {@linkcode SessionOutput.drained}. */
  onBackedUp(): void;
  /** The connection is to be closed. */
  onUnread(queuedBytes: number): void;
}

/** The replies of one connection. */
export class SessionOutput {
  /** What is answered and not yet written. */
  readonly out: RespWriter;
  /** How long the replies of this client are. */
  readonly lengths = new ReplyLengths();
  mode: ReplyMode = "on";
  /** Set by the command that switches replies on, and is then answered. */
  switchedOn = false;
  /** A client has left more than it may unread. */
  backedUp = false;
  /** Length of replies that come late, falling slowly. */
  lateReplyBytes = 0;
  readonly #clock: Clock;
  readonly #stream: Stream;
  readonly #guard: StreamGuard;
  readonly #events: OutputEvents;
  #flushScheduled = false;
  #pushes: Write[] = [];
  #ended = false;

  constructor(
    deps: { readonly clock: Clock; readonly slab: ByteSlab },
    stream: Stream,
    guard: StreamGuard,
    events: OutputEvents,
  ) {
    this.out = new RespWriter(deps.slab);
    this.#clock = deps.clock;
    this.#stream = stream;
    this.#guard = guard;
    this.#events = events;
  }

  /** Writes what a command answers, unless its client has switched replies off. */
  answer(write: Write): void {
    const { out, mode } = this;
    const before = out.length;
    if (mode === "on") {
      write(out);
      this.lengths.note(out.length - before);
      return;
    }
    if (mode === "skip") this.mode = "on";
    this.switchedOn = false;
    write(out);
    if (!this.switchedOn) out.truncate(before);
  }

  /** As {@linkcode answer}, of a request whose reply has come. */
  answerPlan(plan: OnePlan, reply: Reply): void {
    const { out } = this;
    const before = out.length;
    if (this.mode === "on") plan.finish(out, reply);
    else this.answer((out) => plan.finish(out, reply));
    const length = out.length - before;
    this.lengths.note(length);
    const falling = this.lateReplyBytes - (this.lateReplyBytes >> 3);
    this.lateReplyBytes = length > falling ? length : falling;
  }

  /** Writes something that answers no command. A client that reads too slowly for what it asked to be told is cut off. */
  push(write: Write): void {
    if (this.#ended) return;
    this.#pushes.push(write);
    if (this.#pushes.length > 1) return;
    this.#clock.defer(this.#pushNow);
  }

  readonly #pushNow = (): void => {
    const pushes = this.#pushes;
    this.#pushes = [];
    if (this.#ended) return;
    for (const write of pushes) write(this.out);
    const waiting = this.#stream.queuedBytes + this.out.length;
    if (waiting > RESP_PUSH_BYTES_MAX) this.#events.onUnread(waiting);
    else this.flush();
  };

  /**
   * Writes when all that came together is done, on other connections too. A write wakes its client, which
   * is the dearest part of it; one after the other they find the clients awake.
   */
  scheduleFlush(): void {
    if (this.#flushScheduled || this.out.length === 0) return;
    this.#flushScheduled = true;
    this.#clock.defer(this.#flushNow);
  }

  /** Writes what there is. */
  flush(): void {
    if (this.out.length === 0 || this.#ended) return;
    const bytes = this.out.take();
    const stream = this.#stream;
    stream.write(bytes);
    this.#guard.wrote(bytes.length);
    const { queuedBytes } = stream;
    if (queuedBytes <= REPLY_BYTES_PAUSE) return;
    if (queuedBytes - bytes.length > REPLY_BYTES_MAX) {
      this.#events.onUnread(queuedBytes);
      return;
    }
    this.backedUp = true;
    this.#events.onBackedUp();
  }

  /** The client has read. */
  drained(): void {
    this.backedUp = false;
  }

  /** The connection is closed: nothing more is written. */
  end(): void {
    this.#ended = true;
  }

  readonly #flushNow = (): void => {
    this.#flushScheduled = false;
    this.flush();
  };
}
