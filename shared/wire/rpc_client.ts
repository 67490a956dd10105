/**
 * The asking side of requests and replies: one address, and one connection on which many requests are
 * under way at once. It connects at the first use and reconnects by itself, with growing pauses.
 *
 * Invariants: `done` is called exactly once for each request, and never from inside `request` or
 * `close`. The result of a request says what is known of it. `unavailable`, `overloaded` and `timeout`
 * from here mean that it was certainly not sent. `outcome_unknown` means that it was given to a
 * connection which then broke, or that its deadline passed. A reply that comes too late is dropped.
 *
 * A server that stops says `closing`. From then on this side sends it nothing more, waits for the
 * answers to what was sent, and closes the connection; so no request is on its way when it ends. A connection that
 * ends before long because its certificates do is left in the same way, for a new one, over which requests go from then on.
 *
 * @module
 */
import { type Clock, type Timer } from "../platform/clock.ts";
import { errorReply } from "../operations/operation.ts";
import { encodeWithId } from "./codec.ts";
import { Connection } from "./connection.ts";
import { fromErrorReply, toErrorReply } from "./error_reply.ts";
import { type ErrorCode, KvError } from "../base/errors.ts";
import {
  CONNECT_TIMEOUT_MS,
  CONNECTING_REQUESTS_MAX,
  DEADLINE_SCAN_MS,
  HELLO_TIMEOUT_MS,
  LOGIN_TIMEOUT_MS,
  RECONNECT_MS_MAX,
  RECONNECT_MS_MIN,
  REQUEST_QUEUE_BYTES_MAX,
  RPC_SILENCE_MS_MAX,
} from "../limits/connections.ts";
import { type Message, MESSAGES, type Reply, type ReplyTo } from "./messages.ts";
import { type AskedRequest, RequestTable } from "./request_table.ts";
import { SilenceWatch } from "./silence_watch.ts";
import type { WantedMember } from "../platform/member_identity.ts";
import type { Random } from "../platform/random.ts";
import { backoffMs } from "../scheduling/backoff.ts";
import { type Address, formatAddress, type Stream, type Transport } from "../platform/transport.ts";

/** What a client needs. */
export interface RpcClientDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
}

/** What a client calls. */
export interface RpcClientHandlers {
  /** An attempt to connect begins. */
  onConnecting?(): void;
  /** Connected, and `hello` was accepted. */
  onUp?(): void;
  /** Follows each `onUp`, once the connection has ended; `reason` is given if something went wrong. */
  onDown?(reason: Error | undefined): void;
  /** Requests are under way and nothing has arrived for a while. Repeated while that lasts. */
  onSilence?(silentMs: number): void;
}

/** Options of a client. */
export interface RpcClientOptions {
  /**
   * So many requests may be sent and not answered at a time, even if nobody waits for their answers any
   * more; further ones wait here. Default: any number.
   */
  readonly inFlightMax?: number;
  /** Which member of the cluster is at the address, if it must be one. */
  readonly member?: WantedMember | undefined;
}

/** Ids of the client's own messages; requests have numbers. */
const HELLO_ID = "hello";
const PING_ID = "ping";

/** Sends requests to one address. */
export class RpcClient {
  readonly address: Address;
  readonly #deps: RpcClientDeps;
  readonly #hello: Message<"hello">;
  readonly #handlers: RpcClientHandlers;
  readonly #where: string;
  readonly #requests: RequestTable;
  readonly #silence = new SilenceWatch();

  readonly #member: WantedMember | undefined;
  #connection: Connection | undefined;
  /** Connections that were left, with what was sent over them and is not answered. */
  readonly #left = new Map<Connection, RequestTable>();
  #abandon: (() => void) | undefined;
  /** `hello` was accepted. */
  #up = false;
  /** The server stops: nothing more is sent over this connection. */
  #retired = false;
  #closed = false;
  #wanted = false;

  #scanTimer: Timer | undefined;

  #failures = 0;
  /** The last attempt to connect has failed, and none has succeeded since. */
  #failedToConnect = false;
  #helloTimer: Timer | undefined;
  #retryTimer: Timer | undefined;
  /** Why there is no connection, or why the last one ended. */
  #lastError: KvError | undefined;

  /** Something was sent and nothing at all has arrived since, whatever became of the request. */
  #unanswered = false;

  constructor(
    deps: RpcClientDeps,
    address: Address,
    hello: Message<"hello">,
    handlers: RpcClientHandlers = {},
    options: RpcClientOptions = {},
  ) {
    this.#deps = deps;
    this.address = address;
    this.#hello = hello;
    this.#handlers = handlers;
    this.#where = formatAddress(address);
    this.#member = options.member;
    this.#requests = new RequestTable(options.inFlightMax ?? Infinity);
  }

