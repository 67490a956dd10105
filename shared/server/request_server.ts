/**
 * The serving side of requests and replies on one connection. The handler decides what a request does.
 * This class makes sure that every request gets one reply, in the right order, and that a client that
 * sends nonsense or reads slowly is told so or held back, without affecting others.
 *
 * Invariants:
 *
 * - A reply carries its request's id. Requests without an id are answered in the order in which they
 *   arrived, malformed lines included.
 * - At most `requestsMax` requests of bounded size are unanswered, including those whose replies wait for
 *   their turn.
 * - If the last reply of a connection was long, the connection is served one request at a time, each in a
 *   turn of its own among all heavy work (`WorkScheduler`). The same holds for a connection of which nothing
 *   is known yet, except that its requests need not wait for each other's answers. Long replies are encoded
 *   in turns too. So clients that ask for much wait for one another, and nobody else waits for them.
 * - While more than `REPLY_BYTES_PAUSE` of replies are unread, nothing is read. Beyond `replyBytesMax` the
 *   connection is closed.
 *
 * @module
 */
import type { Seat } from "../admission/seat.ts";
import type { ByteBudget } from "../base/byte_budget.ts";
import type { Clock } from "../platform/clock.ts";
import { agreedFrames } from "../schema/binary_frames.ts";
import type { MessageId } from "../wire/codec.ts";
import { type Called, CALLER, type Caller } from "../wire/caller.ts";
import { encodeReply } from "../wire/codec.ts";
import { Connection, type ConnectionHandlers, type ConnectionOptions } from "../wire/connection.ts";
import type { Retirable } from "./draining.ts";
import type { Identity } from "./handshake.ts";
import { lengthOf, sizeOf } from "./message_weights.ts";
import { ReplyTurns, type Turn } from "./reply_turns.ts";
import { ReplyLengths } from "../wire/reply_lengths.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import { failureOf, KvError } from "../base/errors.ts";
import {
  REPLY_BYTES_MAX,
  REPLY_BYTES_PAUSE,
  REQUEST_BYTES_PER_CONNECTION_MAX,
  REQUESTS_PER_CONNECTION_MAX,
} from "../limits/admission.ts";
import { LONG_REPLY_BYTES } from "../limits/requests.ts";
import { type RequestMetrics, UNKNOWN_OPERATION } from "../metrics/request_metrics.ts";
import type { RequestTracing } from "../tracing/request_tracing.ts";
import type { Logger } from "../platform/logger.ts";
import { goes, type Message, type Reply, type Request } from "../wire/messages.ts";
import { WorkScheduler } from "../scheduling/work_scheduler.ts";
import { formatAddress, type Stream } from "../platform/transport.ts";

/** Makes the owner of a connection that is none of requests. @param frames the version of binary frames that it speaks */
export type TakeOver = (frames: number | undefined) => ConnectionHandlers;

/** What a server calls. */
export interface RequestServerHandlers {
  /**
   * Carries out a request, and calls `reply` once, now or later. Throwing an error replies with it. Once
   * the connection is closed, `reply` does nothing.
   */
  onRequest(request: Request, reply: (reply: Reply) => void, connection: Connection): void;
  /**
   * Judges a `hello`, which is answered `ack`, or with the error that this throws; then the connection ends.
   * Without it a `hello` is a request like any other.
   *
   * @param isFirst whether nothing came before
   * @returns who takes the connection over from here on; undefined if it stays one of requests, or a promise of
   * that if the caller must be found out first
   */
  onHello?(
    hello: Message<"hello">,
    connection: Connection,
    isFirst: boolean,
  ): TakeOver | Promise<void> | undefined;
  onClose?(reason: Error | undefined, connection: Connection): void;
  /** `queuedBytes` of the connection is low again. */
  onDrain?(connection: Connection): void;
}

/** What a server needs. */
export interface RequestServerDeps {
  readonly clock: Clock;
  readonly log: Logger;
  /** Gives heavy requests their turns; each process has one. Default: one of its own. */
  readonly work?: WorkScheduler | undefined;
  /** Counts requests; each process has one. Default: nobody does. */
  readonly metrics?: RequestMetrics | undefined;
  /** Makes spans of requests that are part of a trace. Default: nobody does. */
  readonly tracing?: RequestTracing | undefined;
}

/** Options of a {@linkcode RequestServer}; the defaults are in `shared/limits/admission.ts`. */
export interface RequestServerOptions extends ConnectionOptions {
  requestsMax?: number;
  requestBytesMax?: number;
  /** The budget for the unanswered requests of all connections. */
  budget?: ByteBudget;
  replyBytesMax?: number;
  /** The connection's seat in admission control. */
  seat?: Seat;
}

