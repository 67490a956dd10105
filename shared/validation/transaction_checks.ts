/**
 * What a transaction must satisfy besides the types of its fields: which requests may be in it, and how large it
 * may be; and how it is divided by partitions. Front ends and primary check it here, so that they agree.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { KvError } from "../base/errors.ts";
import { keyLength } from "../base/key_text.ts";
import { PARTS_BYTES_MAX, PARTS_KEYS_MAX, TRANSACTION_REQUESTS_MAX } from "../limits/requests.ts";
import type { Message, PlainRequest, RoutedRequest } from "../wire/messages.ts";
import { badRequest, errorReply } from "../operations/operation.ts";
import type { VersionCheck } from "../operations/transaction.ts";
import type { ValueFields } from "../schema/value_codec.ts";
import { isPlainOperation } from "../operations/table.ts";
import { STAMP_SUFFIX_BYTES } from "../schema/versionstamp.ts";
import { KEY_BYTES_MAX } from "../limits/wire.ts";
import { partitionOf } from "../cluster/position.ts";

/** Of a request inside a transaction: what only the transaction as a whole can have. */
const OF_THE_WHOLE = ["session", "request_number", "since", "again", "acks", "timeout_ms"] as const;

/** The requests inside a transaction that has passed {@linkcode checkTransaction}. */
export function plainRequests(request: Message<"transaction">): readonly PlainRequest[] {
  return request.requests as readonly PlainRequest[];
}

/** Every key that a transaction names, `key` first; some may come twice. */
export function* transactionKeys(request: Message<"transaction">): Generator<string, void, void> {
  yield request.key;
  for (const [key] of request.checks ?? []) yield key;
  for (const { key } of request.requests) yield key;
}

/**
 * Checks the parts of a transaction; `request_checks.ts` checks sizes of keys and values.
 *
 * @throws {KvError} `bad_request`, `transaction_too_large`
 */
export function checkTransaction(request: Message<"transaction">): void {
  checkCount(request.requests.length, "requests");
  checkCount(request.checks?.length ?? 0, "checks");
  for (const [i, step] of plainRequests(request).entries()) {
    const { req_type: what }: { req_type: string } = step;
    if (!isPlainOperation(what)) {
      throw badRequest(request, `requests[${i}]: ${what} cannot be inside a transaction`);
    }
    if ("stamped" in step && step.stamped === true) checkStamped(request, step, i);
    for (const name of OF_THE_WHOLE) {
      if ((step as { [field: string]: unknown })[name] !== undefined) {
        throw badRequest(
          request,
          `requests[${i}]: "${name}" belongs to the transaction as a whole`,
        );
      }
    }
    if ("consistency" in step && step.consistency !== undefined && step.consistency !== "strong") {
      throw badRequest(
        request,
        `requests[${i}]: reads inside a transaction are strong, given "${step.consistency}"`,
      );
    }
  }
}

/** @throws {KvError} `bad_request`, `key_too_large` */
function checkStamped(request: Message<"transaction">, step: PlainRequest, i: number): void {
  if (request.as_one !== true || step.req_type !== "put") {
    throw badRequest(
      request,
      `requests[${i}]: "stamped" is for a put in a transaction that is "as_one"`,
    );
  }
  if (keyLength(step.key) + STAMP_SUFFIX_BYTES <= KEY_BYTES_MAX) return;
  throw new KvError(
    "key_too_large",
    `transaction: requests[${i}]: the key may have ${KEY_BYTES_MAX} bytes together with its version`,
  );
}

/** @throws {KvError} `transaction_too_large` */
function checkCount(count: number, what: "requests" | "checks"): void {
  if (count <= TRANSACTION_REQUESTS_MAX) return;
  throw new KvError(
    "transaction_too_large",
    `transaction: "${what}" may have ${TRANSACTION_REQUESTS_MAX} elements, and has ${count}`,
  );
}

/** What one partition has of a transaction. */
export interface TransactionPart {
  /** One of its keys. */
  readonly key: string;
  readonly requests: PlainRequest[];
  /** Of each request, which one it is in the whole. */
  readonly places: number[];
  readonly checks: VersionCheck[];
}

/** Whether a request has keys of several partitions. */
export function crossesPartitions(
  request: RoutedRequest,
  partitionCount: number,
): request is Message<"transaction"> {
  if (request.req_type !== "transaction") return false;
  const first = partitionOf(request.key, partitionCount);
  for (const key of transactionKeys(request)) {
    if (partitionOf(key, partitionCount) !== first) return true;
  }
  return false;
}

/** The parts of a transaction, by partition; that of `key` is always one of them. */
export function partsOf(
  request: Message<"transaction">,
  partitionCount: number,
): Map<number, TransactionPart> {
  const parts = new Map<number, TransactionPart>();
  const partOf = (key: string): TransactionPart => {
    const partition = partitionOf(key, partitionCount);
    let part = parts.get(partition);
    if (part === undefined) {
      part = { key, requests: [], places: [], checks: [] };
      parts.set(partition, part);
    }
    return part;
  };
  partOf(request.key);
  for (const check of request.checks ?? []) partOf(check[0]).checks.push(check);
  for (const [place, step] of plainRequests(request).entries()) {
    const part = partOf(step.key);
    part.requests.push(step);
    part.places.push(place);
  }
  return parts;
}

/**
 * The transaction with the key by which it is led best: the one whose partition has the lowest number. If all who
 * make transactions choose so, those that wait for each other do not do so in a circle (rule X9).
 */
export function withLeadingKey(
  request: Message<"transaction">,
  partitionCount: number,
): Message<"transaction"> {
  let { key } = request;
  let lowest = partitionOf(key, partitionCount);
  for (const other of transactionKeys(request)) {
    const partition = partitionOf(other, partitionCount);
    if (partition >= lowest) continue;
    lowest = partition;
    key = other;
  }
  return key === request.key ? request : { ...request, key };
}

/** Why a transaction over several partitions is too large; undefined if it is not. */
export function whyTooLarge(request: Message<"transaction">): Message<"error"> | undefined {
  const keys = new Set(transactionKeys(request));
  if (keys.size > PARTS_KEYS_MAX) {
    return tooLarge(`may name ${PARTS_KEYS_MAX} keys, and names ${keys.size}`);
  }
  let bytes = 0;
  for (const [key] of request.checks ?? []) bytes += keyLength(key);
  for (const step of plainRequests(request)) {
    bytes += keyLength(step.key);
    const { value, value64, bytes: given } = step as ValueFields;
    // Of base64 what it stands for: whether a value comes in it depends on who has passed it on.
    bytes += given?.length ??
      (value64 === undefined
        ? Buffer.byteLength(value ?? "")
        : Buffer.byteLength(value64, "base64"));
  }
  if (bytes <= PARTS_BYTES_MAX) return undefined;
  return tooLarge(`may have ${PARTS_BYTES_MAX} bytes of keys and values, and has ${bytes}`);
}

function tooLarge(what: string): Message<"error"> {
  return errorReply(
    "transaction_too_large",
    `transaction: one with keys of several partitions ${what}; nothing was done`,
  );
}
