/**
 * Parses one line of the JSON wire into a message of the table, and writes messages as lines. Framing
 * is in `framing.ts`; the sizes of keys and values are checked in `request_checks.ts`.
 *
 * Invariant: a message that this returns has the fields and types that the table names; an optional
 * field is absent or has its type, never null. It has at most a few fields that the table does not
 * name, because they cost memory and time wherever the message is kept or passed on.
 *
 * @module
 */
import { parseBoundedJson } from "../schema/bounded_json.ts";
import { NO_VALUE } from "../base/entry.ts";
import { failureOf, KvError } from "../base/errors.ts";
import { TRANSACTION_REQUESTS_MAX } from "../limits/requests.ts";
import { ID_CHARACTERS_MAX, UNKNOWN_FIELDS_CHARACTERS_MAX } from "../limits/wire.ts";
import { isExact, whyInvalid } from "./message_checks.ts";
import {
  type KeyRequest,
  type Message,
  MESSAGES,
  type MessageType,
  type Reply,
} from "./messages.ts";
import { OPERATIONS } from "../operations/table.ts";
import type { MessageSpec } from "../schema/reply_messages.ts";
import { encodeValue, fromWireKey, keyOfBase64 } from "../schema/value_codec.ts";
import { userOf } from "./on_behalf.ts";
import { wireForm } from "./wire_form.ts";

/** What a request and its reply have in common. */
export type MessageId = number | string;

/**
 * The message of a line. If the line is not a valid message, calls `onInvalid` with what is wrong and
 * the line's id, if it has one, and returns undefined.
 */
export function decodeMessage(
  line: string,
  onInvalid: (error: KvError, id: MessageId | undefined) => void,
): Message | undefined {
  let parsed: unknown;
  try {
    parsed = parseBoundedJson(line);
  } catch (cause) {
    if (cause instanceof KvError) {
      onInvalid(cause, undefined);
      return undefined;
    }
    const why = cause instanceof Error ? cause.message : String(cause);
    onInvalid(badRequest(`a message must be one JSON object per line: ${why}`, cause), undefined);
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    onInvalid(badRequest("a message must be a JSON object"), undefined);
    return undefined;
  }
  const message = parsed as Record<string, unknown>;
  const { id } = message;
  const isPlain = (id === undefined || isId(id)) && !hasParts(message.req_type);
  if (isPlain && isExact(message)) return message as Message;
  if (id === null) delete message.id;
  const why = whyIdInvalid(id) ?? whyKeysInvalid(message) ?? whyInvalid(message);
  if (why !== undefined) {
    onInvalid(badRequest(why), isId(id) ? id : undefined);
    return undefined;
  }
  dropNulls(message);
  if (hasParts(message.req_type)) {
    try {
      decodeParts(message);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      onInvalid(error, isId(id) ? id : undefined);
      return undefined;
    }
  }
  const isLong = line.length > UNKNOWN_FIELDS_CHARACTERS_MAX;
  if (!isLong) return message as Message;
  const { as } = message;
  return { ...withoutUnknown(message), ...(as === undefined ? {} : { as }) } as Message;
}

/**
 * A request that came inside another one, without unknown fields and without an id.
 *
 * @throws {KvError} `bad_request`
 */
export function decodeInner(value: unknown): KeyRequest {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw badRequest("a request must be a JSON object");
  }
  const message = { ...value, id: undefined } as Record<string, unknown>;
  const why = whyKeysInvalid(message) ?? whyInvalid(message);
  if (why !== undefined) throw badRequest(why);
  const { req_type: type } = message;
  if (!Object.hasOwn(OPERATIONS, type as string)) {
    throw badRequest(`${type}: only operations on keys can be inside another request`);
  }
  dropNulls(message);
  if (hasParts(type)) decodeParts(message);
  return withoutUnknown(message) as unknown as KeyRequest;
}

