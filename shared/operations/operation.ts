/**
 * What an operation on one key is made of: its arguments, and what it does with the key's current
 * entry, as a pure function. Each operation has a file of its own in this folder and a row in
 * `table.ts`; the wire, the front ends, help and documents are made from these.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { EXPIRED, isLive, NO_VALUE, TOMBSTONE, versionOf } from "../base/entry.ts";
import { type ErrorCode, KvError } from "../base/errors.ts";
import { userKeyOf } from "../cluster/databases.ts";
import { quotedKey } from "../base/key_text.ts";
import {
  date,
  described,
  duration,
  type Fields,
  type FieldsObject,
  flag,
  keyText,
  localBytes,
  oneOf,
  optional,
  positiveDuration,
  text,
  uint,
} from "../schema/fields.ts";
import { REQUEST_TIMEOUT_MS } from "../limits/requests.ts";
import { EXPIRY_DATE_MAX } from "../limits/storage.ts";
import type { Reply } from "../schema/reply_messages.ts";
import { decodeValue, encodeValue, type ValueFields } from "../schema/value_codec.ts";

/** The write that a request becomes. */
export interface Write {
  readonly flags: number;
  readonly value: Uint8Array;
  /** Milliseconds since 1970; 0 for never. */
  readonly expiresAtMs: number;
  /** Stored with the value; absent for none. */
  readonly contentType?: string | undefined;
}

/** The result of a write request: a write with its reply, or only an answer. */
export type Outcome =
  | { readonly write: Write; readonly reply?: (version: number) => Reply }
  | { readonly answer: Reply };

/** What an operation may know besides its arguments and the entry. */
export interface OperationContext {
  /** The date at the primary. */
  readonly wallMs: number;
  readonly valueBytesMax: number;
}

/** Where an operation can be requested: the JSON wire, the shell and its one-shot form, HTTP, RESP. */
export type FrontEnd = "wire" | "shell" | "http" | "resp";

export const ALL_FRONT_ENDS: readonly FrontEnd[] = ["wire", "shell", "http", "resp"];

/** An example of an operation for help and documents, with its result. */
export interface Example {
  /** The arguments after the operation's name, as in the shell. */
  readonly words: readonly string[];
  /** The key's previous value, as text; absent if there is no such key. */
  readonly before?: string;
  /** Whether the key expires, in 90 s. */
  readonly expires?: boolean;
}

/** What the front ends, help and documents say of an operation. */
export interface Described<F extends Fields> {
  /** The protocol version that introduced it. */
  readonly since: number;
  /** One line for help and documents. */
  readonly summary: string;
  /** The kind of reply if it succeeds. */
  readonly reply: "ack" | "data" | "result";
  /** What that reply contains. */
  readonly answers: string;
  /** Its specific errors; those that any request may end with are not repeated. */
  readonly errors: readonly ErrorCode[];
  /** Fields that stand behind the key without a name if a request is a line; `?` marks an optional one. */
  readonly arguments: readonly (keyof F & string | `${keyof F & string}?`)[];
  /** The front ends that offer it. */
  readonly frontEnds: readonly FrontEnd[];
  /** Its name in the shell, if that differs from its own name. */
  readonly shellName?: string;
  /** Further names in the shell. */
  readonly aliases?: readonly string[];
  readonly example: Example;
  readonly fields: F;
}

/** An operation that only reads. */
export interface ReadOperation<F extends Fields = Fields> extends Described<F> {
  readonly kind: "read";
  /**
   * @param entry live, or undefined
   * @param wallMs the date by the clock of the partition's primary; irrelevant if the entry does not expire
   */
  read(request: RequestOf<F>, entry: Entry | undefined, wallMs: number): Reply;
}

/** An operation that may change its key. */
export interface WriteOperation<F extends Fields = Fields> extends Described<F> {
  readonly kind: "write";
  /** Whether the outcome depends on the current entry; if not, `current` is always undefined. */
  needsCurrent(request: RequestOf<F>): boolean;
  /**
   * @param current the newest live entry, committed or not
   * @throws {KvError} if the arguments are wrong
   */
  evaluate(request: RequestOf<F>, current: Entry | undefined, context: OperationContext): Outcome;
}

/** An operation's arguments as they arrive. */
export type RequestOf<F extends Fields> = FieldsObject<F> & { req_type: string; key: string };