/** Serves one stream. */
export class RequestServer implements Retirable, Caller {
  readonly connection: Connection;
  /** Who has logged in, in a secured process. */
  user: string | undefined = undefined;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #work: WorkScheduler;
  readonly #metrics: RequestMetrics | undefined;
  readonly #tracing: RequestTracing | undefined;
  readonly #handlers: RequestServerHandlers;
  readonly #requestsMax: number;
  readonly #requestBytesMax: number;
  readonly #budget: ByteBudget | undefined;
  readonly #replyBytesMax: number;
  readonly #seat: Seat | undefined;
  /** The number of requests whose replies have not been sent; their bytes, with those of replies that wait. */
  #outstanding = 0;
  #outstandingBytes = 0;
  readonly #turns = new ReplyTurns();
  #tooMany = false;
  #backedUp = false;
  #ended = false;
  /** It ends at the first moment when nothing is being asked. */
  #retiring = false;
  readonly #lengths = new ReplyLengths();
  /** Something came. */
  #spoken = false;
  /** A request waits for its turn, or is served alone. */
  #alone = false;
  /** Long replies that wait to be encoded. */
  #longReplies = 0;
  #owedBytes = 0;

  /** Begins reading `stream`, which must not have been started. */
  constructor(
    stream: Stream,
    deps: RequestServerDeps,
    handlers: RequestServerHandlers,
    options: RequestServerOptions = {},
  ) {
    this.#log = deps.log;
    this.#clock = deps.clock;
    this.#work = deps.work ?? new WorkScheduler(deps.clock);
    this.#metrics = deps.metrics;
    this.#tracing = deps.tracing;
    this.#handlers = handlers;
    this.#requestsMax = options.requestsMax ?? REQUESTS_PER_CONNECTION_MAX;
    this.#requestBytesMax = options.requestBytesMax ?? REQUEST_BYTES_PER_CONNECTION_MAX;
    this.#budget = options.budget;
    this.#replyBytesMax = options.replyBytesMax ?? REPLY_BYTES_MAX;
    const seat = this.#seat = options.seat;
    this.connection = new Connection(stream, deps.clock, {
      onMessage: (message) => this.#onMessage(message),
      onInvalid: (error, id) => this.#onInvalid(error, id),
      onEnd: () => this.#onEnd(),
      onDrain: () => this.#onDrain(),
      onClose: (reason, connection) => {
        this.#outstanding -= this.#turns.clear();
        handlers.onClose?.(reason, connection);
      },
    }, seat === undefined ? options : { ...options, onKept: (bytes) => seat.hold("input", bytes) });
  }

  /** True if nobody waits for answers any more. */
  get closed(): boolean {
    return this.connection.closed || this.#seat?.ended === true;
  }

  /** True if its requests are kept out of the way of others. */
  get heavy(): boolean {
    return this.#lengths.isHeavy(this.#outstanding);
  }

  /** The number of unanswered requests. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /**
   * This process stops. A peer that has said hello is asked to end the connection. Any other connection is
   * ended between two requests, when everything that was asked over it is answered.
   */
  retire(): void {
    if (this.connection.peer !== undefined) this.connection.send({ req_type: "closing" });
    else {
      this.#retiring = true;
      // What arrives with its first bytes is still on its way to here.
      this.#clock.defer(() => this.#closeIfIdle());
    }
  }

