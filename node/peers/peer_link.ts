/**
 * This node's connection to one peer, over which it, as primary, sends that peer its replicas' streams and gets their
 * answers. It is kept open while there is a reason to. Live writes of all partitions of one turn leave in as few frames as
 * they fit into.
 *
 * Live writes cannot wait: if the peer accepts them more slowly than they come, they are queued up to
 * PEER_QUEUE_BYTES_MAX. Then the connection is closed, which ends all streams, and the replicas are resynced over the next
 * one. Pieces of a resync can wait: they ask by `whenRoom`, and wait while PEER_QUEUE_BYTES_PAUSE are queued, so a resync
 * alone never causes the connection to be closed.
 *
 * Invariants: what is given to it in one turn arrives in that order, or the link breaks. `onDown` follows each `onUp`, and
 * what is sent in between goes over that one connection. At most PEER_QUEUE_BYTES_MAX and one frame are queued.
 *
 * @module
 */
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { failureOf, type KvError } from "../../shared/base/errors.ts";
import { agreedFrames, FRAMES_VERSION } from "../../shared/schema/binary_frames.ts";
import { Connection } from "../../shared/wire/connection.ts";
import { CONNECT_TIMEOUT_MS, RETRIES_SILENT_MAX } from "../../shared/limits/connections.ts";
import {
  PACKED_LINE_CHARACTERS_MIN,
  PEER_FRAME_BYTES,
  PEER_PING_MS,
  PEER_QUEUE_BYTES_MAX,
  PEER_QUEUE_BYTES_PAUSE,
  PEER_RECONNECT_MS_MAX,
  PEER_RECONNECT_MS_MIN,
  PEER_SILENCE_MS_MAX,
} from "../../shared/limits/replication.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import { hello } from "../../shared/wire/hello.ts";
import { goes, type Message, type UpstreamMessage } from "../../shared/wire/messages.ts";
import type { Random } from "../../shared/platform/random.ts";
import { backoffMs, isLoggedFailure } from "../../shared/scheduling/backoff.ts";
import { type Address, formatAddress, type Transport } from "../../shared/platform/transport.ts";
import type { LiveWrites } from "../requests/live_writes.ts";
import type { EncodedRecord } from "../storage/record.ts";
import { packLine } from "./packed_line.ts";
import { encodeAppend, rowFrameBytes } from "./replication_frames.ts";

/** What a link needs. */
export interface PeerLinkDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly log: Logger;
  readonly self: NodeId;
  readonly clusterId: () => string | undefined;
  /** Default: PEER_QUEUE_BYTES_MAX. */
  readonly queueBytesMax?: number;
}

/** What a link calls. */
export interface PeerLinkHandlers {
  onUp(node: NodeId): void;
  onDown(node: NodeId): void;
  onMessage(message: UpstreamMessage, node: NodeId): void;
  /** A binary frame. @throws {KvError} if it is wrong */
  onFrame(frame: Uint8Array, node: NodeId): void;
}

/** The writes of one partition that wait for the end of the turn. */
interface Part {
  readonly partition: number;
  readonly stream: number;
  readonly term: number;
  commitSeq: number;
  /** For a peer that takes binary frames. */
  readonly rows: EncodedRecord[];
  /** For one that does not: WireEntries as JSON. */
  entries: string;
}

/** The connection with one peer. */
export class PeerLink {
  readonly node: NodeId;
  readonly #deps: PeerLinkDeps;
  readonly #handlers: PeerLinkHandlers;
  #address: Address;
  #connection: Connection | undefined;
  #up = false;
  /** The peer takes binary frames. */
  #takesFrames = false;
  #abandon: (() => void) | undefined;
  #retryTimer: Timer | undefined;
  #pingTimer: Timer | undefined;
  #failures = 0;
  /** Why the peer did not take the connection that is being opened. */
  #refusal: string | undefined;
  #heardMs = 0;
  #closed = false;
  #parts = new Map<number, Part>();
  #partsLength = 0;
  #flushScheduled = false;
  /** What waits for room, in its order. */
  #waiting: (() => void)[] = [];
  #overflows = 0;

  constructor(deps: PeerLinkDeps, node: NodeId, address: Address, handlers: PeerLinkHandlers) {
    this.#deps = deps;
    this.node = node;
    this.#address = address;
    this.#handlers = handlers;
    this.#connect();
  }

  get isUp(): boolean {
    return this.#up;
  }

