/**
 * The HTTP door on a real port.
 *
 * Invariant: after `close` nothing listens, and no answer leaves that was not under way to its client.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { HTTP_QUIET_MS, RETIRE_MS } from "../base/limits.ts";
import type { Address } from "../platform/transport.ts";
import { HttpProblem, problemResponse } from "./protocol/problem.ts";

/** A server that listens. */
export interface HttpServer {
  /** Where; the real port. */
  readonly address: Address;
  /** From now on each connection ends with its next answer, so that its client opens the next elsewhere. */
  retire(): void;
  /** Takes nothing new, waits for what has begun, at most so long, and ends. */
  close(graceMs: number): Promise<void>;
}

/** How to listen: at the first address that is free. */
export type ListenHttp = (
  addresses: readonly Address[],
  handle: (request: Request) => Promise<Response>,
) => HttpServer;

const STOPPING = new HttpProblem(503, "unavailable", "this process is stopping; ask another one", {
  headers: { connection: "close" },
});

/** @throws {KvError} `address_in_use` where none is free */
export const listenHttp: ListenHttp = (addresses, handle) => {
  let inUse: KvError | undefined;
  for (const address of addresses) {
    try {
      return listen(address, handle);
    } catch (cause) {
      if (!(cause instanceof Deno.errors.AddrInUse)) {
        const why = cause instanceof Error ? cause.message : String(cause);
        throw new KvError(
          "bad_config",
          `cannot listen for HTTP on ${address.host}:${address.port}: ${why}`,
          { cause },
        );
      }
      inUse = new KvError(
        "address_in_use",
        `HTTP: another process listens on ${address.host}:${address.port}; name another ` +
          "--http-port, or 0 for any that is free, or off",
        { cause },
      );
    }
  }
  throw inUse ?? new KvError("bad_config", "no address to listen on for HTTP was given");
};

function listen(
  { host, port }: Address,
  handle: (request: Request) => Promise<Response>,
): HttpServer {
  const abort = new AbortController();
  let underWay = 0;
  let retiring = false;
  let stopping = false;
  let onIdle = () => {};
  /** When the last request came; undefined before the first. */
  let askedMs: number | undefined;
  const server = Deno.serve({
    hostname: host.replace(/^\[|\]$/g, ""),
    port,
    signal: abort.signal,
    onListen: () => {},
  }, async (request) => {
    askedMs = performance.now();
    if (stopping) return problemResponse(STOPPING);
    underWay++;
    try {
      const response = await handle(request);
      if (retiring) response.headers.set("connection", "close");
      return response;
    } finally {
      underWay--;
      if (underWay === 0) onIdle();
    }
  });
  /**
   * The platform's shutdown closes a connection on which a request is on its way, and its client cannot
   * tell whether it was read. So clients are sent elsewhere first, until none of them comes any more.
   */
  const untilQuiet = async () => {
    const endMs = performance.now() + RETIRE_MS;
    while (askedMs !== undefined) {
      const nowMs = performance.now();
      const waitMs = Math.min(askedMs + HTTP_QUIET_MS, endMs) - nowMs;
      if (waitMs <= 0) return;
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
  };
  return {
    address: { host, port: server.addr.port },
    retire() {
      retiring = true;
    },
    async close(graceMs) {
      stopping = true;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, graceMs));
      try {
        await untilQuiet();
        // It breaks off bodies that are still being read, too.
        if (underWay > 0) {
          const idle = new Promise<void>((resolve) => onIdle = resolve);
          await Promise.race([idle, late, server.finished]);
        }
        if (underWay > 0) {
          // Not once the shutdown below has begun: the platform has nothing left to break off then, and
          // says so by an error that nobody can catch.
          abort.abort();
        } else {
          // It waits for what is on its way to clients, and for the rest of bodies that nobody reads.
          await Promise.race([server.shutdown(), late]);
        }
        server.unref();
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
