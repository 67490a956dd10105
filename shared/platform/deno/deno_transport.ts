/**
 * The real network: TCP and UDP of Deno, behind the interfaces of `transport.ts`. It knows only bytes.
 * This is the only file of `shared/` with a promise for each read and write, and with real timers.
 *
 * Invariants: at most one read and one write are under way on a stream. What is written while a write is
 * under way leaves together with the next one. An idle stream holds one small buffer. Every failure of
 * the system ends as one `onClose`, `onFail` or thrown KvError with a text of one line.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
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
import { acceptAll } from "./deno_accept.ts";
import {
  type AcceptedConnection,
  type ConnectionListener,
  listenTcp,
  sendAtOnce,
  type ServerCertificate,
} from "./deno_listen.ts";
import { joinBytes } from "../../base/join_bytes.ts";
import type { Logger } from "../logger.ts";
import type {
  Address,
  DatagramOptions,
  DatagramSocket,
  Listener,
  Stream,
  StreamHandlers,
  Transport,
} from "../transport.ts";
import { formatAddress } from "../transport.ts";

/** The pause after a failed receive, so that a lasting failure does not use the processor. */
const RETRY_PAUSE_MS = 50;
/** After this many received datagrams other work gets its turn. */
const DATAGRAMS_PER_TURN = 256;
/** A buffer shrinks after this many reads in a row that filled less than an eighth of it. */
const SMALL_READS_MAX = 16;

/** Where streams are TLS. */
export interface TransportTls {
  /** What is accepted shows this certificate. */
  readonly server?: ServerCertificate | undefined;
  /** What is connected to must show a certificate for its address that this authority (PEM) has signed. */
  readonly authority?: string | undefined;
}

/** TCP and UDP. Needs `--allow-net`, and `--unstable-net` for datagrams. */
export class DenoTransport implements Transport {
  readonly #log: Logger | undefined;
  readonly #tls: TransportTls;

  /** @param log is told if connections cannot be accepted */
  constructor(log?: Logger, tls: TransportTls = {}) {
    this.#log = log;
    this.#tls = tls;
  }

