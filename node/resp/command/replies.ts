/**
 * How replies of the cluster become replies of Redis. Each function takes a reply and writes one value; an
 * error is written as one. Pure except for the writer.
 *
 * @module
 */
import { failureOf } from "../../../shared/base/errors.ts";
import type { Reply } from "../../../shared/wire/messages.ts";
import { previousOfReply, valueOfReply } from "../../../shared/schema/value_codec.ts";
import { errorText, kvErrorText } from "./error_text.ts";
import type { RespWriter } from "../protocol/writer.ts";

type Finish = (out: RespWriter, reply: Reply) => void;

/** The approximate memory of a reply besides its envelope: its values, for a transaction all of them. */
export function bytesOfReply(reply: Reply): number {
  switch (reply.req_type) {
    case "data":
      return (reply.bytes ?? reply.message ?? reply.value64 ?? "").length;
    case "ack":
      return (reply.previous_bytes ?? reply.previous ?? reply.previous64 ?? "").length;
    case "result": {
      if (!Array.isArray(reply.result)) return 0;
      let bytes = 0;
      for (const inner of reply.result) bytes += bytesOfReply(inner);
      return bytes;
    }
    default:
      return 0;
  }
}

/** Writes what a function makes of a reply that is not an error. */
export function unlessError(write: Finish): Finish {
  return (out, reply) => {
    if (reply.req_type === "error") out.error(errorText(reply));
    else write(out, reply);
  };
}

/** `+OK`. */
export const okReply: Finish = unlessError((out) => out.ok());

/** The value, or nil if there is no such key. */
export const valueReply: Finish = (out, reply) => {
  if (reply.req_type === "data") out.bulk(valueOfReply(reply));
  else if (isNotFound(reply)) out.nil();
  else writeUnexpected(out, reply);
};

/** The previous value, or nil. */
export const previousReply: Finish = (out, reply) => {
  if (reply.req_type === "error" && !isRefusal(reply)) {
    out.error(errorText(reply));
    return;
  }
  const previous = previousOfReply(reply);
  if (previous === undefined) out.nil();
  else out.bulk(previous);
};

/** 1 if it was done, 0 if a condition of the key refused it. */
export const doneReply: Finish = (out, reply) => {
  if (reply.req_type !== "error") out.integer(1);
  else if (isRefusal(reply)) out.integer(0);
  else out.error(errorText(reply));
};

/** `+OK` if it was done, nil if a condition of the key refused it. */
export const okOrNilReply: Finish = (out, reply) => {
  if (reply.req_type !== "error") out.ok();
  else if (isRefusal(reply)) out.nil();
  else out.error(errorText(reply));
};

/** A number or a boolean as an integer. */
export const integerReply: Finish = unlessError((out, reply) => {
  const result = reply.req_type === "result" ? reply.result : undefined;
  if (typeof result === "string") out.integer(BigInt(result));
  else out.integer(Number(result));
});

/** A text as a bulk string. */
export const textReply: Finish = unlessError((out, reply) =>
  out.bulkText(String(reply.req_type === "result" ? reply.result : ""))
);

/** How many were done, or the first error. */
export function countReply(out: RespWriter, replies: readonly Reply[]): void {
  let count = 0;
  for (const reply of replies) {
    if (reply.req_type === "error") {
      if (isRefusal(reply)) continue;
      out.error(errorText(reply));
      return;
    }
    if (reply.req_type !== "result" || reply.result === true) count++;
  }
  out.integer(count);
}

/** `+OK`, or the first error. */
export function allOkReply(out: RespWriter, replies: readonly Reply[]): void {
  const failed = replies.find((reply) => reply.req_type === "error");
  if (failed?.req_type === "error") out.error(errorText(failed));
  else out.ok();
}

/** The result of a condition of the key, and not a failure. */
function isRefusal(reply: Reply): boolean {
  return reply.req_type === "error" &&
    (reply.code === "not_found" || reply.code === "exists" || reply.code === "version_mismatch");
}

export function isNotFound(reply: Reply): boolean {
  return reply.req_type === "error" && reply.code === "not_found";
}

/** Writes an error for a reply of an unexpected type. */
export function writeUnexpected(out: RespWriter, reply: Reply): void {
  if (reply.req_type === "error") out.error(errorText(reply));
  else out.error(`ERR internal an unexpected reply of type ${reply.req_type}`);
}

/** The value of a reply to a `get`; undefined if there is none or the error has been written. */
export function valueOrWrite(
  out: RespWriter,
  reply: Reply,
  absent: (out: RespWriter) => void,
): Uint8Array | undefined {
  if (reply.req_type === "data") return valueOfReply(reply);
  if (isNotFound(reply)) absent(out);
  else writeUnexpected(out, reply);
  return undefined;
}

/** Anything thrown as the text of an error. */
export function thrownText(error: unknown): string {
  if (error instanceof Error && error.name === "CommandError") return error.message;
  return kvErrorText(failureOf(error));
}
