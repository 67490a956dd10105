/**
 * Errors as replies, and back. The code crosses the wire as it is; a code that this version does not
 * know (from a newer peer) becomes `internal`, with the text kept.
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

/** What a read ends with: that its outcome is not known says only that no answer came in time. */
export function endOfRead(reply: Reply): Reply {
  if (reply.req_type !== "error" || reply.code !== "outcome_unknown") return reply;
  return { req_type: "error", code: "timeout", message: reply.message };
}
