/**
 * The heavy side of the fairness workloads, in a worker of its own, so that its work is not in the times
 * that the other side measures. It gets one order, carries it out, and says when it is done.
 *
 * @module
 */

/** What is done to a node, and where. */
export type HeavyOrder = ManyRequests | LongReads;

/** Requests until all pages of each have come, this many of them at a time, on a connection each. */
export interface ManyRequests {
  /**
   * `json`: a request, whose next pages are asked for by `after` or `snapshot`. `resp`: a command; a `SCAN` goes
   * on with the cursor that it was given. `http`: method and path, with a query; the next pages are asked for by
   * `cursor`.
   */
  readonly kind: "json" | "resp" | "http";
  readonly port: number;
  readonly lines: readonly string[];
  readonly atOnce: number;
  /** More than the node takes on: some are to be refused as too many. Default: that is a failure. */
  readonly isTooMuch?: boolean;
}

/** One request many times on each of several connections, which are closed after a while. */
export interface LongReads {
  readonly kind: "long reads";
  readonly port: number;
  /** The request's bytes. */
  readonly text: string;
  readonly connections: number;
  readonly times: number;
  /** Whether what comes is read. */
  readonly isRead: boolean;
  readonly holdMs: number;
}

const encoder = new TextEncoder();
const READ_BYTES = 256 * 1024;

declare const self: {
  onmessage: ((event: MessageEvent<HeavyOrder>) => void) | null;
  postMessage(message: string): void;
};

self.onmessage = async ({ data }) => {
  try {
    if (data.kind === "long reads") await readLong(data);
    else await askAll(data);
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

async function askAll(
  { kind, port, lines, atOnce, isTooMuch = false }: ManyRequests,
): Promise<void> {
  const ask = { json: askJson, resp: askResp, http: askHttp }[kind];
  let next = 0;
  const worker = async () => {
    for (let line = lines[next++]; line !== undefined; line = lines[next++]) {
      try {
        await ask(port, line);
      } catch (error) {
        if (!isTooMuch || !String(error).includes("-TRYAGAIN ")) throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, lines.length) }, worker));
}

async function askJson(port: number, line: string): Promise<void> {
  const connection = await open(port);
  try {
    let request = JSON.parse(line);
    for (;;) {
      await write(connection, `${JSON.stringify(request)}\n`);
      const reply = JSON.parse(await readUntil(connection, (bytes) => bytes.at(-1) === 10));
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

async function askResp(port: number, line: string): Promise<void> {
  const [name, , ...options] = line.split(" ");
  let cursor = "0";
  do {
    const connection = await open(port);
    try {
      const command = name === "SCAN" ? [name, cursor, ...options].join(" ") : line;
      // It ends with the connection, whatever the reply looks like.
      await write(connection, `${command}\r\nQUIT\r\n`);
      const reply = await readUntil(connection, () => false);
      if (reply.startsWith("-")) throw new Error(`${line}: ${reply}`);
      cursor = name === "SCAN" ? reply.split("\r\n", 3)[2] ?? "0" : "0";
    } finally {
      connection.close();
    }
  } while (cursor !== "0");
}

async function askHttp(port: number, line: string): Promise<void> {
  const [method, path] = line.split(" ");
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const response = await fetch(`http://127.0.0.1:${port}${path}${query}`, {
      ...(method === undefined ? {} : { method }),
    });
    const page = await response.json();
    if (!response.ok) throw new Error(`${line}: ${JSON.stringify(page)}`);
    cursor = page.cursor;
  } while (cursor !== undefined);
}

/** What comes until `isWhole` says so of the newest bytes, or the connection ends. */
async function readUntil(
  connection: Deno.TcpConn,
  isWhole: (bytes: Uint8Array) => boolean,
): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(READ_BYTES);
  const pieces: string[] = [];
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return pieces.join("");
    const bytes = buffer.subarray(0, count);
    pieces.push(decoder.decode(bytes, { stream: true }));
    if (isWhole(bytes)) return pieces.join("");
  }
}

async function readLong(order: LongReads): Promise<void> {
  const { port, text, connections, times, isRead, holdMs } = order;
  const all = await Promise.all(Array.from({ length: connections }, () => open(port)));
  // The server may stop reading, and ends what is closed here: whoever waits for that waits for it alone.
  for (const connection of all) {
    write(connection, text.repeat(times)).catch(() => {});
    if (isRead) readUntilEnd(connection).catch(() => {});
  }
  await new Promise((resolve) => setTimeout(resolve, holdMs));
  for (const connection of all) connection.close();
}

async function readUntilEnd(connection: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(READ_BYTES);
  while (await connection.read(buffer) !== null);
}
