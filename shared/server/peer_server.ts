/**
 * The serving side of a connection over which another process of the cluster speaks: a primary that this node
 * follows, or a node's session with the coordinator. It takes the connection over from `request_server.ts` when
 * its `hello` was accepted, so that no client's message comes here and no peer's message goes there. These
 * messages have no replies of their own, wait for no client's budget, and are not counted as requests.
 *
 * Invariants: only messages that `takes` lets through reach the handlers; what one of them throws is told to the
 * other side, and the connection goes on; a connection whose other side takes too little of what is sent to it
 * is closed.
 *
 * @module
 */
import { failureOf, KvError } from "../base/errors.ts";
import { PEER_QUEUE_BYTES_MAX } from "../limits/replication.ts";
import type { Logger } from "../platform/logger.ts";
import { formatAddress } from "../platform/transport.ts";
import { encodeReply, type MessageId } from "../wire/codec.ts";
import type { Connection, ConnectionHandlers } from "../wire/connection.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { Message } from "../wire/messages.ts";

/** What a peer's messages are given to. */
export interface PeerHandlers<M extends Message> {
  /** @throws {KvError} told to the other side */
  onMessage(message: M): void;
  /** A binary frame. Without this there are none. @throws {KvError} told to the other side */
  onFrame?(frame: Uint8Array): void;
  /** The connection has ended. */
  onClose(): void;
}

/** What such a connection is. */
export interface PeerServerOptions<M extends Message> {
  /** Who is at the other end, for the log: `node n2`. */
  readonly name: string;
  /** Whether a message is one of those that this peer may send. */
  takes(message: Message): message is M;
  /** The version of binary frames that both sides speak; undefined: there are none. */
  readonly frames?: number | undefined;
}

/** Serves one connection of a peer. */
export class PeerServer<M extends Message> implements ConnectionHandlers {
  readonly #connection: Connection;
  readonly #log: Logger;
  readonly #options: PeerServerOptions<M>;
  readonly #handlers: PeerHandlers<M>;

  /** @param open makes the handlers, which may send to the peer from then on */
  constructor(
    connection: Connection,
    log: Logger,
    options: PeerServerOptions<M>,
    open: (peer: PeerServer<M>) => PeerHandlers<M>,
  ) {
    this.#connection = connection;
    this.#log = log;
    this.#options = options;
    this.#handlers = open(this);
  }

  get closed(): boolean {
    return this.#connection.closed;
  }

  /** Whether the other side takes binary frames. */
  get takesFrames(): boolean {
    return this.#options.frames !== undefined;
  }

  /** Sends an object. Ignored once closed. */
  send(message: object): void {
    this.sendText(JSON.stringify(message));
  }

  /** Sends an object that is encoded already. Ignored once closed. */
  sendText(text: string): void {
    this.#connection.sendText(text);
    this.#checkQueue();
  }

  /** Sends a binary frame. Ignored once closed. */
  sendFrame(frame: Uint8Array): void {
    this.#connection.sendFrame(frame);
    this.#checkQueue();
  }

  #checkQueue(): void {
    const connection = this.#connection;
    if (connection.queuedBytes <= PEER_QUEUE_BYTES_MAX) return;
    this.#log.warn("a peer takes too little of what is sent to it: cut off", {
      peer: this.#options.name,
      queued_bytes: connection.queuedBytes,
    });
    connection.close();
  }

  /** Ends the connection, after what was sent is out. */
  close(): void {
    this.#connection.close(true);
  }

  onMessage(message: Message): void {
    try {
      if (this.#options.takes(message)) this.#handlers.onMessage(message);
      else if (message.req_type === "ping") {
        this.sendText(encodeReply({ req_type: "ack", message: "pong" }, message.id));
      } else {
        throw new KvError(
          "bad_request",
          `${message.req_type}: not on a connection of ${this.#options.name}`,
        );
      }
    } catch (error) {
      this.#refuse(error, message.req_type, message.id);
    }
  }

  onFrame(frame: Uint8Array): void {
    try {
      this.#handlers.onFrame?.(frame);
    } catch (error) {
      // What the frame brought is missing now: its streams begin anew with the next connection.
      this.#refuse(error, "a binary frame", undefined);
      this.close();
    }
  }

  onInvalid(error: KvError, id: MessageId | undefined): void {
    this.#refuse(error, "a message", id);
  }

  onClose(): void {
    this.#handlers.onClose();
  }

  #refuse(error: unknown, what: string, id: MessageId | undefined): void {
    const failure = failureOf(error);
    const { code, message } = failure;
    const remote = formatAddress(this.#connection.remote);
    const said = { peer: this.#options.name, remote, what, code, message };
    if (code === "internal") this.#log.error("a peer's message failed", said);
    else this.#log.debug("a peer's message is refused", said);
    this.sendText(encodeReply(toErrorReply(failure), id));
  }
}