/** Whether a message contains requests that are checked with it. */
/** Whether requests or ranges are inside a message, which may have keys in base64. */
function hasParts(type: unknown): boolean {
  return type === "transaction" || type === "prepare_part" || type === "read_part" ||
    type === "read_ranges" || type === "watch" || type === "watch_node";
}

/** What is inside a message, as it is within a process. @throws {KvError} `bad_request` */
function decodeParts(message: Record<string, unknown>): void {
  const { req_type: type, checks, requests, ranges, keys, prefixes } = message;
  if (Array.isArray(keys)) message.keys = keys.map(fromWireKey);
  if (Array.isArray(prefixes)) message.prefixes = prefixes.map(fromWireKey);
  if (Array.isArray(checks)) message.checks = decodeChecks(checks);
  if (Array.isArray(requests)) message.requests = decodeSteps(requests);
  if (Array.isArray(ranges)) {
    message.ranges = ranges.map((range) => decodeBounds(type as string, range));
  }
}

function decodeSteps(steps: readonly unknown[]): KeyRequest[] {
  if (steps.length > TRANSACTION_REQUESTS_MAX) {
    throw new KvError(
      "transaction_too_large",
      `transaction: "requests" may have ${TRANSACTION_REQUESTS_MAX} elements, and has ${steps.length}`,
    );
  }
  return steps.map((step, i) => {
    // Checked before anything looks into it, because it could nest for ever.
    const nested = typeof step === "object" && step !== null &&
      (step as { req_type?: unknown }).req_type === "transaction";
    if (nested) {
      throw badRequest(`transaction: requests[${i}]: transaction cannot be inside a transaction`);
    }
    try {
      return decodeInner(step);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      throw new KvError(error.code, `transaction: requests[${i}]: ${error.message}`);
    }
  });
}

/** Puts keys that came in base64 into their fields. Returns what is wrong with them. */
function whyKeysInvalid(message: Record<string, unknown>): string | undefined {
  const { req_type: type } = message;
  if (typeof type !== "string") return undefined;
  return whyAnyInvalid(type, message, KEY_FIELDS.get(type) ?? []);
}

function whyAnyInvalid(
  type: string,
  message: Record<string, unknown>,
  names: readonly string[],
): string | undefined {
  for (const name of names) {
    const name64 = `${name}64`;
    const given = message[name64];
    if (given === undefined) continue;
    delete message[name64];
    if (given === null) continue;
    if (typeof given !== "string") return `${type}: "${name64}" must be a string`;
    if (message[name] !== undefined && message[name] !== null) {
      return `${type}: give "${name}" or "${name64}", not both`;
    }
    try {
      message[name] = keyOfBase64(given, name64);
    } catch (error) {
      return `${type}: ${failureOf(error).message}`;
    }
  }
  return undefined;
}

/** The fields of each message that hold keys. */
const KEY_FIELDS: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries<MessageSpec>(MESSAGES).map(([type, { fields }]) => [
    type,
    Object.keys(fields).filter((name) => fields[name]?.isKey),
  ]),
);

/** The keys of the checks that came in base64 as strings. @throws {KvError} `bad_request` */
function decodeChecks(checks: readonly (readonly unknown[])[]): readonly (readonly unknown[])[] {
  if (checks.every(([key]) => typeof key === "string")) return checks;
  return checks.map(([key, version]) => [fromWireKey(key), version]);
}

/** A range of keys whose bounds may be in base64. @throws {KvError} `bad_request` */
function decodeBounds(type: string, range: Record<string, unknown>): Record<string, unknown> {
  const decoded = { ...range };
  const why = whyAnyInvalid(type, decoded, ["start", "end"]);
  if (why !== undefined) throw badRequest(why);
  return decoded;
}

function whyIdInvalid(id: unknown): string | undefined {
  if (typeof id === "number" && !Number.isFinite(id)) {
    return `"id" must be a number that JSON can carry back`;
  }
  if (typeof id === "string" && id.length > ID_CHARACTERS_MAX) {
    return `"id" may have ${ID_CHARACTERS_MAX} characters, and this one has ${id.length}`;
  }
  return undefined;
}

