/**
 * What a transaction must satisfy besides the types of its fields: which requests may be in it, and that
 * all its keys are in one partition. Front ends, router and primary check it here, so that they agree.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { TRANSACTION_REQUESTS_MAX } from "../limits/requests.ts";
import type { KeyRequest, Message, PlainRequest } from "../wire/messages.ts";
import { badRequest, errorReply, quote } from "../operations/operation.ts";
import { OPERATIONS } from "../operations/table.ts";
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
    if (what === "transaction" || !Object.hasOwn(OPERATIONS, what)) {
      throw badRequest(request, `requests[${i}]: ${what} cannot be inside a transaction`);
    }
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

/** @throws {KvError} `transaction_too_large` */
function checkCount(count: number, what: "requests" | "checks"): void {
  if (count <= TRANSACTION_REQUESTS_MAX) return;
  throw new KvError(
    "transaction_too_large",
    `transaction: "${what}" may have ${TRANSACTION_REQUESTS_MAX} elements, and has ${count}`,
  );
}

/** The error of a transaction whose keys are in several partitions, so that no primary has all of them. */
export function whyCrossing(
  request: KeyRequest,
  partitionCount: number,
): Message<"error"> | undefined {
  if (request.req_type !== "transaction") return undefined;
  const wanted = partitionOf(request.key, partitionCount);
  for (const key of transactionKeys(request)) {
    if (partitionOf(key, partitionCount) === wanted) continue;
    return errorReply(
      "cross_partition",
      `transaction: ${quote(request.key)} and ${quote(key)} are not in one partition; keys with ` +
        'the same {tag} in them always are, such as "user:{42}:name" and "user:{42}:mail"',
      { keys: [request.key, key] },
    );
  }
  return undefined;
}
