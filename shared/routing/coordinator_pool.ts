/**
 * The connections to coordinators, by address: made at first use, closed when the address is not wanted any more. Who
 * the coordinators are is for the caller to know.
 *
 * @module
 */
import { type Address, formatAddress } from "../platform/transport.ts";
import type { Message } from "../wire/messages.ts";
import { RpcClient, type RpcClientDeps, type RpcClientOptions } from "../wire/rpc_client.ts";

/** How a process connects to a coordinator: a member of the cluster wants a member at the other end, too. */
export function toCoordinator({ role }: Message<"hello">): RpcClientOptions {
  return role === "client" ? {} : { member: { role: "coordinator" } };
}

/** Connections to coordinators. */
export class CoordinatorPool {
  readonly #deps: RpcClientDeps;
  readonly #hello: () => Message<"hello">;
  readonly #clients = new Map<string, RpcClient>();
  #closed = false;

  /** @param hello what is said to each; a member's role says that it wants a member at the other end, too */
  constructor(deps: RpcClientDeps, hello: () => Message<"hello">) {
    this.#deps = deps;
    this.#hello = hello;
  }

  client(address: Address): RpcClient {
    const name = formatAddress(address);
    const known = this.#clients.get(name);
    if (known !== undefined) return known;
    const hello = this.#hello();
    const client = new RpcClient(this.#deps, address, hello, {}, toCoordinator(hello));
    this.#clients.set(name, client);
    if (this.#closed) client.close();
    return client;
  }

  /** Closes all connections but those to these addresses. */
  keep(addresses: readonly Address[]): void {
    const kept = new Set(addresses.map(formatAddress));
    for (const [name, client] of this.#clients) {
      if (kept.has(name)) continue;
      this.#clients.delete(name);
      client.close();
    }
  }

  close(): void {
    this.#closed = true;
    for (const client of this.#clients.values()) client.close();
  }
}
