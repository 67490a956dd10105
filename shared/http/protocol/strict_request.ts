/**
 * Requests of the JSON wire that came in an HTTP body. The wire ignores fields that it does not know,
 * for compatibility with other versions. A body comes from somebody's program; if a misspelt
 * `if_version` were silently ignored there, an update could be lost.
 *
 * @module
 */
import { decodeInner } from "../../wire/codec.ts";
import { KvError } from "../../base/errors.ts";
import type { Fields } from "../../schema/fields.ts";
import type { KeyRequest } from "../../wire/messages.ts";
import { OPERATIONS } from "../../operations/table.ts";
import { refuseUnknownFields } from "./field_schemas.ts";

const ROWS: Readonly<Record<string, { readonly fields: Fields }>> = OPERATIONS;

/**
 * As `decodeInner`, but a field that the operation does not have is refused as well, also in the steps
 * of a transaction.
 *
 * @throws {KvError} `bad_request`
 */
export function decodeStrictly(value: unknown): KeyRequest {
  const request = decodeInner(value);
  refuseUnknown(value as Record<string, unknown>);
  return request;
}

/** `request` has been decoded: it and its steps are objects of known types. */
function refuseUnknown({ req_type, ...fields }: Record<string, unknown>): void {
  const type = String(req_type);
  refuseUnknownFields(type, ROWS[type]?.fields ?? {}, Object.keys(fields));
  if (type !== "transaction") return;
  for (const [i, step] of (fields.requests as Record<string, unknown>[]).entries()) {
    try {
      refuseUnknown(step);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      throw new KvError(error.code, `transaction: requests[${i}]: ${error.message}`);
    }
  }
}
