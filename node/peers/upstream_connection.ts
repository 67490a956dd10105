/**
 * A connection that a primary has opened to this node, as the replicas that follow this primary see it: a way back, on which
 * the acknowledgements of one turn leave as one frame.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { UpstreamMessage } from "../../shared/wire/messages.ts";
import type { Upstream } from "../replication/replica_ports.ts";
import { encodeAppended, type FrameAck } from "./replication_frames.ts";

/** The connection underneath. */
export interface PeerConnection {
  readonly closed: boolean;
  /** Ignored once closed. */
  send(message: object): void;
  /** Whether the other side takes binary frames. */
  readonly takesFrames?: boolean;
  /** Ignored once closed. */
  sendFrame?(frame: Uint8Array): void;
}

/** The way back to the node that opened a connection. */
export class ConnectionUpstream implements Upstream {
  readonly node: NodeId;
  readonly #connection: PeerConnection;
  readonly #clock: Clock;
  #acks: FrameAck[] = [];

  constructor(node: NodeId, connection: PeerConnection, clock: Clock) {
    this.node = node;
    this.#connection = connection;
    this.#clock = clock;
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  send(message: UpstreamMessage): void {
    this.#flush();
    this.#connection.send(message);
  }

  ack(partition: number, term: number, stream: number, seq: number): void {
    this.#acks.push([partition, term, stream, seq]);
    if (this.#acks.length === 1) this.#clock.defer(() => this.#flush());
  }

  #flush(): void {
    if (this.#acks.length === 0) return;
    const acks = this.#acks;
    this.#acks = [];
    if (this.#connection.takesFrames === true) this.#connection.sendFrame?.(encodeAppended(acks));
    else this.#connection.send({ req_type: "appended", acks });
  }
}
