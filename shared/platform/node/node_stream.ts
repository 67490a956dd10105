/**
 * A stream over a socket of `node:net` or `node:tls`.
 *
 * Invariants: `onClose` is called once, and never from inside a call; nothing is handed over after it, nor after
 * `close`. What is queued is counted until the system has taken it.
 *
 * @module
 */
import type { Socket } from "node:net";
import { KvError } from "../../base/errors.ts";
import {
  CLOSE_FLUSH_TIMEOUT_MS,
  CLOSE_LINGER_MS,
  STREAM_HIGH_WATER_BYTES,
  STREAM_LOW_WATER_BYTES,
} from "../../limits/connections.ts";
import { type Address, formatAddress, type Stream, type StreamHandlers } from "../transport.ts";

/** What the codes of the system mean. */
const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset by the other side",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network cannot be reached",
  ENOTFOUND: "no host has this name",
  EAI_AGAIN: "the name of the host cannot be looked up now",
  EPIPE: "the other side has closed the connection",
  ETIMEDOUT: "no answer",
};

/** A failure of the system in one line. */
export function describe(error: unknown): string {
  // If a name has several addresses, each has failed in its own way.
  const one = error instanceof AggregateError ? error.errors[0] : error;
  const code = codeOf(one);
  const reason = code === undefined ? undefined : REASONS[code];
  if (reason !== undefined) return reason;
  const text = one instanceof Error ? one.message || one.name : String(one);
  return text.replace(/\s+/g, " ").trim();
}

/** The system's code, such as `ECONNREFUSED`. */
export function codeOf(error: unknown): string | undefined {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : undefined;
}

/**
 * One connection.
 *
 * `open` -> `closing` (closed by us: what was queued is still sent, then our end; what still arrives is read and
 * dropped, because if we close with unread bytes the system throws away a last reply) -> `closed`.
 */
export class NodeStream implements Stream {
  readonly remote: Address;
  readonly isHeldBack: boolean;
  readonly #socket: Socket;
  #handlers: StreamHandlers | undefined;
  #state: "open" | "closing" | "closed" = "open";
  #reason: Error | undefined;
  #queuedBytes = 0;
  #aboveHighWater = false;
  /** The other side has sent its end. */
  #ended = false;
  /** The end was told, or needs not to be. */
  #endTold = false;
  #finished = false;
  #paused = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param socket is connected, and allows half-open connections */
  /** @param isHeldBack see {@linkcode Stream} */
  constructor(socket: Socket, remote: Address, isHeldBack = false) {
    this.#socket = socket;
    this.isHeldBack = isHeldBack;
    this.remote = remote;
    socket.pause();
    socket.on("error", (error) => this.#end(brokenError(remote, error)));
    socket.on("close", () => this.#end(undefined));
    socket.on("end", () => {
      this.#ended = true;
      this.#tellEnd();
    });
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    if (this.#state === "closed") {
      this.#tellClosed();
      return;
    }
    this.#socket.on("data", (bytes: Uint8Array) => {
      if (this.#state === "open") handlers.onData(bytes);
    });
    this.#readOn();
    queueMicrotask(() => this.#tellEnd());
  }

  write(bytes: Uint8Array): void {
    if (this.#state !== "open" || bytes.length === 0) return;
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > STREAM_HIGH_WATER_BYTES) this.#aboveHighWater = true;
    this.#socket.write(bytes, () => {
      this.#queuedBytes = Math.max(0, this.#queuedBytes - bytes.length);
      this.#tellDrained();
    });
  }

  pause(): void {
    this.#paused = true;
    if (this.#state === "open") this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    if (this.#handlers !== undefined) this.#readOn();
  }

  close(flush = false): void {
    if (this.#state !== "open") return;
    if (!flush) {
      this.#end(undefined);
      return;
    }
    this.#state = "closing";
    this.#timer = setTimeout(() => this.#end(undefined), CLOSE_FLUSH_TIMEOUT_MS);
    this.#socket.on("data", () => {});
    this.#socket.resume();
    this.#socket.end(() => {
      this.#finished = true;
      if (this.#ended) this.#end(undefined);
      if (this.#state !== "closing") return;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.#end(undefined), CLOSE_LINGER_MS);
    });
  }

  /** Not from inside a call: what waits may be handed over at once. */
  #readOn(): void {
    queueMicrotask(() => {
      if (!this.#paused && this.#state === "open") this.#socket.resume();
    });
  }

  #tellEnd(): void {
    if (!this.#ended || this.#handlers === undefined) return;
    if (this.#state === "closing" && this.#finished) this.#end(undefined);
    if (this.#state !== "open" || this.#endTold) return;
    this.#endTold = true;
    if (this.#handlers.onEnd === undefined) this.close(true);
    else this.#handlers.onEnd();
  }

  #tellDrained(): void {
    if (!this.#aboveHighWater || this.#queuedBytes >= STREAM_LOW_WATER_BYTES) return;
    this.#aboveHighWater = false;
    queueMicrotask(() => {
      if (this.#state === "open") this.#handlers?.onDrain?.();
    });
  }

  #end(reason: Error | undefined): void {
    if (this.#state === "closed") return;
    // Whoever closed it does not care how the other side reacted.
    if (this.#state === "open") this.#reason = reason;
    this.#state = "closed";
    clearTimeout(this.#timer);
    this.#queuedBytes = 0;
    this.#socket.destroy();
    if (this.#handlers !== undefined) this.#tellClosed();
  }

  #tellClosed(): void {
    const handlers = this.#handlers;
    queueMicrotask(() => handlers?.onClose(this.#reason));
  }
}

function brokenError(remote: Address, error: unknown): KvError {
  const text = `the connection to ${formatAddress(remote)} broke: ${describe(error)}`;
  return new KvError("unavailable", text, { cause: error });
}