/** Every request names its key and may name its deadline; a node that passes it on marks it. */
const REQUEST_FIELDS = {
  key: described("The key: 1 to 2,048 bytes; `key64` has it in base64", keyText),
  database: described("The database", optional(text), {
    fallback: "default",
    audience: "programs",
  }),
  timeout_ms: described("How long the cluster tries, retries included", optional(duration), {
    unit: "ms",
    fallback: String(REQUEST_TIMEOUT_MS),
  }),
  traceparent: described(
    "The span of OpenTelemetry that this is a part of, as W3C Trace Context writes it",
    optional(text),
    { fallback: "none", audience: "programs" },
  ),
  forwarded: described("Passed on by a node; it must not be passed on again", optional(flag), {
    fallback: "false",
    audience: "servers",
  }),
  relay: described(
    "The sender cannot reach the primary: pass the request on to the primary and to no other node",
    optional(flag),
    { fallback: "false", audience: "servers" },
  ),
};

export const READ_FIELDS = {
  ...REQUEST_FIELDS,
  consistency: described(
    "How fresh: linearizable, from any in-sync replica, or from a coordinator's cache",
    optional(oneOf("strong", "replica", "cached")),
    { fallback: "strong" },
  ),
};

export const WRITE_FIELDS = {
  ...REQUEST_FIELDS,
  acks: described(
    "On whose disk it is when it is acknowledged: every in-sync replica's or the primary's",
    optional(oneOf("all", "primary")),
    { fallback: "all" },
  ),
  /**
   * Makes a repeated request harmless. `session` is a name that one caller uses for one request at a
   * time; `request_number` grows with each request. A request that was carried out gets its first answer again.
   */
  session: described(
    "With request_number: makes a repeated request harmless; a name used for one request at a time",
    optional(text),
    { fallback: "none", audience: "programs" },
  ),
  request_number: described("The request's number in its client session, growing", optional(uint), {
    fallback: "none",
    audience: "programs",
  }),
  /** Whoever names less than is true is asked to send again, or told that nobody knows; more would be wrong. */
  since: described(
    "With session: a version in the key's partition that the sender knew to be committed before the first attempt",
    optional(uint),
    { fallback: "0", audience: "programs" },
  ),
  /** What is answered now must hold for that one as well. */
  again: described("An earlier attempt of this request may be under way", optional(flag), {
    fallback: "false",
    audience: "servers",
  }),
};

/** A value: as text, as base64, or, inside a process, as bytes. */
export const VALUE_FIELDS = {
  value: described("The value, if it is text", optional(text)),
  value64: described("The value in base64, instead of value", optional(text), {
    fallback: "none",
    audience: "programs",
  }),
  bytes: localBytes,
};

/** When the key expires: a date, or a duration from now. */
export const EXPIRY_FIELDS = {
  expires_at: described("When the key expires", optional(date), {
    unit: "ms since 1970-01-01 UTC",
    fallback: "never",
  }),
  ttl_ms: described("How long from now until the key expires", optional(positiveDuration), {
    unit: "ms",
    fallback: "never",
  }),
};

/** Conditions of a write, and what else it answers. */
export const CONDITION_FIELDS = {
  if_version: described(
    "Only if the key has this version, otherwise version_mismatch; 0: only if there is no such key",
    optional(uint),
    { fallback: "any" },
  ),
  previous: described("Answer with the value before", optional(flag), { fallback: "false" }),
};

/** A row of the table for one key, with any fields. */
export type Operation = ReadOperation | WriteOperation;

interface Expiring {
  expires_at?: number | undefined;
  ttl_ms?: number | undefined;
}

/** The date that a request's expiry names, at most EXPIRY_DATE_MAX; undefined if it names none. */
export function expiryOf(
  request: Expiring & { req_type: string },
  wallMs: number,
): number | undefined {
  const { expires_at: at, ttl_ms: ttlMs } = request;
  if (at !== undefined && ttlMs !== undefined) {
    throw badRequest(request, `give "expires_at" or "ttl_ms", not both`);
  }
  const date = ttlMs === undefined ? at : wallMs + ttlMs;
  return date === undefined ? undefined : Math.min(date, EXPIRY_DATE_MAX);
}

