/**
 * The way of a simple client: every request goes to one address, be it the coordinator's gateway or
 * any node, which passes it on. It has no map and sends nothing twice.
 *
 * @module
 */
import type { KeyRouter } from "../../../client/calls/call.ts";
import type { ClusterMap, NodeId } from "../../../shared/cluster/cluster_map.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { type KeyRequest, PROTOCOL_VERSION, type Reply } from "../../../shared/wire/messages.ts";
import { RpcClient, type RpcClientDeps } from "../../../shared/wire/rpc_client.ts";
import type { Address } from "../../../shared/platform/transport.ts";

/** Sends everything to one address. */
export class OneAddressRouter implements KeyRouter {
  readonly #rpc: RpcClient;

  constructor(deps: RpcClientDeps, address: Address, login: { readonly secret?: string } = {}) {
    this.#rpc = new RpcClient(deps, address, {
      req_type: "hello",
      protocol: PROTOCOL_VERSION,
      role: "client",
      ...login,
    });
  }

  map(): ClusterMap | undefined {
    return undefined;
  }

  refresh(): Promise<ClusterMap> {
    return Promise.reject(new KvError("unavailable", "this client knows no cluster map"));
  }

  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): () => void {
    let wanted = true;
    this.#rpc.request({ ...request, id: undefined }, timeoutMs, (reply) => {
      if (wanted) done(reply);
    });
    return () => {
      wanted = false;
    };
  }

  request(_node: NodeId, message: object, timeoutMs: number, done: (reply: Reply) => void): void {
    this.#rpc.request(message, timeoutMs, done);
  }

  close(): void {
    this.#rpc.close();
  }
}