  /** Connected, and `hello` was accepted. */
  get up(): boolean {
    return this.#up;
  }

  /**
   * Whether a request would hardly get through now: the last attempt to connect has failed, or the other
   * side has not even answered a ping.
   */
  get isDoubtful(): boolean {
    if (!this.#up) return this.#failedToConnect;
    return this.#isOwed && this.#silence.isDoubtful(this.#deps.clock.monotonicMs());
  }

  /** Requests that were sent and not answered. */
  get inFlight(): number {
    let sent = this.#requests.sent;
    for (const requests of this.#left.values()) sent += requests.sent;
    return sent;
  }

  /** Connects without a request, and stays connected until `close`. */
  connect(): void {
    this.#wanted = true;
    if (this.#connection !== undefined || this.#abandon !== undefined) return;
    if (this.#closed || this.#retryTimer !== undefined) return;
    this.#handlers.onConnecting?.();
    this.#abandon = this.#deps.transport.connect(
      this.address,
      CONNECT_TIMEOUT_MS,
      (stream) => this.#onOpen(stream),
      (reason) => {
        this.#abandon = undefined;
        this.#failedToConnect = true;
        this.#onFailure(asKvError(reason));
      },
      this.#member,
    );
  }

  /**
   * Sends a request. `done` gets its reply, or an error that says what became of it. While the connection
   * is down and the next attempt is not due yet, the request fails at once.
   */
  request(message: object & { id?: unknown }, timeoutMs: number, done: ReplyTo): void {
    const connection = this.#connection;
    if (this.#closed) {
      this.#refuse(done, "unavailable", "this client is closed");
      return;
    }
    if (this.#retired) {
      this.#refuse(done, "unavailable", `${this.#where} is stopping`);
      return;
    }
    const deadlineMs = this.#deps.clock.monotonicMs() + timeoutMs;
    const asked = { message, deadlineMs, timeoutMs, done };
    const isUp = this.#up && connection !== undefined;
    if (isUp && this.#requests.waiting === 0 && this.#requests.hasRoom) {
      this.#transmit(connection, asked);
    } else {
      if (!isUp) this.connect();
      if (this.#connection === undefined && this.#abandon === undefined) {
        const why = this.#lastError?.message ?? "not connected";
        this.#refuse(done, "unavailable", `${why}; the next attempt is soon`);
        return;
      }
      if (this.#requests.waiting >= CONNECTING_REQUESTS_MAX) {
        this.#refuse(
          done,
          "overloaded",
          `${CONNECTING_REQUESTS_MAX} requests wait for the connection to ${this.#where}`,
        );
        return;
      }
      if (!isUp && this.#requests.waiting === 0) this.#silence.hear();
      this.#requests.wait(asked);
    }
    this.#scanTimer ??= this.#deps.clock.setTimer(DEADLINE_SCAN_MS, this.#scan);
  }

  /** Sends a message that has no reply; it is dropped while the connection is down. */
  send(message: object): void {
    if (this.#up && !this.#retired) this.#connection?.send(message);
    else this.connect();
  }

  /** Ends the connection; what was sent gets `outcome_unknown`, what was not `unavailable`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#retryTimer?.cancel();
    this.#scanTimer?.cancel();
    this.#helloTimer?.cancel();
    this.#abandon?.();
    this.#abandon = undefined;
    const reason = closedTo(this.#where);
    this.#deps.clock.defer(() => {
      this.#failWaiting(toErrorReply(reason));
      this.#failSent(this.#requests, reason);
    });
    this.#connection?.close(true);
    for (const connection of this.#left.keys()) connection.close(true);
  }

  #onOpen(stream: Stream): void {
    this.#abandon = undefined;
    this.#silence.hear();
    const connection = new Connection(stream, this.#deps.clock, {
      onMessage: (message) => this.#onMessage(message, connection),
      onInvalid: (error, id) => this.#onInvalid(error, id, connection),
      onClose: (reason) => this.#onClose(reason, connection),
      onExpiring: () => this.#leave(connection),
    });
    this.#connection = connection;
    connection.sendText(encodeWithId(this.#hello, HELLO_ID));
    const timeoutMs = this.#hello.secret === undefined ? HELLO_TIMEOUT_MS : LOGIN_TIMEOUT_MS;
    this.#helloTimer = this.#deps.clock.setTimer(timeoutMs, () => {
      this.#failedToConnect = true;
      this.#lastError = new KvError(
        "unavailable",
        `${this.#where} took the connection and did not answer within ${timeoutMs} ms`,
      );
      connection.close();
    });
  }

  /** Requests go over a new connection from here on. */
  #leave(connection: Connection): void {
    if (connection !== this.#connection || !this.#up || this.#retired || this.#closed) return;
    this.#left.set(connection, this.#requests.leave());
    this.#connection = undefined;
    this.#up = this.#unanswered = false;
    this.#closeIfDone(connection);
    this.#handlers.onDown?.(undefined);
    this.connect();
  }

  #onMessage(message: Message, connection: Connection): void {
    const { id } = message;
    if (this.#left.has(connection)) {
      if (typeof id !== "number") return;
    } else {
      this.#silence.hear();
      this.#unanswered = false;
    }
    if (message.req_type === "closing") {
      this.#retired = true;
      const error = new KvError("unavailable", `${this.#where} is stopping`);
      this.#failWaiting(toErrorReply(error));
      this.#closeIfDone(connection);
      return;
    }
    if (MESSAGES[message.req_type].direction !== "reply") return;
    const reply = message as Reply;
    if (typeof id === "number") {
      reply.id = undefined;
      this.#sentOver(connection).answered(id)?.done(reply);
      this.#onAnswered(connection);
    } else if (id === HELLO_ID) {
      this.#onHelloReply(reply, connection);
    } else if (id === undefined && reply.req_type === "error") {
      // The error concerns the connection as a whole, which ends next.
      this.#lastError = fromErrorReply(reply);
    }
  }

  #onHelloReply(reply: Reply, connection: Connection): void {
    this.#helloTimer?.cancel();
    if (this.#closed || this.#up) return;
    if (reply.req_type === "error") {
      this.#lastError = fromErrorReply(reply);
      reply.id = undefined;
      this.#failWaiting(reply);
      connection.close();
      return;
    }
    this.#up = true;
    this.#failures = 0;
    this.#failedToConnect = false;
    this.#lastError = undefined;
    this.#sendWaiting();
    this.#handlers.onUp?.();
  }

  /** A line from the server that is not a message: the outcome of the request it was to answer stays unknown. */
  #onInvalid(error: KvError, id: number | string | undefined, connection: Connection): void {
    if (typeof id !== "number") return;
    const text = `${this.#where} sent a reply that is not valid: ${error.message}`;
    this.#sentOver(connection).answered(id)?.done(this.#unknown(text));
    this.#onAnswered(connection);
  }

  #sentOver(connection: Connection): RequestTable {
    return this.#left.get(connection) ?? this.#requests;
  }

  #onAnswered(connection: Connection): void {
    this.#sendWaiting();
    this.#closeIfDone(connection);
  }