/** The value of a request. @throws {KvError} `bad_request` */
export function valueOf(
  request: ValueFields & { req_type: string },
): Uint8Array {
  const value = decodeValue(request);
  if (value === undefined) throw badRequest(request, `"value" is missing; it must be a string`);
  return value;
}

/** A write that deletes. */
export const DELETION: Write = { flags: TOMBSTONE, value: NO_VALUE, expiresAtMs: 0 };
/** The deletion of a key that has expired. */
export const EXPIRY: Write = { flags: TOMBSTONE | EXPIRED, value: NO_VALUE, expiresAtMs: 0 };

/** A write of a value; if the value has already expired, the write is a deletion. */
export function valueWrite(
  value: Uint8Array,
  expiresAtMs: number,
  wallMs: number,
  contentType?: string,
): Write {
  if (expiresAtMs !== 0 && expiresAtMs <= wallMs) return DELETION;
  return { flags: 0, value, expiresAtMs, contentType };
}

/** Refuses a request if its `if_version` differs from the key's version. */
export function versionRefusal(
  request: { req_type: string; key: string; if_version?: number | undefined },
  current: Entry | undefined,
): Reply | undefined {
  const wanted = request.if_version;
  const version = current === undefined ? 0 : versionOf(current);
  if (wanted === undefined || wanted === version) return undefined;
  return errorReply(
    "version_mismatch",
    `${request.req_type}: ${quote(request.key)} has version ${version}, wanted ${wanted}`,
    { version },
  );
}

/** The previous value, as a field of an error's detail. */
export function previousDetail(entry: Entry | undefined): Record<string, string> {
  if (entry === undefined) return {};
  const encoded = encodeValue(entry.value);
  return "value" in encoded ? { previous: encoded.value } : { previous64: encoded.value64 };
}

/** The previous value, as a field of a reply. */
export function previousOf(entry: Entry | undefined): { previous_bytes?: Uint8Array } {
  return entry === undefined ? {} : { previous_bytes: entry.value };
}

/** The reply to a write that took effect. */
export function writeReply(version: number): Reply {
  return { req_type: "ack", message: "success", version };
}

/**
 * An entry as a reply.
 *
 * @param wallMs the date by the clock that decides when the entry expires; the receiver's clock may differ
 */
export function dataReply(entry: Entry, wallMs: number): Reply<"data"> {
  const reply: Reply<"data"> = {
    req_type: "data",
    bytes: entry.value,
    version: versionOf(entry),
    timestamp: entry.timestampMs,
  };
  if (entry.expiresAtMs !== 0) {
    reply.expires_at = entry.expiresAtMs;
    reply.ttl_ms = Math.max(0, entry.expiresAtMs - wallMs);
  }
  if (entry.contentType !== undefined) reply.content_type = entry.contentType;
  return reply;
}

/** A value that is neither bytes nor an error, as a reply. */
export function resultReply(result: unknown, version?: number): Reply {
  return version === undefined
    ? { req_type: "result", result }
    : { req_type: "result", result, version };
}

/** An error as a reply. */
export function errorReply(
  code: ErrorCode,
  message: string,
  detail?: Record<string, unknown>,
): Reply<"error"> {
  return detail === undefined
    ? { req_type: "error", code, message }
    : { req_type: "error", code, message, detail };
}

export function noSuchKey(request: { req_type: string; key: string }): Reply<"error"> {
  return errorReply("not_found", `${request.req_type}: no such key ${quote(request.key)}`);
}

export function badRequest(request: { req_type: string }, what: string): KvError {
  return new KvError("bad_request", `${request.req_type}: ${what}`);
}

/** Refuses a value that has grown beyond the limit. */
export function checkLength(
  request: { req_type: string },
  bytes: number,
  context: OperationContext,
): void {
  if (bytes <= context.valueBytesMax) return;
  throw new KvError(
    "value_too_large",
    `${request.req_type}: a value may have ${context.valueBytesMax} bytes, and this one would have ${bytes}`,
  );
}

/** A key as an error's text shows it: in quotes, and not too long. */
export function quote(given: string): string {
  const key = userKeyOf(given);
  return quotedKey(key.length > 80 ? key.slice(0, 80) + "…" : key);
}

/** The entry, if a reader at this date finds it. */
export function liveEntry(entry: Entry | undefined, wallMs: number): Entry | undefined {
  return entry !== undefined && isLive(entry, wallMs) ? entry : undefined;
}
