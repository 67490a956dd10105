/**
 * What a request for a key must satisfy besides its fields' types: sizes and forms that a table of types
 * cannot express. Node and gateway check this first, so that they give the same answers.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { isKeyText, keyLength } from "../base/key_text.ts";
import {
  ATTEMPT_CHARACTERS_MAX,
  CLIENT_SESSION_CHARACTERS_MAX,
  REQUEST_TIMEOUT_MS_MAX,
} from "../limits/requests.ts";
import { SCAN_KEYS_MAX } from "../limits/scans.ts";
import { KEY_BYTES_MAX, VALUE_BYTES_MAX } from "../limits/wire.ts";
import { isSystemKey } from "../cluster/system_keys.ts";
import { isNamedKey, userKeyOf } from "../cluster/databases.ts";
import type { KeyBounds } from "../base/key_range.ts";
import type { KeyRequest, Message, PartRequest } from "../wire/messages.ts";
import { checkRanges } from "../operations/ranges.ts";
import { OPERATIONS } from "../operations/table.ts";
import { checkTransaction, plainRequests } from "./transaction_checks.ts";
import type { ValueFields } from "../schema/value_codec.ts";

/** Sizes, if they are not the defaults of `shared/limits/wire.ts`. */
export interface RequestLimits {
  readonly keyBytesMax: number;
  readonly valueBytesMax: number;
}

/** The defaults of `shared/limits/wire.ts`. */
export const DEFAULT_LIMITS: RequestLimits = {
  keyBytesMax: KEY_BYTES_MAX,
  valueBytesMax: VALUE_BYTES_MAX,
};

/** The most bytes that one unit of a JavaScript string stands for. */
const UTF8_BYTES_PER_UNIT_MAX = 3;

/**
 * Checks a request's key, value and deadline. A value's base64 is only checked when it is decoded.
 *
 * @throws {KvError} `bad_request`, `key_too_large`, `value_too_large`, `transaction_too_large`
 */
export function checkKeyRequest(
  request: KeyRequest,
  limits: RequestLimits = DEFAULT_LIMITS,
): void {
  const { req_type: what } = request;
  checkKey(request.key, limits, what);
  checkTimeout(request.timeout_ms, what);
  if ("session" in request && request.session !== undefined) checkSession(request.session, what);
  const { fields } = OPERATIONS[what];
  if ("value" in fields) {
    checkValue(request as ValueFields, limits, what);
  }
  if (request.req_type === "transaction") checkParts(request, limits);
  if (request.req_type === "read_ranges") checkRanges(request.ranges);
}

function checkParts(request: Message<"transaction">, limits: RequestLimits): void {
  checkTransaction(request);
  for (const [key] of request.checks ?? []) checkKey(key, limits, "transaction: checks");
  for (const [i, step] of plainRequests(request).entries()) {
    try {
      checkKeyRequest(step, limits);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      throw new KvError(error.code, `transaction: requests[${i}]: ${error.message}`);
    }
  }
}

/**
 * Checks a message about a part of a transaction, which another node has sent.
 *
 * @throws {KvError} as {@linkcode checkKeyRequest}
 */
export function checkPartRequest(
  request: PartRequest,
  limits: RequestLimits = DEFAULT_LIMITS,
): void {
  const { req_type: what } = request;
  checkKey(request.key, limits, what);
  checkTimeout(request.timeout_ms, what);
  if ("leader" in request) checkKey(request.leader, limits, `${what}: leader`);
  if ("part" in request) checkKey(request.part, limits, `${what}: part`);
  if ("attempt" in request) {
    const { attempt } = request;
    if (attempt === "" || attempt.length > ATTEMPT_CHARACTERS_MAX || !attempt.isWellFormed()) {
      throw new KvError(
        "bad_request",
        `${what}: "attempt" must have 1 to ${ATTEMPT_CHARACTERS_MAX} characters`,
      );
    }
  }
  if (!("requests" in request)) return;
  const { key, requests, checks } = request;
  checkParts({ req_type: "transaction", key, requests, checks }, limits);
}

/** @throws {KvError} `bad_request` for a name that a client session cannot have */
export function checkSession(session: string, what: string): void {
  if (session !== "" && session.length <= CLIENT_SESSION_CHARACTERS_MAX && session.isWellFormed()) {
    return;
  }
  throw new KvError(
    "bad_request",
    `${what}: "session" must have 1 to ${CLIENT_SESSION_CHARACTERS_MAX} characters`,
  );
}

/**
 * Checks which keys a scan or count of many partitions asks for.
 *
 * @throws {KvError} `bad_request`
 */