  /** Nothing more is read. What was asked is answered, then the connection ends. */
  endInput(): void {
    this.connection.pause();
    this.#ended = true;
    if (this.#outstanding === 0) this.connection.close(true);
  }

  #closeIfIdle(): void {
    const { connection } = this;
    if (!this.#retiring || this.#outstanding > 0 || connection.hasInput) return;
    connection.close(true);
  }

  #onMessage(message: Message): void {
    if (!goes(message, "request")) {
      this.#onInvalid(new KvError("bad_request", whyNoRequest(message)), message.id);
      return;
    }
    const request: Request & Called = message;
    request[CALLER] = this;
    const bytes = sizeOf(request);
    if (request.req_type !== "hello" && !this.#speak(request.id)) return;
    const taken = this.#budget?.take(bytes) ?? true;
    const answer = this.#begin(request.id, request, bytes, taken ? this.#budget : undefined);
    const reply = this.#tracing?.follow(request, answer) ?? answer;
    if (!taken) {
      const text = `${request.req_type}: too many bytes of requests are under way; try later`;
      reply(toErrorReply(new KvError("overloaded", text)));
      return;
    }
    if (this.#lengths.last === "light") this.#carryOut(request, reply);
    else this.#carryOutInTurn(request, reply);
  }

  #carryOut(request: Request, reply: (reply: Reply) => void): void {
    if (request.req_type === "hello" && this.#handlers.onHello !== undefined) {
      this.#greet(request, reply);
      return;
    }
    this.#spoken = true;
    try {
      this.#handlers.onRequest(request, reply, this.connection);
    } catch (error) {
      reply(this.#errorReply(error, request.req_type));
    }
    if (request.req_type === "hello") this.#speak(undefined);
  }

  #greet(hello: Message<"hello">, reply: (reply: Reply) => void): void {
    const { connection } = this;
    const isFirst = !this.#spoken;
    this.#spoken = true;
    const greeted = (frames?: number) =>
      reply({ req_type: "ack", message: "hello", ...(frames === undefined ? {} : { frames }) });
    const refused = (error: unknown) => {
      reply(this.#errorReply(error, "hello"));
      // What follows such a hello was meant for somebody else.
      connection.close(true);
    };
    let takeOver: TakeOver | Promise<void> | undefined;
    try {
      takeOver = this.#handlers.onHello?.(hello, connection, isFirst);
    } catch (error) {
      refused(error);
      return;
    }
    if (takeOver instanceof Promise) {
      takeOver.then(() => greeted(), refused);
      this.#speak(undefined);
      return;
    }
    // Only for replication there are any.
    const frames = takeOver !== undefined && hello.role === "peer"
      ? agreedFrames(hello.frames)
      : undefined;
    greeted(frames);
    // Only now it is known whether the place that it takes is one of those for peers.
    if (!this.#speak(undefined) || takeOver === undefined) return;
    const handlers = takeOver(frames);
    connection.handTo(handlers);
    if (frames !== undefined) connection.takeFrames();
  }

  /** The first complete message takes a place. @returns false if there is none, and all is over */
  #speak(id: MessageId | undefined): boolean {
    const refusal = this.#seat?.speak();
    if (refusal === undefined) return true;
    this.#sendLine(encodeReply(toErrorReply(refusal), id));
    this.connection.close(true);
    return false;
  }

  /** Runs in its turn; nothing else of this connection runs before, nor, if it is heavy, before the answer. */
  #carryOutInTurn(request: Request, reply: (reply: Reply) => void): void {
    // What waits for something to happen holds nothing up.
    const untilAnswered = this.#lengths.last === "heavy" && request.req_type !== "watch_node";
    this.#alone = true;
    this.connection.pause();
    const goOn = () => {
      this.#alone = false;
      this.#resume();
    };
    const answer = (result: Reply) => {
      reply(result);
      if (untilAnswered) goOn();
    };
    this.#work.add(() => {
      if (!this.closed) this.#carryOut(request, answer);
      else answer(toErrorReply(new KvError("unavailable", "the connection is closed")));
      if (!untilAnswered) goOn();
      return false;
    });
  }

  #onInvalid(error: KvError, id: MessageId | undefined): void {
    this.#spoken = true;
    if (!this.#speak(id)) return;
    this.#log.debug("bad message", {
      remote: formatAddress(this.connection.remote),
      code: error.code,
      message: error.message,
    });
    this.#begin(id, undefined)(toErrorReply(error));
  }

  /** Counts a request; the returned function ends that. */
  #begin(
    id: MessageId | undefined,
    request: Request | undefined,
    bytes = 0,
    budget?: ByteBudget,
  ): (reply: Reply) => void {
    const beganMs = this.#metrics?.beganMs() ?? 0;
    this.#outstanding++;
    this.#outstandingBytes += bytes;
    this.#pauseIfTooMany();
    const turn = id === undefined ? this.#turns.add() : undefined;
    let answered = false;
    return (reply) => {
      if (answered) {
        this.#log.error("a request was answered twice", { req_type: reply.req_type });
        return;
      }
      answered = true;
      if (this.#metrics !== undefined) this.#count(this.#metrics, request, reply, beganMs);
      budget?.give(bytes);
      this.#outstandingBytes -= bytes;
      const length = lengthOf(reply);
      this.#lengths.note(length);
      if (length > LONG_REPLY_BYTES) this.#finishInTurn(reply, length, id, turn);
      else this.#finish(reply, id, turn);
    };
  }

  #count(
    metrics: RequestMetrics,
    request: Request | undefined,
    reply: Reply,
    beganMs: number,
  ): void {
    const { remote } = this.connection;
    // As `handshake.ts` has left it.
    const identity = this.connection.peer as Identity | undefined;
    const isPeer = identity !== undefined && identity.role !== "client";
    const series = metrics.series(
      isPeer ? "peer" : "wire",
      request?.req_type ?? UNKNOWN_OPERATION,
    );
    const code = reply.req_type === "error" ? reply.code : undefined;
    metrics.ended(series, beganMs, code, request, remote);
  }

  /** Replies that wait to be encoded count as unsent. */
  #owe(change: number): void {
    this.#owedBytes += change;
    this.#seat?.owe(this.#owedBytes);
  }

  #pauseIfTooMany(): void {
    if (this.#tooMany) return;
    const fewer = this.#outstanding < this.#requestsMax;
    if (fewer && this.#outstandingBytes < this.#requestBytesMax) return;
    this.#tooMany = true;
    this.connection.pause();
  }

  /** Nothing more is read until a long reply has been encoded. */
  #finishInTurn(
    reply: Reply,
    bytes: number,
    id: MessageId | undefined,
    turn: Turn | undefined,
  ): void {
    this.#longReplies++;
    this.#owe(bytes);
    this.connection.pause();
    this.#work.add(() => {
      this.#longReplies--;
      this.#owe(-bytes);
      this.#finish(reply, id, turn);
      this.#resume();
      return false;
    });
  }

  #finish(reply: Reply, id: MessageId | undefined, turn: Turn | undefined): void {
    const { connection } = this;
    if (connection.closed) {
      this.#outstanding--;
      return;
    }
    const line = encodeReply(reply, id);
    if (turn === undefined) {
      this.#outstanding--;
      this.#sendLine(line);
    } else {
      turn.line = line;
      this.#outstandingBytes += line.length;
      this.#turns.takeReady(this.#sendTurn);
      this.#pauseIfTooMany();
    }
    if (
      this.#tooMany && this.#outstanding <= this.#requestsMax / 2 &&
      this.#outstandingBytes <= this.#requestBytesMax / 2
    ) {
      this.#tooMany = false;
      this.#resume();
    }
    if (this.#ended && this.#outstanding === 0) connection.close(true);
    // Others of the same turn may follow that have not been delivered yet.
    else if (this.#retiring) this.#clock.defer(() => this.#closeIfIdle());
  }

  readonly #sendTurn = (line: string): void => {
    this.#outstanding--;
    this.#outstandingBytes -= line.length;
    this.#sendLine(line);
  };

  #sendLine(line: string): void {
    const { connection } = this;
    connection.sendText(line);
    if (connection.queuedBytes <= REPLY_BYTES_PAUSE) return;
    // All of it must be in the stream, or the stream would not tell when it has drained.
    connection.flush();
    const { queuedBytes } = connection;
    if (queuedBytes > this.#replyBytesMax) {
      this.#log.warn("a client does not read its replies: connection closed", {
        remote: formatAddress(connection.remote),
        queued_bytes: queuedBytes,
      });
      connection.close();
    } else if (queuedBytes > REPLY_BYTES_PAUSE && !this.#backedUp) {
      this.#backedUp = true;
      connection.pause();
    }
  }

  #onDrain(): void {
    this.#backedUp = false;
    this.#resume();
    this.#handlers.onDrain?.(this.connection);
  }

  #resume(): void {
    if (this.#tooMany || this.#backedUp || this.#ended) return;
    if (!this.#alone && this.#longReplies === 0) this.connection.resume();
  }

  /** The client sends no more: it still gets its replies, then the connection closes. */
  #onEnd(): void {
    this.#ended = true;
    if (this.#outstanding === 0) this.connection.close(true);
  }

  #errorReply(error: unknown, what: string): Message<"error"> {
    const known = failureOf(error);
    if (known.code === "internal") {
      this.#log.error("a request failed", {
        req_type: what,
        message: known.message,
        stack: error instanceof Error ? error.stack : undefined,
      });
    }
    return toErrorReply(known);
  }
}

/** Why a message of the table is not taken on a connection of requests. */
function whyNoRequest(message: Message): string {
  const isPeers = goes(message, "downstream") || goes(message, "upstream") ||
    goes(message, "member") || goes(message, "agreement");
  return isPeers
    ? `${message.req_type}: only for members of the cluster, after a hello that says so`
    : `${message.req_type}: not a request`;
}