  // deno-lint-ignore require-await -- a failure must be a rejection
  async listen(address: Address, onStream: (stream: Stream) => void): Promise<Listener> {
    let listener: ConnectionListener;
    try {
      listener = listenTcp(address.host, address.port, this.#tls.server);
    } catch (error) {
      throw bindError("listen on", address, error);
    }
    const state = { closed: false };
    // It ends with the listener. A defect in it becomes an unhandled rejection, which ends the process.
    void acceptAll(listener, state, (conn) => onStream(new DenoStream(conn)), this.#log);
    return {
      address: fromDeno(listener.addr),
      close() {
        if (state.closed) return;
        state.closed = true;
        listener.close();
      },
    };
  }

  connect(
    address: Address,
    timeoutMs: number,
    onOpen: (stream: Stream) => void,
    onFail: (reason: Error) => void,
  ): () => void {
    const abort = new AbortController();
    let settled = false;
    const fail = (why: string, cause?: unknown) => {
      settled = true;
      onFail(
        new KvError("unavailable", `connect to ${formatAddress(address)}: ${why}`, { cause }),
      );
    };
    const timer = setTimeout(() => {
      if (settled) return;
      fail(`no answer within ${timeoutMs} ms`);
      abort.abort();
    }, timeoutMs);
    this.#dial(address, abort.signal).then(
      (conn) => {
        clearTimeout(timer);
        if (settled) {
          conn.close();
          return;
        }
        settled = true;
        onOpen(new DenoStream(conn));
      },
      (error) => {
        clearTimeout(timer);
        if (!settled) fail(describe(error), error);
      },
    );
    return () => {
      if (settled) return;
      settled = true;
      clearTimeout(timer);
      abort.abort();
    };
  }

  async #dial({ host: hostname, port }: Address, signal: AbortSignal): Promise<AcceptedConnection> {
    const { authority } = this.#tls;
    const plain = await Deno.connect({ hostname, port, signal });
    if (authority === undefined) return plain;
    sendAtOnce(plain);
    const connection = await Deno.startTls(plain, { hostname, caCerts: [authority] });
    // Whoever gives up meanwhile has no use for it.
    const giveUp = () => connection.close();
    signal.addEventListener("abort", giveUp);
    try {
      await connection.handshake();
    } catch (error) {
      if (!signal.aborted) connection.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
    return connection;
  }

  // deno-lint-ignore require-await -- a failure must be a rejection
  async bindDatagram(
    address: Address,
    onDatagram: (bytes: Uint8Array, from: Address) => void,
    options: DatagramOptions = {},
  ): Promise<DatagramSocket> {
    let socket: Deno.DatagramConn;
    try {
      socket = Deno.listenDatagram({
        transport: "udp",
        hostname: address.host,
        port: address.port,
        reuseAddress: options.shared ?? false,
      });
    } catch (error) {
      throw bindError("receive datagrams on", address, error);
    }
    const state = { closed: false };
    void receiveAll(socket, state, onDatagram);
    return {
      address: fromDeno(socket.addr as Deno.NetAddr),
      send(bytes, to) {
        if (state.closed) return;
        socket.send(bytes, { transport: "udp", hostname: to.host, port: to.port }).catch(() => {});
      },
      join(group, interfaceAddress, onFail) {
        if (!state.closed) socket.joinMulticastV4(group, interfaceAddress).catch(onFail);
      },
      close() {
        if (state.closed) return;
        state.closed = true;
        socket.close();
      },
    };
  }
}

async function receiveAll(
  socket: Deno.DatagramConn,
  state: { closed: boolean },
  onDatagram: (bytes: Uint8Array, from: Address) => void,
): Promise<void> {
  const buffer = new Uint8Array(READ_BUFFER_BYTES_MAX);
  for (let count = 1; !state.closed; count++) {
    if (count % DATAGRAMS_PER_TURN === 0) await nextTurn();
    let bytes: Uint8Array;
    let from: Deno.Addr;
    try {
      [bytes, from] = await socket.receive(buffer);
    } catch {
      if (!state.closed) await pauseMs(RETRY_PAUSE_MS);
      continue;
    }
    if (!state.closed) onDatagram(bytes, fromDeno(from as Deno.NetAddr));
  }
}

/**
 * One TCP connection.
 *
 * `open` -> `flushing` (closed by us; what was queued is still sent) -> `lingering` (our end is sent;
 * what still arrives is read and dropped, because if we close with unread bytes the system throws away
 * a last reply) -> `closed`.
 */
class DenoStream implements Stream {
  readonly remote: Address;
  readonly #conn: AcceptedConnection;
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

  constructor(conn: AcceptedConnection) {
    this.#conn = conn;
    this.remote = fromDeno(conn.remoteAddr as Deno.NetAddr);
    sendAtOnce(conn);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  start(handlers: StreamHandlers): void {
    this.#handlers = handlers;
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

function fromDeno(address: Deno.NetAddr): Address {
  return { host: address.hostname, port: address.port };
}

/**
 * Lets the event loop look at all sockets. Reads, accepts and receives that find something waiting
 * return without that, so a peer that sends faster than we work would keep out all others. A shorter
 * way (a microtask, `setImmediate`) is not enough: while there is any work left, the loop looks at
 * sockets only every 61st turn.
 */
function nextTurn(): Promise<void> {
  return pauseMs(0);
}

function pauseMs(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function bindError(what: string, address: Address, error: unknown): KvError {
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
function describe(error: unknown): string {
  const text = error instanceof Error ? error.message || error.name : String(error);
  return text.replace(/\s*\(os error \d+\)/g, "").replace(/\s+/g, " ").trim();
}
