/**
 * Asks a server one question over the JSON wire: one line out, one line back, after a login if it is secured. For tools and tests that look
 * at a cluster from the outside; it shares no code with the servers.
 *
 * @module
 */
import type { Address } from "../shared/platform/transport.ts";

/** A reply: an object of the wire. */
export type JsonReply = Record<string, unknown>;

/** How long one question may take. */
const PROBE_TIMEOUT_MS = 5_000;

/** As whom to ask a secured server. */
export interface ProbeLogin {
  /** The certificate of its authority, PEM. */
  readonly ca: string;
  readonly user: string;
  readonly password: string;
  /** In the place of user and password. */
  readonly token?: string;
}

/**
 * Connects, asks, and closes.
 *
 * @param login of a secured server
 * @throws if nobody listens, the connection ends, the login is refused, or no reply comes in time
 */
export async function askJson(
  address: Address,
  request: JsonReply,
  timeoutMs: number = PROBE_TIMEOUT_MS,
  login?: ProbeLogin,
): Promise<JsonReply> {
  const connection = await dial(address, login);
  let closed = false;
  const close = () => {
    if (!closed) connection.close();
    closed = true;
  };
  const timer = setTimeout(close, timeoutMs);
  try {
    if (login !== undefined) {
      const { user, password, token } = login;
      const who = token === undefined ? { user, secret: password } : { secret: token };
      const hello = { req_type: "hello", protocol: 1, role: "client", ...who };
      const greeted = await ask(connection, hello);
      if (greeted.req_type === "error") throw new Error(`not logged in: ${greeted.message}`);
    }
    return await ask(connection, request);
  } catch (error) {
    if (closed) throw new Error(`no reply to ${request.req_type} within ${timeoutMs} ms`);
    throw error;
  } finally {
    clearTimeout(timer);
    close();
  }
}

async function dial(
  { host: hostname, port }: Address,
  login: ProbeLogin | undefined,
): Promise<Deno.TcpConn | Deno.TlsConn> {
  return login === undefined
    ? await Deno.connect({ hostname, port })
    : await Deno.connectTls({ hostname, port, caCerts: [login.ca] });
}

async function ask(
  connection: Deno.TcpConn | Deno.TlsConn,
  request: JsonReply,
): Promise<JsonReply> {
  const bytes = new TextEncoder().encode(JSON.stringify(request) + "\n");
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  return JSON.parse(await readLine(connection));
}

async function readLine(connection: Deno.TcpConn | Deno.TlsConn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(64 * 1024);
  let text = "";
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("the connection ended before a reply came");
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
  }
}
