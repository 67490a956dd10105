/**
 * The load generator: a worker, so that it has a thread of its own, beside the servers' processes. It writes
 * requests that were encoded before the clock starts, and parses replies only as far as needed to count them
 * and to find errors, so that it takes little of the machine that it measures.
 *
 * It is not a client: it never retries, and takes replies as answers to requests in the order in which these
 * were sent. So a latency is exact if one request is outstanding; with more of them it is a good estimate of
 * the distribution.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { LatencyCounts } from "./latency.ts";
import type { LoadOrder, LoadReply, LoadResult, LoadTarget } from "./load_order.ts";

const HELLO = { req_type: "hello", protocol: 1, role: "client" };
const ERROR_MARK = `"req_type":"error"`;
const NEWLINE = 10;
const READ_BYTES = 64 * 1024;
const GREETING_BYTES = 4 * 1024;
/** Replies must have come this long after the last request was sent. */
const LAST_REPLIES_MS = 20_000;
/** A run without a duration must be over by then. */
const WHOLE_RUN_MS = 300_000;

/** Requests of one target as one run of bytes; request i ends where `ends[i]` says. */
interface Script {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly ends: Uint32Array;
}

function scriptOf(requests: readonly string[]): Script {
  const ends = new Uint32Array(requests.length);
  const bytes = new TextEncoder().encode(requests.map((request) => `${request}\n`).join(""));
  let request = 0;
  bytes.forEach((byte, i) => {
    if (byte === NEWLINE) ends[request++] = i + 1;
  });
  return { bytes, ends };
}

/** What all connections of a run have seen. */
class Tally {
  requests = 0;
  errors = 0;
  firstError: string | undefined;
  readonly latencies = new LatencyCounts();

  note(latencyMs: number, replies: number): void {
    this.requests += replies;
    this.latencies.add(latencyMs, replies);
  }

  /** Looks for errors in bytes that hold replies; one that lies across two reads is not seen. */
  findErrors(bytes: Buffer): void {
    if (bytes.indexOf(ERROR_MARK) < 0) return;
    for (const line of bytes.toString().split("\n")) {
      if (!line.includes(ERROR_MARK)) continue;
      this.errors++;
      this.firstError ??= line;
    }
  }
}

/** One connection's part of a run. */
class Driver {
  readonly #conn: Deno.Conn;
  readonly #script: Script;
  readonly #tally: Tally;
  /** The next request, and how many more may be sent; infinite if time ends the run. */
  #next: number;
  #left: number;
  /** When the oldest requests were sent: pairs of time and number of requests. */
  readonly #sent: { atMs: number; requests: number }[] = [];
  #outstanding = 0;
  stopped = false;

  constructor(conn: Deno.Conn, script: Script, tally: Tally, first: number, count: number) {
    this.#conn = conn;
    this.#script = script;
    this.#tally = tally;
    this.#next = first;
    this.#left = count;
  }

  async run(depth: number): Promise<void> {
    const buffer = Buffer.alloc(READ_BYTES);
    await this.#send(depth);
    while (this.#outstanding > 0) {
      const length = await this.#conn.read(buffer);
      if (length === null) throw new Error("the server closed a connection during the measurement");
      const bytes = buffer.subarray(0, length);
      let replies = 0;
      for (let i = bytes.indexOf(NEWLINE); i >= 0; i = bytes.indexOf(NEWLINE, i + 1)) replies++;
      this.#tally.findErrors(bytes);
      this.#noteReplies(replies);
      await this.#send(replies);
    }
  }

