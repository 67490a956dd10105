/**
 * `batch`: many requests in one message, each handled by itself. The server that receives one calls this
 * with its own function for a single request; the result is the replies, in the order of the requests.
 *
 * Invariants: every request has its reply; a malformed one has an error at its place. At most
 * BATCH_REQUESTS_AT_ONCE are under way. The replies together fit into a frame. A request that was not
 * begun, because of time or room, is answered with a code that promises that it did not happen.
 *
 * @module
 */
import type { Clock } from "../platform/clock.ts";
import { type Called, CALLER, isAbandoned } from "../wire/caller.ts";
import { decodeInner } from "../wire/codec.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import { failureOf, KvError } from "../base/errors.ts";
import {
  BATCH_FIRST_REPLY_BYTES_MAX,
  BATCH_REPLY_BYTES_MAX,
  BATCH_REQUESTS_AT_ONCE,
  BATCH_REQUESTS_MAX,
  REQUEST_TIMEOUT_MS,
} from "../limits/requests.ts";
import type { KeyRequest, Message, Reply } from "../wire/messages.ts";
import { errorReply } from "../operations/operation.ts";
import { checkTimeout } from "../validation/request_checks.ts";
import { onlyReads } from "../operations/repeat.ts";
import { eachInParallel } from "../scheduling/in_parallel.ts";
import { wireBytes } from "../wire/wire_bytes.ts";

/** A reply up to this length is always given. */
const SMALL_REPLY_BYTES = 512;

/** Carries out one request within its `timeout_ms`. @throws {KvError} if it is malformed */
export type ExecuteOne = (request: KeyRequest, reply: (reply: Reply) => void) => void;

/**
 * Carries out a batch.
 *
 * @param decode reads one request; throws a {@linkcode KvError} if it is malformed
 * @throws {KvError} `bad_request` if the batch as a whole is malformed
 */
export function executeBatch(
  clock: Clock,
  batch: Message<"batch">,
  execute: ExecuteOne,
  reply: (reply: Reply) => void,
  decode: (request: unknown) => KeyRequest = decodeInner,
): void {
  checkTimeout(batch.timeout_ms, "batch");
  if (batch.requests.length > BATCH_REQUESTS_MAX) {
    throw new KvError(
      "bad_request",
      `batch: "requests" may have ${BATCH_REQUESTS_MAX} elements, and has ${batch.requests.length}`,
    );
  }
  new Batch(clock, batch, execute, reply, decode).begin();
}

/** A batch under way. */
class Batch {
  readonly #clock: Clock;
  readonly #batch: Message<"batch"> & Called;
  readonly #requests: readonly object[];
  readonly #execute: ExecuteOne;
  readonly #reply: (reply: Reply) => void;
  readonly #decode: (request: unknown) => KeyRequest;
  readonly #deadlineMs: number;
  readonly #replies: Reply[];
  #replyBytes = 0;

  constructor(
    clock: Clock,
    batch: Message<"batch">,
    execute: ExecuteOne,
    reply: (reply: Reply) => void,
    decode: (request: unknown) => KeyRequest,
  ) {
    this.#clock = clock;
    this.#batch = batch;
    this.#requests = batch.requests;
    this.#execute = execute;
    this.#reply = reply;
    this.#decode = decode;
    this.#deadlineMs = clock.monotonicMs() + (batch.timeout_ms ?? REQUEST_TIMEOUT_MS);
    this.#replies = new Array(batch.requests.length);
  }

  begin(): void {
    eachInParallel(
      this.#requests.length,
      BATCH_REQUESTS_AT_ONCE,
      (place, ended) => this.#begin(place, ended),
      () => this.#reply({ req_type: "result", result: this.#replies }),
    );
  }

  #begin(place: number, ended: () => void): void {
    let request: KeyRequest | undefined;
    try {
      request = this.#decode(this.#requests[place]);
      const leftMs = Math.ceil(this.#deadlineMs - this.#clock.monotonicMs());
      const refused = this.#whyNotBegun(request.req_type, leftMs);
      if (refused !== undefined) {
        this.#end(place, refused, ended);
        return;
      }
      checkTimeout(request.timeout_ms, request.req_type);
      const timeoutMs = Math.min(request.timeout_ms ?? leftMs, leftMs);
      const { forwarded: _, ...rest } = request;
      const isRead = onlyReads(request);
      this.#execute(
        { ...rest, [CALLER]: this.#batch[CALLER], timeout_ms: timeoutMs } as KeyRequest & Called,
        (reply) => this.#end(place, this.#fitting(reply, isRead), ended),
      );
    } catch (error) {
      this.#end(place, toErrorReply(failureOf(error)), ended);
    }
  }

  #whyNotBegun(what: string, leftMs: number): Reply | undefined {
    if (leftMs <= 0) return errorReply("timeout", `${what}: the batch's deadline has passed`);
    if (isAbandoned(this.#batch)) {
      return errorReply("unavailable", `${what}: the connection is closed`);
    }
    if (this.#replyBytes <= BATCH_REPLY_BYTES_MAX) return undefined;
    return errorReply(
      "overloaded",
      `${what}: not begun, since the batch's replies have ${this.#replyBytes} bytes already; ` +
        "ask in another batch",
    );
  }

  /** The reply, or an error in its place if there is no room for it. */
  #fitting(reply: Reply, isRead: boolean): Reply {
    const bytes = wireBytes(reply);
    const isFirst = this.#replyBytes === 0;
    this.#replyBytes += bytes;
    if (this.#replyBytes <= BATCH_REPLY_BYTES_MAX || bytes <= SMALL_REPLY_BYTES) return reply;
    // One value of any size always fits.
    if (isFirst && bytes <= BATCH_FIRST_REPLY_BYTES_MAX) return reply;
    this.#replyBytes -= bytes;
    const text = `its reply of ${bytes} bytes does not fit among the batch's`;
    return isRead
      ? errorReply("overloaded", `${text}; ask in another batch`)
      : errorReply("outcome_unknown", `${text}; it was carried out`);
  }

  #end(place: number, reply: Reply, ended: () => void): void {
    const { id: _, ...rest } = reply;
    this.#replies[place] = rest as Reply;
    ended();
  }
}
