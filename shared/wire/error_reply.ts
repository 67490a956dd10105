/**
 * Errors as replies, and back. The code crosses the wire unchanged; a code that this version does not
 * know (from a newer peer) becomes `internal`, and its text is kept.
 *
 * @module
 */
import { isErrorCode, KvError } from "../base/errors.ts";
import { errorReply } from "../operations/operation.ts";
import type { Message, Reply } from "./messages.ts";

/** An error as a reply. */
export function toErrorReply({ code, message, detail }: KvError): Message<"error"> {
  return errorReply(code, message, detail);
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
  return errorReply("timeout", reply.message);
}
