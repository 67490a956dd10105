/**
 * Connects a listener with the protocols. It takes a seat for each accepted stream, looks at the first
 * byte (`{` is the JSON wire, anything else is another protocol), and gives the whole stream with its
 * seat to that protocol. If there is no seat, or admission control ends the stream, it tells the other
 * side so in the protocol that it speaks.
 *
 * Invariant: a protocol sees every byte, in order, including the first one.
 *
 * @module
 */
import type { Admission } from "../admission/admission.ts";
import { Seat } from "../admission/seat.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import { KvError } from "../base/errors.ts";
import type { Clock } from "../platform/clock.ts";
import type { MemberName } from "../platform/member_identity.ts";
import type { Address, Stream, StreamHandlers } from "../platform/transport.ts";

const OPENING_BRACE = 0x7b;
const encoder = new TextEncoder();

/** The protocols that take over streams; each starts its stream before it returns. */
export interface Protocols {
  json(stream: Stream, seat: Seat): void;
  /** Without it, such a stream is told that JSON lines are expected, and closed. */
  readonly other?: {
    accept(stream: Stream, seat: Seat): void;
    /** The message to its client before the connection ends. */
    refusal(error: KvError): string;
  };
}

/** Hands accepted streams to their protocols. */
export class Acceptor {
  readonly #protocols: Protocols;
  readonly #admission: Admission;
  readonly #open = new Set<SniffedStream>();
  #onEmpty: (() => void) | undefined;

  constructor(protocols: Protocols, admission: Admission) {
    this.#protocols = protocols;
    this.#admission = admission;
  }

  /** The number of open streams. */
  get open(): number {
    return this.#open.size;
  }

  /** Takes a stream from a listener: `(stream) => acceptor.accept(stream)`. */
  accept(stream: Stream): void {
    const sniffed = new SniffedStream(stream, this.#protocols, () => {
      this.#open.delete(sniffed);
      if (this.#open.size === 0) this.#onEmpty?.();
    });
    this.#open.add(sniffed);
    sniffed.begin(this.#admission.enter({
      end: (reason, atOnce) => sniffed.end(reason, atOnce),
      queuedBytes: () => sniffed.queuedBytes,
    }));
  }

  /** Resolves when no stream is open any more, or after `timeoutMs`. */
  whenEmpty(clock: Clock, timeoutMs: number): Promise<void> {
    if (this.#open.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.setTimer(timeoutMs, resolve);
      this.#onEmpty = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  /** Closes every stream. */
  closeAll(flush = false): void {
    for (const stream of [...this.#open]) stream.close(flush);
  }
}

/** A stream that was started to see its first byte, and is started once more for its protocol. */
class SniffedStream implements Stream {
  readonly #inner: Stream;
  readonly #protocols: Protocols;
  readonly #onEnded: () => void;
  #seat: Seat | undefined;
  #handlers: StreamHandlers | undefined;
  #chosen: "json" | "other" | undefined;

  constructor(inner: Stream, protocols: Protocols, onEnded: () => void) {
    this.#inner = inner;
    this.#protocols = protocols;
    this.#onEnded = onEnded;
  }

  get remote(): Address {
    return this.#inner.remote;
  }

  get member(): MemberName | undefined {
    return this.#inner.member;
  }

  get queuedBytes(): number {
    return this.#inner.queuedBytes;
  }

  /** @param seat the seat, or why there is none */
  begin(seat: Seat | KvError): void {
    if (seat instanceof Seat) this.#seat = seat;
    this.#inner.start({
      onData: (bytes) => this.#onData(bytes),
      onEnd: () => {
        if (this.#handlers?.onEnd === undefined) this.#inner.close(true);
        else this.#handlers.onEnd();
      },
      onClose: (reason) => {
        this.#seat?.leave();
        this.#onEnded();
        this.#handlers?.onClose(reason);
      },
      onDrain: () => {
        this.#seat?.hold("output", this.#inner.queuedBytes);
        this.#handlers?.onDrain?.();
      },
    });
    if (!(seat instanceof Seat)) this.end(seat, true);
  }

  /** Ends it because there is no seat, or because admission control says so. */
  end(reason: KvError, atOnce: boolean): void {
    const { other } = this.#protocols;
    const text = this.#chosen === "other" && other !== undefined
      ? other.refusal(reason)
      : JSON.stringify(toErrorReply(reason)) + "\n";
    // A client that reads none of its replies would not read this one either.
    const stuck = this.#inner.queuedBytes > 0;
    if (!stuck) this.#inner.write(encoder.encode(text));
    // What was just written has already left for the system, unless the other side reads nothing.
    this.#inner.close(!stuck && !atOnce);
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): void {
    this.#inner.write(bytes);
    this.#seat?.hold("output", this.#inner.queuedBytes);
  }

  pause(): void {
    this.#inner.pause();
  }

  resume(): void {
    this.#inner.resume();
  }

  close(flush = false): void {
    this.#inner.close(flush);
  }

  #onData(bytes: Uint8Array): void {
    const seat = this.#seat;
    if (seat === undefined) return;
    seat.hear();
    if (this.#chosen === undefined) {
      const { json, other } = this.#protocols;
      this.#chosen = bytes[0] === OPENING_BRACE ? "json" : "other";
      if (this.#chosen === "json") json(this, seat);
      else if (other !== undefined) other.accept(this, seat);
      else this.end(NOT_JSON, false);
    }
    this.#handlers?.onData(bytes);
  }
}

const NOT_JSON = new KvError(
  "bad_request",
  `this port expects JSON, one object per line, as in {"req_type":"ping"}; ` +
    `the first byte must be "{"`,
);
