/**
 * The connection that this coordinator opens to another one, over which it asks and is answered. It is opened when
 * there is something to say, and kept while there is. Messages may be lost: what cannot be sent is dropped, and the
 * register asks again.
 *
 * Invariants: at most AGREEMENT_QUEUE_BYTES_MAX and one message are queued; a connection over which nothing comes
 * for COORDINATOR_SILENCE_MS is closed, so that a network that comes back is used at once.
 *
 * @module
 */
import type { KvError } from "../../shared/base/errors.ts";
import { CONNECT_TIMEOUT_MS, RETRIES_SILENT_MAX } from "../../shared/limits/connections.ts";
import {
  AGREEMENT_QUEUE_BYTES_MAX,
  COORDINATOR_IDLE_MS,
  COORDINATOR_PING_MS,
  COORDINATOR_RECONNECT_MS,
  COORDINATOR_RECONNECT_MS_MAX,
  COORDINATOR_SILENCE_MS,
  COORDINATOR_WAITING_MAX,
} from "../../shared/limits/membership.ts";
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { MemberName } from "../../shared/platform/member_identity.ts";
import type { Random } from "../../shared/platform/random.ts";
import { type Address, formatAddress, type Transport } from "../../shared/platform/transport.ts";
import { backoffMs, isLoggedFailure } from "../../shared/scheduling/backoff.ts";
import { Connection } from "../../shared/wire/connection.ts";
import { hello } from "../../shared/wire/hello.ts";
import { type AgreementMessage, goes, type Message } from "../../shared/wire/messages.ts";
import { partsOf } from "./message_parts.ts";

/** What a link needs. */
export interface CoordinatorLinkDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly log: Logger;
  readonly clusterId: string;
}

/** What a link calls. */
export interface CoordinatorLinkHandlers {
  onMessage(message: AgreementMessage, member: MemberName | undefined): void;
  /** There was nothing to say for long: it has closed itself. */
  onIdle(): void;
}

const HELLO_ID = "hello";
const PING_ID = "ping";

/** The way to one address. */
export class CoordinatorLink {
  readonly #deps: CoordinatorLinkDeps;
  readonly #address: Address;
  readonly #handlers: CoordinatorLinkHandlers;
  #connection: Connection | undefined;
  #abandon: (() => void) | undefined;
  #retry: Timer | undefined;
  #pings: Timer | undefined;
  #up = false;
  #closed = false;
  #failures = 0;
  #heardMs = 0;
  #usedMs: number;
  /** For the connection that is being opened; the newest. */
  #waiting: string[] = [];

  constructor(deps: CoordinatorLinkDeps, address: Address, handlers: CoordinatorLinkHandlers) {
    this.#deps = deps;
    this.#address = address;
    this.#handlers = handlers;
    this.#usedMs = deps.clock.monotonicMs();
    this.#connect();
  }

  send(message: string): void {
    this.#usedMs = this.#deps.clock.monotonicMs();
    if (this.#up) return this.#transmit(message);
    this.#waiting.push(message);
    if (this.#waiting.length > COORDINATOR_WAITING_MAX) this.#waiting.shift();
  }

  /** Ends it. @param flush whether what was sent leaves first */
  close(flush = false): void {
    this.#closed = true;
    this.#retry?.cancel();
    this.#pings?.cancel();
    this.#abandon?.();
    this.#connection?.close(flush);
  }

  #transmit(message: string): void {
    const connection = this.#connection;
    if (connection === undefined || connection.queuedBytes > AGREEMENT_QUEUE_BYTES_MAX) return;
    for (const part of partsOf(message)) connection.sendText(part);
  }

  #connect(): void {
    const { transport, clock, clusterId } = this.#deps;
    this.#retry = undefined;
    this.#abandon = transport.connect(
      this.#address,
      CONNECT_TIMEOUT_MS,
      (stream) => {
        this.#abandon = undefined;
        const connection = new Connection(stream, clock, {
          onMessage: (message, from) => this.#onMessage(message, from),
          onInvalid: (error) => this.#refuse(error),
          onClose: () => this.#onClose(),
          // What is lost with it is asked again.
          onExpiring: (expiring) => expiring.close(true),
        });
        this.#connection = connection;
        this.#heardMs = clock.monotonicMs();
        connection.send(hello("coordinator", { id: HELLO_ID, cluster_id: clusterId }));
        this.#pings = clock.setTimer(COORDINATOR_PING_MS, this.#ping);
      },
      (reason) => {
        this.#abandon = undefined;
        this.#onClose(reason.message);
      },
      { role: "coordinator" },
    );
  }

  readonly #ping = (): void => {
    const connection = this.#connection;
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (connection === undefined || this.#closed) return;
    if (nowMs > this.#heardMs + COORDINATOR_SILENCE_MS) return connection.close();
    if (nowMs > this.#usedMs + COORDINATOR_IDLE_MS) {
      this.close();
      return this.#handlers.onIdle();
    }
    connection.send({ req_type: "ping", id: PING_ID });
    this.#pings = clock.setTimer(COORDINATOR_PING_MS, this.#ping);
  };

  #onMessage(message: Message, connection: Connection): void {
    if (this.#closed) return;
    this.#heardMs = this.#deps.clock.monotonicMs();
    if (goes(message, "agreement")) return this.#handlers.onMessage(message, connection.member);
    if (message.req_type === "error") {
      this.#deps.log.warn("another coordinator refuses", {
        coordinator: formatAddress(this.#address),
        code: message.code,
        message: message.message,
      });
      if (!this.#up) connection.close();
    } else if (message.req_type === "ack" && message.id === HELLO_ID) this.#onUp();
  }

  #onUp(): void {
    this.#up = true;
    if (this.#failures >= RETRIES_SILENT_MAX) {
      this.#deps.log.info("another coordinator is reached again", {
        coordinator: formatAddress(this.#address),
      });
    }
    this.#failures = 0;
    for (const message of this.#waiting) this.#transmit(message);
    this.#waiting = [];
  }

  #refuse(error: KvError): void {
    this.#deps.log.warn("another coordinator sends nonsense", {
      coordinator: formatAddress(this.#address),
      error: error.message,
    });
    this.#connection?.close();
  }

  #onClose(reason = "it ended the connection"): void {
    this.#connection = undefined;
    this.#up = false;
    this.#waiting = [];
    this.#pings?.cancel();
    if (this.#closed) return;
    const { clock, random, log } = this.#deps;
    const failures = this.#failures++;
    if (isLoggedFailure(this.#failures)) {
      log.warn("another coordinator cannot be reached; trying again until it can", {
        coordinator: formatAddress(this.#address),
        attempts: this.#failures,
        reason,
      });
    }
    const pauseMs = backoffMs(
      COORDINATOR_RECONNECT_MS,
      COORDINATOR_RECONNECT_MS_MAX,
      failures,
      random,
    );
    this.#retry = clock.setTimer(pauseMs, () => this.#connect());
  }
}
