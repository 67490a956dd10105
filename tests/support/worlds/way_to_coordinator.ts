/**
 * A path to a coordinator with a TCP and a UDP channel, each of which can fail by itself, even in only one direction.
 * A node that is given `address` as its `--coordinator` uses this path, and no other one if the coordinator advertises
 * {@linkcode WAY_HOST}: nodes know the coordinators' addresses from the map.
 *
 * @module
 */
import type { Address } from "../../../shared/platform/transport.ts";

/** What becomes of the bytes of one direction. */
export interface Directions {
  /** From the node to the coordinator. */
  up: boolean;
  /** From the coordinator to the node. */
  down: boolean;
}

/** The node's own address of the coordinator: another host, so that its UDP goes this way, too. */
export const WAY_HOST = "127.0.0.2";

/** The way; both directions of both channels are open at first. */
export class WayToCoordinator implements Disposable {
  /** Bytes of TCP connections that are not let through are lost, and the connections stay open. */
  readonly tcp: Directions = { up: true, down: true };
  /** Datagrams that are not let through are lost. */
  readonly udp: Directions = { up: true, down: true };
  /** False: new connections are ended at once. */
  accepts = true;
  readonly #coordinator: Address;
  readonly #listener: Deno.TcpListener;
  readonly #socket: Deno.DatagramConn;
  readonly #back: Deno.DatagramConn;
  readonly #heartbeatPort: number;
  readonly #connections = new Set<Deno.Conn>();
  #node: Deno.Addr | undefined;

  constructor(coordinator: Address, heartbeatPort: number) {
    this.#coordinator = coordinator;
    this.#heartbeatPort = heartbeatPort;
    this.#listener = Deno.listen({ hostname: WAY_HOST, port: coordinator.port });
    // `registered` names the port alone: it is the same here.
    this.#socket = Deno.listenDatagram({
      transport: "udp",
      hostname: WAY_HOST,
      port: heartbeatPort,
    });
    this.#back = Deno.listenDatagram({ transport: "udp", hostname: coordinator.host, port: 0 });
    this.#accept();
    this.#passUp();
    this.#passDown();
  }

  /** What the node is to be given. */
  get address(): string {
    return `${WAY_HOST}:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  /** Ends every connection. */
  reset(): void {
    for (const connection of this.#connections) close(connection);
    this.#connections.clear();
  }

  [Symbol.dispose](): void {
    for (const one of [this.#listener, this.#socket, this.#back]) close(one);
    this.reset();
  }

  async #accept(): Promise<void> {
    for (;;) {
      const near = await this.#listener.accept().catch(() => undefined);
      if (near === undefined) return;
      if (!this.accepts) {
        close(near);
        continue;
      }
      const { host, port } = this.#coordinator;
      const far = await Deno.connect({ hostname: host, port }).catch(() => undefined);
      if (far === undefined) {
        close(near);
        continue;
      }
      this.#connections.add(near).add(far);
      this.#pump(near, far, "up");
      this.#pump(far, near, "down");
    }
  }

  async #pump(from: Deno.Conn, to: Deno.Conn, direction: keyof Directions): Promise<void> {
    const buffer = new Uint8Array(64 * 1024);
    try {
      for (;;) {
        const length = await from.read(buffer);
        if (length === null) break;
        if (!this.tcp[direction]) continue;
        for (let at = 0; at < length;) at += await to.write(buffer.subarray(at, length));
      }
    } catch {
      // One of the two is gone, and so is the other.
    }
    close(from);
    close(to);
  }

  async #passUp(): Promise<void> {
    const to = {
      transport: "udp",
      hostname: this.#coordinator.host,
      port: this.#heartbeatPort,
    } as const;
    for await (const [bytes, from] of this.#socket) {
      this.#node = from;
      if (this.udp.up) await this.#back.send(bytes, to).catch(() => {});
    }
  }

  async #passDown(): Promise<void> {
    for await (const [bytes] of this.#back) {
      if (this.udp.down && this.#node !== undefined) {
        await this.#socket.send(bytes, this.#node).catch(() => {});
      }
    }
  }
}

function close(one: { close(): void }): void {
  try {
    one.close();
  } catch {
    // It is closed.
  }
}
