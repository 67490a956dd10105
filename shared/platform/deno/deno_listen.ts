/**
 * Listens for TCP, with TLS if there is a certificate: what all front ends of a process do alike. Clients are asked
 * for no certificate (decision 0015): they log in inside.
 *
 * A certificate may change while the process runs. Deno's listener keeps the one that it was opened with, so a second
 * one is opened on the same port (`SO_REUSEPORT`), both accept for a while, and the first is closed in a quiet moment.
 * Connections that stand are not touched, so no request is lost. A connection that is being made when the first one is
 * closed may break, before its client has sent anything over TLS: clients try again. A kernel with
 * `net.ipv4.tcp_migrate_req=1` hands these to the new listener.
 *
 * @module
 */
import { messageOf } from "../../base/errors.ts";
import {
  CERTIFICATE_OVERLAP_MS,
  CERTIFICATE_OVERLAP_MS_MAX,
  CERTIFICATE_QUIET_MS,
} from "../../limits/security.ts";
import type { Logger } from "../logger.ts";
import type { KeyedCertificate, ServerCertificate } from "../server_certificate.ts";

/** A connection that was accepted. */
export type AcceptedConnection = Deno.TcpConn | Deno.TlsConn;

/** A listener, with or without TLS. */
export interface ConnectionListener {
  readonly addr: Deno.NetAddr;
  /** The next connection. To be asked again when that has come, and not before. */
  accept(): Promise<AcceptedConnection>;
  close(): void;
}

/** How to listen. */
export interface ListenOptions {
  readonly tls?: ServerCertificate | undefined;
  /** Is told of changes of the certificate. */
  readonly log?: Logger | undefined;
  /** Other processes of this user may listen on the port, if they say so too. Default false. */
  readonly shared?: boolean | undefined;
}

/**
 * @throws {Deno.errors} what the system, or TLS, refuses
 */
export function listenTcp(
  hostname: string,
  port: number,
  { tls, log, shared = false }: ListenOptions = {},
): ConnectionListener {
  return tls === undefined
    ? Deno.listen({ hostname, port, reusePort: shared })
    : new TlsListener(hostname, port, { tls, log, shared });
}

/** What is small is sent at once, if the connection can be told so (one of TLS cannot). */
export function sendAtOnce(connection: AcceptedConnection): void {
  if (!("setNoDelay" in connection)) return;
  try {
    connection.setNoDelay(true);
    // One whose other side has vanished without a word is found out in the end.
    connection.setKeepAlive(true);
  } catch {
    // It has broken already; the first read says so.
  }
}

/** A listener of the system's. */
interface Socket {
  readonly listener: Deno.TlsListener;
  /** Its next connection was asked for. */
  asked: boolean;
}

/** How often another free port is looked for if somebody took the last one. */
const FREE_PORT_ATTEMPTS_MAX = 8;
/** Whether several listeners can share a port, and connections are divided among them. Other systems do it in another way, or not at all. */
export const CAN_SHARE_PORT = Deno.build.os === "linux";

/** Accepts under the newest certificate. */
class TlsListener implements ConnectionListener {
  readonly addr: Deno.NetAddr;
  readonly #hostname: string;
  readonly #tls: ServerCertificate;
  readonly #log: Logger | undefined;
  /** The newest last; the others are being closed. */
  readonly #sockets: Socket[] = [];
  /** Came while nobody asked, from a socket that is being closed. */
  readonly #ready: Deno.TlsConn[] = [];
  #waiting: PromiseWithResolvers<AcceptedConnection> | undefined;
  #shown: KeyedCertificate;
  #closed = false;
  /** How many connections have come. */
  #accepted = 0;
  readonly #ending = new WeakSet<Socket>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();

