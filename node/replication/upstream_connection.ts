/**
 * The connections that other nodes have opened to this one, as its replicas see them: a way back to the
 * primary, on which the acknowledgements of one turn leave as one frame.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Connection } from "../../shared/wire/connection.ts";
import type { PeerMessage } from "../../shared/wire/messages.ts";
import type { Upstream } from "./replica_ports.ts";

/** The way back to the node that opened a connection. */
export class ConnectionUpstream implements Upstream {
  readonly node: NodeId;
  readonly #connection: Connection;
  readonly #clock: Clock;
  #acks: (readonly [number, number, number, number])[] = [];

  constructor(node: NodeId, connection: Connection, clock: Clock) {
    this.node = node;
    this.#connection = connection;
    this.#clock = clock;
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  send(message: PeerMessage): void {
    this.#flush();
    this.#connection.send(message);
  }

  ack(partition: number, term: number, stream: number, seq: number): void {
    this.#acks.push([partition, term, stream, seq]);
    if (this.#acks.length === 1) this.#clock.defer(() => this.#flush());
  }

  #flush(): void {
    if (this.#acks.length === 0) return;
    this.#connection.send({ req_type: "appended", acks: this.#acks });
    this.#acks = [];
  }
}
