/**
 * The JSON wire on one stream, the same at both ends: lines in, validated messages out; objects in,
 * lines out. It knows nothing of requests and replies; those are `request_server.ts` and
 * `rpc_client.ts`.
 *
 * Invariants: what is sent in one turn leaves in one write (a few where it is large), in order; after `close` or while
 * paused no message is given, not even of bytes that were read before; `onClose` comes once, last,
 * and never from inside a call; a frame that has begun is complete within a bounded time, and a peer
 * that takes nothing of what is queued for it is cut off.
 *
 * @module
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { MessageId } from "./codec.ts";
import { decodeMessage } from "./codec.ts";
import { KvError } from "../base/errors.ts";
import { LineFramer } from "./framing.ts";
import { FRAME_TIMEOUT_MS, WRITE_JOIN_BYTES, WRITE_STALL_TIMEOUT_MS } from "../base/limits.ts";
import type { Message } from "./messages.ts";
import type { Address, Stream } from "../platform/transport.ts";

const encoder = new TextEncoder();

/** What a connection calls. */
export interface ConnectionHandlers {
  /** A message that the table allows. */
  onMessage(message: Message, connection: Connection): void;
  /**
   * A line that is no message. A server answers `error`. After `frame_too_large` and `timeout`
   * nothing more is read, and the connection closes itself once what this call sends is out.
   */
  onInvalid(error: KvError, id: MessageId | undefined, connection: Connection): void;
  /** The connection has ended, by either side; `reason` where something went wrong. */
  onClose(reason: Error | undefined, connection: Connection): void;
  /**
   * The other side sends no more (but may read). Without this handler the connection closes itself.
   */
  onEnd?(connection: Connection): void;
  /** `queuedBytes` had gone above the stream's high-water mark and is now below the low one. */
  onDrain?(connection: Connection): void;
}

/** Options of a {@linkcode Connection}. */
export interface ConnectionOptions {
  /** Default `FRAME_BYTES_MAX`. */
  frameBytesMax?: number;
  /** Default `FRAME_TIMEOUT_MS`. */
  frameTimeoutMs?: number;
  /** Default `WRITE_STALL_TIMEOUT_MS`. */
  writeStallTimeoutMs?: number;
  /** Told how much memory is held of messages that have come, or are coming, when that changes. */
  onKept?(bytes: number): void;
}

/** The JSON wire on one stream. */
export class Connection {
  /** Free for the owner: who is at the other end. */
  peer: unknown = undefined;

  readonly #stream: Stream;
  readonly #clock: Clock;
  readonly #handlers: ConnectionHandlers;
  readonly #framer: LineFramer;
  readonly #frameTimeoutMs: number;
  readonly #writeStallTimeoutMs: number;
  readonly #onKept: ((bytes: number) => void) | undefined;
  #keptBytes = 0;
  readonly #onInvalid = (error: KvError, id: MessageId | undefined) =>
    this.#handlers.onInvalid(error, id, this);

  /** Lines that wait for the end of this turn. */
  #out = "";
  #flushScheduled = false;
  #delivering = false;
  #paused = false;
  #closed = false;
  #ended = false;
  #failure: Error | undefined;

  /** When the frame that has begun did so. */
  #partialSinceMs = 0;
  #frameTimer: Timer | undefined;
  /** Bytes given to the stream so far, and how many of them it had sent when that last changed. */
  #writtenBytes = 0;
  #sentBytes = 0;
  #sentSinceMs = 0;
  #stallTimer: Timer | undefined;

  /** Begins reading `stream`, which must not have been started. */
  constructor(
    stream: Stream,
    clock: Clock,
    handlers: ConnectionHandlers,
    options: ConnectionOptions = {},
  ) {
    this.#stream = stream;
    this.#clock = clock;
    this.#handlers = handlers;
    this.#framer = new LineFramer(options.frameBytesMax);
    this.#frameTimeoutMs = options.frameTimeoutMs ?? FRAME_TIMEOUT_MS;
    this.#writeStallTimeoutMs = options.writeStallTimeoutMs ?? WRITE_STALL_TIMEOUT_MS;
    this.#onKept = options.onKept?.bind(options);
    stream.start({
      onData: (bytes) => this.#onData(bytes),
      onEnd: () => this.#onEnd(),
      onClose: (reason) => this.#onClose(reason),
      onDrain: () => this.#handlers.onDrain?.(this),
    });
  }

  get remote(): Address {
    return this.#stream.remote;
  }

  /** What was sent and has not left yet. Characters that wait for the end of the turn count as one byte. */
  get queuedBytes(): number {
    return this.#stream.queuedBytes + this.#out.length;
  }

  /** Whether something of a message has come, and not the rest, or a message that was not given yet. */
  get hasInput(): boolean {
    return this.#framer.partialBytes > 0 || this.#framer.hasLines;
  }

  /** True from `close` or the stream's end on. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Sends an object. Ignored once closed. */
  send(message: object): void {
    this.sendText(JSON.stringify(message));
  }

