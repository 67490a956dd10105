/**
 * `transaction`: several operations on keys, carried out as one. This file defines its
 * fields. `shared/validation/transaction_checks.ts` has the rules for its parts, and the primary carries it
 * out (`node/requests/request_evaluation.ts`, and `node/transactions/` if its keys are in several partitions).
 *
 * @module
 */
import { array, described, field, type Fields, flag, keyText, optional } from "../schema/fields.ts";
import { isObject, isUint } from "../cluster/map_shape.ts";
import { type Described, WRITE_FIELDS } from "./operation.ts";

/**
 * A request inside a transaction, as far as the table can say without a circular definition. It is in
 * fact a `PlainRequest` of `messages.ts`; `checkTransaction` makes sure of that.
 */
export interface TransactionStep {
  readonly req_type: string;
  readonly key: string;
}

/** A key, and the version that it must have; 0: it must not be there. */
export type VersionCheck = readonly [key: string, version: number];

/** An operation on several keys. */
export interface TransactionOperation<F extends Fields = Fields> extends Described<F> {
  readonly kind: "transaction";
}

/** The field's check: keys with their versions. */
export const versionChecks = field<readonly VersionCheck[]>(
  "an array of [key, version]",
  (value) =>
    Array.isArray(value) &&
    value.every((item) =>
      Array.isArray(item) && item.length === 2 && isUint(item[1]) &&
      (typeof item[0] === "string" || (isObject(item[0]) && typeof item[0].key64 === "string"))
    ),
);

const { key: _, ...WHOLE } = WRITE_FIELDS;

const FIELDS = {
  key: described("One of its keys, whose partition leads", keyText),
  ...WHOLE,
  requests: described(
    "Operations on keys, carried out in this order; each sees what those before it did",
    array<TransactionStep>(),
  ),
  checks: described(
    "Keys with the versions that they must have; 0: there is no such key",
    optional(versionChecks),
    { fallback: "none" },
  ),
  /** For keys of one partition: what Deno KV calls a commit. */
  as_one: described(
    "All its writes get one version, and a request that is refused refuses all of it; its keys must be in one partition",
    optional(flag),
    { fallback: "false", audience: "programs" },
  ),
};

export const transaction: TransactionOperation<typeof FIELDS> = {
  kind: "transaction",
  since: 1,
  summary: "Several operations on keys, all of them or none, as of one moment",
  reply: "result",
  answers: "result: the replies in order, with the version of the last write; " +
    "version_mismatch if a key of `checks` has another version, and then nothing is done. With " +
    "`as_one` there are no replies, and the version is the one of all writes; if nothing is written, one that is committed",
  errors: ["version_mismatch", "transaction_too_large"],
  arguments: [],
  // In a shell and in RESP, lines between MULTI and EXEC express it better.
  frontEnds: ["wire", "http"],
  example: {
    words: [
      "from",
      "--requests",
      '[{"req_type":"increment","key":"from","by":"-5"},{"req_type":"increment","key":"to","by":"5"}]',
    ],
  },
  fields: FIELDS,
};
