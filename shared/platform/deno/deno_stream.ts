/**
 * A stream over a connection of the runtime: the one place that says when bytes are read, joined, written and dropped,
 * for TCP and both kinds of TLS. It is one of the few files with a promise for each read and write, and with real timers.
 *
 * Invariants: at most one read and one write are under way on a stream. What is written while a write is
 * under way leaves together with the next one. An idle stream holds one small buffer.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { joinBytes } from "../../base/join_bytes.ts";
import {
  CLOSE_FLUSH_TIMEOUT_MS,
  CLOSE_LINGER_MS,
  READ_BUFFER_BYTES_MAX,
  READ_BUFFER_BYTES_MIN,
  READ_TURN_BYTES,
  STREAM_HIGH_WATER_BYTES,
  STREAM_LOW_WATER_BYTES,
  WRITE_JOIN_BYTES,
} from "../../limits/connections.ts";
import type { MemberName } from "../member_identity.ts";
import { type Address, formatAddress, type Stream, type StreamHandlers } from "../transport.ts";

/** A buffer shrinks after this many reads in a row that filled less than an eighth of it. */
const SMALL_READS_MAX = 16;

/** What a stream needs of a connection; those of Deno have it. */
export interface ByteConnection {
  readonly remoteAddr: Deno.Addr;
  /** The member at the other end, as soon as its certificate is verified. */
  readonly member?: MemberName | undefined;
  /** One that can expire has it, and calls what the stream puts here: see {@linkcode StreamHandlers}. */
  onExpiring?: () => void;
  /** @returns how many bytes it has put into `buffer`; null: the other side will send no more */
  read(buffer: Uint8Array): Promise<number | null>;
  /** @returns how many of the bytes the system has accepted */
  write(bytes: Uint8Array): Promise<number>;
  /** Sends our end. */
  closeWrite(): Promise<void>;
  /** Ends it at once; what is under way on it fails. */
  close(): void;
}

/**
 * One connection.
 *
 * `open` -> `flushing` (closed by us; what was queued is still sent) -> `lingering` (our end is sent;
 * what still arrives is read and dropped, because if we close with unread bytes the system throws away
 * a last reply) -> `closed`.
 */
export class DenoStream implements Stream {
  readonly remote: Address;
  readonly isHeldBack: boolean;
  readonly #conn: ByteConnection;
  #handlers: StreamHandlers | undefined;
  #state: "open" | "flushing" | "lingering" | "closed" = "open";
  #reason: Error | undefined;
  /** The other side has sent its end. */
  #ended = false;

  #paused = false;
  #onResume: (() => void) | undefined;

  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #writing = false;
  #aboveHighWater = false;
  #closeTimer: ReturnType<typeof setTimeout> | undefined;

  /** @param isHeldBack see {@linkcode Stream} */
  constructor(conn: ByteConnection, isHeldBack = false) {
    this.#conn = conn;
    this.isHeldBack = isHeldBack;
    this.remote = addressOf(conn.remoteAddr as Deno.NetAddr);
  }