  /** Sends an object that is encoded already, without its newline. Ignored once closed. */
  sendText(json: string): void {
    if (this.#closed) return;
    this.#out += json + "\n";
    if (this.#out.length > WRITE_JOIN_BYTES) {
      this.flush();
      return;
    }
    // After the last message of what is being delivered, so that it is not scheduled for each.
    if (!this.#delivering) this.#scheduleFlush();
  }

  /**
   * At the end of this turn, after what came on other connections in it. A write wakes its reader, which is
   * the dearest part of it; one after the other, writes find their readers awake.
   */
  #scheduleFlush(): void {
    if (this.#flushScheduled || this.#out === "") return;
    this.#flushScheduled = true;
    this.#clock.defer(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  /** Hands what was sent to the stream now, and not at the end of this turn. */
  flush(): void {
    if (this.#out === "" || this.#closed) return;
    const bytes = this.#encode(this.#out);
    this.#out = "";
    this.#writtenBytes += bytes.length;
    this.#stream.write(bytes);
    if (this.#stallTimer === undefined && this.#stream.queuedBytes > 0) this.#startStallTimer();
  }

  /** Stops giving messages, at once, and stops reading. */
  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#stream.pause();
  }

  /** Goes on. What was read before `pause` is given later in this turn. */
  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    // The time that was ours does not count against the sender of a frame.
    this.#partialSinceMs = this.#clock.monotonicMs();
    this.#stream.resume();
    this.#clock.defer(() => this.#deliver());
  }

  /** Ends the connection; with `flush`, after what was sent is out (bounded in time). */
  close(flush = false): void {
    if (this.#closed) return;
    if (flush) this.flush();
    this.#closed = true;
    this.#out = "";
    this.#stream.close(flush);
  }

  #onData(bytes: Uint8Array): void {
    if (this.#closed) return;
    const hadPartial = this.#framer.partialBytes > 0;
    const endedLine = this.#framer.feed(bytes);
    if (this.#framer.partialBytes > 0 && (endedLine || !hadPartial)) this.#startFrameTimer();
    this.#deliver();
  }

  /** Gives what is complete. */
  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (!this.#paused && !this.#closed) {
      const line = this.#framer.next();
      if (line === undefined) break;
      if (typeof line !== "string") {
        this.#refuse(line);
        continue;
      }
      const message = decodeMessage(line, this.#onInvalid);
      if (message !== undefined) this.#handlers.onMessage(message, this);
    }
    this.#delivering = false;
    const { keptBytes } = this.#framer;
    if (keptBytes !== this.#keptBytes) {
      this.#keptBytes = keptBytes;
      this.#onKept?.(keptBytes);
    }
    if (this.#ended && !this.#paused && !this.#closed) this.#giveEnd();
    this.#scheduleFlush();
  }

  #refuse(error: KvError): void {
    this.#handlers.onInvalid(error, undefined, this);
    if (error.code === "bad_request" || this.#closed) return;
    this.#failure = error;
    this.close(true);
  }

  /** UTF-8 of a text; one pass and no copy where it is ASCII. */
  #encode(text: string): Uint8Array {
    const bytes = new Uint8Array(text.length);
    const { read, written } = encoder.encodeInto(text, bytes);
    if (read === text.length) return bytes;
    const rest = encoder.encode(text.slice(read));
    const joined = new Uint8Array(written + rest.length);
    joined.set(bytes.subarray(0, written));
    joined.set(rest, written);
    return joined;
  }

  #onEnd(): void {
    this.#ended = true;
    if (!this.#paused && !this.#closed) this.#giveEnd();
  }

  #giveEnd(): void {
    this.#ended = false;
    if (this.#handlers.onEnd === undefined) this.close(true);
    else this.#handlers.onEnd(this);
  }

  #onClose(reason: Error | undefined): void {
    this.#closed = true;
    this.#out = "";
    this.#frameTimer?.cancel();
    this.#stallTimer?.cancel();
    this.#handlers.onClose(this.#failure ?? reason, this);
  }

  // One timer a connection for each of the two, set only where there is something to watch, and left
  // to run: a timer per frame or per write would cost more than the rest of a request.

  #startFrameTimer(): void {
    this.#partialSinceMs = this.#clock.monotonicMs();
    this.#frameTimer ??= this.#clock.setTimer(this.#frameTimeoutMs, this.#checkFrame);
  }

  readonly #checkFrame = (): void => {
    this.#frameTimer = undefined;
    if (this.#closed || this.#framer.partialBytes === 0) return;
    const left = this.#partialSinceMs + this.#frameTimeoutMs - this.#clock.monotonicMs();
    if (left > 0 || this.#paused) {
      this.#frameTimer = this.#clock.setTimer(
        this.#paused ? this.#frameTimeoutMs : left,
        this.#checkFrame,
      );
      return;
    }
    this.#refuse(
      new KvError(
        "timeout",
        `a message must be complete ${this.#frameTimeoutMs} ms after its first byte; ` +
          `${this.#framer.partialBytes} bytes came, and no newline`,
      ),
    );
  };

  #startStallTimer(): void {
    this.#sentBytes = this.#writtenBytes - this.#stream.queuedBytes;
    this.#sentSinceMs = this.#clock.monotonicMs();
    this.#stallTimer = this.#clock.setTimer(this.#writeStallTimeoutMs, this.#checkStall);
  }

  readonly #checkStall = (): void => {
    this.#stallTimer = undefined;
    const queued = this.#stream.queuedBytes;
    if (this.#closed || queued === 0) return;
    if (this.#writtenBytes - queued > this.#sentBytes) {
      this.#startStallTimer();
      return;
    }
    const now = this.#clock.monotonicMs();
    this.#failure = new KvError(
      "timeout",
      `the other side took none of ${queued} queued bytes for ${
        Math.round(now - this.#sentSinceMs)
      } ms`,
    );
    this.close(false);
  };
}
