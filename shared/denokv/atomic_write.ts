/**
 * An atomic write of Deno KV as a transaction of the store, and the answer back. Everything that depends on what a key
 * holds (checks, sums, the versionstamp in a key) is evaluated with the transaction, at the primary.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { KvError } from "../base/errors.ts";
import { keyOfBytes } from "../base/key_text.ts";
import { TRANSACTION_REQUESTS_MAX } from "../limits/requests.ts";
import { keyOfField } from "../schema/value_codec.ts";
import { versionOfStamp, versionstampOf } from "../schema/versionstamp.ts";
import { fromErrorReply } from "../wire/error_reply.ts";
import type { Message, PlainRequest, Reply } from "../wire/messages.ts";
import { type AtomicWriteMessage, MUTATION, type MutationMessage } from "./datapath.ts";
import { ANY_KEY } from "./snapshot_read.ts";
import { typeOfEncoding } from "./values.ts";

/** A version that no key has. */
const NO_VERSION = Number.MAX_SAFE_INTEGER;

const COMBINE = {
  [MUTATION.SUM]: "sum",
  [MUTATION.MIN]: "min",
  [MUTATION.MAX]: "max",
} as const;

/** @throws {KvError} `bad_request`, `transaction_too_large` */
export function atomicWriteRequest(
  { checks, mutations, enqueues }: AtomicWriteMessage,
): Message<"transaction"> {
  if (enqueues > 0) {
    throw new KvError(
      "bad_request",
      "enqueue: this server has no queues, because Deno KV cannot listen to them over the network. " +
        "Set the message under a key of its own, and let consumers list and delete it in atomic operations",
    );
  }
  for (const [what, { length }] of Object.entries({ checks, mutations })) {
    if (length <= TRANSACTION_REQUESTS_MAX) continue;
    throw new KvError(
      "transaction_too_large",
      `an atomic operation may have ${TRANSACTION_REQUESTS_MAX} ${what}, and has ${length}`,
    );
  }
  return {
    req_type: "transaction",
    key: ANY_KEY,
    as_one: true,
    checks: checks.map(({ key, versionstamp }) => [
      storeKey(key),
      versionstamp.length === 0 ? 0 : versionOfStamp(versionstamp) ?? NO_VERSION,
    ]),
    requests: mutations.map((mutation) => mutationRequest(mutation)),
  };
}

function storeKey(key: Uint8Array): string {
  if (key.length === 0) throw new KvError("bad_request", "a key must not be empty");
  return keyOfBytes(key);
}

function mutationRequest(mutation: MutationMessage): PlainRequest {
  const { type, data, encoding } = mutation;
  const key = storeKey(mutation.key);
  switch (type) {
    case MUTATION.DELETE:
      return { req_type: "delete", key };
    case MUTATION.SET:
      return putRequest(key, mutation);
    case MUTATION.SET_STAMPED:
      return { ...putRequest(key, mutation), stamped: true };
    case MUTATION.SUM:
    case MUTATION.MIN:
    case MUTATION.MAX: {
      const contentType = typeOfEncoding(encoding, data);
      if (contentType === undefined) {
        throw new KvError("bad_request", `${COMBINE[type]}: the operand is not a number`);
      }
      return {
        req_type: "combine",
        key,
        bytes: data,
        content_type: contentType,
        with: COMBINE[type],
        ...boundOf("at_least", mutation.sumMin),
        ...boundOf("at_most", mutation.sumMax),
        ...(mutation.sumClamp ? { clamp: true } : {}),
      };
    }
    default:
      throw new KvError("bad_request", `there is no mutation of type ${type}`);
  }
}

function boundOf(name: "at_least" | "at_most", bytes: Uint8Array): { [name: string]: string } {
  return bytes.length === 0 ? {} : { [name]: Buffer.from(bytes).toString("base64") };
}

function putRequest(
  key: string,
  { data, encoding, expireAtMs }: MutationMessage,
): Message<"put"> {
  const contentType = typeOfEncoding(encoding, data);
  return {
    req_type: "put",
    key,
    bytes: data,
    ...(contentType === undefined ? {} : { content_type: contentType }),
    ...expiryOf(expireAtMs),
  };
}

function expiryOf(expireAtMs: bigint): { expires_at?: number } {
  // -1 is what Deno's own store writes for never.
  if (expireAtMs === 0n || expireAtMs === -1n) return {};
  if (expireAtMs < 0n) throw new KvError("bad_request", `there is no date ${expireAtMs}`);
  const date = Number(expireAtMs);
  return { expires_at: Number.isSafeInteger(date) ? date : Number.MAX_SAFE_INTEGER };
}

/** @throws {KvError} the error that was answered, unless it is that of a check */
export function atomicWriteOutput(
  request: Message<"transaction">,
  reply: Reply,
): { versionstamp: Uint8Array } | { failedChecks: number[] } {
  if (reply.req_type === "result") return { versionstamp: versionstampOf(reply.version ?? 0) };
  if (reply.req_type !== "error") {
    throw new KvError("internal", `an unexpected reply: ${reply.req_type}`);
  }
  if (reply.code !== "version_mismatch") throw fromErrorReply(reply);
  const key = keyOfField("key", reply.detail ?? {});
  const failed = (request.checks ?? []).findIndex(([checked]) => checked === key);
  return { failedChecks: failed < 0 ? [] : [failed] };
}
