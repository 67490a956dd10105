/**
 * Stands in front of one process: takes connections and datagrams at the address that the process
 * advertises, passes them on to where it really listens, and lets through what the links allow. Whoever
 * makes one says how it learns who is at the other end.
 *
 * @module
 */
import type { Links } from "./links.ts";
import type { Ends } from "./socket_owners.ts";

/** Where something listens. */
export interface HostPort {
  readonly hostname: string;
  readonly port: number;
}

/** Who has not said who it is. */
const UNKNOWN = "client";

/** Who has sent these bytes; undefined if neither they nor the ends tell, so that it is asked for the next ones again. */
export type SenderOf = (bytes: Uint8Array, ends: Ends) => string | undefined;

/** Something that can be ended, more than once. */
interface Closable {
  close(): void;
}

function closeAll(...those: Closable[]): void {
  for (const one of those) {
    try {
      one.close();
    } catch {
      // It is closed.
    }
  }
}

/** Passes TCP connections on to one process. */
export class StreamProxy {
  readonly #listener: Deno.TcpListener;
  readonly #links: Links;
  readonly #target: string;
  readonly #upstream: HostPort;
  readonly #senderOf: SenderOf;
  readonly #pairs = new Set<readonly [Deno.Conn, Deno.Conn]>();

  /** @param target the name of the process that is served */
  constructor(
    links: Links,
    target: string,
    at: HostPort,
    upstream: HostPort,
    senderOf: SenderOf,
  ) {
    this.#senderOf = senderOf;
    this.#links = links;
    this.#target = target;
    this.#upstream = upstream;
    this.#listener = Deno.listen(at);
    this.#accept();
  }

  /** Breaks every connection to the process. */
  reset(): void {
    for (const pair of this.#pairs) closeAll(...pair);
  }

  close(): void {
    closeAll(this.#listener);
    this.reset();
  }

  async #accept(): Promise<void> {
    try {
      for await (const near of this.#listener) this.#serve(near);
    } catch {
      // It was closed.
    }
  }

  async #serve(near: Deno.TcpConn): Promise<void> {
    let far: Deno.TcpConn;
    try {
      far = await Deno.connect(this.#upstream);
      near.setNoDelay(true);
      far.setNoDelay(true);
    } catch {
      closeAll(near);
      return;
    }
    const pair = [near, far] as const;
    this.#pairs.add(pair);
    const ends = { from: near.remoteAddr, to: near.localAddr };
    let source: string | undefined;
    await Promise.race([
      this.#pump(near, far, async (bytes) => {
        source ??= this.#senderOf(bytes, ends);
        await this.#links.pass(source ?? UNKNOWN, this.#target);
      }),
      this.#pump(far, near, () => this.#links.pass(this.#target, source ?? UNKNOWN)),
    ]);
    this.#pairs.delete(pair);
    closeAll(near, far);
  }

  async #pump(
    from: Deno.Conn,
    to: Deno.Conn,
    pass: (bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const length = await from.read(buffer);
        if (length === null) return;
        const bytes = buffer.slice(0, length);
        await pass(bytes);
        for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
      }
    } catch {
      // One of the two is gone, and so is the other.
    }
  }
}

/** Passes heartbeats on to the coordinator, and their answers back. */
export class HeartbeatProxy {
  readonly #socket: Deno.DatagramConn;
  readonly #links: Links;
  readonly #upstream: HostPort;
  readonly #target: string;
  readonly #senderOf: SenderOf;
  readonly #byPort = new Map<number, Deno.DatagramConn>();
  #closed = false;
  /** Of 100 datagrams, this many are lost, and this many come twice. */
  lossPercent = 0;
  doublePercent = 0;

  /** @param target the name of the coordinator that is served */
  constructor(
    links: Links,
    at: HostPort,
    upstream: HostPort,
    target: string,
    senderOf: SenderOf,
  ) {
    this.#target = target;
    this.#senderOf = senderOf;
    this.#links = links;
    this.#upstream = upstream;
    this.#socket = Deno.listenDatagram({ ...at, transport: "udp", reuseAddress: true });
    this.#serve();
  }

  close(): void {
    this.#closed = true;
    closeAll(this.#socket, ...this.#byPort.values());
  }

  async #serve(): Promise<void> {
    try {
      for await (const [bytes, from] of this.#socket) {
        if (from.transport !== "udp") continue;
        const source = this.#senderOf(bytes, { from }) ?? UNKNOWN;
        const back = this.#backOf(from, source);
        await this.#pass(source, this.#target, () => {
          return back.send(bytes, { ...this.#upstream, transport: "udp" });
        });
      }
    } catch {
      // It was closed.
    }
  }

  /** The socket in whose name a node's heartbeats go on; what comes back goes to the node. */
  #backOf(node: Deno.NetAddr, name: string): Deno.DatagramConn {
    const known = this.#byPort.get(node.port);
    if (known !== undefined) return known;
    const socket = Deno.listenDatagram({ hostname: "127.0.0.1", port: 0, transport: "udp" });
    this.#byPort.set(node.port, socket);
    (async () => {
      try {
        for await (const [bytes] of socket) {
          await this.#pass(this.#target, name, () => this.#socket.send(bytes, node));
        }
      } catch {
        // It was closed.
      }
    })();
    return socket;
  }

  async #pass(from: string, to: string, send: () => Promise<number>): Promise<void> {
    const percent = () => Math.random() * 100;
    const { cut, delayMs } = this.#links.way(from, to);
    if (cut || percent() < this.lossPercent) return;
    const times = percent() < this.doublePercent ? 2 : 1;
    const go = () => {
      for (let i = 0; i < times && !this.#closed; i++) send().catch(() => {});
    };
    if (delayMs > 0) setTimeout(go, delayMs);
    else go();
    await Promise.resolve();
  }
}
