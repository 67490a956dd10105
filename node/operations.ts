/**
 * What each operation means, given the key's current entry: which write it becomes, or why it is
 * refused, and what a read answers. Pure. Who may evaluate it, and when its answer may leave, is the
 * business of `primary.ts`.
 *
 * @module
 */
import type { Entry } from "../shared/entry.ts";
import { isLive, NO_VALUE, TOMBSTONE } from "../shared/entry.ts";
import type { ErrorCode } from "../shared/errors.ts";
import type { KeyRequest, Message, Reply } from "../shared/messages.ts";
import { decodeValue, encodeValue } from "../shared/value_codec.ts";

/** A request that may change its key. */
export type WriteRequest = Message<"put" | "update" | "create" | "delete">;
/** A request that only looks. */
export type ReadRequest = Message<"get" | "exists" | "watch_get">;

/** The write that a request becomes. */
export interface Write {
  readonly flags: number;
  readonly value: Uint8Array;
  readonly expiresAtMs: number;
}

/** How a request ends: as a write, or refused with a reply that tells of the current entry. */
export type Outcome = { readonly write: Write } | { readonly refusal: Reply };

/** Whether a request may change its key. */
export function isWrite(request: KeyRequest): request is WriteRequest {
  switch (request.req_type) {
    case "put":
    case "update":
    case "create":
    case "delete":
      return true;
    default:
      return false;
  }
}

/** Whether the outcome depends on the current entry. */
export function isConditional(request: WriteRequest): boolean {
  return request.req_type !== "put";
}

/**
 * What a write request does.
 *
 * @param current the newest entry of the key, committed or not; not looked at for an unconditional put
 * @throws {KvError} `bad_request` for a value that is not valid base64
 */
export function evaluate(
  request: WriteRequest,
  current: Entry | undefined,
  wallMs: number,
): Outcome {
  const live = current !== undefined && isLive(current, wallMs);
  switch (request.req_type) {
    case "delete":
      if (!live) return { refusal: noSuchKey(request) };
      return { write: { flags: TOMBSTONE, value: NO_VALUE, expiresAtMs: 0 } };
    case "update":
      if (!live) return { refusal: noSuchKey(request) };
      break;
    case "create":
      if (live) {
        return { refusal: errorReply("exists", `create: the key ${quote(request.key)} exists`) };
      }
      break;
    case "put":
  }
  const value = decodeValue(request);
  if (value === undefined) {
    return {
      refusal: errorReply("bad_request", `${request.req_type}: "value" is missing`),
    };
  }
  return { write: { flags: 0, value, expiresAtMs: 0 } };
}

/** What a read answers. */
export function readReply(request: ReadRequest, entry: Entry | undefined, wallMs: number): Reply {
  const live = entry !== undefined && isLive(entry, wallMs) ? entry : undefined;
  if (request.req_type === "exists") return { req_type: "result", result: live !== undefined };
  if (live === undefined) return noSuchKey(request);
  const encoded = encodeValue(live.value);
  const reply: Message<"data"> = "value" in encoded
    ? { req_type: "data", message: encoded.value, version: live.seq, timestamp: live.timestampMs }
    : {
      req_type: "data",
      message: "",
      value64: encoded.value64,
      version: live.seq,
      timestamp: live.timestampMs,
    };
  if (live.expiresAtMs !== 0) reply.expires_at = live.expiresAtMs;
  return reply;
}

/** The reply to a write that took effect. */
export function writeReply(version: number): Reply {
  return { req_type: "ack", message: "success", version };
}

/** An error as a reply. */
export function errorReply(
  code: ErrorCode,
  message: string,
  detail?: Record<string, unknown>,
): Message<"error"> {
  return detail === undefined
    ? { req_type: "error", code, message }
    : { req_type: "error", code, message, detail };
}

function noSuchKey(request: KeyRequest): Reply {
  return errorReply("not_found", `${request.req_type}: no such key ${quote(request.key)}`);
}

function quote(key: string): string {
  return JSON.stringify(key.length > 80 ? key.slice(0, 80) + "…" : key);
}
