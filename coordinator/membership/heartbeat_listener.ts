/**
 * Takes the nodes' heartbeats as datagrams and sends the acknowledgements back. It believes nothing:
 * what is not a heartbeat is dropped, and what a heartbeat is worth is the controller's to decide.
 *
 * @module
 */
import { parseBoundedJson } from "../../shared/schema/bounded_json.ts";
import { KvError } from "../../shared/base/errors.ts";
import { DATAGRAM_BYTES_MAX } from "../../shared/limits/wire.ts";
import { whyInvalid } from "../../shared/wire/message_checks.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { Address, DatagramSocket, Transport } from "../../shared/platform/transport.ts";

/** Gives the acknowledgement, or undefined for none. */
export type OnHeartbeat = (message: Message<"heartbeat">) => object | undefined;

/** The coordinator's socket for heartbeats. */
export class HeartbeatListener {
  readonly #socket: DatagramSocket;

  private constructor(socket: DatagramSocket) {
    this.#socket = socket;
  }

  /** @throws {KvError} `address_in_use`, `unavailable` */
  static async open(
    transport: Transport,
    address: Address,
    onHeartbeat: OnHeartbeat,
  ): Promise<HeartbeatListener> {
    const encoder = new TextEncoder();
    const decoder = new TextDecoder();
    let socket: DatagramSocket | undefined = undefined;
    try {
      socket = await transport.bindDatagram(address, (bytes, from) => {
        const message = decodeHeartbeat(bytes, decoder);
        const ack = message === undefined ? undefined : onHeartbeat(message);
        if (ack !== undefined) socket?.send(encoder.encode(JSON.stringify(ack)), from);
      });
    } catch (cause) {
      if (!(cause instanceof KvError) || cause.code !== "address_in_use") throw cause;
      throw new KvError(
        "address_in_use",
        `heartbeats: another process has UDP port ${address.port} of ${address.host}; stop it, or ` +
          "name another --heartbeat-port, or 0 for any that is free",
        { cause },
      );
    }
    return new HeartbeatListener(socket);
  }

  /** The real address, also if port 0 was asked for. */
  get address(): Address {
    return this.#socket.address;
  }

  close(): void {
    this.#socket.close();
  }
}

function decodeHeartbeat(
  bytes: Uint8Array,
  decoder: TextDecoder,
): Message<"heartbeat"> | undefined {
  if (bytes.length > DATAGRAM_BYTES_MAX) return undefined;
  try {
    const value: unknown = parseBoundedJson(decoder.decode(bytes));
    if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
    const fields: Record<string, unknown> = { ...value };
    if (fields.req_type !== "heartbeat" || whyInvalid(fields) !== undefined) return undefined;
    return value as Message<"heartbeat">;
  } catch {
    return undefined;
  }
}
