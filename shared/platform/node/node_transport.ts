/**
 * The network through `node:net`, `node:tls` and `node:dgram`, behind the interfaces of `transport.ts`: for clients in
 * Node and Bun. It knows only bytes. What a stream is stands in `node_stream.ts`.
 *
 * Invariant: every failure of the system ends as one `onClose`, `onFail` or thrown KvError with a text of one line.
 *
 * @module
 */
import { createSocket, type Socket as Datagrams } from "node:dgram";
import { connect as connectTcp, createServer, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { KvError } from "../../base/errors.ts";
import {
  type Address,
  type DatagramOptions,
  type DatagramSocket,
  formatAddress,
  type Listener,
  type Stream,
  type Transport,
} from "../transport.ts";
import { codeOf, describe, NodeStream } from "./node_stream.ts";

/** What is small is sent at once; one whose other side has vanished without a word is found out in the end. */
const TCP = { allowHalfOpen: true, noDelay: true, keepAlive: true } as const;

/** TCP, or TLS above it, and UDP. */
export class NodeTransport implements Transport {
  readonly #authority: string | undefined;

  /** @param authority streams are TLS, and who answers shows a certificate for its address that this authority (PEM) has signed */
  constructor(authority?: string) {
    this.#authority = authority;
  }

  /** Without TLS: a client does not listen, but for tests. */
  listen(address: Address, onStream: (stream: Stream) => void): Promise<Listener> {
    const server = createServer({ ...TCP, pauseOnConnect: true }, (socket) => {
      onStream(new NodeStream(socket, remoteOf(socket)));
    });
    return new Promise((resolve, reject) => {
      server.once("error", (error) => reject(bindError("listen on", address, error)));
      server.listen({ host: address.host, port: address.port }, () => {
        resolve({
          address: boundTo(server.address()),
          // Its own promise waits for the streams that were accepted, too.
          close: () => {
            server.close();
            return Promise.resolve();
          },
        });
      });
    });
  }

  connect(
    address: Address,
    timeoutMs: number,
    onOpen: (stream: Stream) => void,
    onFail: (reason: Error) => void,
  ): () => void {
    let settled = false;
    const socket = this.#dial(address);
    const settle = () => {
      settled = true;
      clearTimeout(timer);
    };
    const fail = (why: string, cause?: unknown) => {
      if (settled) return;
      settle();
      socket.destroy();
      const text = `connect to ${formatAddress(address)}: ${why}`;
      onFail(new KvError("unavailable", text, { cause }));
    };
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs);
    socket.on("error", (error) => fail(describe(error), error));
    // A handshake that is ended by the other side is not always an error.
    socket.once("close", () => fail("the connection ended before it was open"));
    socket.once(this.#authority === undefined ? "connect" : "secureConnect", () => {
      if (settled) return;
      settle();
      onOpen(new NodeStream(socket, remoteOf(socket), this.#authority !== undefined));
    });
    return () => {
      if (settled) return;
      settle();
      socket.destroy();
    };
  }

  #dial({ host, port }: Address): Socket {
    if (this.#authority === undefined) return connectTcp({ host, port, ...TCP });
    // A name is sent, so that a server with several certificates knows which one; an address must not be.
    const name = isIP(host) === 0 ? { servername: host } : {};
    const tls = connectTls({ host, port, ...TCP, ...name, ca: certificatesOf(this.#authority) });
    // Not every runtime passes this on.
    tls.setNoDelay(true);
    return tls;
  }

  async bindDatagram(
    address: Address,
    onDatagram: (bytes: Uint8Array, from: Address) => void,
    options: DatagramOptions = {},
  ): Promise<DatagramSocket> {
    const socket = createSocket({
      type: isIP(address.host) === 6 ? "udp6" : "udp4",
      reuseAddr: options.shared ?? false,
    });
    try {
      await bound(socket, address);
    } catch (error) {
      socket.close();
      throw bindError("receive datagrams on", address, error);
    }
    socket.setBroadcast(true);
    let isClosed = false;
    // What cannot be sent or received is lost, as datagrams are.
    socket.on("error", () => {});
    socket.on("message", (bytes: Uint8Array, { address: host, port }) => {
      if (!isClosed) onDatagram(bytes, { host, port });
    });
    return {
      address: boundTo(socket.address()),
      send(bytes, to) {
        if (!isClosed) socket.send(bytes, to.port, to.host, () => {});
      },
      join(group, interfaceAddress, onFail) {
        if (isClosed) return;
        try {
          socket.addMembership(group, interfaceAddress);
        } catch {
          queueMicrotask(onFail);
        }
      },
      close() {
        if (isClosed) return;
        isClosed = true;
        socket.close();
      },
    };
  }
}

function bound(socket: Datagrams, { host, port }: Address): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ address: host, port }, () => {
      socket.off("error", reject);
      resolve();
    });
  });
}

/** The certificates of a text that has one after the other: not every runtime takes them as one. */
function certificatesOf(pem: string): string[] {
  return pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [pem];
}

function remoteOf(socket: Socket): Address {
  return { host: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
}

function boundTo(address: { address: string; port: number } | string | null): Address {
  if (address === null || typeof address === "string") return { host: "", port: 0 };
  return { host: address.address, port: address.port };
}

/** Why an address cannot be bound. */
function bindError(what: string, address: Address, error: unknown): KvError {
  const where = `${what} ${formatAddress(address)}`;
  if (codeOf(error) === "EADDRINUSE") {
    const text = `${where}: another process has this port; stop it or choose another port`;
    return new KvError("address_in_use", text, { cause: error });
  }
  return new KvError("unavailable", `${where}: ${describe(error)}`, { cause: error });
}
