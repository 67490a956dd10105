/**
 * One request on its way through a router: what is known of it, and how it ends if no attempt succeeds. It sends
 * nothing.
 *
 * Invariant: if the end says that a write did not happen, that is certain; `unknown` is set as soon as an attempt
 * may have happened, and never cleared.
 *
 * @module
 */
import { REQUEST_TIMEOUT_MS } from "../limits/requests.ts";
import type { NodeId } from "../cluster/cluster_map.ts";
import { isRepeated, type Repeat, repeatOf } from "../operations/repeat.ts";
import type { Clock } from "../platform/clock.ts";
import {
  isPartRequest,
  type Message,
  type Reply,
  type ReplyTo,
  type RoutedRequest,
} from "../wire/messages.ts";

/** A request on its way. */
export interface Task {
  readonly request: RoutedRequest;
  /** What another attempt would be. */
  readonly repeat: Repeat;
  readonly isRead: boolean;
  /** An attempt of a write may have happened. */
  unknown: boolean;
  readonly startMs: number;
  readonly deadlineMs: number;
  readonly done: ReplyTo;
  finished: boolean;
  attempts: number;
  /** The node that it was last sent to. */
  target: NodeId | undefined;
  /** The node that another node named as the right one; used for one attempt. */
  hint: NodeId | undefined;
  /** A hint was followed since the last pause. */
  hintUsed: boolean;
  /** Replicas that were tried since the last pause, for a read that any replica may answer. */
  tried: NodeId[] | undefined;
  retryMs: number;
  last: Message<"error"> | undefined;
}

/** A request of which nothing has been tried here. If it was passed on, its sender may have tried it already. */
export function taskOf(
  request: RoutedRequest,
  startMs: number,
  timeoutMs: number,
  done: ReplyTo,
): Task {
  // Parts of a transaction say which attempt they are of: the same one twice does no harm.
  const repeat = isPartRequest(request) ? "harmless" : repeatOf(request);
  return {
    request,
    repeat,
    isRead: repeat === "harmless",
    unknown: !isPartRequest(request) && isRepeated(request),
    startMs,
    deadlineMs: startMs + timeoutMs,
    done,
    finished: false,
    attempts: 0,
    target: undefined,
    hint: undefined,
    hintUsed: false,
    tried: undefined,
    retryMs: 0,
    last: undefined,
  };
}

/**
 * The request as an attempt in this process gets it, with the time that is left; undefined if no time is left. Most
 * are passed on unchanged.
 */
export function requestNow(
  { request, attempts, retryMs, unknown, startMs, deadlineMs }: Task,
  clock: Pick<Clock, "monotonicMs">,
): RoutedRequest | undefined {
  const givenMs = "timeout_ms" in request ? request.timeout_ms : undefined;
  const fits = Math.abs((givenMs ?? REQUEST_TIMEOUT_MS) - (deadlineMs - startMs)) < 1;
  if (fits && attempts === 1 && retryMs === 0 && !unknown) return request;
  const leftMs = Math.ceil(deadlineMs - clock.monotonicMs());
  if (leftMs <= 0) return undefined;
  return { ...request, timeout_ms: leftMs, ...(unknown ? { again: true } : {}) } as RoutedRequest;
}

/** The end of a request whose deadline has passed after its last attempt was refused. */
export function lateReply(task: Task, nowMs: number): Message<"error"> {
  const { request, last, attempts, startMs, unknown } = task;
  const tries = attempts === 1 ? "1 attempt" : `${attempts} attempts`;
  const head = `${request.req_type}: gave up after ${Math.round(nowMs - startMs)} ms and ${tries}`;
  if (unknown) return errorOf("outcome_unknown", `${head}; an attempt may have happened`);
  if (last === undefined) return errorOf("timeout", head);
  const code = last.code === "not_primary"
    ? "unavailable"
    : last.code === "outcome_unknown"
    ? "timeout"
    : last.code;
  return errorOf(code, `${head}; last: ${last.message}`);
}

/** The end of a request that this process has accepted and not answered by its deadline. */
export function unansweredReply({ request, isRead, startMs }: Task, nowMs: number): Reply {
  const text = `${request.req_type}: no result within ${Math.round(nowMs - startMs)} ms`;
  return errorOf(isRead ? "timeout" : "outcome_unknown", text);
}

/** The end with this reply, as far as the reply says what became of all attempts. */
export function finalReply(task: Task, reply: Reply): Reply {
  return task.unknown ? asUnknown(reply) : reply;
}

/**
 * The end of a write of which an earlier attempt may have happened. Two answers are certain: a refusal that its
 * client session remembers (rule W8 of docs/replication.md), and the answer that it has happened. Any other error is only about the last attempt.
 */
function asUnknown(reply: Reply): Reply {
  if (reply.req_type !== "error" || reply.settled === true) return reply;
  if (reply.code === "outcome_unknown") return reply;
  // Its client session remembers that it has happened.
  if (reply.code === "reply_not_kept") return reply;
  const message = `an earlier attempt may have happened; the last one: ${reply.message}`;
  return { req_type: "error", code: "outcome_unknown", message };
}

/** The node that a `not_primary` names as the primary. */
export function hintOf({ detail }: Message<"error">): NodeId | undefined {
  return detail === undefined ? undefined : primaryHint(detail);
}

/** `detail.primary` of `not_primary`: a node id, or an object with one. */
function primaryHint(detail: unknown): NodeId | undefined {
  if (typeof detail !== "object" || detail === null || !("primary" in detail)) return undefined;
  const { primary } = detail;
  if (typeof primary === "string") return primary;
  if (typeof primary !== "object" || primary === null || !("id" in primary)) return undefined;
  return typeof primary.id === "string" ? primary.id : undefined;
}

function errorOf(code: string, message: string): Message<"error"> {
  return { req_type: "error", code, message };
}
