/**
 * What a step of the coordinator's state machine asks of whoever runs it, as etcd's raft has it: the machine
 * does nothing itself, it returns a {@linkcode Ready}. The parts of the machine write into one
 * {@linkcode Outbox} in the course of a step; nothing of it happens before the step has ended.
 *
 * @module
 */
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import { invariant, type KvError } from "../../shared/base/errors.ts";
import type { LogFields, Logger } from "../../shared/platform/logger.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { SessionId } from "./member.ts";
import type { StoredCluster } from "./stored_cluster.ts";

/** A line for the log. */
export interface LogLine {
  readonly level: keyof Logger;
  readonly event: string;
  readonly fields: LogFields | undefined;
}

/** A message and the sessions that get it. */
export interface Outgoing {
  readonly sessions: readonly SessionId[];
  readonly message: Message;
}

/** What an operator's order has done with one partition. */
export interface Forced {
  readonly partition: number;
  readonly node: NodeId;
  /** Where the chosen replica stands, as its node has told last; zeros if it has nothing. */
  readonly term: number;
  readonly last_seq: number;
}

/** What is to be done after a step, in the order of these fields. */
export interface Ready {
  readonly log: readonly LogLine[];
  /** A map that is on disk by now: from here on it is the one that counts, for everybody. */
  readonly published: ClusterMap | undefined;
  /** To be sent, in order. None tells of a map that is not on disk. */
  readonly messages: readonly Outgoing[];
  /** Sessions that are of no use any more, to be closed behind their messages. */
  readonly closed: readonly SessionId[];
  /**
   * To be written to disk, as a whole. How that ended comes back as the input `persisted` or `persist_failed`,
   * and until then no other step has a document.
   */
  readonly document: StoredCluster | undefined;
  /** Why what was asked for is refused. The rest of the answer is for what was not. */
  readonly refusal: KvError | undefined;
  /** The answer to a heartbeat; none if the sender is not registered. */
  readonly acknowledgement: Message<"heartbeat_ack"> | undefined;
  /** What an order made primary. */
  readonly forced: readonly Forced[];
  /** Nodes were asked what they hold; their answers come as registrations. */
  readonly asked: boolean;
}

/** Collects what a step asks for. The parts of the machine log and send through it. */
export class Outbox implements Logger {
  #log: LogLine[] = [];
  #published: ClusterMap | undefined;
  #messages: Outgoing[] = [];
  #closed: SessionId[] = [];
  #document: StoredCluster | undefined;
  refusal: KvError | undefined;
  acknowledgement: Message<"heartbeat_ack"> | undefined;
  forced: readonly Forced[] = [];
  asked = false;

  debug(event: string, fields?: LogFields): void {
    this.#log.push({ level: "debug", event, fields });
  }

  info(event: string, fields?: LogFields): void {
    this.#log.push({ level: "info", event, fields });
  }

  warn(event: string, fields?: LogFields): void {
    this.#log.push({ level: "warn", event, fields });
  }

  error(event: string, fields?: LogFields): void {
    this.#log.push({ level: "error", event, fields });
  }

  /** The map is on disk. */
  publish(map: ClusterMap): void {
    this.#published = map;
  }

  send(sessions: readonly SessionId[], message: Message): void {
    this.#messages.push({ sessions, message });
  }

  close(session: SessionId): void {
    this.#closed.push(session);
  }

  persist(document: StoredCluster): void {
    invariant(this.#document === undefined, "one write of the map at a time");
    this.#document = document;
  }

  /** All of it; the box is empty then. */
  take(): Ready {
    const ready: Ready = {
      log: this.#log,
      published: this.#published,
      messages: this.#messages,
      closed: this.#closed,
      document: this.#document,
      refusal: this.refusal,
      acknowledgement: this.acknowledgement,
      forced: this.forced,
      asked: this.asked,
    };
    this.#log = [];
    this.#published = undefined;
    this.#messages = [];
    this.#closed = [];
    this.#document = undefined;
    this.refusal = undefined;
    this.acknowledgement = undefined;
    this.forced = [];
    this.asked = false;
    return ready;
  }
}

/** Writes a step's lines into a log. */
export function writeLog(log: Logger, lines: readonly LogLine[]): void {
  for (const { level, event, fields } of lines) log[level](event, fields);
}
