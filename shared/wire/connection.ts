/**
 * The JSON wire on one stream, the same at both ends: lines in, validated messages out; objects in,
 * lines out. Between nodes that have agreed on it, binary frames go between the lines, unread. It does not know
 * which message answers which; `request_server.ts` and `rpc_client.ts` do.
 *
 * Invariants: everything that is sent in one turn leaves in order, in one write (in a few if it is large). After
 * `close`, and while paused, no message is delivered, not even from bytes that were read before. `onClose` comes
 * once, last, and never from inside a call. A frame that has begun must be complete within a bounded time, and a
 * peer that reads nothing of what is queued for it is disconnected.
 *
 * @module
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { MessageId } from "./codec.ts";
import { decodeMessage } from "./codec.ts";
import { KvError } from "../base/errors.ts";
import { LineFramer } from "./framing.ts";
import { WRITE_STALL_TIMEOUT_MS } from "../limits/admission.ts";
import { WRITE_JOIN_BYTES } from "../limits/connections.ts";
import { FRAME_TIMEOUT_MS } from "../limits/wire.ts";
import type { Message } from "./messages.ts";
import type { MemberName } from "../platform/member_identity.ts";
import type { Address, Stream } from "../platform/transport.ts";

const encoder = new TextEncoder();
const BLANK_LINE = encoder.encode("\n");

/** What a connection calls. */
export interface ConnectionHandlers {
  /** A message that the table allows. */
  onMessage(message: Message, connection: Connection): void;
  /** A binary frame, head included. Without this handler no frame is taken. */
  onFrame?(frame: Uint8Array, connection: Connection): void;
  /**
   * A line that is not a message. A server answers `error`. After `frame_too_large` and `timeout`,
   * nothing more is read, and the connection closes itself once what this call sends has left.
   */
  onInvalid(error: KvError, id: MessageId | undefined, connection: Connection): void;
  /** The connection has ended, by either side; `reason` is given if something went wrong. */
  onClose(reason: Error | undefined, connection: Connection): void;
  /**
   * The other side sends nothing more (but may read). Without this handler the connection closes itself.
   */
  onEnd?(connection: Connection): void;
  /** `queuedBytes` had gone above the stream's high-water mark and is now below the low one. */
  onDrain?(connection: Connection): void;
  /** The stream ends before long, and another one can take its place: see `StreamHandlers`. */
  onExpiring?(connection: Connection): void;
}

/** Options of a {@linkcode Connection}. */
export interface ConnectionOptions {
  /** Default `FRAME_BYTES_MAX`. */
  frameBytesMax?: number;
  /** Default `FRAME_TIMEOUT_MS`. */
  frameTimeoutMs?: number;
  /** Default `WRITE_STALL_TIMEOUT_MS`. */
  writeStallTimeoutMs?: number;
  /** Called when the memory changes that is held for messages that have arrived or are arriving. */
  onKept?(bytes: number): void;
}

/** The JSON wire on one stream. */
export class Connection {
  /** For use by the owner: who is at the other end. */
  peer: unknown = undefined;

  readonly #stream: Stream;
  readonly #clock: Clock;
  #handlers: ConnectionHandlers;
  readonly #framer: LineFramer;
  readonly #frameTimeoutMs: number;
  readonly #writeStallTimeoutMs: number;
  readonly #onKept: ((bytes: number) => void) | undefined;
  #keptBytes = 0;
  readonly #onInvalid = (error: KvError, id: MessageId | undefined) =>
    this.#handlers.onInvalid(error, id, this);

  /** Lines that wait for the end of this turn. */
  #out = "";
  /** Frames, and lines before them, that wait for it: they go out before `#out`. */
  #outPieces: Uint8Array[] = [];
  #outPieceBytes = 0;
  #flushScheduled = false;
  #delivering = false;
  #paused = false;
  #closed = false;
  #ended = false;
  #failure: Error | undefined;

