/**
 * What the coordinator knows of one node beyond its line in the cluster map: whether it is alive, how
 * long it may still hold a lease, what its disk holds, and which of its roles count. Data only.
 *
 * @module
 */
import type { NodeId, NodeInfo } from "../../shared/cluster/cluster_map.ts";
import { formatAddress } from "../../shared/platform/transport.ts";
import type { Message } from "../../shared/wire/messages.ts";

/** One TCP connection of a node, numbered by the runtime; never used twice. */
export type SessionId = number;

/**
 * `live`: registered, heard of within the failure timeout, and known to hear what it is told.
 * `unknown`: it is not known yet whether it lives and hears, since the coordinator has just started, or
 * the node has just registered. `down`: declared failed, or gone.
 */
export type Presence = "live" | "unknown" | "down";

/** What a node's disk held of a partition when it registered. */
export interface HeldReplica {
  readonly term: number;
  readonly lastSeq: number;
}

/** `stopping`: its process ends, its replicas stay where they are. `leaving`: it goes for good. */
export type Departure = "none" | "stopping" | "leaving";

/** A node of the cluster. Changed by the membership alone. */
export interface Member {
  readonly id: NodeId;
  info: NodeInfo;
  /** Tells two processes of one data folder apart; undefined if it is not known. */
  instance: string | undefined;
  /** Its data goes with its process, which then comes back with another id. */
  memory: boolean;
  presence: Presence;
  session: SessionId | undefined;
  departure: Departure;
  /** `left` was sent: when its session ends, so did its process. */
  released: boolean;
  /**
   * The last heartbeat that shows that the node hears, or its registration, on the coordinator's
   * monotonic clock; or the coordinator's own start.
   */
  lastSeenMs: number;
  /** Last heartbeat of its last known process, also while it does not count as live. */
  heardMs: number;
  /** Why the last heartbeat did not show that the node hears; undefined if it did, or none came. */
  deafness: string | undefined;
  /** It is to have the map of this epoch, ... */
  owedEpoch: number;
  /** ... which it was sent no later than this. */
  owedMs: number;
  /** Its process goes by the map of this epoch or a later one, and its disk knows what that map made it primary of. */
  adoptedEpoch: number;
  /** Partitions that it is primary of and cannot serve, as it said last. */
  unserved: number;
  /** When its present process registered for the first time. */
  registeredMs: number;
  /** No lease of this node outlives this moment, whatever process of it holds one. */
  leaseUntilMs: number;
  /** Since when it is down. */
  downSinceMs: number;
  /**
   * Acknowledgements carry at least this epoch: the first one in which it lost a primary's role. So
   * a node that has not been told yet gets no lease for it from the moment of the decision.
   */
  ackEpochMin: number;
  held: ReadonlyMap<number, HeldReplica>;
  /** The last batch that its database is known to hold, by its heartbeats; 0 if nothing is known. */
  batch: number;
  /** Partitions in whose in-sync set it stands for what an earlier process of it held. */
  readonly stale: Set<number>;
  /** Partitions whose replica it found damaged. */
  readonly damaged: Set<number>;
  /** False while its disk takes no writes, as it says. */
  writable: boolean;
}

/** A member, if no more is known than its line in the map. */
export function newMember(info: NodeInfo, presence: Presence, nowMs: number): Member {
  return {
    id: info.id,
    info,
    instance: undefined,
    memory: false,
    presence,
    session: undefined,
    departure: "none",
    released: false,
    lastSeenMs: nowMs,
    heardMs: -Infinity,
    deafness: undefined,
    owedEpoch: 0,
    owedMs: nowMs,
    adoptedEpoch: 0,
    unserved: 0,
    registeredMs: nowMs,
    leaseUntilMs: nowMs,
    downSinceMs: nowMs,
    ackEpochMin: 0,
    held: new Map(),
    batch: 0,
    stale: new Set(),
    damaged: new Set(),
    writable: true,
  };
}

/** A node for people: its id, and its address if it is known. */
export function nodeText(members: ReadonlyMap<NodeId, Member>, id: NodeId): string {
  const info = members.get(id)?.info;
  return info === undefined ? id : `${id} (${formatAddress(info)})`;
}

/** The order in which nodes are gone through if the outcome may depend on it. */
export function byId(a: { readonly id: NodeId }, b: { readonly id: NodeId }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** A node's line in the map, as it says itself. */
export function infoOf(message: Message<"register">): NodeInfo {
  return {
    id: message.node,
    host: message.host,
    port: message.port,
    ...(typeof message.peer_port === "number" ? { peerPort: message.peer_port } : {}),
    httpPort: message.http_port,
    zone: message.zone,
    weight: message.weight,
    incarnation: message.incarnation,
    state: "up",
  };
}

/** Whether two lines of a node say the same. */
export function sameInfo(a: NodeInfo, b: NodeInfo): boolean {
  return a.host === b.host && a.port === b.port && a.peerPort === b.peerPort &&
    a.httpPort === b.httpPort && a.zone === b.zone &&
    a.weight === b.weight && a.incarnation === b.incarnation && a.state === b.state;
}
