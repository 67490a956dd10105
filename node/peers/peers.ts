/**
 * The other nodes, as this node talks with them: a link to each that follows a primary here, and the connections that
 * primaries elsewhere have opened to this node. It keeps the links that the map requires, and gives each message to the
 * replica that it concerns.
 *
 * Invariants: there is at most one link to a node; a replica is told of the end of each connection over which it got
 * messages.
 *
 * @module
 */
import { ByteSlab } from "../../shared/base/byte_slab.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import {
  type ClusterMap,
  findNode,
  type NodeId,
  peerAddressOf,
} from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { PeerHandlers } from "../../shared/server/peer_server.ts";
import type { DownstreamMessage } from "../../shared/wire/messages.ts";
import type { Random } from "../../shared/platform/random.ts";
import type { Address, Transport } from "../../shared/platform/transport.ts";
import type { ReadConfirmations } from "../requests/read_confirmations.ts";
import type { Primary } from "../replication/primary.ts";
import type { Replica } from "../replication/replica.ts";
import type { Downstream, Upstream } from "../replication/replica_ports.ts";
import type { LiveWrites } from "../requests/live_writes.ts";
import {
  frameFromFollower,
  frameFromPrimary,
  fromFollower,
  fromPrimary,
  type PeerTargets,
  type ToReplica,
} from "./peer_dispatch.ts";
import { PeerLink } from "./peer_link.ts";
import { ConnectionUpstream, type PeerConnection } from "./upstream_connection.ts";

/** What peers need of the node. */
export interface PeersOwner {
  readonly nodeId: NodeId;
  map(): ClusterMap | undefined;
  /** The replica of a partition; undefined if there is none here. */
  replica(partition: number): Replica | undefined;
  replicas(): Iterable<Replica>;
  primaries(): Iterable<Primary>;
  /** Whether the data of a partition is being deleted. */
  isClearing(partition: number): boolean;
  /** A replica that a kept map vouches for, before the first map has come: see `Node`. */
  openVouched(message: ToReplica, from: NodeId): Replica | undefined;
  readonly confirmations: ReadConfirmations;
  /** Nothing more is sent to a node. */
  onUnlinked(node: NodeId): void;
}

/** What links are made with. */
export interface PeersDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly log: Logger;
}

/** The conversations with other nodes. */
export class Peers implements Downstream {
  readonly #deps: PeersDeps;
  readonly #owner: PeersOwner;
  readonly #targets: PeerTargets;
  readonly #links = new Map<NodeId, PeerLink>();

  constructor(deps: PeersDeps, owner: PeersOwner) {
    this.#deps = deps;
    this.#owner = owner;
    this.#targets = {
      replica: (partition) => owner.replica(partition),
      addressee: (message, upstream) => this.#addressee(message, upstream),
      confirmations: owner.confirmations,
      slab: new ByteSlab(),
    };
  }

  // As a primary.

  isUp(node: NodeId): boolean {
    return this.#links.get(node)?.isUp ?? false;
  }

  send(node: NodeId, message: DownstreamMessage): void {
    this.#links.get(node)?.send(message);
  }

  append(
    node: NodeId,
    partition: number,
    term: number,
    stream: number,
    commitSeq: number,
    writes: LiveWrites,
  ): void {
    this.#links.get(node)?.append(partition, term, stream, commitSeq, writes);
  }

  whenRoom(node: NodeId, then: () => void): void {
    this.#links.get(node)?.whenRoom(then);
  }

  commit(node: NodeId, partition: number, term: number, stream: number, commitSeq: number): void {
    this.#links.get(node)?.append(partition, term, stream, commitSeq, undefined);
  }

  /** Opens links to the nodes that follow a primary here, closes the others. */
  updateLinks(): void {
    const map = this.#owner.map();
    if (map === undefined) return;
    const wanted = new Set<NodeId>();
    for (const primary of this.#owner.primaries()) {
      for (const { node } of primary.streams) wanted.add(node);
    }
    for (const [node, link] of this.#links) {
      if (wanted.has(node)) continue;
      this.#links.delete(node);
      this.#owner.onUnlinked(node);
      link.close();
    }
    for (const node of wanted) {
      const info = findNode(map, node);
      if (info === undefined) continue;
      const address = peerAddressOf(info);
      const link = this.#links.get(node);
      if (link === undefined) this.#links.set(node, this.#openLink(node, address));
      else link.setAddress(address);
    }
  }

  #openLink(node: NodeId, address: Address): PeerLink {
    const clusterId = () => this.#owner.map()?.settings.clusterId;
    return new PeerLink({ ...this.#deps, self: this.#owner.nodeId, clusterId }, node, address, {
      onUp: (node) => this.#eachPrimary((primary) => primary.onPeerUp(node)),
      onDown: (node) => this.#eachPrimary((primary) => primary.onPeerDown(node)),
      onMessage: (message, node) => fromFollower(message, node, this.#targets),
      onFrame: (frame, node) => frameFromFollower(frame, node, this.#targets),
    });
  }

  #eachPrimary(visit: (primary: Primary) => void): void {
    for (const primary of this.#owner.primaries()) visit(primary);
  }

  // As a follower.

  /** A node has opened a connection to this one for replication, and its `hello` was accepted. */
  accept(node: NodeId, connection: PeerConnection): PeerHandlers<DownstreamMessage> {
    const upstream = new ConnectionUpstream(node, connection, this.#deps.clock);
    return {
      onMessage: (message) => fromPrimary(message, upstream, this.#targets),
      onFrame: (frame) => frameFromPrimary(frame, upstream, this.#targets),
      onClose: () => {
        for (const replica of this.#owner.replicas()) replica.onUpstreamClosed(upstream);
      },
    };
  }

  #addressee(message: ToReplica, upstream: Upstream): Replica | undefined {
    const { req_type: type, p, stream } = message;
    const count = this.#owner.map()?.partitions.length;
    if (count !== undefined && p >= count) {
      throw new KvError("bad_request", `${type}: "p" is ${p}, the cluster has 0 to ${count - 1}`);
    }
    if (this.#owner.isClearing(p)) return undefined;
    const replica = this.#owner.replica(p) ?? this.#owner.openVouched(message, upstream.node);
    if (replica === undefined && type === "resync_query") {
      // The map may be on its way that gives this node a replica: the primary asks again.
      const reason = "this node knows of no replica here";
      upstream.send({ req_type: "stream_refused", p, term: 0, stream, reason });
    }
    return replica;
  }

  /** What `stats` shows of the links. */
  stats(): { node: NodeId; up: boolean; queued_bytes: number; overflows: number }[] {
    return [...this.#links.values()].map(({ node, isUp, queuedBytes, overflows }) => ({
      node,
      up: isUp,
      queued_bytes: queuedBytes,
      overflows,
    }));
  }

  /** Closes the links. */
  close(): void {
    for (const link of this.#links.values()) link.close();
    this.#links.clear();
  }
}
