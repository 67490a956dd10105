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
  /** The map of this epoch, and those after it, have what was ordered about a database; 0 if there was no such order. */
  readonly orderedEpoch: number;
  /** Nodes were asked what they hold; their answers come as registrations. */
  readonly asked: boolean;
  /** No node is heard of any more, of those that were: perhaps another coordinator hears them. Rule G15. */
  readonly deaf: boolean;
}

/** A {@linkcode Ready} that is still being made. */
type Draft =
  & { -readonly [F in Exclude<keyof Ready, "log" | "messages" | "closed">]: Ready[F] }
  & { log: LogLine[]; messages: Outgoing[]; closed: SessionId[] };

function emptyDraft(): Draft {
  return {
    log: [],
    published: undefined,
    messages: [],
    closed: [],
    document: undefined,
    refusal: undefined,
    acknowledgement: undefined,
    forced: [],
    orderedEpoch: 0,
    asked: false,
    deaf: false,
  };
}

/** After an end. */
export const NOTHING_TO_DO: Ready = emptyDraft();

/** Collects what a step asks for. The parts of the machine log and send through it. */
export class Outbox implements Logger {
  #draft = emptyDraft();

  debug(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "debug", event, fields });
  }

  info(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "info", event, fields });
  }

  warn(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "warn", event, fields });
  }

  error(event: string, fields?: LogFields): void {
    this.#draft.log.push({ level: "error", event, fields });
  }

  /** The map is on disk. */
  publish(map: ClusterMap): void {
    this.#draft.published = map;
  }

  send(sessions: readonly SessionId[], message: Message): void {
    this.#draft.messages.push({ sessions, message });
  }

  close(session: SessionId): void {
    this.#draft.closed.push(session);
  }

  persist(document: StoredCluster): void {
    invariant(this.#draft.document === undefined, "one write of the map at a time");
    this.#draft.document = document;
  }

  /** The answer to whoever gave the input. */
  answer(
    answer: Partial<
      Pick<Ready, "refusal" | "acknowledgement" | "forced" | "orderedEpoch" | "asked" | "deaf">
    >,
  ): void {
    Object.assign(this.#draft, answer);
  }

  /** All of it; the box is empty then. */
  take(): Ready {
    const ready = this.#draft;
    this.#draft = emptyDraft();
    return ready;
  }
}

/** Writes a step's lines into a log. */
export function writeLog(log: Logger, lines: readonly LogLine[]): void {
  for (const { level, event, fields } of lines) log[level](event, fields);
}