  #noteReplies(replies: number): void {
    const now = performance.now();
    this.#outstanding -= replies;
    while (replies > 0) {
      const oldest = this.#sent[0];
      if (oldest === undefined) {
        throw new Error("the server sent more replies than it had requests");
      }
      const count = Math.min(replies, oldest.requests);
      this.#tally.note(now - oldest.atMs, count);
      oldest.requests -= count;
      replies -= count;
      if (oldest.requests === 0) this.#sent.shift();
    }
  }

  async #send(count: number): Promise<void> {
    let requests = this.stopped ? 0 : Math.min(count, this.#left);
    if (requests === 0) return;
    this.#left -= requests;
    this.#outstanding += requests;
    this.#sent.push({ atMs: performance.now(), requests });
    const { bytes, ends } = this.#script;
    while (requests > 0) {
      const last = Math.min(this.#next + requests, ends.length);
      const from = this.#next === 0 ? 0 : ends[this.#next - 1] ?? 0;
      await writeAll(this.#conn, bytes.subarray(from, ends[last - 1] ?? from));
      requests -= last - this.#next;
      this.#next = last % ends.length;
    }
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let from = 0; from < bytes.length;) from += await conn.write(bytes.subarray(from));
}

async function connect({ host: hostname, port, login }: LoadTarget): Promise<Deno.Conn> {
  const plain = await Deno.connect({ hostname, port });
  plain.setNoDelay();
  const conn = login === undefined
    ? plain
    : await Deno.startTls(plain, { hostname, caCerts: [login.ca] });
  const hello = login === undefined ? HELLO : { ...HELLO, secret: login.token };
  await writeAll(conn, new TextEncoder().encode(`${JSON.stringify(hello)}\n`));
  const buffer = new Uint8Array(GREETING_BYTES);
  for (;;) {
    const length = await conn.read(buffer);
    if (length === null) throw new Error("the server closed a connection after hello");
    if (buffer[length - 1] === NEWLINE) return conn;
  }
}

/** Connects again and again, with as many attempts at a time as there are connections. */
async function carryOutConnecting({ targets, durationMs = 0 }: LoadOrder): Promise<LoadResult> {
  const tally = new Tally();
  const begin = performance.now();
  const attempts = targets.flatMap((target) =>
    Array.from({ length: target.connections }, async () => {
      for (let fromMs = begin; fromMs < begin + durationMs;) {
        (await connect(target)).close();
        const now = performance.now();
        tally.note(now - fromMs, 1);
        fromMs = now;
      }
    })
  );
  await Promise.all(attempts);
  const { requests, errors, latencies } = tally;
  return { requests, elapsedMs: performance.now() - begin, errors, latencies: latencies.counts };
}

async function carryOut(order: LoadOrder): Promise<LoadResult> {
  const tally = new Tally();
  const drivers: Driver[] = [];
  const conns: Deno.Conn[] = [];
  for (const target of order.targets) {
    const script = scriptOf(target.requests);
    const { length } = target.requests;
    if (length === 0) continue;
    for (let i = 0; i < target.connections; i++) {
      const conn = await connect(target);
      conns.push(conn);
      const first = Math.floor(i * length / target.connections);
      const end = Math.floor((i + 1) * length / target.connections);
      const count = order.durationMs === undefined ? end - first : Infinity;
      drivers.push(new Driver(conn, script, tally, first, count));
    }
  }
  const begin = performance.now();
  const closeAll = () => {
    for (const conn of conns.splice(0)) conn.close();
  };
  const { durationMs } = order;
  const stopTimer = setTimeout(() => {
    for (const driver of drivers) driver.stopped = true;
  }, durationMs ?? WHOLE_RUN_MS);
  // A server that no longer answers must not hang the benchmark: a closed connection ends a read.
  const giveUpTimer = setTimeout(closeAll, (durationMs ?? WHOLE_RUN_MS) + LAST_REPLIES_MS);
  try {
    await Promise.all(drivers.map((driver) => driver.run(order.depth)));
  } finally {
    clearTimeout(stopTimer);
    clearTimeout(giveUpTimer);
    closeAll();
  }
  const { requests, errors, firstError, latencies } = tally;
  const elapsedMs = performance.now() - begin;
  return {
    requests,
    elapsedMs,
    errors,
    latencies: latencies.counts,
    ...(firstError === undefined ? {} : { firstError }),
  };
}

/** A worker's own scope: its library of types cannot be loaded beside the window's. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<LoadOrder>) => void) | null;
  postMessage(reply: LoadReply): void;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = ({ data }) => {
  (data.connecting === true ? carryOutConnecting(data) : carryOut(data)).then(
    (result) => scope.postMessage({ result }),
    (error) => scope.postMessage({ error: error instanceof Error ? error.message : String(error) }),
  );
};
