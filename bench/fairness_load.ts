/**
 * The heavy side of the fairness workloads, in a worker of its own, so that its work does not affect the times
 * that the other side measures. It gets one order, carries it out, and says when it is done.
 *
 * @module
 */

/** What is done to a node, and where. */
export interface HeavyOrder {
  readonly kind: "commands" | "unread gets" | "pages";
  readonly port: number;
  /** For `commands`: one connection for each, in RESP. For `pages`: the first requests, one each. */
  readonly lines: readonly string[];
  /** For `unread gets`: requests on each of a number of connections, which are closed after some time. */
  readonly connections?: number;
  readonly times?: number;
  readonly holdMs?: number;
}

const encoder = new TextEncoder();
const READ_BYTES = 256 * 1024;

declare const self: {
  onmessage: ((event: MessageEvent<HeavyOrder>) => void) | null;
  postMessage(message: string): void;
};

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "unread gets") await leaveUnread(data);
    else await Promise.all(data.lines.map((line) => askOne(data, line)));
    self.postMessage("done");
  } catch (error) {
    self.postMessage(`failed: ${error instanceof Error ? error.message : String(error)}`);
  }
};

async function open(port: number): Promise<Deno.TcpConn> {
  return await Deno.connect({ hostname: "127.0.0.1", port });
}

async function write(connection: Deno.TcpConn, text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** A command, or a request and all the pages that follow it; `QUIT` ends a connection of RESP. */
async function askOne({ kind, port }: HeavyOrder, line: string): Promise<void> {
  const connection = await open(port);
  try {
    if (kind === "commands") {
      await write(connection, `${line}\r\nQUIT\r\n`);
      const buffer = new Uint8Array(READ_BYTES);
      while (await connection.read(buffer) !== null);
      return;
    }
    let request = JSON.parse(line);
    for (;;) {
      await write(connection, `${JSON.stringify(request)}\n`);
      const reply = JSON.parse(await readLine(connection));
      if (reply.req_type === "error") throw new Error(`${request.req_type}: ${reply.message}`);
      const next = reply.next ?? reply.result?.next;
      if (next === undefined) return;
      const cursor = request.req_type === "backup_partition" ? "snapshot" : "after";
      request = { ...request, [cursor]: next };
    }
  } finally {
    connection.close();
  }
}

async function readLine(connection: Deno.TcpConn): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(READ_BYTES);
  const pieces: string[] = [];
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) throw new Error("the connection ended before a reply came");
    pieces.push(decoder.decode(buffer.subarray(0, count), { stream: true }));
    if (buffer[count - 1] === 10) return pieces.join("");
  }
}

async function leaveUnread(order: HeavyOrder): Promise<void> {
  const { port, lines, connections = 1, times = 1, holdMs = 1_000 } = order;
  const text = `${lines[0] ?? ""}\n`.repeat(times);
  const open_ = await Promise.all(Array.from({ length: connections }, () => open(port)));
  // The server may stop reading: only the sender that waits for that is held up.
  for (const connection of open_) write(connection, text).catch(() => {});
  await new Promise((resolve) => setTimeout(resolve, holdMs));
  for (const connection of open_) connection.close();
}
