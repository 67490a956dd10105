/**
 * TLS of `node:tls` as a connection that a stream is made of.
 *
 * If the other side connected to this process, TCP is Deno's: then what is not read here is not read from the network
 * either, the end of the connection is always seen, and accepting goes on when descriptors were short for a moment.
 * (Sockets of `node:tls` that stop reading by themselves lose the end; servers of `node:net` accept nothing more after
 * EMFILE; both in Deno 2.9.6.) The connection exists from the moment when TCP is there, so that what never gets
 * through its handshake is counted and closed as any other.
 *
 * If this process connects, `node:tls` has the TCP connection itself, which costs half as much. It stops reading
 * only if {@linkcode HELD_BYTES_MAX} wait; should the end be lost then, silence tells: all who connect to members ping.
 *
 * Invariants: until the other side's certificate is judged nothing is delivered, and what is written waits; what is
 * held is bounded; writes leave in pieces, so that whoever watches progress sees some; whoever does not get through its
 * handshake in time is closed.
 *
 * @module
 */
import { connect as connectTcp, type Socket } from "node:net";
import { Duplex } from "node:stream";
import {
  connect,
  type ConnectionOptions,
  createServer,
  type TlsOptions,
  type TLSSocket,
} from "node:tls";
import { READ_BUFFER_BYTES_MAX, READ_BUFFER_BYTES_MIN } from "../../limits/connections.ts";
import { MEMBER_HANDSHAKE_MS_MAX } from "../../limits/security.ts";
import type { MemberName } from "../member_identity.ts";
import type { Address } from "../transport.ts";
import { type ByteConnection, describe } from "./deno_stream.ts";

/** What is small is sent at once; one whose other side has vanished without a word is found out in the end. */
const TCP = { noDelay: true, keepAlive: true } as const;

/** The system is given at most this much at a time. */
const PIECE_BYTES = 256 * 1024;
/** While this much waits to be taken, nothing more is read from the network, if TCP is Deno's; ... */
const HELD_BYTES = READ_BUFFER_BYTES_MAX;

/** ... and if it is not. */
const HELD_BYTES_MAX = 16 * 1024 * 1024;

const ENDED = "the connection ended before its TLS handshake was done";

/** Says who is at the other end of a handshake that is done. Throws if nobody who may be there. */
export type Judge = (socket: TLSSocket) => MemberName | undefined;

/** One connection, at either end. */
export class TlsConnection implements ByteConnection {
  readonly remoteAddr: Deno.Addr;
  /** Fulfilled when the other side was let in, rejected if that does not happen. */
  readonly admitted: Promise<void>;
  /** Called once, at its end. */
  onClosed: () => void = () => {};
  /** Called when its certificates end before long. */
  onExpiring: () => void = () => {};
  readonly #endTcp: () => void;
  readonly #judge: Judge;
  readonly #handshakeTimer: ReturnType<typeof setTimeout>;
  #socket: TLSSocket | undefined;
  #isAdmitted = false;
  #member: MemberName | undefined;
  #failure: Error | undefined;
  #ended = false;
  #closed = false;
  #chunks: Uint8Array[] = [];
  #heldBytes = 0;
  #buffer = new Uint8Array(READ_BUFFER_BYTES_MIN);
  /** Reads from the network, when there is room. */
  #pull: (() => void) | undefined;
  /** Who waits for the handshake, or for something to read. */
  #wake: (() => void)[] = [];

