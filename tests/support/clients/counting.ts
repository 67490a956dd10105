/**
 * Clients that count up at one front end, one round after the other. They accept only one effect of a graceful
 * stop: that their connection ends between two rounds. Anything else is an error, and in the end each counter
 * must hold exactly what was acknowledged.
 *
 * @module
 */
import { type KvClient, KvError } from "../../../client/mod.ts";
import type { Address } from "../../../shared/platform/transport.ts";

/** Requests of one round, sent at once. */
const ROUND = 4;
/** Between two attempts to reach a process that is away. */
const AWAY_MS = 25;

const encoder = new TextEncoder();

/** A client that counts. */
export interface Counting {
  readonly key: string;
  /** Increments that were acknowledged. */
  readonly acknowledged: number;
  readonly errors: readonly string[];
  /** Ends it after the round that is under way. */
  stop(): Promise<void>;
}

/** Runs `round` again and again; it says how many increments were acknowledged. */
function counting(key: string, round: () => Promise<number>, end: () => void): Counting {
  const errors: string[] = [];
  let acknowledged = 0;
  let stopping = false;
  const running = (async () => {
    while (!stopping && errors.length === 0) {
      try {
        acknowledged += await round();
      } catch (error) {
        errors.push(`${key}: ${error instanceof KvError ? error.code : ""} ${error}`);
      }
    }
    end();
  })();
  return {
    key,
    errors,
    get acknowledged() {
      return acknowledged;
    },
    async stop() {
      stopping = true;
      await running;
    },
  };
}

/** Through the library, several under way at a time. */
export function countByLibrary(kv: KvClient, key: string): Counting {
  return counting(key, async () => {
    await Promise.all(Array.from({ length: ROUND }, () => kv.increment(key)));
    return ROUND;
  }, () => {});
}

/** Over a protocol of lines, at a process with a single address. */
export function countByLines(
  address: Address,
  key: string,
  protocol: "json" | "resp",
): Counting {
  const line = protocol === "resp"
    ? `INCR ${key}\r\n`
    : `${JSON.stringify({ req_type: "increment", key, by: "1" })}\n`;
  const bytes = encoder.encode(line.repeat(ROUND));
  const isOk = (reply: string) =>
    protocol === "resp" ? reply.startsWith(":") : JSON.parse(reply).req_type !== "error";
  let connection: Deno.TcpConn | undefined;
  return counting(key, async () => {
    connection ??= await connectTo(address);
    if (connection === undefined) return 0;
    const replies = await exchange(connection, bytes);
    const refused = replies.find((reply) => !isOk(reply));
    if (refused !== undefined) throw new Error(`refused: ${refused}`);
    if (replies.length < ROUND) {
      connection.close();
      connection = undefined;
    }
    if (replies.length % ROUND !== 0) {
      throw new Error(`a connection ended behind ${replies.length} of ${ROUND} replies`);
    }
    return replies.length;
  }, () => connection?.close());
}

async function connectTo({ host, port }: Address): Promise<Deno.TcpConn | undefined> {
  try {
    return await Deno.connect({ hostname: host, port });
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
    return undefined;
  }
}

/** Sends a round and takes the lines that come, up to one for each request, or the connection's end. */
async function exchange(connection: Deno.TcpConn, bytes: Uint8Array): Promise<string[]> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  const buffer = new Uint8Array(4096);
  let text = "";
  for (;;) {
    const lines = text.split(/\r?\n/);
    if (lines.length > ROUND) return lines.slice(0, ROUND);
    const count = await connection.read(buffer);
    if (count === null) return lines.slice(0, -1);
    text += new TextDecoder().decode(buffer.subarray(0, count));
  }
}

/**
 * Over HTTP, at whichever of several front ends answers. HTTP cannot say "ask nothing more here", so a request
 * may meet the end of its connection. It puts a number, which the standard allows to be repeated (RFC 9110,
 * section 9.2.2).
 */
export function countByHttp(frontEnds: () => readonly string[], key: string): Counting {
  let at = 0;
  let count = 0;
  return counting(key, async () => {
    const list = frontEnds();
    const frontEnd = list[at % list.length];
    let response: Response;
    try {
      const init = { method: "PUT", body: String(count + 1) };
      response = await fetch(`${frontEnd}/kv/${encodeURIComponent(key)}`, init);
      await response.body?.cancel();
    } catch {
      at++;
      await new Promise((resolve) => setTimeout(resolve, AWAY_MS));
      return 0;
    }
    if (response.ok) {
      count++;
      return 1;
    }
    // The only answer of a front end that stops: nothing has happened; ask another front end.
    if (response.status !== 503) throw new Error(`${response.status}`);
    at++;
    return 0;
  }, () => {});
}
