/**
 * "May this be sent again?": whether a second attempt of a request can do harm, judged by the request
 * (the operations' table) and by the error of the first attempt. Library, router, front ends, gateway,
 * and the long jobs (scan, backup, restore, import) all ask here. This file does not say when to send
 * again; `shared/scheduling/backoff.ts` does.
 *
 * @module
 */
import { type ErrorCode, isErrorCode } from "../base/errors.ts";
import { type OperationName, OPERATIONS } from "./table.ts";

/** A request on a key, as far as it matters here. */
interface KeyRequest {
  readonly req_type: OperationName;
  readonly key: string;
  /** The requests inside a transaction. */
  readonly requests?: readonly object[];
  readonly session?: string | undefined;
  readonly again?: boolean | undefined;
}

/**
 * What a second attempt would be if the first one happened:
 *
 * - `harmful`: a second write. It may overwrite what others wrote in between.
 * - `recognised`: answered as the first one was, because its client session remembers it (rule W8 of
 *   docs/replication.md).
 * - `harmless`: the same again, because it only reads.
 * - `bulk`: a value that a long job writes and may write again. The job has time to wait for a disk.
 */
export type Repeat = "harmful" | "recognised" | "harmless" | "bulk";

const ALWAYS: readonly Repeat[] = ["harmful", "recognised", "harmless", "bulk"];
const UNLESS_HARMFUL: readonly Repeat[] = ["recognised", "harmless", "bulk"];

/**
 * Which attempts may be repeated after which error. An error that is not listed here is final: the next
 * attempt would end with it too.
 */
const AFTER: { readonly [code in ErrorCode]?: readonly Repeat[] } = {
  // It did not happen, and may succeed at another time or place.
  not_primary: ALWAYS,
  unavailable: ALWAYS,
  not_enough_replicas: ALWAYS,
  overloaded: ALWAYS,
  // The connection broke, or this attempt's deadline passed, which may be shorter than the request's.
  outcome_unknown: UNLESS_HARMFUL,
  timeout: UNLESS_HARMFUL,
  // A passing error of the disk, or a full disk on which somebody may make room.
  storage_failed: ["bulk"],
};

/** Whether a request that ended with this error may be sent again and may then succeed. */
export function mayRepeat(repeat: Repeat, code: string): boolean {
  return isErrorCode(code) && AFTER[code]?.includes(repeat) === true;
}

/** What a second attempt of a request would be. */
export function repeatOf(request: KeyRequest): Repeat {
  if (onlyReads(request)) return "harmless";
  return request.session === undefined ? "harmful" : "recognised";
}

/** Whether a request changes nothing, so that sending it twice does no harm. */
export function onlyReads({ req_type, requests }: KeyRequest): boolean {
  if (req_type !== "transaction") return OPERATIONS[req_type].kind !== "write";
  return requests?.every((step) => onlyReads(step as KeyRequest)) === true;
}

/**
 * Whether the request would do or answer something else the second time, so that it needs a client
 * session to be sent again. A write that does not look at the current value is not such a request: it is
 * not sent again at all, because an old value must not overwrite a newer one. So it does not need the
 * entry that a session costs.
 */
export function harmsTwice(request: KeyRequest): boolean {
  if (onlyReads(request)) return false;
  const operation = OPERATIONS[request.req_type];
  return operation.kind !== "write" || operation.needsCurrent(request as never);
}

/** Whether the sender says that an earlier attempt of the request may be under way. */
export function isRepeated(request: KeyRequest): boolean {
  return request.again === true;
}
