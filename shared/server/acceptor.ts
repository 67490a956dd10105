/**
 * What stands between a listener and the protocols: it looks at the first byte of each accepted
 * stream (`{` is the JSON wire, anything else is another protocol) and hands the whole stream on. It
 * also counts: beyond the limit a stream gets an error and is closed.
 *
 * Invariant: a protocol sees every byte, in order, the first one included.
 *
 * @module
 */
import { toErrorReply } from "../wire/error_reply.ts";
import { type ErrorCode, KvError } from "../base/errors.ts";
import { CONNECTIONS_MAX } from "../base/limits.ts";
import type { Clock } from "../platform/clock.ts";
import type { Address, Stream, StreamHandlers } from "../platform/transport.ts";

const OPENING_BRACE = 0x7b;
const encoder = new TextEncoder();

/** Who takes a stream over; each starts it before it returns. */
export interface Protocols {
  json(stream: Stream): void;
  /** Without it such a stream is told that JSON lines are expected, and closed. */
  other?(stream: Stream): void;
}

/** Hands accepted streams to their protocols. */
export class Acceptor {
  readonly #protocols: Protocols;
  readonly #connectionsMax: number;
  readonly #open = new Set<SniffedStream>();
  #onEmpty: (() => void) | undefined;

  constructor(protocols: Protocols, connectionsMax: number = CONNECTIONS_MAX) {
    this.#protocols = protocols;
    this.#connectionsMax = connectionsMax;
  }

  /** How many streams are open. */
  get open(): number {
    return this.#open.size;
  }

  /** Takes a stream from a listener: `(stream) => acceptor.accept(stream)`. */
  accept(stream: Stream): void {
    const full = this.#open.size >= this.#connectionsMax;
    const sniffed = new SniffedStream(stream, {
      onFirstByte: (byte) => this.#choose(byte, sniffed),
      onClose: () => {
        this.#open.delete(sniffed);
        if (this.#open.size === 0) this.#onEmpty?.();
      },
    });
    this.#open.add(sniffed);
    sniffed.begin();
    if (full) {
      refuse(
        sniffed,
        "overloaded",
        `${this.#connectionsMax} connections are open, and no more are taken; try later`,
      );
    }
  }

  /** Fulfilled when no stream is open any more, or after `timeoutMs`. */
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

  #choose(byte: number, stream: SniffedStream): void {
    if (byte === OPENING_BRACE) this.#protocols.json(stream);
    else if (this.#protocols.other !== undefined) this.#protocols.other(stream);
    else {
      refuse(
        stream,
        "bad_request",
        `this port takes JSON, one object a line, as in {"req_type":"ping"}; ` +
          `the first byte must be "{"`,
      );
    }
  }
}

function refuse(stream: SniffedStream, code: ErrorCode, text: string): void {
  const line = JSON.stringify(toErrorReply(new KvError(code, text)));
  stream.write(encoder.encode(line + "\n"));
  stream.close(true);
}

/** A stream that was started to see its first byte, and starts once more for its protocol. */
class SniffedStream implements Stream {
  readonly #inner: Stream;
  readonly #watcher: { onFirstByte(byte: number): void; onClose(): void };
  #handlers: StreamHandlers | undefined;
  #chosen = false;

  constructor(inner: Stream, watcher: { onFirstByte(byte: number): void; onClose(): void }) {
    this.#inner = inner;
    this.#watcher = watcher;
  }

  get remote(): Address {
    return this.#inner.remote;
  }

  get queuedBytes(): number {
    return this.#inner.queuedBytes;
  }

  begin(): void {
    this.#inner.start({
      onData: (bytes) => this.#onData(bytes),
      onEnd: () => {
        if (this.#handlers?.onEnd === undefined) this.#inner.close(true);
        else this.#handlers.onEnd();
      },
      onClose: (reason) => {
        this.#watcher.onClose();
        this.#handlers?.onClose(reason);
      },
      onDrain: () => this.#handlers?.onDrain?.(),
    });
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): void {
    this.#inner.write(bytes);
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
    if (!this.#chosen) {
      this.#chosen = true;
      this.#watcher.onFirstByte(bytes[0] ?? 0);
    }
    this.#handlers?.onData(bytes);
  }
}