  get member(): MemberName | undefined {
    return this.#conn.member;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
    if (this.#conn.onExpiring !== undefined) this.#conn.onExpiring = () => handlers.onExpiring?.();
    if (this.#state === "closed") this.#tellClosed();
    else queueMicrotask(() => void this.#readAll());
  }

  write(bytes: Uint8Array): void {
    if (this.#state !== "open" || bytes.length === 0) return;
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > STREAM_HIGH_WATER_BYTES) this.#aboveHighWater = true;
    if (!this.#writing) void this.#writeAll();
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wakeReader();
  }

  close(flush = false): void {
    if (this.#state !== "open") return;
    if (!flush) {
      this.#end(undefined);
      return;
    }
    this.#state = "flushing";
    this.#closeTimer = setTimeout(() => this.#end(undefined), CLOSE_FLUSH_TIMEOUT_MS);
    this.#wakeReader();
    if (!this.#writing) this.#linger();
  }

  async #readAll(): Promise<void> {
    let buffer = new Uint8Array(READ_BUFFER_BYTES_MIN);
    let smallReads = 0;
    let turnBytes = 0;
    while (this.#state !== "closed") {
      if (this.#paused && this.#state === "open") await this.#resumed();
      let count: number | null;
      try {
        count = await this.#conn.read(buffer);
      } catch (error) {
        this.#end(brokenError(this.remote, error));
        return;
      }
      if (this.#paused && this.#state === "open") await this.#resumed();
      if (count === null) {
        this.#onEnd();
        return;
      }
      // If a handler throws, that is a defect of ours; it must not be taken for a broken connection.
      if (this.#state === "open") this.#handlers?.onData(buffer.subarray(0, count));
      turnBytes += count;
      if (turnBytes >= READ_TURN_BYTES) {
        turnBytes = 0;
        await nextTurn();
      }
      smallReads = count < buffer.length / 8 ? smallReads + 1 : 0;
      const size = nextBufferSize(buffer.length, count, smallReads);
      if (size !== buffer.length) {
        buffer = new Uint8Array(size);
        smallReads = 0;
      }
    }
  }

  #onEnd(): void {
    this.#ended = true;
    if (this.#state === "lingering") this.#end(undefined);
    if (this.#state !== "open") return;
    if (this.#handlers?.onEnd === undefined) this.close(true);
    else this.#handlers.onEnd();
  }

  #resumed(): Promise<void> {
    return new Promise((resolve) => this.#onResume = resolve);
  }

  #wakeReader(): void {
    const wake = this.#onResume;
    this.#onResume = undefined;
    wake?.();
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    try {
      while (this.#queue.length > 0) {
        const bytes = this.#takeJoined();
        for (let from = 0; from < bytes.length;) {
          const count = await this.#conn.write(from === 0 ? bytes : bytes.subarray(from));
          from += count;
          this.#queuedBytes -= count;
          this.#tellDrained();
        }
      }
    } catch (error) {
      this.#end(brokenError(this.remote, error));
    }
    this.#writing = false;
    if (this.#state === "flushing") this.#linger();
  }

  /** The head of the queue, joined with as many small pieces behind it as are worth copying. */
  #takeJoined(): Uint8Array {
    const queue = this.#queue;
    let pieces = 0;
    let size = 0;
    for (const piece of queue) {
      if (pieces > 0 && size + piece.length > WRITE_JOIN_BYTES) break;
      size += piece.length;
      pieces++;
    }
    return joinBytes(queue.splice(0, pieces));
  }

  #tellDrained(): void {
    if (!this.#aboveHighWater || this.#queuedBytes >= STREAM_LOW_WATER_BYTES) return;
    this.#aboveHighWater = false;
    if (this.#state === "open") {
      // In a turn of its own: if the owner throws, that must not be taken for a broken connection.
      queueMicrotask(() => {
        if (this.#state === "open") this.#handlers?.onDrain?.();
      });
    }
  }

  /** Everything is sent: sends our end, and waits a moment for the end of the other side. */
  #linger(): void {
    this.#state = "lingering";
    clearTimeout(this.#closeTimer);
    if (this.#ended) {
      this.#end(undefined);
      return;
    }
    this.#closeTimer = setTimeout(() => this.#end(undefined), CLOSE_LINGER_MS);
    this.#conn.closeWrite().catch(() => this.#end(undefined));
  }

  #end(reason: Error | undefined): void {
    if (this.#state === "closed") return;
    // Whoever closed it does not care how the other side reacted.
    if (this.#state === "open") this.#reason = reason;
    this.#state = "closed";
    clearTimeout(this.#closeTimer);
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#wakeReader();
    this.#conn.close();
    if (this.#handlers !== undefined) this.#tellClosed();
  }

  #tellClosed(): void {
    const handlers = this.#handlers;
    queueMicrotask(() => handlers?.onClose(this.#reason));
  }
}

/** Grows with the data that arrives, so that 2,000 idle connections do not hold 64 KiB each. */
function nextBufferSize(size: number, filled: number, smallReads: number): number {
  if (filled === size) return Math.min(size * 4, READ_BUFFER_BYTES_MAX);
  if (smallReads >= SMALL_READS_MAX) return Math.max(size / 4, READ_BUFFER_BYTES_MIN);
  return size;
}

/** An address as the system shows it. */
export function addressOf(address: Deno.NetAddr): Address {
  return { host: address.hostname, port: address.port };
}

/**
 * Lets the event loop look at all sockets. Reads, accepts and receives that find something waiting
 * return without that, so a peer that sends faster than we work would keep out all others. A shorter
 * way (a microtask, `setImmediate`) is not enough: while there is any work left, the loop looks at
 * sockets only every 61st turn.
 */
export function nextTurn(): Promise<void> {
  return pauseMs(0);
}

/** Waits. */
export function pauseMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Why an address cannot be bound, and what to do. */
export function bindError(what: string, address: Address, error: unknown): KvError {
  const where = formatAddress(address);
  if (error instanceof Deno.errors.AddrInUse) {
    return new KvError(
      "address_in_use",
      `${what} ${where}: another process has this port; stop it or choose another port`,
      { cause: error },
    );
  }
  const advice = error instanceof Deno.errors.AddrNotAvailable
    ? "; give an address of this machine (--host), such as 127.0.0.1, or 0.0.0.0 for all of them"
    : "";
  return new KvError("unavailable", `${what} ${where}: ${describe(error)}${advice}`, {
    cause: error,
  });
}

function brokenError(remote: Address, error: unknown): KvError {
  return new KvError(
    "unavailable",
    `the connection to ${formatAddress(remote)} broke: ${describe(error)}`,
    { cause: error },
  );
}

/** The system's text in one line, without its error number. */
export function describe(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/\s*\(os error \d+\)/g, "").replace(/\s+/g, " ").trim();
}
