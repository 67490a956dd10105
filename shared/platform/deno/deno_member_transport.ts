/**
 * The network between members of a secured cluster: TCP under TLS 1.3, with certificates on both sides (decision
 * 0015). Who connects names the member that it looks for, and reaches it or nobody. Who listens knows each member that
 * got through by its certificate; a port that clients use too lets in those that show none, as nobody.
 *
 * Invariants: a stream with a `member` has its verified certificate, of this cluster, within its time and not
 * revoked; one whose certificate is revoked, or ends by the date, while it is open is closed; a certificate that is not right is
 * refused, even if none would have been accepted; what is renewed counts from the next connection on, and
 * connections that stand stay. Who has opened one hears in time that a certificate of either side ends, and can go over
 * to a new connection, under those of then.
 *
 * @module
 */
import { X509Certificate } from "node:crypto";
import type { PeerCertificate, SecureContextOptions, TLSSocket } from "node:tls";
import { invariant, KvError, messageOf } from "../../base/errors.ts";
import {
  CONNECTION_EXPIRING_MS_MIN,
  CONNECTION_EXPIRING_SHARE,
  RENEWAL_LOOK_MS_MAX,
} from "../../limits/security.ts";
import type { Logger } from "../logger.ts";
import {
  type MemberIdentity,
  type MemberName,
  memberServerName,
  normalSerial,
  subjectOf,
  type WantedMember,
} from "../member_identity.ts";
import {
  type Address,
  type DatagramOptions,
  type DatagramSocket,
  formatAddress,
  type Listener,
  type Stream,
  type Transport,
} from "../transport.ts";
import { checkCertificatesCount } from "./deno_tls_check.ts";
import { acceptAll } from "./deno_accept.ts";
import { sendAtOnce } from "./deno_listen.ts";
import { addressOf, bindError, DenoStream, describe } from "./deno_stream.ts";
import { connectedTo, TlsConnection } from "./deno_tls_connection.ts";

/** How a member's ports behave. */
export interface MemberTransportOptions {
  /** Whether its ports are the clients' too, who show no certificate and log in inside. Default false. */
  readonly clients?: boolean;
  /** Default: MEMBER_HANDSHAKE_MS_MAX. */
  readonly handshakeMs?: number | undefined;
  readonly log?: Logger | undefined;
  /** For datagrams, which are not encrypted here. */
  readonly datagrams: Pick<Transport, "bindDatagram">;
}

/** Connections between members. */
export class MemberTransport implements Transport {
  readonly #identity: MemberIdentity;
  readonly #options: MemberTransportOptions;
  readonly #open = new Set<TlsConnection>();
  /** When the certificates of open connections end, in milliseconds since 1970. */
  readonly #untilMs = new WeakMap<MemberName, number>();
  /** When those that this process has opened are told that they end, in milliseconds since 1970. */
  readonly #expiringMs = new WeakMap<TlsConnection, number>();
  /** The next look at whether one has ended, or is to be told. */
  #look: ReturnType<typeof setTimeout> | undefined;
  #lookMs = Infinity;

  constructor(identity: MemberIdentity, options: MemberTransportOptions) {
    this.#identity = identity;
    this.#options = options;
    identity.onChange(() => this.#checkOpen());
  }

  /** @throws {KvError} also `bad_config` if the runtime does not check certificates */
  async listen(address: Address, onStream: (stream: Stream) => void): Promise<Listener> {
    await checkCertificatesCount(this.#shown());
    let listener: Deno.TcpListener;
    try {
      listener = Deno.listen({ hostname: address.host, port: address.port });
    } catch (error) {
      throw bindError("listen on", address, error);
    }
    const state = { closed: false };
    // A defect in it becomes an unhandled rejection, which ends the process.
    const accepting = acceptAll(
      listener,
      state,
      (tcp) => onStream(this.#accept(tcp as Deno.TcpConn)),
      this.#options.log,
    );
    return {
      address: addressOf(listener.addr as Deno.NetAddr),
      close() {
        if (!state.closed) {
          state.closed = true;
          listener.close();
        }
        return accepting;
      },
    };
  }

  #accept(tcp: Deno.TcpConn): Stream {
    sendAtOnce(tcp);
    const { hostname: host, port } = tcp.remoteAddr as Deno.NetAddr;
    const { clients = false, handshakeMs } = this.#options;
    const options = { ...this.#shown(), requestCert: true, rejectUnauthorized: !clients };
    const connection = this.#add(TlsConnection.accept(tcp, options, (socket) => {
      if (clients && !hasCertificate(socket)) return undefined;
      return this.#judge(socket, { host, port });
    }, handshakeMs));
    return new DenoStream(connection);
  }