  /** @param tcp what it runs over */
  private constructor(
    tcp: { readonly remoteAddr: Deno.Addr; close(): void },
    judge: Judge,
    handshakeMs: number = MEMBER_HANDSHAKE_MS_MAX,
  ) {
    this.#endTcp = () => tcp.close();
    this.#judge = judge;
    this.remoteAddr = tcp.remoteAddr;
    this.#handshakeTimer = setTimeout(
      () => this.fail(new Error(`no TLS handshake within ${handshakeMs} ms`)),
      handshakeMs,
    );
    this.admitted = this.#untilAdmitted();
    // Whoever accepts does not wait for it.
    this.admitted.catch(() => {});
  }

  /**
   * The side that was connected to. Each connection has a server of its own, so that the socket that it makes is
   * known to be this connection's; and no session of another connection is resumed, which TLS would not verify again.
   */
  static accept(
    tcp: Deno.TcpConn,
    options: TlsOptions,
    judge: Judge,
    handshakeMs?: number,
  ): TlsConnection {
    const connection = new TlsConnection(tcp, judge, handshakeMs);
    const server = createServer({
      ...options,
      allowHalfOpen: true,
      // Ours is shorter, runs from the TCP connection on, and closes it.
      handshakeTimeout: 2 * MEMBER_HANDSHAKE_MS_MAX,
    });
    server.on("secureConnection", (socket) => connection.#onSecure(socket));
    server.on("tlsClientError", (error) => connection.fail(error));
    server.emit("connection", connection.#overTcp(tcp));
    return connection;
  }

  /**
   * The side that connects.
   *
   * @param raw is connected, and allows half-open connections
   */
  static dial(raw: Socket, options: ConnectionOptions, judge: Judge): TlsConnection {
    const connection = new TlsConnection(linkOf(raw), judge);
    const socket = connect({ ...options, socket: raw });
    connection.#watch(socket);
    connection.#watchTcp(raw);
    socket.once("secureConnect", () => connection.#onSecure(socket));
    return connection;
  }

  get member(): MemberName | undefined {
    return this.#member;
  }

  /** Ends it; what is under way on it fails with this reason. */
  fail(reason: Error): void {
    this.#failure ??= reason;
    this.close();
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      const [chunk] = this.#chunks;
      if (chunk !== undefined && this.#isAdmitted) return this.#take(chunk, buffer);
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closed || (this.#ended && this.#isAdmitted)) return null;
      await this.#told();
    }
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (!this.#isAdmitted) await this.admitted;
    const piece = bytes.length > PIECE_BYTES ? bytes.subarray(0, PIECE_BYTES) : bytes;
    await new Promise<void>((resolve, reject) => {
      if (this.#closed) reject(this.#failure ?? new Error("closed"));
      else this.#socket?.write(piece, (error) => error ? reject(error) : resolve());
    });
    return piece.length;
  }

  async closeWrite(): Promise<void> {
    await this.admitted;
    await new Promise<void>((resolve) => {
      if (this.#closed || this.#socket === undefined) resolve();
      else this.#socket.end(() => resolve());
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#handshakeTimer);
    this.#socket?.destroy();
    this.#endTcp();
    this.#tell();
    this.onClosed();
  }

  async #untilAdmitted(): Promise<void> {
    while (!this.#isAdmitted) {
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#closed || this.#ended) {
        throw new Error(ENDED);
      }
      await this.#told();
    }
  }

  #onSecure(socket: TLSSocket): void {
    if (this.#closed) {
      socket.destroy();
      return;
    }
    if (this.#socket === undefined) this.#watch(socket);
    try {
      this.#member = this.#judge(socket);
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    clearTimeout(this.#handshakeTimer);
    this.#isAdmitted = true;
    this.#tell();
  }

  #watch(socket: TLSSocket): void {
    this.#socket = socket;
    socket.on("data", (chunk: Uint8Array) => {
      this.#chunks.push(chunk);
      this.#heldBytes += chunk.length;
      if (this.#heldBytes >= HELD_BYTES_MAX) socket.pause();
      this.#tell();
    });
    socket.on("end", () => this.#onEnd());
    socket.on("close", () => this.#onEnd());
    socket.on("error", (error: Error) => this.fail(error));
  }

  /** What TLS does not tell. */
  #watchTcp(raw: Socket): void {
    raw.on("error", (error: Error) => this.fail(error));
    raw.on("close", () => this.#isAdmitted ? this.#onEnd() : this.fail(new Error(ENDED)));
    raw.on("end", () => setTimeout(() => this.#isAdmitted || this.fail(new Error(ENDED)), 0));
  }

  #onEnd(): void {
    this.#ended = true;
    this.#tell();
  }

  #take(chunk: Uint8Array, buffer: Uint8Array): number {
    const count = Math.min(chunk.length, buffer.length);
    buffer.set(count === chunk.length ? chunk : chunk.subarray(0, count));
    if (count === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(count);
    this.#heldBytes -= count;
    this.#readOn();
    return count;
  }

  #readOn(): void {
    if (this.#heldBytes >= HELD_BYTES) return;
    if (this.#socket?.isPaused() === true) this.#socket.resume();
    const pull = this.#pull;
    this.#pull = undefined;
    pull?.();
  }

  /** The encrypted bytes, as `node:tls` wants them. */
  #overTcp(tcp: Deno.TcpConn): Duplex {
    const duplex: Duplex = new Duplex({
      allowHalfOpen: true,
      read: () => {
        this.#pull = () => void this.#readInto(tcp, duplex);
        this.#readOn();
      },
      write: (bytes: Uint8Array, _encoding, done) => void writeAll(tcp, bytes, done),
      final: (done) => void tcp.closeWrite().then(() => done(), done),
    });
    duplex.on("error", (error) => this.fail(error));
    // If the other side ends before it has said enough, `node:tls` does not tell. What it said is judged first.
    duplex.on("end", () => setTimeout(() => this.#isAdmitted || this.fail(new Error(ENDED)), 0));
    return duplex;
  }

  /** One read of the network. What it gives belongs to the duplex. */
  async #readInto(tcp: Deno.TcpConn, duplex: Duplex): Promise<void> {
    const buffer = this.#buffer;
    try {
      const count = await tcp.read(buffer);
      duplex.push(count === null ? null : buffer.slice(0, count));
      if (count === buffer.length && count < READ_BUFFER_BYTES_MAX) {
        this.#buffer = new Uint8Array(count * 4);
      }
    } catch (error) {
      duplex.destroy(asError(error));
    }
  }

  #told(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #tell(): void {
    const wake = this.#wake;
    if (wake.length === 0) return;
    this.#wake = [];
    for (const then of wake) then();
  }
}

function linkOf(raw: Socket): { remoteAddr: Deno.Addr; close(): void } {
  const [hostname, port] = [raw.remoteAddress ?? "", raw.remotePort ?? 0];
  return { remoteAddr: { transport: "tcp", hostname, port }, close: () => raw.destroy() };
}

async function writeAll(
  tcp: Deno.TcpConn,
  bytes: Uint8Array,
  done: (error?: Error) => void,
): Promise<void> {
  try {
    for (let from = 0; from < bytes.length;) from += await tcp.write(bytes.subarray(from));
  } catch (error) {
    done(asError(error));
    return;
  }
  done();
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(describe(error));
}

/** A TCP connection for {@linkcode TlsConnection.dial}. */
export function connectedTo({ host, port }: Address, signal?: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const raw = connectTcp({ host, port, allowHalfOpen: true, ...TCP });
    const giveUp = () => raw.destroy(new Error("given up"));
    signal?.addEventListener("abort", giveUp);
    const ended = () => signal?.removeEventListener("abort", giveUp);
    raw.once("error", (error) => {
      ended();
      reject(error);
    });
    raw.once("connect", () => {
      ended();
      resolve(raw);
    });
  });
}
