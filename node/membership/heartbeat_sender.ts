/**
 * The node's heartbeats: at every interval a datagram to the coordinator, and the same message over the
 * TCP session. The datagram renews the lease even when the session is busy. The session's answer shows
 * that this node can be told what to do; the next heartbeat repeats it (`heard`), and the coordinator
 * counts only who hears as alive (rule L3 of docs/replication.md). It knows nothing of leases: it passes on
 * which of its own heartbeats was acknowledged, and the node core draws the conclusion.
 *
 * Invariants: only an acknowledgement of a heartbeat that this very process sent is passed on, with
 * the moment of sending as this process wrote it down. So a late, doubled or forged datagram, or one
 * for an earlier process on the same port, never renews anything that it must not. What is said to be
 * heard has come over the session that stands, and by no other way. In a secured cluster datagrams are sealed
 * by the session's key, and what is not sealed by it, or came before, is dropped and counted.
 *
 * @module
 */
import { type Clock, setPeriodic, type Timer } from "../../shared/platform/clock.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { parseBoundedJson } from "../../shared/schema/bounded_json.ts";
import type { Moment } from "./lease.ts";
import { DatagramChannel } from "../../shared/security/datagram_channel.ts";
import type { Secret } from "../../shared/base/secret.ts";
import { failureOf } from "../../shared/base/errors.ts";
import { HEARTBEATS_REMEMBERED } from "../../shared/limits/membership.ts";
import { DATAGRAM_BYTES_MAX } from "../../shared/limits/wire.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import { whyInvalid } from "../../shared/wire/message_checks.ts";
import type { Message } from "../../shared/wire/messages.ts";
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
  /** The newest map whose assignments of primaries the node's disk knows; 0 for none. */
  epoch(): number;
  /** The newest map that the node goes by; 0 for none. */
  mapEpoch(): number;
  /** Partitions that it is primary of and cannot serve now. */
  unserved(): number;
  /** The last batch of its database that is synced. */
  batch(): number;
  /** Over the TCP session; false if there is none. */
  sendOverSession(message: Message<"heartbeat">): boolean;
  /** `sent` is by this process's own clocks. */
  onAck(sent: Moment, ack: HeartbeatAck): void;
  /** Of a secured node: datagrams are sent and believed only if they are sealed. Default false. */
  readonly secured?: boolean | undefined;
}

/** What a registration says about heartbeats. */
export interface HeartbeatStart {
  readonly to: Address;
  readonly intervalMs: number;
  /** What the coordinator's answer said. */
  readonly at: number;
  /** The session's, of a secured cluster. */
  readonly key?: Secret | undefined;
}

/** News that is this many intervals old is old: what comes next is told at once. */
const OLD_NEWS_INTERVALS = 1.5;

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
  #sent: Moment[] = [];
  /** What was heard last over the session that stands: its `at`, and when this node had asked for it. */
  #heard: { at: number; askedMs: number } | undefined;
  /** The last heartbeat could only repeat old news, or none. */
  #toldOldNews = false;
  /** When a datagram was last acknowledged, or sending began. */
  #datagramAckMs = 0;
  /** Of the session that was registered last. */
  #channel: DatagramChannel | undefined;
  #refused = 0;
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

  /** Datagrams that the coordinator has not sealed, or that had come before. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Registered: begins, or goes on with another destination, interval or key; the first heartbeat leaves at
   * once.
   */
  start({ to, intervalMs, at, key }: HeartbeatStart): void {
    if (this.#stopped) return;
    if (key === undefined) this.#channel = undefined;
    // Of the same session the counters go on.
    else if (this.#channel?.hasKey(key) !== true) {
      this.#channel = new DatagramChannel(key, "node");
    }
    this.#heard = { at, askedMs: this.#clock.monotonicMs() };
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
    const heard = this.#heard;
    const sent = this.#clock.monotonicMs();
    this.#sent.push({ monotonicMs: sent, wallMs: this.#clock.wallMs() });
    if (this.#sent.length > HEARTBEATS_REMEMBERED) this.#sent.shift();
    this.#toldOldNews = heard === undefined ||
      sent - heard.askedMs > OLD_NEWS_INTERVALS * this.#intervalMs;
    const message: Message<"heartbeat"> = {
      req_type: "heartbeat",
      node: this.#options.node,
      incarnation: this.#options.incarnation,
      instance: this.#options.instance,
      sent,
      epoch: this.#options.epoch(),
      map: this.#options.mapEpoch(),
      ...(heard === undefined ? {} : { heard: heard.at }),
      unserved: this.#options.unserved(),
      batch: this.#options.batch(),
    };
    this.#sendDatagram(this.#encoder.encode(JSON.stringify(message)), to);
    this.#options.sendOverSession(message);
  }

  /** The session has broken: what was said over it before says nothing about the next one. */
  onSessionDown(): void {
    this.#heard = undefined;
  }

  /** An acknowledgement that came over the session. */
  onSessionAck(ack: HeartbeatAck): void {
    if (!this.#accept(ack)) return;
    if (ack.at > (this.#heard?.at ?? -Infinity)) {
      this.#heard = { at: ack.at, askedMs: ack.sent };
      // After a pause, the coordinator should not have to wait for the next heartbeat to know.
      if (this.#toldOldNews) this.beat();
    }
    const silentMs = this.#clock.monotonicMs() - this.#datagramAckMs;
    if (this.#blocked || silentMs <= 2 * this.#intervalMs || this.#to === undefined) return;
    this.#blocked = true;
    this.#log.warn("heartbeats by UDP are not acknowledged; those over TCP are", {
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

  #sendDatagram(bytes: Uint8Array, to: Address): void {
    if (this.#options.secured !== true) this.#socket?.send(bytes, to);
    else if (this.#channel !== undefined) this.#socket?.send(this.#channel.seal(bytes), to);
  }

  #onDatagram(bytes: Uint8Array): void {
    if (this.#stopped) return;
    const message = this.#options.secured === true ? this.#channel?.open(bytes) : bytes;
    if (message === undefined) {
      this.#refused++;
      return;
    }
    const ack = this.#decodeAck(message);
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
    const sent = this.#sent.find(({ monotonicMs }) => monotonicMs === ack.sent);
    if (sent === undefined || ack.sent > this.#clock.monotonicMs()) return false;
    this.#options.onAck(sent, ack);
    return true;
  }
}

function isHeartbeatAck(message: unknown): message is HeartbeatAck {
  return typeof message === "object" && message !== null &&
    "req_type" in message && message.req_type === "heartbeat_ack" &&
    whyInvalid(message as Record<string, unknown>) === undefined;
}