  /** Who has connected here. @throws {KvError} `unauthorized` */
  #judge(socket: TLSSocket, remote: Address): MemberName {
    try {
      return this.#memberOf(socket);
    } catch (error) {
      this.#options.log?.warn("a caller's certificate is refused", {
        remote: formatAddress(remote),
        why: messageOf(error),
      });
      throw error;
    }
  }

  connect(
    address: Address,
    timeoutMs: number,
    onOpen: (stream: Stream) => void,
    onFail: (reason: Error) => void,
    wanted?: WantedMember,
  ): () => void {
    invariant(wanted !== undefined, "who connects to a member says to which", { ...address });
    const abort = new AbortController();
    let settled = false;
    const fail = (why: string, cause?: unknown) => {
      if (settled) return;
      settled = true;
      const text = `connect to ${formatAddress(address)}: ${why}`;
      onFail(new KvError("unavailable", text, { cause }));
    };
    const timer = setTimeout(() => {
      fail(`no answer within ${timeoutMs} ms`);
      abort.abort();
    }, timeoutMs);
    const isReached = () => clearTimeout(timer);
    this.#dial(address, wanted, abort.signal, isReached).then(
      (connection) => {
        if (settled) {
          connection.close();
          return;
        }
        settled = true;
        onOpen(new DenoStream(connection));
      },
      (error) => {
        isReached();
        fail(describe(error), error);
      },
    );
    return () => {
      if (settled) return;
      settled = true;
      isReached();
      abort.abort();
    };
  }

  /** @param isReached told when TCP is there; a handshake has a time of its own */
  async #dial(
    address: Address,
    wanted: WantedMember,
    signal: AbortSignal,
    isReached: () => void,
  ): Promise<TlsConnection> {
    const raw = await connectedTo(address, signal);
    isReached();
    const shown = this.#shown();
    const options = {
      ...shown,
      servername: memberServerName(wanted),
      rejectUnauthorized: true,
    };
    const connection = this.#add(TlsConnection.dial(raw, options, (socket) => {
      const member = this.#memberOf(socket);
      checkWanted(member, wanted);
      return member;
    }));
    const giveUp = () => connection.close();
    signal.addEventListener("abort", giveUp);
    try {
      if (signal.aborted) giveUp();
      await connection.admitted;
      this.#planExpiry(connection, shown.cert);
    } catch (error) {
      connection.close();
      throw error;
    } finally {
      signal.removeEventListener("abort", giveUp);
    }
    return connection;
  }

  bindDatagram(
    address: Address,
    onDatagram: (bytes: Uint8Array, from: Address) => void,
    options?: DatagramOptions,
  ): Promise<DatagramSocket> {
    return this.#options.datagrams.bindDatagram(address, onDatagram, options);
  }

  /** What every connection shows and trusts: asked for each time, because it changes. */
  #shown(): SecureContextOptions & { readonly cert: string } {
    const { certificate, key, authorities } = this.#identity.current();
    // No older version: it would show certificates to whoever listens.
    const [minVersion, maxVersion] = ["TLSv1.3", "TLSv1.3"] as const;
    return { cert: certificate, key: key.reveal(), ca: [...authorities], minVersion, maxVersion };
  }

  #add(connection: TlsConnection): TlsConnection {
    this.#open.add(connection);
    connection.onClosed = () => {
      this.#open.delete(connection);
      if (this.#open.size === 0) this.#lookLater(undefined);
    };
    return connection;
  }

  /** @throws {KvError} `unauthorized` if its certificate is not that of a member of this cluster, now */
  #memberOf(socket: TLSSocket): MemberName {
    if (!socket.authorized || !hasCertificate(socket)) {
      throw new KvError(
        "unauthorized",
        `no certificate of an authority of this cluster${whyNot(socket)}`,
      );
    }
    const certificate = socket.getPeerCertificate();
    const { id, role, cluster } = subjectOf({ ...certificate.subject });
    const ours = this.#identity.current().cluster;
    if (cluster !== ours) {
      throw new KvError("unauthorized", `a member of cluster ${cluster}, and this is ${ours}`);
    }
    // A session that is resumed would not be verified again by TLS.
    if (!isTimely(certificate, Date.now())) {
      throw new KvError("unauthorized", `the certificate of ${role} ${id} is out of its time`);
    }
    const serial = normalSerial(certificate.serialNumber);
    if (this.#identity.isRevoked(serial)) {
      throw new KvError("unauthorized", `the certificate of ${role} ${id} is revoked`);
    }
    const member: MemberName = { id, role, serial };
    const untilMs = Date.parse(certificate.valid_to);
    this.#untilMs.set(member, untilMs);
    if (this.#look === undefined || untilMs < this.#lookMs) this.#lookLater(untilMs);
    return member;
  }

  /** @param own the certificate that this side has shown, PEM */
  #planExpiry(connection: TlsConnection, own: string): void {
    const nowMs = Date.now();
    const untilMs = Math.min(
      this.#untilOf(connection.member),
      Date.parse(new X509Certificate(own).validTo),
    );
    const leftMs = (untilMs - nowMs) * (1 - CONNECTION_EXPIRING_SHARE);
    if (leftMs < CONNECTION_EXPIRING_MS_MIN) return;
    this.#expiringMs.set(connection, untilMs - leftMs);
    if (this.#look === undefined || untilMs - leftMs < this.#lookMs) {
      this.#lookLater(untilMs - leftMs);
    }
  }

  #untilOf(member: MemberName | undefined): number {
    return (member === undefined ? undefined : this.#untilMs.get(member)) ?? Infinity;
  }

  /** Closes connections of members whose certificates count no more, and tells those whose end is near. */
  #checkOpen(): void {
    const nowMs = Date.now();
    let nextMs: number | undefined;
    for (const connection of [...this.#open]) {
      const { member } = connection;
      if (member === undefined) continue;
      const untilMs = this.#untilOf(member);
      const isRevoked = this.#identity.isRevoked(member.serial);
      if (!isRevoked && nowMs <= untilMs) {
        const expiringMs = this.#expiringMs.get(connection) ?? Infinity;
        if (expiringMs <= nowMs) connection.onExpiring();
        nextMs = Math.min(nextMs ?? Infinity, expiringMs > nowMs ? expiringMs : untilMs);
        continue;
      }
      const { role, id } = member;
      const why = isRevoked ? "is revoked" : "has ended";
      this.#options.log?.warn("a member's certificate counts no more: its connection is closed", {
        role,
        id,
        why,
      });
      connection.fail(new KvError("unauthorized", `the certificate of ${role} ${id} ${why}`));
    }
    this.#lookLater(nextMs);
  }

  /** @param untilMs when the next certificate ends; undefined if there is none to look at */
  #lookLater(untilMs: number | undefined): void {
    clearTimeout(this.#look);
    this.#look = undefined;
    if (untilMs === undefined) return;
    this.#lookMs = untilMs;
    // Clocks are set and machines sleep, so the date is looked at now and then.
    const pauseMs = Math.min(Math.max(untilMs - Date.now() + 1, 1), RENEWAL_LOOK_MS_MAX);
    this.#look = setTimeout(() => this.#checkOpen(), pauseMs);
  }
}

/** What TLS says of a certificate that it does not accept, and whom that names: nobody has proven it. */
function whyNot(socket: TLSSocket): string {
  if (!hasCertificate(socket)) return "";
  const { CN: name } = socket.getPeerCertificate().subject;
  const { authorizationError: reason } = socket;
  return `: what was shown names ${JSON.stringify(name)}, and ${
    reason instanceof Error ? reason.message : reason
  }`;
}

/** @throws {KvError} `unauthorized` */
function checkWanted({ id, role }: MemberName, wanted: WantedMember): void {
  if (role === wanted.role && (wanted.id === undefined || id === wanted.id)) return;
  throw new KvError(
    "unauthorized",
    `${role} ${id} is there, and ${wanted.role} ${wanted.id ?? ""} is looked for`,
  );
}

function hasCertificate(socket: TLSSocket): boolean {
  const certificate = socket.getPeerCertificate();
  return Object.keys(certificate?.subject ?? {}).length > 0;
}

function isTimely({ valid_from: from, valid_to: until }: PeerCertificate, nowMs: number): boolean {
  // What cannot be read as a time is not a time.
  return Date.parse(from) <= nowMs && nowMs <= Date.parse(until);
}