export function checkKeyBounds(
  request: Message<"scan" | "count" | "delete_matching" | "scan_node" | "count_node">,
): void {
  const { req_type: what } = request;
  checkTimeout(request.timeout_ms, what);
  if ("limit" in request) checkLimit(request.limit, what);
  const after = "after" in request ? request.after : undefined;
  for (const [name, key] of Object.entries({ ...pickBounds(request), after })) {
    if (key === undefined || isKeyText(key)) continue;
    throw new KvError("bad_request", `${what}: "${name}" ${NO_KEY_TEXT}`);
  }
}

const NO_KEY_TEXT = "has half of a surrogate pair, which is not Unicode text; give the bytes as " +
  "base64 in key64, or a byte that is not UTF-8 as \\udc80 to \\udcff";

function pickBounds({ prefix, start, end }: KeyBounds): KeyBounds {
  return { prefix, start, end };
}

/** @throws {KvError} `bad_request` */
export function checkLimit(limit: number | undefined, what: string): void {
  if (limit === undefined || (limit >= 1 && limit <= SCAN_KEYS_MAX)) return;
  throw new KvError("bad_request", `${what}: "limit" must be 1 to ${SCAN_KEYS_MAX}`);
}

/** Checks a deadline. `what` begins the error's text. @throws {KvError} `bad_request` */
export function checkTimeout(timeoutMs: number | undefined, what: string): void {
  if (timeoutMs === undefined || (timeoutMs > 0 && timeoutMs <= REQUEST_TIMEOUT_MS_MAX)) return;
  throw new KvError(
    "bad_request",
    `${what}: "timeout_ms" must be 1 to ${REQUEST_TIMEOUT_MS_MAX}, and is ${timeoutMs}`,
  );
}

/**
 * Checks a key alone. `what` begins the error's text.
 *
 * @throws {KvError} `bad_request`, `key_too_large`
 */
export function checkKey(
  key: string,
  limits: RequestLimits = DEFAULT_LIMITS,
  what = "key",
): void {
  if (isNamedKey(key)) {
    // A key of a named database, with what stands before it. It is checked as its user has it.
    const user = userKeyOf(key);
    if (user !== key) return checkUserKey(user, limits, what, false);
    throw new KvError(
      "bad_request",
      `${what}: keys of the database default that begin with "\\u0000db/" are not for users`,
    );
  }
  checkUserKey(key, limits, what, true);
}

function checkUserKey(
  key: string,
  limits: RequestLimits,
  what: string,
  isOfDefault: boolean,
): void {
  if (key === "") throw new KvError("bad_request", `${what}: a key must not be empty`);
  if (isLongerThan(key, limits.keyBytesMax)) {
    throw new KvError(
      "key_too_large",
      `${what}: a key may have ${limits.keyBytesMax} bytes, and this one has ${keyLength(key)}`,
    );
  }
  if (isOfDefault && isSystemKey(key)) {
    throw new KvError(
      "bad_request",
      `${what}: keys that begin with "\\u0000session/" or "\\u0000txn/" are not for users`,
    );
  }
  if (!isKeyText(key)) throw new KvError("bad_request", `${what}: the key ${NO_KEY_TEXT}`);
}

function checkValue(
  request: ValueFields,
  limits: RequestLimits,
  what: string,
): void {
  const { value, value64, bytes: given } = request;
  if (given !== undefined) {
    if (given.length > limits.valueBytesMax) throw valueTooLarge(what, limits, given.length);
    return;
  }
  if (value === undefined && value64 === undefined) throw valueMissing(what);
  if (value !== undefined && value64 !== undefined) {
    throw new KvError("bad_request", `${what}: give "value" or "value64", not both`);
  }
  const tooLong = value === undefined
    ? base64Bytes(value64 ?? "") > limits.valueBytesMax
    : isLongerThan(value, limits.valueBytesMax);
  if (tooLong) {
    throw valueTooLarge(
      what,
      limits,
      value === undefined ? base64Bytes(value64 ?? "") : keyLength(value),
    );
  }
}

function valueTooLarge(what: string, limits: RequestLimits, bytes: number): KvError {
  return new KvError(
    "value_too_large",
    `${what}: a value may have ${limits.valueBytesMax} bytes, and this one has ${bytes}`,
  );
}

function valueMissing(what: string): KvError {
  return new KvError("bad_request", `${what}: "value" is missing; it must be a string`);
}

/** For most texts, the length alone decides. */
function isLongerThan(text: string, bytesMax: number): boolean {
  if (text.length > bytesMax) return true;
  return text.length * UTF8_BYTES_PER_UNIT_MAX > bytesMax && keyLength(text) > bytesMax;
}

function base64Bytes(text: string): number {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return Math.floor(text.length / 4) * 3 - padding;
}
