/**
 * The keys by which nodes of a secured cluster prove their heartbeats: one for each session, sent over it when the
 * node has registered. It says nothing about what a heartbeat is worth.
 *
 * Invariant: a node has one channel at most, that of its newest session; what was sealed for an earlier one opens
 * nothing.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Random } from "../../shared/platform/random.ts";
import {
  channelOf,
  DatagramChannel,
  newChannelKey,
} from "../../shared/security/datagram_channel.ts";
import type { SessionId } from "../state/member.ts";

interface Channel {
  readonly session: SessionId;
  readonly node: NodeId;
  /** For the node, over its session. */
  readonly key: string;
  readonly end: DatagramChannel;
}

/** A datagram that a node has sealed. */
export interface OpenedDatagram {
  readonly node: NodeId;
  readonly message: Uint8Array;
  /** The answer's datagram. */
  seal(answer: Uint8Array): Uint8Array;
}

/** The channels of one coordinator. */
export class HeartbeatChannels {
  readonly #random: Random;
  readonly #byName = new Map<string, Channel>();
  readonly #bySession = new Map<SessionId, Channel>();
  readonly #byNode = new Map<NodeId, Channel>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** A certified node has opened a session. */
  add(session: SessionId, node: NodeId): void {
    const before = this.#byNode.get(node);
    if (before !== undefined) this.remove(before.session);
    const key = newChannelKey(this.#random);
    const end = new DatagramChannel(key, "coordinator");
    const channel = { session, node, key: key.reveal(), end };
    this.#byName.set(end.name, channel);
    this.#bySession.set(session, channel);
    this.#byNode.set(node, channel);
  }

  /** The session has ended. */
  remove(session: SessionId): void {
    const channel = this.#bySession.get(session);
    if (channel === undefined) return;
    this.#bySession.delete(session);
    this.#byName.delete(channel.end.name);
    this.#byNode.delete(channel.node);
  }

  /** The key that a session's node is told; undefined if it has none. */
  keyOf(session: SessionId): string | undefined {
    return this.#bySession.get(session)?.key;
  }

  /** What a node has sealed for its present session, once; undefined for everything else. */
  open(datagram: Uint8Array): OpenedDatagram | undefined {
    const name = channelOf(datagram);
    const channel = name === undefined ? undefined : this.#byName.get(name);
    const message = channel?.end.open(datagram);
    if (channel === undefined || message === undefined) return undefined;
    return { node: channel.node, message, seal: (answer) => channel.end.seal(answer) };
  }
}