/** A message as a line, without the newline. `id` replaces the message's own. A user that it is for is told. */
export function encodeWithId(message: object & { id?: unknown }, id: MessageId): string {
  const user = userOf(message);
  const wire = wireForm(message);
  const text = JSON.stringify(wire.id === undefined ? wire : { ...wire, id: undefined });
  // What belongs to the envelope goes before the first field: cheaper than copying the object.
  const as = user === undefined ? "" : `,"as":${JSON.stringify(user)}`;
  return `{"id":${idText(id)}${as}${text.length === 2 ? "}" : `,${text.slice(1)}`}`;
}

/** A reply as a line, without the newline. The most frequent ones are put together by hand. */
export function encodeReply(reply: Reply, id: MessageId | undefined): string {
  if (id === undefined) {
    return JSON.stringify(wireForm(reply.id === undefined ? reply : without(reply)));
  }
  if (reply.req_type === "data" && reply.bytes !== undefined) return encodeData(reply, id);
  if (isPlainAck(reply)) {
    return `{"id":${idText(id)},"req_type":"ack","message":"success","version":${reply.version}}`;
  }
  return encodeWithId(reply, id);
}

/** A value with its metadata: every field of `data`, in one pass and without a copy. */
function encodeData(reply: Message<"data">, id: MessageId): string {
  const { bytes = NO_VALUE, version, timestamp, expires_at, ttl_ms, content_type } = reply;
  const encoded = encodeValue(bytes);
  let text = `{"id":${idText(id)},"req_type":"data","message":`;
  text += "value" in encoded
    ? JSON.stringify(encoded.value)
    // Base64 contains nothing that JSON escapes.
    : `"","value64":"${encoded.value64}"`;
  if (version !== undefined) text += `,"version":${version}`;
  if (timestamp !== undefined) text += `,"timestamp":${timestamp}`;
  if (expires_at !== undefined) text += `,"expires_at":${expires_at}`;
  if (ttl_ms !== undefined) text += `,"ttl_ms":${ttl_ms}`;
  if (content_type !== undefined) text += `,"content_type":${JSON.stringify(content_type)}`;
  return text + "}";
}

/** Whether an acknowledgement has only a version. Absent fields may be undefined. */
function isPlainAck(reply: Reply): reply is Message<"ack"> & { version: number } {
  if (reply.req_type !== "ack" || reply.message !== "success") return false;
  if (reply.version === undefined) return false;
  for (const name in reply) {
    if (name === "req_type" || name === "message" || name === "version" || name === "id") continue;
    if ((reply as Record<string, unknown>)[name] !== undefined) return false;
  }
  return true;
}

function without(reply: Reply): Reply {
  return { ...reply, id: undefined };
}

function idText(id: MessageId): string {
  return typeof id === "number" ? String(id) : JSON.stringify(id);
}

function isId(id: unknown): id is MessageId {
  return (typeof id === "string" && id.length <= ID_CHARACTERS_MAX) ||
    (typeof id === "number" && Number.isFinite(id));
}

function badRequest(message: string, cause?: unknown): KvError {
  return new KvError("bad_request", message, cause === undefined ? {} : { cause });
}

/** An optional field that is null becomes absent, so that no other code needs to check for null. */
function dropNulls(message: Record<string, unknown>): void {
  const { fields } = MESSAGES[message.req_type as MessageType];
  for (const name in fields) {
    if (
      message[name] === null && (fields as Record<string, { optional: boolean }>)[name]?.optional
    ) {
      delete message[name];
    }
  }
}

function withoutUnknown(message: Record<string, unknown>): Record<string, unknown> {
  const { req_type: type, id } = message;
  const known: Record<string, unknown> = id === undefined ? {} : { id };
  known.req_type = type;
  for (const name in MESSAGES[type as MessageType].fields) {
    const value = message[name];
    if (value !== undefined) known[name] = value;
  }
  return known;
}
