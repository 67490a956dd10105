/**
 * Asks a server one question over the JSON wire: one line out, one line back. For tools and tests that look
 * at a cluster from the outside; it shares no code with the servers.
 *
 * @module
 */
import type { Address } from "../shared/platform/transport.ts";

/** A reply: an object of the wire. */
export type JsonReply = Record<string, unknown>;

/** How long one question may take. */
const PROBE_TIMEOUT_MS = 5_000;

/**
 * Connects, asks, and closes.
 *
 * @throws if nobody listens, the connection ends, or no reply comes in time
 */
export async function askJson(
  address: Address,
  request: JsonReply,
  timeoutMs: number = PROBE_TIMEOUT_MS,
): Promise<JsonReply> {
  const connection = await Deno.connect({ hostname: address.host, port: address.port });
  let closed = false;
  const close = () => {
    if (!closed) connection.close();
    closed = true;
  };
  const timer = setTimeout(close, timeoutMs);
  try {
    const bytes = new TextEncoder().encode(JSON.stringify(request) + "\n");
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    return JSON.parse(await readLine(connection));
  } catch (error) {
    if (closed) throw new Error(`no reply to ${request.req_type} within ${timeoutMs} ms`);
    throw error;
  } finally {
    clearTimeout(timer);
    close();
  }
}

async function readLine(connection: Deno.TcpConn): Promise<string> {
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