  get queuedBytes(): number {
    const connection = this.#connection;
    return connection === undefined || connection.closed
      ? 0
      : connection.queuedBytes + this.#partsLength;
  }

  /** How often the connection was closed because the peer accepted too little. */
  get overflows(): number {
    return this.#overflows;
  }

  /** The peer has moved. */
  setAddress(address: Address): void {
    if (address.host === this.#address.host && address.port === this.#address.port) return;
    this.#address = address;
    if (this.#connection !== undefined) this.#connection.close();
    else this.#reconnect(0);
  }

  send(message: object): void {
    if (!this.#up) return;
    this.#flushParts();
    const line = JSON.stringify(message);
    const isLong = this.#takesFrames && line.length >= PACKED_LINE_CHARACTERS_MIN;
    const packed = isLong ? packLine(line) : undefined;
    if (packed === undefined) this.#connection?.sendText(line);
    else this.#connection?.sendFrame(packed);
    this.#checkQueue();
  }

  /**
   * Runs `then` if little is queued for the peer: at once, or when it has accepted enough, in the order of the calls; never if
   * the link breaks before that.
   */
  whenRoom(then: () => void): void {
    if (!this.#up) return;
    if (this.#waiting.length === 0 && this.queuedBytes <= PEER_QUEUE_BYTES_PAUSE) then();
    else this.#waiting.push(then);
  }

  /** Adds a live write to the frame that leaves at the end of this turn. */
  append(
    partition: number,
    term: number,
    stream: number,
    commitSeq: number,
    writes: LiveWrites | undefined,
  ): void {
    if (!this.#up) return;
    let part = this.#parts.get(partition);
    if (part !== undefined && (part.stream !== stream || part.term !== term)) {
      this.#flushParts();
      part = undefined;
    }
    if (part === undefined) {
      part = { partition, stream, term, commitSeq, rows: [], entries: "" };
      this.#parts.set(partition, part);
    }
    part.commitSeq = commitSeq;
    if (writes !== undefined) {
      this.#partsLength += this.#takesFrames ? addRows(part, writes) : addJson(part, writes);
      if (this.#partsLength >= PEER_FRAME_BYTES) {
        this.#flushParts();
        return;
      }
    }
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    this.#deps.clock.defer(() => {
      this.#flushScheduled = false;
      this.#flushParts();
    });
  }

  close(): void {
    this.#closed = true;
    this.#retryTimer?.cancel();
    this.#pingTimer?.cancel();
    this.#abandon?.();
    this.#connection?.close();
  }

  #flushParts(): void {
    if (this.#parts.size === 0) return;
    const parts = [...this.#parts.values()];
    const length = this.#partsLength;
    this.#parts.clear();
    this.#partsLength = 0;
    if (this.#takesFrames) this.#connection?.sendFrame(encodeAppend(parts, length));
    else this.#connection?.sendText(appendLine(parts));
    this.#checkQueue();
  }

  #checkQueue(): void {
    const { queueBytesMax = PEER_QUEUE_BYTES_MAX, log } = this.#deps;
    const connection = this.#connection;
    // A closed connection stays for a moment, until the stream has reported its end.
    if (connection === undefined || connection.closed) return;
    if (connection.queuedBytes <= queueBytesMax) return;
    this.#overflows++;
    log.warn("peer takes too little, connection closed; its replicas are resynced later", {
      node: this.node,
      queued_bytes: connection.queuedBytes,
    });
    connection.close();
    // The next connection comes after the longest pause.
    this.#failures = Infinity;
  }

  /** The peer has accepted what was queued. */
  #onDrain(): void {
    while (this.#waiting.length > 0 && this.queuedBytes <= PEER_QUEUE_BYTES_PAUSE) {
      this.#waiting.shift()?.();
    }
  }

  #connect(): void {
    this.#retryTimer = undefined;
    this.#abandon = this.#deps.transport.connect(
      this.#address,
      CONNECT_TIMEOUT_MS,
      (stream) => {
        this.#abandon = undefined;
        this.#connection = new Connection(stream, this.#deps.clock, {
          onMessage: (message) => this.#onMessage(message),
          onFrame: (frame, connection) => this.#onFrame(frame, connection),
          onInvalid: (error, _id, connection) => this.#onNonsense(error, connection),
          onDrain: () => this.#onDrain(),
          // The streams begin again where they were, over the next one.
          onExpiring: (connection) => connection.close(true),
          onClose: () => this.#onClose(),
        });
        this.#heardMs = this.#deps.clock.monotonicMs();
        const { self: node, clusterId } = this.#deps;
        this.#connection.send(
          hello("peer", {
            id: 0,
            node,
            to: this.node,
            cluster_id: clusterId(),
            frames: FRAMES_VERSION,
          }),
        );
        this.#pingTimer = this.#deps.clock.setTimer(PEER_PING_MS, this.#ping);
      },
      (reason) => {
        this.#abandon = undefined;
        this.#reconnect(undefined, reason.message);
      },
      { role: "node", id: this.node },
    );
  }

  readonly #ping = (): void => {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { clock, log } = this.#deps;
    if (clock.monotonicMs() - this.#heardMs > PEER_SILENCE_MS_MAX) {
      log.warn("peer is silent, connection closed", { node: this.node });
      connection.close();
      return;
    }
    connection.send({ req_type: "ping", id: 1 });
    this.#pingTimer = clock.setTimer(PEER_PING_MS, this.#ping);
  };

  #onFrame(frame: Uint8Array, connection: Connection): void {
    this.#heardMs = this.#deps.clock.monotonicMs();
    try {
      this.#handlers.onFrame(frame, this.node);
    } catch (error) {
      this.#onNonsense(failureOf(error), connection);
    }
  }

  #onNonsense({ message }: KvError, connection: Connection): void {
    this.#deps.log.warn("peer sent nonsense", { node: this.node, error: message });
    connection.close();
  }

  #onMessage(message: Message): void {
    this.#heardMs = this.#deps.clock.monotonicMs();
    if (message.req_type === "ack") {
      // The answer to hello opens the link; answers to pings only show that the peer is alive.
      if (!this.#up && message.id === 0) {
        this.#up = true;
        this.#takesFrames = agreedFrames(message.frames) !== undefined;
        if (this.#takesFrames) this.#connection?.takeFrames();
        if (this.#failures >= RETRIES_SILENT_MAX) {
          this.#deps.log.info("a peer is reached again", { node: this.node });
        }
        this.#failures = 0;
        this.#handlers.onUp(this.node);
      }
    } else if (message.req_type === "error") {
      const { code, message: why } = message;
      if (this.#up) this.#deps.log.warn("peer refused", { node: this.node, code, message: why });
      else {
        // It is tried again, and its reason is in the log with the number of attempts.
        this.#refusal = `it refused: ${code}: ${why}`;
        this.#connection?.close();
      }
    } else if (goes(message, "upstream")) this.#handlers.onMessage(message, this.node);
    else {
      this.#deps.log.warn("a peer answered what no peer answers", {
        type: message.req_type,
        node: this.node,
      });
    }
  }

  #onClose(): void {
    this.#connection = undefined;
    this.#pingTimer?.cancel();
    this.#parts.clear();
    this.#partsLength = 0;
    this.#waiting = [];
    const wasUp = this.#up;
    this.#up = this.#takesFrames = false;
    if (wasUp) this.#handlers.onDown(this.node);
    this.#reconnect();
  }

  #reconnect(delayMs?: number, reason = this.#refusal ?? "it ended the connection"): void {
    this.#refusal = undefined;
    if (this.#closed) return;
    this.#retryTimer?.cancel();
    this.#abandon?.();
    const { clock, random, log } = this.#deps;
    const failures = this.#failures++;
    if (isLoggedFailure(this.#failures)) {
      log.warn("a peer cannot be reached; trying again until it can", {
        node: this.node,
        address: formatAddress(this.#address),
        attempts: this.#failures,
        reason,
      });
    }
    this.#retryTimer = clock.setTimer(
      delayMs ?? backoffMs(PEER_RECONNECT_MS_MIN, PEER_RECONNECT_MS_MAX, failures, random),
      () => this.#connect(),
    );
  }
}

/** @returns the bytes that they take in a frame */
function addRows(part: Part, { rows }: LiveWrites): number {
  let bytes = 0;
  for (const row of rows) {
    part.rows.push(row);
    bytes += rowFrameBytes(row);
  }
  return bytes;
}

/** @returns the characters that they take in a line */
function addJson(part: Part, { json }: LiveWrites): number {
  part.entries += part.entries === "" ? json : "," + json;
  return json.length;
}

/** The writes as a line, for a peer that takes no binary frames: one of an earlier version. */
function appendLine(parts: readonly Part[]): string {
  const texts = parts.map(({ partition, term, stream, commitSeq, entries }) =>
    `[${partition},${term},${stream},${commitSeq},[${entries}]]`
  );
  return `{"req_type":"append","parts":[${texts.join()}]}`;
}
