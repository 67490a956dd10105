/**
 * What a request that may change something comes to, judged by the newest entries of its keys: the
 * changes, in their order, and the answer. It changes nothing itself; `primary.ts` gives the changes
 * their seqs, all in the same turn, and decides when the answer may leave.
 *
 * Invariant: the n-th change is going to have the seq that is n beyond the store's last one; versions in
 * the answer rely on it.
 *
 * @module
 */
import { type Entry, isTombstone, versionOf } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { keyField } from "../../shared/base/key_text.ts";
import {
  TRANSACTION_BYTES_MAX,
  TRANSACTION_REPLY_BYTES_MAX,
} from "../../shared/limits/requests.ts";
import type { KeyRequest, Message, PlainRequest, Reply } from "../../shared/wire/messages.ts";
import {
  errorReply,
  EXPIRY,
  liveEntry,
  type Operation,
  type OperationContext,
  type Outcome,
  quote,
  resultReply,
  type Write,
  type WriteOperation,
  writeReply,
} from "../../shared/operations/operation.ts";
import { OPERATIONS } from "../../shared/operations/table.ts";
import { stampSuffix } from "../../shared/schema/versionstamp.ts";
import { wireBytes } from "../../shared/wire/wire_bytes.ts";
import type { Change } from "./request_dedup.ts";
import type { PartitionStore } from "../storage/partition_store.ts";

/** What a request comes to. */
export interface Evaluation {
  readonly changes: Change[];
  /** Whether the request itself changes something; else `changes` are deletions of what has expired. */
  readonly writes: boolean;
  readonly answer: Reply;
  /** The keys whose entries the answer tells of; absent: that of the request. */
  readonly keys?: readonly string[] | undefined;
}

type Newest = Pick<PartitionStore, "get" | "state">;

/**
 * A write of one key.
 *
 * @throws {KvError} `corrupt`, `storage_failed` if the entry cannot be read
 */
export function evaluateWrite(
  request: KeyRequest,
  operation: WriteOperation,
  store: Newest,
  context: OperationContext,
): Evaluation {
  const { key } = request;
  const { wallMs } = context;
  const found = operation.needsCurrent(request) ? store.get(key) : undefined;
  const live = liveEntry(found, wallMs);
  const outcome = outcomeOf(operation, request, live, context);
  if ("write" in outcome) {
    const version = store.state.lastSeq + 1;
    const answer = outcome.reply?.(version) ?? writeReply(version);
    return { changes: [{ key, write: outcome.write }], writes: true, answer };
  }
  // That a key has expired is decided for all replicas by deleting it.
  const expired = found !== undefined && live === undefined && !isTombstone(found);
  const changes = expired ? [{ key, write: EXPIRY }] : [];
  return { changes, writes: false, answer: outcome.answer };
}

/**
 * A transaction: first its checks, then its requests in order, each on what those before it left. Rule W9.
 *
 * @throws {KvError} `corrupt`, `storage_failed` if an entry cannot be read
 */
export function evaluateTransaction(
  request: Message<"transaction">,
  store: Newest,
  context: OperationContext,
): Evaluation {
  const { lastSeq, commitSeq } = store.state;
  // Rule W10. All writes of the group have seqs from here on, so this is above every older version, and below every later one.
  const asOne = request.as_one === true ? { version: lastSeq + 1, asOne: true } : {};
  const steps = evaluateSteps(request, store, context, asOne);
  const { keys, expired } = steps;
  if (steps.kind === "refused") {
    return { changes: [...expired], writes: false, answer: steps.answer, keys };
  }
  const { replies, version } = steps;
  // Callers take a version for one that is committed.
  const told = version ?? (request.as_one === true && commitSeq > 0 ? commitSeq : undefined);
  // The answers to a thousand writes would be too long for a client session to remember.
  const kept = request.as_one === true ? [] : replies;
  const answer = { ...resultReply(kept, told), date: context.wallMs } as Reply;
  return { changes: steps.changes, writes: version !== undefined, answer, keys };
}

/** What the checks and requests of a transaction, or of one partition's part of it, come to. */
export type StepsEvaluation =
  & {
    readonly keys: readonly string[];
    /** Deletions of what was found expired and is not written over; it has expired, whatever else comes of it. */
    readonly expired: readonly Change[];
  }
  & (
    | { readonly kind: "refused"; readonly answer: Reply }
    | {
      readonly kind: "done";
      readonly replies: readonly Reply[];
      /** All changes in their order, the deletions of `expired` included. */
      readonly changes: Change[];
      /** What each key that the requests write comes to. */
      readonly writes: ReadonlyMap<string, Write>;
      /** Of the last write; undefined if nothing is written. */
      readonly version: number | undefined;
    }
  );

/**
 * Judges checks and requests by the newest entries of their keys.
 *
 * @param options `version`: that of everything that is written, if the writes follow later (rule X8) or have one together;
 * `asOne`: a request that is refused refuses all; `bytesMax`: what may be written
 * @throws {KvError} `corrupt`, `storage_failed` if an entry cannot be read
 */
