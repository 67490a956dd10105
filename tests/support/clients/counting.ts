/**
 * Clients that count up at one front end, one round after the other. They accept only one effect of a graceful
 * stop: that their connection ends between two rounds. Anything else is an error, and in the end each counter
 * must hold exactly what was acknowledged.
 *
 * @module
 */
import { type KvClient, KvError } from "../../../client/mod.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import type { ProbeLogin } from "../../../tools/json_probe.ts";

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

/** Over a protocol of lines, at a process with a single address. @param login of a secured one, with a token */
export function countByLines(
  address: Address,
  key: string,
  protocol: "json" | "resp",
  login?: ProbeLogin,
): Counting {
  const line = protocol === "resp"
    ? `INCR ${key}\r\n`
    : `${JSON.stringify({ req_type: "increment", key, by: "1" })}\n`;
  const bytes = encoder.encode(line.repeat(ROUND));
  const isOk = (reply: string) =>
    protocol === "resp" ? reply.startsWith(":") : JSON.parse(reply).req_type !== "error";
  let connection: Deno.Conn | undefined;
  return counting(key, async () => {
    connection ??= login === undefined
      ? await connectTo(address)
      : await logInAt(address, protocol, login);
    if (connection === undefined) return 0;
    const replies = await exchange(connection, bytes, ROUND);
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

async function connectTo({ host, port }: Address): Promise<Deno.Conn | undefined> {
  try {
    return await Deno.connect({ hostname: host, port });
  } catch (error) {
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    await pause();
    return undefined;
  }
}

/** A connection to a secured process, logged in. Undefined if it ends before that, as at a process that stops. */
async function logInAt(
  { host: hostname, port }: Address,
  protocol: "json" | "resp",
  { ca, token = "" }: ProbeLogin,
): Promise<Deno.Conn | undefined> {
  const hello = { req_type: "hello", protocol: 1, role: "client", secret: token };
  const line = protocol === "json" ? `${JSON.stringify(hello)}\n` : `AUTH ${token}\r\n`;
  let connection: Deno.Conn | undefined;
  try {
    connection = await Deno.connectTls({ hostname, port, caCerts: [ca] });
    const [reply] = await exchange(connection, encoder.encode(line), 1);
    if (reply !== undefined) {
      const isIn = protocol === "json" ? JSON.parse(reply).req_type !== "error" : reply === "+OK";
      if (!isIn) throw new Error(`not logged in: ${reply}`);
      return connection;
    }
  } catch (error) {
    if (!isEnd(error)) throw error;
  }
  connection?.close();
  await pause();
  return undefined;
}

/** Whether a connection could not be made, or ended: nobody listens, or the process has just stopped. */
function isEnd(error: unknown): boolean {
  const { ConnectionRefused, ConnectionReset, BrokenPipe, UnexpectedEof } = Deno.errors;
  return [ConnectionRefused, ConnectionReset, BrokenPipe, UnexpectedEof]
    .some((type) => error instanceof type);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, AWAY_MS));
}

/** Sends what was asked and takes the lines that come, up to so many, or the connection's end. */
async function exchange(
  connection: Deno.Conn,
  bytes: Uint8Array,
  count: number,
): Promise<string[]> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  const buffer = new Uint8Array(4096);
  let text = "";
  for (;;) {
    const lines = text.split(/\r?\n/);
    if (lines.length > count) return lines.slice(0, count);
    const length = await connection.read(buffer);
    if (length === null) return lines.slice(0, -1);
    text += new TextDecoder().decode(buffer.subarray(0, length));
  }
}

/**
 * Over HTTP, at whichever of several front ends answers. HTTP cannot say "ask nothing more here", so a request
 * may meet the end of its connection. It puts a number, which the standard allows to be repeated (RFC 9110,
 * section 9.2.2).
 *
 * @param login of secured ones, with a token
 */
export function countByHttp(
  frontEnds: () => readonly string[],
  key: string,
  login?: ProbeLogin,
): Counting {
  const client = login && Deno.createHttpClient({ caCerts: [login.ca] });
  const trust = client === undefined ? {} : { client };
  const headers: HeadersInit = login?.token === undefined
    ? {}
    : { authorization: `Bearer ${login.token}` };
  let at = 0;
  let count = 0;
  return counting(key, async () => {
    const list = frontEnds();
    const frontEnd = list[at % list.length];
    let response: Response;
    try {
      const init = { method: "PUT", body: String(count + 1), headers, ...trust };
      response = await fetch(`${frontEnd}/kv/${encodeURIComponent(key)}`, init);
      await response.body?.cancel();
    } catch {
      at++;
      await pause();
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
  }, () => client?.close());
}
