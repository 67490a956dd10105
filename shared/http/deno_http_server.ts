/**
 * The HTTP front end on a real port. This file accepts the connections itself and does not use
 * `Deno.serve`, which has no bound on them and ends for good when it runs out of descriptors. The
 * platform then speaks HTTP on each connection (docs/decisions/0011-http-connections.md).
 *
 * Invariants: each connection has a seat in admission control for as long as it is open. After `close`
 * nothing listens, and no answer leaves unless it was already on its way to its client.
 *
 * @module
 */
import type { Admission } from "../admission/admission.ts";
import { ReplyLengths } from "../wire/reply_lengths.ts";
import { Seat } from "../admission/seat.ts";
import { KvError } from "../base/errors.ts";
import { WRITE_STALL_TIMEOUT_MS } from "../limits/admission.ts";
import { CLOSE_LINGER_MS, RETIRE_MS, WRITE_JOIN_BYTES } from "../limits/connections.ts";
import { HTTP_QUIET_MS, HTTP_RESPONSE_COUNTED_BYTES } from "../limits/http.ts";
import { acceptAll } from "../platform/deno/deno_accept.ts";
import {
  type AcceptedConnection,
  type ConnectionListener,
  type ListenOptions,
  listenTcp,
  sendAtOnce,
} from "../platform/deno/deno_listen.ts";
import type { Logger } from "../platform/logger.ts";
import type { Address } from "../platform/transport.ts";
import { TurnEnd } from "./deno_turn_end.ts";
import type { HttpCaller } from "./protocol/body.ts";
import { HttpProblem, problemResponse } from "./protocol/problem.ts";

/** A listening server. */
export interface HttpServer {
  /** Where it listens, with the real port. */
  readonly address: Address;
  /** From now on each connection ends with its next answer, so that its client connects to another process. */
  retire(): void;
  /** Accepts nothing new, waits a bounded time for what has begun, and ends. */
  close(graceMs: number): Promise<void>;
}

/** Answers a request; its body counts on an account. */
export type HandleHttp = (request: Request, account?: HttpCaller) => Promise<Response>;

/** Where to listen: at the first address that is free. */
export type ListenHttp = (
  addresses: readonly Address[],
  handle: HandleHttp,
  admission: Admission,
  options?: ListenOptions,
) => HttpServer;

const STOPPING = new HttpProblem(503, "unavailable", "this process is stopping; ask another one", {
  headers: { connection: "close" },
});

/** The platform's HTTP on one connection, which it owns from then on. */
interface PlatformServer {
  readonly finished: Promise<void>;
  shutdown(): Promise<void>;
  unref(): void;
}

type ServeConnection = (
  connection: Deno.Conn,
  signal: BreakOff,
  handler: (request: Request) => Promise<Response>,
  onError: (error: unknown) => Response,
  onListen: () => void,
) => PlatformServer;

/**
 * What the platform accepts as an abort signal; it only asks to be told of the abort. It throws if the
 * connection has ended meanwhile; with a real signal, that would be an error that nothing can catch.
 */
class BreakOff {
  #callback = () => {};

  addEventListener(_type: "abort", callback: () => void): void {
    this.#callback = callback;
  }

  now(): void {
    try {
      this.#callback();
    } catch (error) {
      if (!(error instanceof Deno.errors.BadResource)) throw error;
    }
  }
}

/** @throws {KvError} `address_in_use` if no address is free; `bad_config` */
export const listenHttp: ListenHttp = (addresses, handle, admission, options = {}) => {
  const { log } = options;
  const serve = platformServe();
  let inUse: KvError | undefined;
  for (const { host, port } of addresses) {
    try {
      const listener = listenTcp(host.replace(/^\[|\]$/g, ""), port, options);
      return new FrontEnd(listener, host, { serve, handle, admission, log });
    } catch (cause) {
      if (!(cause instanceof Deno.errors.AddrInUse)) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new KvError("bad_config", `cannot listen for HTTP on ${host}:${port}: ${why}`, {
          cause,
        });
      }
      inUse = new KvError(
        "address_in_use",
        `HTTP: another process listens on ${host}:${port}; name another ` +
          "--http-port, or 0 for any that is free, or off",
        { cause },
      );
    }
  }
  throw inUse ?? new KvError("bad_config", "no address to listen on for HTTP was given");
};

