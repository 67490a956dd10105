/**
 * What a primary does with a request for a key of its partition: it looks at the newest entries, and either has the changes
 * proposed (`write_proposer.ts`), or answers from what it saw as soon as it may. Whether requests are served now, and when this
 * node is known to be the primary, is decided in `../replication/primary.ts`.
 *
 * Invariants: no answer comes from an entry that is not committed; if a request was carried out before, it gets its first answer
 * again and changes nothing.
 *
 * @module
 */
import { type Entry, isTombstone } from "../../shared/base/entry.ts";
import { invariant } from "../../shared/base/errors.ts";
import type { KeyRequest, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import {
  errorReply,
  EXPIRY,
  liveEntry,
  type ReadOperation,
} from "../../shared/operations/operation.ts";
import { OPERATIONS } from "../../shared/operations/table.ts";
import { isRepeated, onlyReads } from "../../shared/operations/repeat.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { ClientSessionCounts, ClientSessionTable } from "./client_session_table.ts";
import {
  type Change,
  clientSessionKey,
  rememberedReply,
  settled,
  whyForgotten,
} from "./request_dedup.ts";
import { evaluateTransaction, evaluateWrite, type Evaluation } from "./request_evaluation.ts";
import type { Timed } from "./waiting_requests.ts";
import type { WriteProposer } from "./write_proposer.ts";
import type { InFlight, WriteQueue } from "./write_queue.ts";

/** What requests need of the primary that serves them. */
export interface ExecutorOwner {
  readonly ports: {
    /** The date, for timestamps and expiry. */
    wallMs(): number;
    readonly clientSessionCounts: ClientSessionCounts;
  };
  readonly store: PartitionStore;
  /** Which client sessions the partition remembers. */
  readonly clientSessions: ClientSessionTable;
  /** The longest value that may result. */
  readonly valueBytesMax: number;
  /**
   * Runs `then`, with the time that the request has left by then, once this node is known to be the primary at a time after the
   * request arrived.
   */
  whenReadable<R extends Timed>(request: R, reply: ReplyTo, then: (request: R) => void): void;
  /** Lets a read wait if a transaction holds its key by now (rule X3). @returns false if it is to be carried out */
  holdsUp(request: KeyRequest, reply: ReplyTo): boolean;
  /** Answers a request that failed because this node's own data cannot be read or written. */
  fail(error: unknown, request: KeyRequest, reply: ReplyTo): void;
}

/** Carries out the requests for keys of one partition. */
export class RequestExecutor {
  readonly #owner: ExecutorOwner;
  readonly #writes: WriteQueue;
  readonly #proposer: WriteProposer;

  constructor(owner: ExecutorOwner, writes: WriteQueue, proposer: WriteProposer) {
    this.#owner = owner;
    this.#writes = writes;
    this.#proposer = proposer;
  }

  /** A request that may change something; if it does not, its answer is treated like a read's. */
  change(request: KeyRequest, reply: ReplyTo): void {
    const refused = this.#proposer.whyNoWrite(request.req_type);
    if (refused !== undefined && !onlyReads(request)) {
      reply(refused);
      return;
    }
    const wallMs = this.#owner.ports.wallMs();
    const session = clientSessionKey(request);
    let evaluation: Evaluation;
    try {
      if (this.answerBySession(request, reply)) return;
      evaluation = this.#evaluate(request, wallMs);
    } catch (error) {
      this.#owner.fail(error, request, reply);
      return;
    }
    const { changes, writes, answer, keys } = evaluation;
    // An answer without a write reveals what keys hold: it may be sent when those entries are committed and known to be current.
    // But an earlier attempt that is still under way must find this answer, and not another state of the keys. So the answer is
    // remembered, which is a write.
    let proposes = writes;
    if (session !== undefined && refused === undefined && (writes || isRepeated(request))) {
      const full = this.#proposer.remember(session, request, answer, changes);
      if (full !== undefined) {
        reply(full);
        return;
      }
      proposes = true;
    }
    if (proposes) {
      this.#proposer.propose(request, changes, wallMs, settled(request, answer), reply);
    } else this.answerReading(request, { expired: changes, wallMs, keys }, answer, reply);
  }

  /**
   * Answers a request by its client session, if the session knows it, or may have forgotten it. Rule W8.
   *
   * @returns false if the request is to be judged
   * @throws {KvError} `bad_request` for a number that the session has passed; if the session's entry cannot be read
   */
  answerBySession(request: KeyRequest, reply: ReplyTo): boolean {
    const session = clientSessionKey(request);
    if (session === undefined) return false;
    const entry = this.#owner.store.get(session);
    const remembered = rememberedReply(request, entry);
    if (remembered !== undefined) {
      // If this answer cannot be given, that says nothing about the earlier attempt, which may have happened.
      const fail = (why: Reply) => reply(stillUnknown(request, why));
      // The first attempt gets the same error if replicas leave the in-sync set before its write commits.
      const tell = (answer: Reply) =>
        reply((onlyReads(request) ? undefined : this.#proposer.whyNotSure()) ?? answer);
      this.answerAsOf([session], request, settled(request, remembered), tell, fail);
      return true;
    }
    const forgotten = this.#whyForgotten(request, entry);
    if (forgotten === undefined) return false;
    reply(forgotten);
    return true;
  }

  /** Answers a request that changes nothing, when what it has seen may be told; what it found expired is deleted. */
  answerReading(
    request: KeyRequest,
    seen: {
      readonly expired: readonly Change[];
      readonly wallMs: number;
      /** Absent: that of the request. */
      readonly keys?: readonly string[] | undefined;
    },
    answer: Reply,
    reply: ReplyTo,
  ): void {
    const { expired, wallMs, keys = [request.key] } = seen;
    if (expired.length > 0) this.#proposeExpired(request, expired, wallMs, answer, reply);
    else this.answerAsOf(keys, request, answer, reply);
  }

  #whyForgotten(request: KeyRequest, session: Entry | undefined): Reply | undefined {
    const { clientSessions, store, ports } = this.#owner;
    const why = whyForgotten(request, session, clientSessions.evictedSeq, store.state.commitSeq);
    if (why === undefined) return undefined;
    if (isRepeated(request)) ports.clientSessionCounts.unknown++;
    else ports.clientSessionCounts.refused++;
    return why;
  }

  #evaluate(request: KeyRequest, wallMs: number): Evaluation {
    const { store, valueBytesMax } = this.#owner;
    const context = { wallMs, valueBytesMax };
    if (request.req_type === "transaction") {
      return evaluateTransaction(request, store, context);
    }
    const operation = OPERATIONS[request.req_type];
    invariant(operation.kind === "write", "reads go another way", { request });
    return evaluateWrite(request, operation, store, context);
  }

  /**
   * Answers with what the newest entries of keys say, once those are committed and current. If that fails, `fail` is told why.
   * Rule W5.
   */
  answerAsOf(
    keys: readonly string[],
    request: Timed,
    answer: Reply,
    reply: ReplyTo,
    fail: ReplyTo = reply,
  ): void {
    let newest: InFlight | undefined;
    for (const key of keys) {
      const write = this.#writes.newest(key);
      if (write === undefined) continue;
      if (newest === undefined || write.entry.seq > newest.entry.seq) newest = write;
    }
    this.#owner.whenReadable(request, fail, (left) => {
      this.#writes.whenCommitted(newest, left, fail, () => reply(answer));
    });
  }

  /**
   * Deletes what was found expired by a request that itself changes nothing, and answers when that is committed. Too few replicas in
   * sync do not prevent this, and the request waits like any read. Rule W7.
   */
  #proposeExpired(
    request: KeyRequest,
    deletions: readonly Change[],
    wallMs: number,
    answer: Reply,
    reply: ReplyTo,
  ): void {
    const full = this.#proposer.whyFull(request.req_type);
    if (full !== undefined) {
      reply(full);
      return;
    }
    if (!this.#proposer.propose(request, deletions, wallMs, answer, reply)) return;
    const { last } = this.#writes;
    if (last === undefined) return;
    last.reply = undefined;
    this.#writes.whenCommitted(last, request, reply, () => reply(answer));
  }

  /** A read. Runs when this node is known to be the primary. */
  read(request: KeyRequest, operation: ReadOperation, reply: ReplyTo): void {
    if (this.#owner.holdsUp(request, reply)) return;
    const { key } = request;
    const newest = this.#writes.newest(key);
    let entry: Entry | undefined;
    try {
      entry = newest?.entry ?? this.#owner.store.get(key);
    } catch (error) {
      this.#owner.fail(error, request, reply);
      return;
    }
    // Most entries never expire, and for those the date is not read, because that costs time.
    const wallMs = entry === undefined || entry.expiresAtMs === 0 ? 0 : this.#owner.ports.wallMs();
    const live = liveEntry(entry, wallMs);
    if (entry !== undefined && live === undefined && !isTombstone(entry)) {
      // The entry has expired. Deleting it decides this once, for all replicas and later primaries.
      const gone = operation.read(request, undefined, wallMs);
      this.#proposeExpired(request, [{ key, write: EXPIRY }], wallMs, gone, reply);
    } else if (newest === undefined) reply(operation.read(request, live, wallMs));
    else {
      // Rule R1.
      this.#writes.whenCommitted(newest, request, reply, () => {
        reply(operation.read(request, live, wallMs));
      });
    }
  }
}

/** An earlier attempt of the request is known here, but not its outcome. */
function stillUnknown(request: KeyRequest, why: Reply): Reply {
  const message = why.req_type === "error" ? why.message : "";
  return errorReply(
    "outcome_unknown",
    `${request.req_type}: an earlier attempt may have happened; of this one: ${message}`,
  );
}
