/**
 * "May this be sent again?": whether a second attempt of a request can do harm, from what the request is
 * (the operations' table) and what the error of the first says of it. Library, router, front ends, gateway,
 * and the long jobs (scan, backup, restore, import) all ask here. It does not say when to send again; that
 * is `shared/scheduling/backoff.ts`.
 *
 * @module
 */
import { type ErrorCode, isErrorCode } from "../base/errors.ts";
import { type OperationName, OPERATIONS } from "./table.ts";

/** A request on a key, as far as it matters here. */
interface KeyRequest {
  readonly req_type: OperationName;
  readonly key: string;
  /** Those inside a transaction. */
  readonly requests?: readonly object[];
  readonly session?: string | undefined;
  readonly again?: boolean | undefined;
}

/**
 * What a second attempt would be, if the first one happened:
 *
 * - `harmful`: a second write. It may come back over what others wrote in between.
 * - `recognised`: answered as the first one was, since its client session remembers (rule W8 of
 *   docs/replication.md).
 * - `harmless`: the same again. It only reads.
 * - `bulk`: a value that a long job writes, and may write again. The job has time to wait for a disk.
 */
export type Repeat = "harmful" | "recognised" | "harmless" | "bulk";

const ALWAYS: readonly Repeat[] = ["harmful", "recognised", "harmless", "bulk"];
const UNLESS_HARMFUL: readonly Repeat[] = ["recognised", "harmless", "bulk"];

/**
 * After which error which attempts may be repeated. An error that is not here is final: the next attempt
 * would end with it as well.
 */
const AFTER: { readonly [code in ErrorCode]?: readonly Repeat[] } = {
  // It did not happen, and may at another time or place.
  not_primary: ALWAYS,
  unavailable: ALWAYS,
  not_enough_replicas: ALWAYS,
  overloaded: ALWAYS,
  // The connection broke, or the deadline of this attempt passed, which may be shorter than the request's.
  outcome_unknown: UNLESS_HARMFUL,
  timeout: UNLESS_HARMFUL,
  // A passing error of the disk, or a full one in which somebody makes room.
  storage_failed: ["bulk"],
};

/** Whether a request that ended with this error may be sent again, and may then fare better. */
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
  if (req_type !== "transaction") return OPERATIONS[req_type].kind === "read";
  return requests?.every((step) => onlyReads(step as KeyRequest)) === true;
}

/**
 * Whether what a request does or answers would be another thing the second time, so that it needs a client
 * session to be sent again. A write that does not look at what is there is none of them: it is not sent
 * again, since an old value must not come back over a newer one, and it can do without the entry that a
 * session costs.
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
