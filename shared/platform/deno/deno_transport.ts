/**
 * The real network: TCP and UDP of Deno, behind the interfaces of `transport.ts`. It knows only bytes.
 * What a stream is stands in `deno_stream.ts`; streams between members of a secured cluster are those of
 * `deno_member_transport.ts`.
 *
 * Invariant: every failure of the system ends as one `onClose`, `onFail` or thrown KvError with a text of one line.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { READ_BUFFER_BYTES_MAX } from "../../limits/connections.ts";
import { acceptAll } from "./deno_accept.ts";
import {
  type AcceptedConnection,
  type ConnectionListener,
  listenTcp,
  sendAtOnce,
} from "./deno_listen.ts";
import { addressOf, bindError, DenoStream, describe, nextTurn, pauseMs } from "./deno_stream.ts";
import type { Logger } from "../logger.ts";
import type { ServerCertificate } from "../server_certificate.ts";
import type {
  Address,
  DatagramOptions,
  DatagramSocket,
  Listener,
  ListenerOptions,
  Stream,
  Transport,
} from "../transport.ts";
import { formatAddress } from "../transport.ts";

/** The pause after a failed receive, so that a lasting failure does not use the processor. */
const RETRY_PAUSE_MS = 50;
/** After this many received datagrams other work gets its turn. */
const DATAGRAMS_PER_TURN = 256;

/** What a transport needs if its streams are TLS. */
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
  async listen(
    address: Address,
    onStream: (stream: Stream) => void,
    { shared }: ListenerOptions = {},
  ): Promise<Listener> {
    let listener: ConnectionListener;
    try {
      listener = listenTcp(address.host, address.port, {
        tls: this.#tls.server,
        log: this.#log,
        shared,
      });
    } catch (error) {
      throw bindError("listen on", address, error);
    }
    const state = { closed: false };
    // A defect in it becomes an unhandled rejection, which ends the process.
    const accepting = acceptAll(listener, state, (conn) => {
      sendAtOnce(conn);
      onStream(new DenoStream(conn));
    }, this.#log);
    return {
      address: addressOf(listener.addr),
      close() {
        if (!state.closed) {
          state.closed = true;
          listener.close();
        }
        return accepting;
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
        onOpen(new DenoStream(conn, this.#tls.authority !== undefined));
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
    sendAtOnce(plain);
    if (authority === undefined) return plain;
    const connection = await Deno.startTls(plain, { hostname, caCerts: [authority] });
    // Whoever gives up meanwhile has no use for it. Deno lets nobody close a connection twice.
    let isClosed = false;
    const giveUp = () => {
      if (!isClosed) connection.close();
      isClosed = true;
    };
    signal.addEventListener("abort", giveUp);
    try {
      signal.throwIfAborted();
      await connection.handshake();
      // A handshake may have ended well just before.
      signal.throwIfAborted();
    } catch (error) {
      giveUp();
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
      address: addressOf(socket.addr as Deno.NetAddr),
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
    if (!state.closed) onDatagram(bytes, addressOf(from as Deno.NetAddr));
  }
}
