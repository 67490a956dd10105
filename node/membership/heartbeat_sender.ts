/**
 * The node's heartbeats: a datagram to the coordinator at every interval, and the same message over
 * the TCP session while datagrams are not acknowledged. It knows nothing of leases: it passes on
 * which of its own heartbeats was acknowledged, and the node core draws the conclusion.
 *
 * Invariant: only an acknowledgement of a heartbeat that this very process sent is passed on, with
 * the moment of sending as this process wrote it down. So a late, doubled or forged datagram, or one
 * for an earlier process on the same port, never renews anything that it must not.
 *
 * @module
 */
import { type Clock, setPeriodic, type Timer } from "../../shared/platform/clock.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { parseBoundedJson } from "../../shared/base/bounded_json.ts";
import { failureOf } from "../../shared/base/errors.ts";
import { DATAGRAM_BYTES_MAX, HEARTBEATS_REMEMBERED } from "../../shared/base/limits.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import { type Message, whyInvalid } from "../../shared/wire/messages.ts";
import {
  type Address,
  type DatagramSocket,
  formatAddress,
  type Transport,
} from "../../shared/platform/transport.ts";

/** An acknowledgement, by datagram or session. */
export type HeartbeatAck = Message<"heartbeat_ack">;

/** Who sends, and what to do with what comes back. */
export interface HeartbeatOptions {
  readonly node: NodeId;
  readonly instance: string;
  readonly incarnation: number;
  /** The newest map of which the node's disk tells what it is primary of; 0 for none. */
  epoch(): number;
  /** Over the TCP session; false where there is none. */
  sendOverSession(message: Message<"heartbeat">): boolean;
  /** `sent` is on this process's monotonic clock. */
  onAck(sentMonotonicMs: number, epoch: number): void;
}

/** Sends heartbeats until stopped. */
export class HeartbeatSender {
  #clock: Clock;
  #transport: Transport;
  #log: Logger;
  #options: HeartbeatOptions;
  #encoder = new TextEncoder();
  #decoder = new TextDecoder();
  #to: Address | undefined;
  #intervalMs = 0;
  #beats: Timer | undefined;
  #socket: DatagramSocket | undefined;
  #binding = false;
  /** Moments of the latest heartbeats, oldest first. */
  #sent: number[] = [];
  /** When a datagram was last acknowledged, or sending began. */
  #datagramAckMs = 0;
  /** Datagrams are not acknowledged while the session is, and that was logged. */
  #blocked = false;
  #stopped = false;

  constructor(
    deps: { clock: Clock; transport: Transport; log: Logger },
    options: HeartbeatOptions,
  ) {
    this.#clock = deps.clock;
    this.#transport = deps.transport;
    this.#log = deps.log;
    this.#options = options;
  }

  /** Begins, or goes on with another destination or interval; the first heartbeat leaves at once. */
  start(to: Address, intervalMs: number): void {
    if (this.#stopped) return;
    const moved = this.#to?.host !== to.host || this.#to?.port !== to.port;
    this.#to = to;
    if (moved) this.#datagramAckMs = this.#clock.monotonicMs();
    this.#bind(to);
    if (this.#beats === undefined || this.#intervalMs !== intervalMs) {
      this.#beats?.cancel();
      this.#intervalMs = intervalMs;
      this.#beats = setPeriodic(this.#clock, intervalMs, () => this.beat());
    }
    this.beat();
  }

  /** Sends one heartbeat now. */
  beat(): void {
    const to = this.#to;
    if (to === undefined || this.#stopped) return;
    const sent = this.#clock.monotonicMs();
    this.#sent.push(sent);
    if (this.#sent.length > HEARTBEATS_REMEMBERED) this.#sent.shift();
    const message: Message<"heartbeat"> = {
      req_type: "heartbeat",
      node: this.#options.node,
      incarnation: this.#options.incarnation,
      instance: this.#options.instance,
      sent,
      epoch: this.#options.epoch(),
    };
    this.#socket?.send(this.#encoder.encode(JSON.stringify(message)), to);
    if (sent - this.#datagramAckMs > 2 * this.#intervalMs) this.#options.sendOverSession(message);
  }

  /** An acknowledgement that came over the session. */
  onSessionAck(ack: HeartbeatAck): void {
    if (!this.#accept(ack)) return;
    const silentMs = this.#clock.monotonicMs() - this.#datagramAckMs;
    if (this.#blocked || silentMs <= 2 * this.#intervalMs || this.#to === undefined) return;
    this.#blocked = true;
    this.#log.warn("heartbeats by UDP are not acknowledged; sending them over TCP", {
      to: formatAddress(this.#to),
      advice: "let UDP to this port through: TCP heartbeats queue behind other traffic",
    });
  }

  /** Sends none until {@linkcode start}. */
  pause(): void {
    this.#beats?.cancel();
    this.#beats = undefined;
    // What is under way must not renew anything either.
    this.#sent = [];
  }

  /** Ends it; no callback follows. */
  stop(): void {
    this.#stopped = true;
    this.#beats?.cancel();
    this.#socket?.close();
    this.#socket = undefined;
  }

  #bind(to: Address): void {
    if (this.#socket !== undefined || this.#binding) return;
    this.#binding = true;
    const host = to.host.includes(":") ? "::" : "0.0.0.0";
    this.#transport.bindDatagram({ host, port: 0 }, (bytes) => this.#onDatagram(bytes)).then(
      (socket) => {
        this.#binding = false;
        if (this.#stopped) return socket.close();
        this.#socket = socket;
        this.beat();
      },
      (error: unknown) => {
        // The session carries the heartbeats meanwhile; the next registration tries again.
        this.#binding = false;
        this.#log.warn("no UDP socket for heartbeats", { error: failureOf(error).message });
      },
    );
  }

  #onDatagram(bytes: Uint8Array): void {
    if (this.#stopped) return;
    const ack = this.#decodeAck(bytes);
    if (ack === undefined || !this.#accept(ack)) return;
    this.#datagramAckMs = this.#clock.monotonicMs();
    if (!this.#blocked) return;
    this.#blocked = false;
    this.#log.info("heartbeats by UDP are acknowledged again");
  }

  #decodeAck(bytes: Uint8Array): HeartbeatAck | undefined {
    if (bytes.length > DATAGRAM_BYTES_MAX) return undefined;
    let message: unknown;
    try {
      message = parseBoundedJson(this.#decoder.decode(bytes));
    } catch {
      // Anybody may send datagrams; what is not ours is not worth a line of the log.
      return undefined;
    }
    return isHeartbeatAck(message) ? message : undefined;
  }

  #accept(ack: HeartbeatAck): boolean {
    if (this.#stopped) return false;
    if (ack.node !== this.#options.node || ack.instance !== this.#options.instance) return false;
    if (!this.#sent.includes(ack.sent) || ack.sent > this.#clock.monotonicMs()) return false;
    this.#options.onAck(ack.sent, ack.epoch);
    return true;
  }
}

function isHeartbeatAck(message: unknown): message is HeartbeatAck {
  return typeof message === "object" && message !== null &&
    "req_type" in message && message.req_type === "heartbeat_ack" &&
    whyInvalid(message as Record<string, unknown>) === undefined;
}
