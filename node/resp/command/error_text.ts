/**
 * Our errors in the words of Redis. If Redis has an error for the case, its text is used, because clients
 * look at it. Otherwise the text is `ERR`, our code, and what happened. The table is part of docs/redis.md.
 *
 * @module
 */
import { type ErrorCode, isErrorCode, type KvError } from "../../../shared/base/errors.ts";
import type { Message } from "../../../shared/wire/messages.ts";
import { NOT_AN_INTEGER } from "./arguments.ts";

/** The code in capitals with which an error begins. Errors that are not listed begin with `ERR`. */
export const ERROR_PREFIXES: Partial<Record<ErrorCode, string>> = {
  // No node can serve the key now, and nothing has happened.
  not_primary: "CLUSTERDOWN",
  unavailable: "CLUSTERDOWN",
  // Nothing has happened; clients that know this word try again.
  overloaded: "TRYAGAIN",
  not_enough_replicas: "NOREPLICAS",
  storage_failed: "MISCONF",
  unauthorized: "NOAUTH",
  forbidden: "NOPERM",
};

const TOO_LONG = "ERR string exceeds maximum allowed size (proto-max-bulk-len)";

/** Errors for which Redis has its own text. */
const TEXTS: Readonly<Record<string, string>> = {
  not_an_integer: NOT_AN_INTEGER,
  not_a_float: "ERR value is not a valid float",
  value_too_large: TOO_LONG,
};

const OUT_OF_RANGE: Readonly<Record<string, string>> = {
  increment: "ERR increment or decrement would overflow",
  increment_float: "ERR increment would produce NaN or Infinity",
};

/** An error reply as the text of a Redis error. */
export function errorText(reply: Message<"error">): string {
  return textFor(reply.code, reply.message);
}

/** An error as the text of a Redis error. */
export function kvErrorText(error: KvError): string {
  return textFor(error.code, error.message);
}

function textFor(code: string, message: string): string {
  if (code === "out_of_range") {
    const text = OUT_OF_RANGE[message.slice(0, message.indexOf(":"))];
    if (text !== undefined) return text;
  }
  const text = TEXTS[code];
  if (text !== undefined) return text;
  const prefix = isErrorCode(code) ? ERROR_PREFIXES[code] ?? "ERR" : "ERR";
  return `${prefix} ${code} ${message}`;
}

const CODES_BY_PREFIX: ReadonlyMap<string, ErrorCode> = new Map(
  Object.entries(ERROR_PREFIXES).map(([code, prefix]) => [prefix, code as ErrorCode]),
);

/** Which of our codes an error text stands for, approximately; for what has no reply of ours. */
export function codeOfText(text: string): ErrorCode {
  return CODES_BY_PREFIX.get(text.slice(0, text.indexOf(" "))) ?? "bad_request";
}

export const TOO_LONG_ERROR = TOO_LONG;