/** The platform has this for its own servers, without a public name. */
function platformServe(): ServeConnection {
  const { internal } = Deno as unknown as { internal: symbol };
  const internals = (Deno as unknown as Record<symbol, Record<string, unknown> | undefined>)[
    internal
  ];
  const serve = internals?.serveHttpOnConnection;
  if (typeof serve === "function") return serve as ServeConnection;
  throw new KvError(
    "bad_config",
    `HTTP: this version of Deno (${Deno.version.deno}) cannot serve HTTP on a connection that was ` +
      "accepted by itself; use Deno 2.9, or --http-port off",
  );
}

interface FrontEndDeps {
  readonly serve: ServeConnection;
  readonly handle: HandleHttp;
  readonly admission: Admission;
  readonly log: Logger | undefined;
}

/** A listener and its connections. */
class FrontEnd implements HttpServer {
  readonly address: Address;
  readonly deps: FrontEndDeps;
  readonly connections = new Set<HttpConnection>();
  /** Requests are carried out then. */
  readonly turnEnd = new TurnEnd();
  readonly #listener: ConnectionListener;
  readonly #state = { closed: false };
  #retiring = false;
  #underWay = 0;
  #onIdle = () => {};
  /** When the last request came; undefined before the first. */
  #askedMs: number | undefined;

