/**
 * The connections to the cluster's nodes: one RpcClient per node of the map, made at first use, and closed
 * when the node leaves the map, moves, or is declared failed. A second one is for requests of callers that get
 * long replies, so that requests of others do not wait behind these. Few requests are under way on it at a
 * time. The others wait here, and are dropped if nobody waits for them any more.
 *
 * @module
 */
import { HEAVY_REQUESTS_IN_FLIGHT_MAX } from "../limits/requests.ts";
import {
  type ClusterMap,
  type NodeId,
  type NodeInfo,
  peerAddressOf,
} from "../cluster/cluster_map.ts";
import type { Address } from "../platform/transport.ts";
import type { Message } from "../wire/messages.ts";
import { RpcClient, type RpcClientDeps, type RpcClientOptions } from "../wire/rpc_client.ts";

/** What is told about the first connection to each node. */
export interface NodeConnectionHandlers {
  onConnecting(node: NodeId, address: Address): void;
  onConnected(node: NodeId, address: Address): void;
  /** @param reason if something went wrong */
  onDisconnected(node: NodeId, address: Address, reason: Error | undefined): void;
}

/** What the pool calls. */
export interface NodePoolHandlers {
  /** Requests are under way, and the node is silent. */
  onSilence(node: NodeId): void;
  readonly connections?: NodeConnectionHandlers | undefined;
}

/** Connections to nodes. */
export class NodePool {
  readonly #deps: RpcClientDeps;
  readonly #hello: Message<"hello">;
  readonly #handlers: NodePoolHandlers;
  #nodes = new Map<NodeId, NodeInfo>();
  readonly #clients = new Map<NodeId, RpcClient>();
  /** For requests of callers that get long replies. */
  readonly #heavy = new Map<NodeId, RpcClient>();

  constructor(deps: RpcClientDeps, hello: Message<"hello">, handlers: NodePoolHandlers) {
    this.#deps = deps;
    this.#hello = hello;
    this.#handlers = handlers;
  }

  /** A member of the map, by its id. */
  node(id: NodeId): NodeInfo | undefined {
    return this.#nodes.get(id);
  }

  /** The connection to a member of the map. */
  client(id: NodeId): RpcClient | undefined {
    return this.#clientOf(id, this.#clients, {}, this.#handlers.connections);
  }

  /** A second connection to a member of the map, for requests of callers that get long replies. */
  heavyClient(id: NodeId): RpcClient | undefined {
    return this.#clientOf(id, this.#heavy, { inFlightMax: HEAVY_REQUESTS_IN_FLIGHT_MAX });
  }

  #clientOf(
    id: NodeId,
    clients: Map<NodeId, RpcClient>,
    options: RpcClientOptions,
    told?: NodeConnectionHandlers,
  ): RpcClient | undefined {
    const known = clients.get(id);
    if (known !== undefined) return known;
    const node = this.#nodes.get(id);
    if (node === undefined) return undefined;
    // Another node may have this address by now, for example after a --rebuild.
    const hello = { ...this.#hello, to: id };
    const onSilence = () => this.#handlers.onSilence(id);
    const member = { role: "node", id } as const;
    const address = this.#addressOf(node);
    const client = new RpcClient(
      this.#deps,
      address,
      hello,
      told === undefined ? { onSilence } : {
        onSilence,
        onConnecting: () => told.onConnecting(id, address),
        onUp: () => told.onConnected(id, address),
        onDown: (reason) => told.onDisconnected(id, address, reason),
      },
      this.#isMember ? { ...options, member } : options,
    );
    clients.set(id, client);
    return client;
  }

  /** A member of a secured cluster uses the port for members. */
  #addressOf(node: NodeInfo): Address {
    return this.#isMember ? peerAddressOf(node) : { host: node.host, port: node.port };
  }

  get #isMember(): boolean {
    return this.#hello.role !== "client";
  }

  /** Follows a new map. What was sent to a node that is gone ends as `outcome_unknown`. */
  adopt(map: ClusterMap): void {
    const before = this.#nodes;
    this.#nodes = new Map(map.nodes.map((node) => [node.id, node]));
    for (const clients of [this.#clients, this.#heavy]) this.#closeOld(clients, before);
  }

  #closeOld(clients: Map<NodeId, RpcClient>, before: ReadonlyMap<NodeId, NodeInfo>): void {
    for (const [id, client] of clients) {
      const node = this.#nodes.get(id);
      const { host, port } = client.address;
      // A node that has been down for longer may be asked for a map; but it is not tried for ever.
      const failed = node?.state === "down" &&
        (before.get(id)?.state !== "down" || !client.up);
      const wanted = node === undefined ? undefined : this.#addressOf(node);
      if (!failed && wanted?.host === host && wanted.port === port) continue;
      clients.delete(id);
      client.close();
    }
  }

  close(): void {
    for (const clients of [this.#clients, this.#heavy]) {
      for (const client of clients.values()) client.close();
      clients.clear();
    }
  }
}