  constructor(
    hostname: string,
    port: number,
    { tls, log, shared = false }: ListenOptions & { readonly tls: ServerCertificate },
  ) {
    this.#hostname = hostname;
    this.#tls = tls;
    this.#log = log;
    this.#shown = tls.current();
    this.addr = CAN_SHARE_PORT && !shared ? this.#openFirst(port) : this.#open(port);
    tls.onChange(() => this.#change());
  }

  accept(): Promise<AcceptedConnection> {
    const ready = this.#ready.shift();
    if (ready !== undefined) return Promise.resolve(ready);
    this.#waiting = Promise.withResolvers();
    for (const socket of this.#sockets) this.#ask(socket);
    return this.#waiting.promise;
  }

  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const { listener } of this.#sockets.splice(0)) listener.close();
    for (const connection of this.#ready.splice(0)) connection.close();
  }

  /** @param port 0 for any: another process may take it between the two steps */
  #openFirst(port: number): Deno.NetAddr {
    for (let attempt = 1;; attempt++) {
      const free = freePort(this.#hostname, port);
      try {
        return this.#open(free);
      } catch (error) {
        const isTaken = error instanceof Deno.errors.AddrInUse;
        if (!isTaken || port !== 0 || attempt === FREE_PORT_ATTEMPTS_MAX) throw error;
      }
    }
  }

  #open(port: number): Deno.NetAddr {
    const { certificate: cert, key } = this.#shown;
    const listener = Deno.listenTls({
      hostname: this.#hostname,
      port,
      cert,
      key: key.reveal(),
      reusePort: CAN_SHARE_PORT,
    }) as Deno.TlsListener;
    this.#sockets.push({ listener, asked: false });
    return listener.addr as Deno.NetAddr;
  }

  #ask(socket: Socket): void {
    if (socket.asked) return;
    socket.asked = true;
    socket.listener.accept().then((connection) => {
      socket.asked = false;
      this.#accepted++;
      if (this.#closed) connection.close();
      else this.#give(connection);
    }, (error) => {
      socket.asked = false;
      // One that was closed has nothing to say.
      if (this.#closed || this.#sockets.includes(socket)) this.#take()?.reject(error);
    });
  }

  #give(connection: Deno.TlsConn): void {
    const waiting = this.#take();
    if (waiting === undefined) this.#ready.push(connection);
    else waiting.resolve(connection);
  }

  #take(): PromiseWithResolvers<AcceptedConnection> | undefined {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }

  #change(): void {
    const next = this.#tls.current();
    if (this.#closed || next.certificate === this.#shown.certificate) return;
    const { port } = this.addr;
    if (!CAN_SHARE_PORT) {
      this.#log?.warn("a new certificate is shown only after a restart on this system", { port });
      return;
    }
    const [before, old] = [this.#shown, [...this.#sockets]];
    this.#shown = next;
    try {
      this.#open(port);
    } catch (error) {
      this.#shown = before;
      this.#log?.error("the new certificate cannot be shown; the one before stays", {
        port,
        error: messageOf(error),
      });
      return;
    }
    this.#log?.info("connections are accepted under a new certificate", { port });
    const newest = this.#sockets.at(-1);
    if (this.#waiting !== undefined && newest !== undefined) this.#ask(newest);
    for (const socket of old.filter((socket) => !this.#ending.has(socket))) {
      this.#ending.add(socket);
      this.#closeInAQuietMoment(socket, performance.now());
    }
  }

  /**
   * Closes a socket when no connection has come anywhere for a moment, and the process had nothing else to do: then
   * the least time lies between the last look into the socket and its end. Not at once, since whatever brought the new
   * certificate may bring connections too.
   */
  #closeInAQuietMoment(socket: Socket, beganMs: number): void {
    const [lookedMs, accepted] = [performance.now(), this.#accepted];
    this.#ask(socket);
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      const nowMs = performance.now();
      const isQuiet = this.#accepted === accepted && nowMs < lookedMs + 2 * CERTIFICATE_QUIET_MS;
      const overlapMs = nowMs - beganMs;
      if (
        overlapMs < CERTIFICATE_OVERLAP_MS || (!isQuiet && overlapMs < CERTIFICATE_OVERLAP_MS_MAX)
      ) {
        this.#closeInAQuietMoment(socket, beganMs);
        return;
      }
      this.#sockets.splice(this.#sockets.indexOf(socket), 1);
      socket.listener.close();
    }, CERTIFICATE_QUIET_MS);
    this.#timers.add(timer);
  }
}

/**
 * A port that nobody listens on, the given one unless it is 0. A port that is shared with other listeners of ours could
 * be shared with another process by accident, so it is first opened for ourselves alone.
 *
 * @throws {Deno.errors.AddrInUse}
 */
function freePort(hostname: string, port: number): number {
  const alone = Deno.listen({ hostname, port });
  const { port: found } = alone.addr;
  alone.close();
  return found;
}
