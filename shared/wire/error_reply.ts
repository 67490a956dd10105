/**
 * Errors as replies, and back. The code crosses the wire unchanged; a code that this version does not
 * know (from a newer peer) becomes `internal`, and its text is kept.
 *
 * @module
 */
import { isErrorCode, KvError } from "../base/errors.ts";
import type { Message, Reply } from "./messages.ts";

/** An error as a reply. */
export function toErrorReply(error: KvError): Message<"error"> {
  const { code, message, detail } = error;
  return detail === undefined
    ? { req_type: "error", code, message }
    : { req_type: "error", code, message, detail };
}

/** The error that a reply carries. */
export function fromErrorReply(reply: Message<"error">): KvError {
  const { code, message, detail } = reply;
  const isRecord = typeof detail === "object" && detail !== null;
  return new KvError(
    isErrorCode(code) ? code : "internal",
    isErrorCode(code) ? message : `${code}: ${message}`,
    isRecord ? { detail: detail as Record<string, unknown> } : {},
  );
}

/** The error with which a read ends: for a read, an unknown outcome means only that no answer came in time. */
export function endOfRead(reply: Reply): Reply {
  if (reply.req_type !== "error" || reply.code !== "outcome_unknown") return reply;
  return { req_type: "error", code: "timeout", message: reply.message };
}