export function evaluateSteps(
  { requests, checks = [] }: Pick<Message<"transaction">, "requests" | "checks">,
  store: Newest,
  context: OperationContext,
  options: {
    readonly version?: number;
    readonly asOne?: boolean;
    readonly bytesMax?: number;
  } = {},
): StepsEvaluation {
  const overlay = new Overlay(store, context.wallMs, options);
  const { bytesMax = TRANSACTION_BYTES_MAX } = options;
  for (const [key, version] of checks) {
    const entry = overlay.get(key);
    const found = entry === undefined ? 0 : versionOf(entry);
    if (found !== version) return overlay.refused(checkFailed(key, found, version));
  }
  const replies: Reply[] = [];
  let replyBytes = 0;
  for (const step of requests as readonly PlainRequest[]) {
    const reply = evaluateStep(step, overlay, context);
    if (options.asOne === true && reply.req_type === "error" && reply.code !== "not_found") {
      return overlay.refused(reply);
    }
    replies.push(reply);
    replyBytes += wireBytes(reply);
    if (replyBytes > TRANSACTION_REPLY_BYTES_MAX) {
      return overlay.refused(tooLarge(`answer with ${TRANSACTION_REPLY_BYTES_MAX}`));
    }
    if (overlay.writtenBytes > bytesMax) return overlay.refused(tooLarge(`write ${bytesMax}`));
  }
  return overlay.done(replies);
}

function evaluateStep(step: PlainRequest, overlay: Overlay, context: OperationContext): Reply {
  const key = overlay.keyOf(step);
  const operation: Operation = OPERATIONS[step.req_type];
  if (operation.kind === "read") return operation.read(step, overlay.get(key), context.wallMs);
  const current = operation.needsCurrent(step) ? overlay.get(key) : undefined;
  const outcome = outcomeOf(operation, step, current, context);
  if ("answer" in outcome) return outcome.answer;
  const version = overlay.write(key, outcome.write);
  return outcome.reply?.(version) ?? writeReply(version);
}

/** What a write comes to; arguments that do not fit the value are an answer like others. */
function outcomeOf(
  operation: WriteOperation,
  request: KeyRequest,
  current: Entry | undefined,
  context: OperationContext,
): Outcome {
  try {
    return operation.evaluate(request, current, context);
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    return { answer: errorReply(error.code, error.message) };
  }
}

/** A partition as it is, with a transaction's own changes on top. */
class Overlay {
  readonly #store: Newest;
  readonly #wallMs: number;
  readonly #givenVersion: number | undefined;
  /** The changes carry the version. */
  readonly #asOne: boolean;
  readonly #seen = new Map<string, Entry | undefined>();
  readonly #changes: Change[] = [];
  /** Deletions of what was found expired, by key, and their places among the changes. */
  readonly #expired = new Map<string, { readonly change: Change; readonly place: number }>();
  readonly #writes = new Map<string, Write>();
  #version: number | undefined;
  writtenBytes = 0;

  constructor(
    store: Newest,
    wallMs: number,
    { version, asOne = false }: { readonly version?: number; readonly asOne?: boolean },
  ) {
    this.#store = store;
    this.#wallMs = wallMs;
    this.#givenVersion = version;
    this.#asOne = asOne;
  }

  /** The key that a request is for: it may end with the version that everything gets. */
  keyOf(step: PlainRequest): string {
    const { key } = step;
    if (!this.#asOne || !("stamped" in step) || step.stamped !== true) return key;
    return key + stampSuffix(this.#givenVersion ?? 0);
  }

  /** The newest entry of a key, if it is live. One that has expired is deleted for good. */
  get(key: string): Entry | undefined {
    if (this.#seen.has(key)) return this.#seen.get(key);
    const found = this.#store.get(key);
    const live = liveEntry(found, this.#wallMs);
    this.#seen.set(key, live);
    if (found !== undefined && live === undefined && !isTombstone(found)) {
      const change = { key, write: EXPIRY };
      this.#expired.set(key, { change, place: this.#changes.length });
      this.#changes.push(change);
    }
    return live;
  }

  /** Changes a key. @returns the version that it will have */
  write(key: string, write: Write): number {
    const place = this.#placeOf(key);
    const ownSeq = this.#store.state.lastSeq + place + 1;
    const seq = this.#givenVersion ?? ownSeq;
    this.#changes[place] = this.#asOne && seq !== ownSeq
      ? { key, write, version: seq }
      : { key, write };
    this.#writes.set(key, write);
    this.writtenBytes += key.length + write.value.length;
    const entry = { key, seq, term: 0, timestampMs: this.#wallMs, ...write };
    this.#seen.set(key, liveEntry(entry, this.#wallMs));
    this.#version = seq;
    return seq;
  }

  /**
   * Which of the changes the next write of a key is. If the version is given, it is the deletion's if the key had expired:
   * otherwise the deletion might be a greater version than what is written over it. Rules X8 and W10.
   */
  #placeOf(key: string): number {
    const { length } = this.#changes;
    if (this.#givenVersion === undefined || this.#writes.has(key)) return length;
    return this.#expired.get(key)?.place ?? length;
  }

  /** Everything was carried out. */
  done(replies: readonly Reply[]): StepsEvaluation {
    return {
      kind: "done",
      keys: [...this.#seen.keys()],
      expired: this.#expiredNow((key) => !this.#writes.has(key)),
      replies,
      changes: this.#changes,
      writes: this.#writes,
      version: this.#version,
    };
  }

  /** Nothing is carried out. */
  refused(answer: Reply): StepsEvaluation {
    const expired = this.#expiredNow(() => true);
    return { kind: "refused", keys: [...this.#seen.keys()], expired, answer };
  }

  #expiredNow(isWanted: (key: string) => boolean): Change[] {
    return [...this.#expired].flatMap(([key, { change }]) => isWanted(key) ? [change] : []);
  }
}

function checkFailed(key: string, version: number, wanted: number): Reply {
  return errorReply(
    "version_mismatch",
    `transaction: ${quote(key)} has version ${version}, wanted ${wanted}; nothing was done`,
    { ...keyField("key", key), version },
  );
}

function tooLarge(what: string): Reply {
  return errorReply(
    "transaction_too_large",
    `transaction: it would ${what} bytes or more; nothing was done`,
  );
}