  constructor(listener: ConnectionListener, host: string, deps: FrontEndDeps) {
    this.#listener = listener;
    this.deps = deps;
    this.address = { host, port: listener.addr.port };
    void acceptAll(listener, this.#state, (conn) => void new HttpConnection(this, conn), deps.log);
  }

  get stopping(): boolean {
    return this.#state.closed;
  }

  get retiring(): boolean {
    return this.#retiring;
  }

  retire(): void {
    this.#retiring = true;
  }

  /** A request has arrived. */
  asked(): void {
    this.#askedMs = performance.now();
  }

  /** A request has begun or ended. */
  count(change: 1 | -1): void {
    this.#underWay += change;
    if (this.#underWay === 0) this.#onIdle();
  }

  async close(graceMs: number): Promise<void> {
    if (this.#state.closed) return;
    this.#state.closed = true;
    this.#listener.close();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, graceMs));
    try {
      await this.#untilQuiet();
      // The platform's own shutdown also breaks off bodies that are still being read.
      if (this.#underWay > 0) {
        const idle = new Promise<void>((resolve) => this.#onIdle = resolve);
        await Promise.race([idle, late]);
      }
      // What is under way now is late. For other connections, it waits for responses on their way to
      // clients, and for the rest of bodies that nobody reads.
      const ended = Promise.all([...this.connections].map((connection) => connection.close()));
      await Promise.race([ended, late]);
      // These can no longer be broken off, and end with the process.
      for (const connection of this.connections) connection.unref();
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * The platform's shutdown closes a connection even if a request is on its way, and its client cannot
   * tell whether it was read. So clients are first sent elsewhere, until none of them comes any more.
   */
  async #untilQuiet(): Promise<void> {
    const endMs = performance.now() + RETIRE_MS;
    while (this.#askedMs !== undefined) {
      const nowMs = performance.now();
      const waitMs = Math.min(this.#askedMs + HTTP_QUIET_MS, endMs) - nowMs;
      if (waitMs <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  }
}

/** One connection, which the platform serves. */
class HttpConnection implements HttpCaller {
  readonly remote: Address;
  readonly lengths = new ReplyLengths();
  onRefused: ((error: KvError) => void) | undefined;
  readonly #frontEnd: FrontEnd;
  readonly #breakOff = new BreakOff();
  readonly #seat: Seat | undefined;
  readonly #server: PlatformServer;
  #bodyBytes = 0;
  #responseBytes = 0;
  #underWay = 0;
  #ended = false;
  readonly #ending: Promise<void>;
  #lingering: ReturnType<typeof setTimeout> | undefined;

  constructor(frontEnd: FrontEnd, connection: AcceptedConnection) {
    this.#frontEnd = frontEnd;
    const { hostname: host, port } = connection.remoteAddr as Deno.NetAddr;
    this.remote = { host, port };
    const seat = frontEnd.deps.admission.enter({ end: (reason) => this.#onEvicted(reason) });
    if (seat instanceof Seat) this.#seat = seat;
    sendAtOnce(connection);
    this.#server = frontEnd.deps.serve(
      connection,
      this.#breakOff,
      (request) => this.#handle(request),
      () => problemResponse(new KvError("internal", "the response could not be made")),
      () => {},
    );
    frontEnd.connections.add(this);
    const onEnd = () => {
      this.#ended = true;
      clearTimeout(this.#lingering);
      this.#seat?.leave();
      frontEnd.connections.delete(this);
    };
    // A connection that breaks or does not speak HTTP affects no other connection.
    this.#ending = this.#server.finished.then(onEnd, async () => {
      onEnd();
      // Otherwise the platform would keep its state of a broken connection.
      await this.#server.shutdown().catch(() => {});
    });
    if (!(seat instanceof Seat)) this.breakOff();
  }

  get closed(): boolean {
    return this.#ended || this.#seat?.ended === true;
  }

  get heavy(): boolean {
    // One request at a time.
    return this.lengths.isHeavy(1);
  }

  /** Bytes of bodies that are being read. */
  add(bytes: number): void {
    this.#bodyBytes += bytes;
    this.#seat?.hold("input", this.#bodyBytes);
  }

  /** Ends it at once. */
  breakOff(): void {
    if (!this.#ended) this.#breakOff.now();
  }

  endSoon(): void {
    this.#lingering ??= setTimeout(() => this.breakOff(), CLOSE_LINGER_MS);
  }

  unref(): void {
    this.#server.unref();
  }

  /** Ends it: at once if something is under way, otherwise when its client has what was sent. */
  async close(): Promise<void> {
    if (this.#underWay > 0) this.breakOff();
    else if (!this.#ended) void this.#server.shutdown();
    await this.#ending;
  }

  /** Called by admission control. */
  #onEvicted(reason: KvError): void {
    // A client that sends a body hears why; no other client waits for an answer or accepts one.
    if (this.onRefused !== undefined) this.onRefused(reason);
    else this.breakOff();
  }

  async #handle(request: Request): Promise<Response> {
    const seat = this.#seat;
    this.#frontEnd.asked();
    const refusal = this.#frontEnd.stopping ? STOPPING : seat?.speak();
    if (refusal !== undefined) {
      // The platform does not look at the response to decide whether to close it.
      if (refusal !== STOPPING) this.endSoon();
      return refused(refusal);
    }
    seat?.idle(false);
    this.#underWay++;
    this.#frontEnd.count(1);
    try {
      await this.#frontEnd.turnEnd.reached();
      const response = await this.#frontEnd.deps.handle(request, this);
      if (this.#frontEnd.retiring) response.headers.set("connection", "close");
      const bytes = Number(response.headers.get("content-length") ?? 0);
      this.lengths.note(bytes);
      return bytes > HTTP_RESPONSE_COUNTED_BYTES && response.body !== null
        ? await this.#inPieces(response)
        : response;
    } finally {
      this.#underWay--;
      this.#frontEnd.count(-1);
      if (this.#underWay === 0) seat?.idle(true);
    }
  }

  /**
   * A long response is sent piece by piece, as its client reads it. So it is known how much of it waits,
   * and a client that reads nothing is disconnected.
   */
  async #inPieces(response: Response): Promise<Response> {
    const bytes = new Uint8Array(await response.arrayBuffer());
    let sent = 0;
    let watched = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const count = (change: number) => {
      this.#responseBytes += change;
      this.#seat?.hold("output", this.#responseBytes);
    };
    const watch = () => {
      watched = sent;
      timer = setTimeout(() => sent > watched ? watch() : this.breakOff(), WRITE_STALL_TIMEOUT_MS);
    };
    const end = () => {
      clearTimeout(timer);
      count(sent - bytes.length);
      sent = bytes.length;
    };
    count(bytes.length);
    watch();
    const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => {
        const piece = bytes.subarray(sent, sent + WRITE_JOIN_BYTES);
        sent += piece.length;
        count(-piece.length);
        controller.enqueue(piece);
        if (sent < bytes.length) return;
        end();
        controller.close();
      },
      cancel: end,
    }, { highWaterMark: 0 });
    return new Response(body, { status: response.status, headers: response.headers });
  }
}

function refused(error: KvError): Response {
  const problem = error instanceof HttpProblem
    ? error
    : new HttpProblem(503, error.code, error.message, { headers: { connection: "close" } });
  return problemResponse(problem);
}
