/**
 * The HTTP door on a real port.
 *
 * Invariant: after `close` nothing listens, and no answer leaves that was not under way to its client.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import type { Address } from "../platform/transport.ts";
import { HttpProblem, problemResponse } from "./protocol/problem.ts";

/** A server that listens. */
export interface HttpServer {
  /** Where; the real port. */
  readonly address: Address;
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
  let stopping = false;
  let onIdle = () => {};
  const server = Deno.serve({
    hostname: host.replace(/^\[|\]$/g, ""),
    port,
    signal: abort.signal,
    onListen: () => {},
  }, async (request) => {
    if (stopping) return problemResponse(STOPPING);
    underWay++;
    try {
      return await handle(request);
    } finally {
      underWay--;
      if (underWay === 0) onIdle();
    }
  });
  return {
    address: { host, port: server.addr.port },
    async close(graceMs) {
      stopping = true;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const late = new Promise<void>((resolve) => timer = setTimeout(resolve, graceMs));
      try {
        // The platform's own shutdown breaks off bodies that are still being read.
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