  /** When the current incomplete frame began. */
  #partialSinceMs = 0;
  #frameTimer: Timer | undefined;
  /** Bytes given to the stream so far, and how many of them the stream had sent at the last change. */
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
      onExpiring: () => this.#handlers.onExpiring?.(this),
    });
  }

  /** Gives the connection to another owner: what comes from here on, the next message of what was read included, is theirs. */
  handTo(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
  }

  get remote(): Address {
    return this.#stream.remote;
  }

  /** The member of the cluster at the other end, if its certificate was verified. */
  get member(): MemberName | undefined {
    return this.#stream.member;
  }

  /** Bytes that were sent and have not left yet. Characters that wait for the end of the turn count as one byte. */
  get queuedBytes(): number {
    return this.#stream.queuedBytes + this.#outPieceBytes + this.#out.length;
  }

  /** Whether a part of a message has arrived without the rest, or a message waits for delivery. */
  get hasInput(): boolean {
    return this.#framer.partialBytes > 0 || this.#framer.hasLines;
  }

  /** True from `close` or the end of the stream on. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Sends an object. Ignored once closed. */
  send(message: object): void {
    this.sendText(JSON.stringify(message));
  }

  /** From here on the other side may send binary frames. */
  takeFrames(): void {
    this.#framer.takeFrames();
  }

  /** Sends a binary frame, which must not be changed afterwards. Ignored once closed. */
  sendFrame(frame: Uint8Array): void {
    if (this.#closed) return;
    if (this.#out !== "") this.#addPiece(this.#encode(this.#out));
    this.#out = "";
    this.#addPiece(frame);
    this.#sent();
  }

  #addPiece(bytes: Uint8Array): void {
    this.#outPieces.push(bytes);
    this.#outPieceBytes += bytes.length;
  }

  /** Sends an object that is already encoded, without its newline. Ignored once closed. */
  sendText(json: string): void {
    if (this.#closed) return;
    this.#out += json + "\n";
    this.#sent();
  }

  #sent(): void {
    if (this.#out.length + this.#outPieceBytes > WRITE_JOIN_BYTES) {
      this.flush();
      return;
    }
    // During delivery, the flush is scheduled after the last message instead of once for each.
    if (!this.#delivering) this.#scheduleFlush();
  }

  /**
   * Flushes at the end of this turn, after everything that arrived on other connections in it. Waking the
   * reader is the most expensive part of a write; if writes follow one another, they find readers awake.
   */
  #scheduleFlush(): void {
    if (this.#flushScheduled || (this.#out === "" && this.#outPieceBytes === 0)) return;
    this.#flushScheduled = true;
    this.#clock.defer(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  /** Gives what was sent to the stream now, instead of at the end of this turn. */
  flush(): void {
    if ((this.#out === "" && this.#outPieceBytes === 0) || this.#closed) return;
    const bytes = this.#takeOut();
    this.#writtenBytes += bytes.length;
    this.#stream.write(bytes);
    if (this.#stallTimer === undefined && this.#stream.queuedBytes > 0) this.#startStallTimer();
  }

  /** All that waits, as one array. */
  #takeOut(): Uint8Array {
    if (this.#out !== "" && this.#outPieceBytes > 0) this.#addPiece(this.#encode(this.#out));
    const text = this.#out;
    const pieces = this.#outPieces;
    const bytes = this.#outPieceBytes;
    this.#out = "";
    if (bytes === 0) return this.#encode(text);
    this.#outPieces = [];
    this.#outPieceBytes = 0;
    const [only] = pieces;
    if (only !== undefined && pieces.length === 1) return only;
    const joined = new Uint8Array(bytes);
    let at = 0;
    for (const piece of pieces) {
      joined.set(piece, at);
      at += piece.length;
    }
    return joined;
  }

  /** Stops delivering messages at once, and stops reading. */
  pause(): void {
    if (this.#paused || this.#closed) return;
    this.#paused = true;
    this.#stream.pause();
  }

  /** Goes on. What was read before `pause` is delivered later in this turn. */
  resume(): void {
    if (!this.#paused || this.#closed) return;
    this.#paused = false;
    // The time of our own pause does not count against the sender of a frame.
    this.#partialSinceMs = this.#clock.monotonicMs();
    this.#stream.resume();
    this.#clock.defer(() => this.#deliver());
  }

  /** Ends the connection; with `flush`, after what was sent has left (bounded in time). */
  close(flush = false): void {
    if (this.#closed) return;
    if (flush) this.flush();
    this.#closed = true;
    this.#dropOut();
    this.#stream.close(flush);
  }

  #onData(bytes: Uint8Array): void {
    if (this.#closed) return;
    const hadPartial = this.#framer.partialBytes > 0;
    const endedLine = this.#framer.feed(bytes);
    if (this.#framer.partialBytes > 0 && (endedLine || !hadPartial)) this.#startFrameTimer();
    // The rest of a line may be held back until something is sent. A blank line says nothing.
    if (this.#framer.partialBytes > 0 && this.#stream.isHeldBack === true) {
      this.#writtenBytes += BLANK_LINE.length;
      this.#stream.write(BLANK_LINE.slice());
    }
    this.#deliver();
  }

  /** Delivers complete messages. */
  #deliver(): void {
    if (this.#delivering) return;
    this.#delivering = true;
    while (!this.#paused && !this.#closed) {
      const line = this.#framer.next();
      if (line === undefined) break;
      if (line instanceof Uint8Array) {
        this.#handlers.onFrame?.(line, this);
        continue;
      }
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

  /** UTF-8 of a text; one pass and no copy if it is ASCII. */
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

  #dropOut(): void {
    this.#out = "";
    this.#outPieces = [];
    this.#outPieceBytes = 0;
  }

  #onClose(reason: Error | undefined): void {
    this.#closed = true;
    this.#dropOut();
    this.#frameTimer?.cancel();
    this.#stallTimer?.cancel();
    this.#handlers.onClose(this.#failure ?? reason, this);
  }

  // Each of the two has one timer per connection, which is set only if there is something to watch and
  // is then left to run: a timer per frame or write would cost more than the rest of a request.

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
