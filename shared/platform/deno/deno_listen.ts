/**
 * Listens for TCP, with TLS if there is a certificate: what all front ends of a process do alike. Clients are asked
 * for no certificate (decision 0015): they log in inside.
 *
 * @module
 */
import type { Secret } from "../../base/secret.ts";

/** A certificate and its key, as PEM. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly key: Secret;
}

/** A connection that was accepted. */
export type AcceptedConnection = Deno.TcpConn | Deno.TlsConn;

/** A listener, with or without TLS. */
export type ConnectionListener = Deno.Listener<AcceptedConnection, Deno.NetAddr>;

/** @throws {Deno.errors} what the system, or TLS, refuses */
export function listenTcp(
  hostname: string,
  port: number,
  tls: ServerCertificate | undefined,
): ConnectionListener {
  if (tls === undefined) return Deno.listen({ hostname, port });
  const { certificate: cert, key } = tls;
  return Deno.listenTls({ hostname, port, cert, key: key.reveal() }) as ConnectionListener;
}

/** What is small is sent at once, where the connection can be told so (one of TLS cannot). */
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
