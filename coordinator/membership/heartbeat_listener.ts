/**
 * Takes the nodes' heartbeats as datagrams and sends the acknowledgements back. It believes nothing:
 * what is not a heartbeat is dropped, and what a heartbeat is worth is the controller's to decide. In a secured
 * cluster a datagram is dropped too if its node has not sealed it for its session, and is counted.
 *
 * @module
 */
import { parseBoundedJson } from "../../shared/schema/bounded_json.ts";
import { KvError } from "../../shared/base/errors.ts";
import { DATAGRAM_BYTES_MAX } from "../../shared/limits/wire.ts";
import { whyInvalid } from "../../shared/wire/message_checks.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { Address, DatagramSocket, Transport } from "../../shared/platform/transport.ts";
import type { HeartbeatChannels } from "./heartbeat_channels.ts";

/** Who takes heartbeats. */
export interface HeartbeatTaker {
  /** Gives the acknowledgement, or undefined for none. */
  onHeartbeat(message: Message<"heartbeat">): object | undefined;
  /** In a secured cluster: only what is sealed counts. */
  readonly channels?: HeartbeatChannels | undefined;
}

/** The coordinator's socket for heartbeats. */
export class HeartbeatListener {
  /** Datagrams that nobody of the cluster has sealed, or that had come before. */
  refused = 0;
  readonly #taker: () => HeartbeatTaker | undefined;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  #socket: DatagramSocket | undefined;

  private constructor(taker: () => HeartbeatTaker | undefined) {
    this.#taker = taker;
  }

  /**
   * @param taker asked for each datagram; without one it is dropped
   * @throws {KvError} `address_in_use`, `unavailable`
   */
  static async open(
    transport: Transport,
    address: Address,
    taker: () => HeartbeatTaker | undefined,
  ): Promise<HeartbeatListener> {
    const listener = new HeartbeatListener(taker);
    try {
      listener.#socket = await transport.bindDatagram(
        address,
        (bytes, from) => listener.#onDatagram(bytes, from),
      );
    } catch (cause) {
      if (!(cause instanceof KvError) || cause.code !== "address_in_use") throw cause;
      throw new KvError(
        "address_in_use",
        `heartbeats: another process has UDP port ${address.port} of ${address.host}; stop it, or ` +
          "name another --heartbeat-port, or 0 for any that is free",
        { cause },
      );
    }
    return listener;
  }

  /** The real address, also if port 0 was asked for. */
  get address(): Address {
    return this.#socket?.address ?? { host: "", port: 0 };
  }

  close(): void {
    this.#socket?.close();
  }

  #onDatagram(bytes: Uint8Array, from: Address): void {
    const taker = this.#taker();
    if (taker === undefined) return;
    const { channels } = taker;
    if (channels === undefined) {
      const answer = this.#answerTo(taker, this.#decode(bytes));
      if (answer !== undefined) this.#socket?.send(answer, from);
      return;
    }
    const opened = channels.open(bytes);
    const message = opened === undefined ? undefined : this.#decode(opened.message);
    // A node speaks for itself alone.
    if (opened === undefined || message?.node !== opened.node) {
      this.refused++;
      return;
    }
    const answer = this.#answerTo(taker, message);
    if (answer !== undefined) this.#socket?.send(opened.seal(answer), from);
  }

  #answerTo(
    taker: HeartbeatTaker,
    message: Message<"heartbeat"> | undefined,
  ): Uint8Array | undefined {
    const ack = message === undefined ? undefined : taker.onHeartbeat(message);
    return ack === undefined ? undefined : this.#encoder.encode(JSON.stringify(ack));
  }

  #decode(bytes: Uint8Array): Message<"heartbeat"> | undefined {
    if (bytes.length > DATAGRAM_BYTES_MAX) return undefined;
    try {
      const value: unknown = parseBoundedJson(this.#decoder.decode(bytes));
      if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
      const fields: Record<string, unknown> = { ...value };
      if (fields.req_type !== "heartbeat" || whyInvalid(fields) !== undefined) return undefined;
      return value as Message<"heartbeat">;
    } catch {
      return undefined;
    }
  }
}