  #sendWaiting(): void {
    while (this.#up && !this.#retired && this.#connection !== undefined) {
      const asked = this.#requests.next();
      if (asked === undefined) return;
      this.#transmit(this.#connection, asked);
    }
  }

  /** A connection over which nothing more is asked ends with the last answer. */
  #closeIfDone(connection: Connection): void {
    const isLeft = this.#left.has(connection);
    if (!isLeft && !this.#retired) return;
    if (this.#sentOver(connection).sent > 0) return;
    if (!isLeft) this.#lastError = new KvError("unavailable", `${this.#where} has stopped`);
    connection.close(true);
  }

  #onClose(reason: Error | undefined, connection: Connection): void {
    const left = this.#left.get(connection);
    if (left !== undefined) {
      this.#left.delete(connection);
      this.#failSent(left, reason ?? closedTo(this.#where));
      return;
    }
    this.#helloTimer?.cancel();
    this.#connection = undefined;
    this.#requests.disconnected();
    this.#unanswered = false;
    const wasUp = this.#up;
    this.#up = false;
    this.#retired = false;
    if (this.#closed) {
      if (wasUp) this.#handlers.onDown?.(reason);
      return;
    }
    const ended = wasUp
      ? "closed the connection"
      : "closed the connection without an answer; is that the TCP port of a coordinator or node? If it is " +
        "secured, give credentials";
    const why = reason ?? this.#lastError ?? new KvError("unavailable", `${this.#where} ${ended}`);
    this.#failSent(this.#requests, why);
    if (wasUp) this.#handlers.onDown?.(reason);
    this.#onFailure(asKvError(why));
  }

  /** There is no connection: tells those who waited for it, and schedules the next attempt. */
  #onFailure(reason: KvError): void {
    this.#lastError = reason;
    const error = new KvError("unavailable", reason.message);
    this.#failWaiting(toErrorReply(error));
    if (!this.#wanted || this.#closed || this.#retryTimer !== undefined) return;
    const { clock, random } = this.#deps;
    const pauseMs = backoffMs(RECONNECT_MS_MIN, RECONNECT_MS_MAX, this.#failures++, random);
    this.#retryTimer = clock.setTimer(pauseMs, () => {
      this.#retryTimer = undefined;
      this.connect();
    });
  }

  #transmit(connection: Connection, asked: AskedRequest): void {
    if (connection.queuedBytes > REQUEST_QUEUE_BYTES_MAX) {
      this.#refuse(
        asked.done,
        "overloaded",
        `${connection.queuedBytes} bytes of requests wait for ${this.#where} to take them`,
      );
      return;
    }
    this.#expectAnswer();
    connection.sendText(encodeWithId(asked.message, this.#requests.send(asked)));
  }

  /**
   * Silence counts from here, unless it began earlier: a connection over which requests time out one by
   * one is as dead as one over which a single request waits.
   */
  #expectAnswer(): void {
    if (this.#requests.sent === 0 && !this.#unanswered) this.#silence.hear();
    this.#unanswered = true;
  }

  #refuse(done: ReplyTo, code: ErrorCode, text: string): void {
    const reply: Message<"error"> = { req_type: "error", code, message: text };
    this.#deps.clock.defer(() => done(reply));
  }

  #unknown(text: string): Message<"error"> {
    return errorReply("outcome_unknown", text);
  }

  #failSent(requests: RequestTable, why: Error): void {
    for (const { done } of requests.takeSent()) {
      done(this.#unknown(`the request was sent, and no reply came: ${why.message}`));
    }
  }

  #failWaiting(reply: Message<"error">): void {
    for (const { done } of this.#requests.takeWaiting()) done({ ...reply });
  }

  /** One timer for all deadlines, set only while there are any. */
  readonly #scan = (): void => {
    this.#scanTimer = undefined;
    const now = this.#deps.clock.monotonicMs();
    this.#dropSent(this.#requests, now);
    if (this.#connection !== undefined) this.#closeIfDone(this.#connection);
    for (const [connection, requests] of this.#left) {
      this.#dropSent(requests, now);
      this.#closeIfDone(connection);
    }
    this.#dropWaiting(now);
    this.#checkSilence(now);
    if (this.#closed || (!this.#isOwed && this.#left.size === 0)) return;
    this.#scanTimer ??= this.#deps.clock.setTimer(DEADLINE_SCAN_MS, this.#scan);
  };

  /** What was sent and is overdue, and what nobody waits for. */
  #dropSent(requests: RequestTable, now: number): void {
    for (const { deadlineMs, timeoutMs, done } of requests.takeLostSent(now)) {
      const why = deadlineMs <= now
        ? `no reply came within ${Math.round(timeoutMs)} ms`
        : "nobody waits for its reply any more";
      done(this.#unknown(`the request was sent, and ${why}`));
    }
  }

  /** Those that are overdue, and those for which nobody waits. */
  #dropWaiting(now: number): void {
    const what = this.#up ? "no turn on the connection" : "no connection";
    for (const { timeoutMs, done } of this.#requests.takeLostWaiting(now)) {
      const afterMs = Math.round(timeoutMs);
      const message = `${what} to ${this.#where} within ${afterMs} ms; nothing was sent`;
      done({ req_type: "error", code: "timeout", message });
    }
  }

  /** Whether the other side owes a sign of life. */
  get #isOwed(): boolean {
    return this.#requests.sent > 0 || this.#requests.waiting > 0 || this.#unanswered;
  }

  #checkSilence(now: number): void {
    const silentMs = this.#silence.check(now, this.#isOwed);
    if (silentMs === undefined) return;
    const connection = this.#up ? this.#connection : undefined;
    if (connection !== undefined && silentMs >= RPC_SILENCE_MS_MAX) {
      this.#lastError = new KvError(
        "unavailable",
        `${this.#where} said nothing for ${Math.round(silentMs)} ms, not even to a ping`,
      );
      connection.close();
      return;
    }
    this.#silence.pinged(now);
    connection?.sendText(`{"id":"${PING_ID}","req_type":"ping"}`);
    this.#handlers.onSilence?.(silentMs);
  }
}

function closedTo(where: string): KvError {
  return new KvError("unavailable", `the connection to ${where} was closed`);
}

function asKvError(error: Error): KvError {
  return error instanceof KvError
    ? error
    : new KvError("unavailable", error.message, { cause: error });
}
