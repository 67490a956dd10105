/**
 * A proxy in front of each coordinator of a test, so that links can be cut: between two coordinators, and between one
 * and the nodes, in one direction or both. What a coordinator advertises is its proxy's address. Where a way is cut,
 * what is sent waits, as TCP has it, and datagrams are lost.
 *
 * @module
 */
import { Links } from "../../torture/links.ts";
import { HeartbeatProxy, StreamProxy } from "../../torture/proxy.ts";
import type { Address } from "../../../shared/platform/transport.ts";

/** All nodes together. */
export const NODES = "nodes";

const REAL = "127.0.0.1";
const decoder = new TextDecoder();

/** The links of the coordinators of one test. */
export class CoordinatorLinks implements Disposable {
  readonly #links = new Links();
  readonly #proxies: { close(): void }[] = [];
  readonly #ports = new Map<number, number>();

  /** What coordinator number `index` is to advertise. */
  hostOf(index: number): string {
    return `127.0.0.${11 + index}`;
  }

  /** Where nodes and the other coordinators find it. */
  addressOf(index: number): Address {
    return { host: this.hostOf(index), port: this.#ports.get(index) ?? 0 };
  }

  /** It listens. */
  serve(index: number, id: string, { port }: Address, heartbeatPort: number): void {
    const hostname = this.hostOf(index);
    this.#ports.set(index, port);
    const real = { hostname: REAL, port };
    const heartbeats = { hostname: REAL, port: heartbeatPort };
    this.#proxies.push(
      new StreamProxy(this.#links, id, { hostname, port }, real, nameOf),
      new HeartbeatProxy(
        this.#links,
        { hostname, port: heartbeatPort },
        heartbeats,
        id,
        () => NODES,
      ),
    );
  }

  /** Nothing gets from one to the other any more: two ids, or one and {@linkcode NODES}. */
  cut(from: string, to: string): void {
    this.#links.set(from, to, { cut: true });
  }

  /** In both directions. */
  part(one: string, other: string): void {
    this.cut(one, other);
    this.cut(other, one);
  }

  /** All ways are open. */
  heal(): void {
    this.#links.heal();
  }

  [Symbol.dispose](): void {
    this.heal();
    for (const proxy of this.#proxies) proxy.close();
  }
}

/** A coordinator says its name in its first message behind the `hello`. */
function nameOf(bytes: Uint8Array): string | undefined {
  const text = decoder.decode(bytes);
  const coordinator = /"req_type":"agree","from":\{"id":"([^"]+)"/.exec(text)?.[1];
  if (coordinator !== undefined) return coordinator;
  const role = /"role":"(\w+)"/.exec(text)?.[1];
  if (role === "member" || role === "node") return NODES;
  return role === undefined || role === "coordinator" ? undefined : "client";
}
