/**
 * `put`, `create` and `update` write a value: in any case, only if the key does not exist, or only if it
 * exists. They differ in that condition alone.
 *
 * @module
 */
import { type Entry, versionOf } from "../base/entry.ts";
import type { ErrorCode } from "../base/errors.ts";
import { described, flag, mediaType, optional } from "../schema/fields.ts";
import type { Reply } from "../schema/reply_messages.ts";
import {
  ALL_FRONT_ENDS,
  badRequest,
  CONDITION_FIELDS,
  type Example,
  EXPIRY_FIELDS,
  expiryOf,
  noSuchKey,
  previousDetail,
  previousOf,
  quote,
  type RequestOf,
  VALUE_FIELDS,
  valueOf,
  valueWrite,
  versionRefusal,
  WRITE_FIELDS,
  type WriteOperation,
} from "./operation.ts";
import { errorReply } from "../operations/operation.ts";

const FIELDS = {
  ...WRITE_FIELDS,
  ...VALUE_FIELDS,
  ...EXPIRY_FIELDS,
  ...CONDITION_FIELDS,
  keep_ttl: described(
    "Keep the key's expiry; otherwise a write without an expiry removes it",
    optional(flag),
    { fallback: "false" },
  ),
  content_type: described("The value's media type, kept with it", optional(mediaType), {
    fallback: "none",
    audience: "programs",
  }),
  stamped: described(
    "Inside a transaction that is `as_one`: its version follows the key, as 20 digits of Deno KV's form",
    optional(flag),
    { fallback: "false", audience: "servers" },
  ),
  created: described("Answer whether the key is new", optional(flag), {
    fallback: "false",
    audience: "programs",
  }),
};

type StoreRequest = RequestOf<typeof FIELDS>;

function storeOperation(
  summary: string,
  errors: readonly ErrorCode[],
  example: Example,
  aliases: readonly string[],
  refusal: (request: StoreRequest, current: Entry | undefined) => Reply | undefined,
): WriteOperation<typeof FIELDS> {
  return {
    kind: "write",
    since: 1,
    summary,
    reply: "ack",
    answers: "ack with the new version, with the previous value if `previous` asks for it, and " +
      "with whether the key is new if `created` asks for it",
    errors,
    arguments: ["value"],
    frontEnds: ALL_FRONT_ENDS,
    aliases,
    example,
    fields: FIELDS,
    needsCurrent: ({ req_type, if_version, previous, keep_ttl, created }) =>
      req_type !== "put" || if_version !== undefined || previous === true || keep_ttl === true ||
      created === true,
    evaluate(request, current, { wallMs }) {
      const given = expiryOf(request, wallMs);
      const keeps = request.keep_ttl === true;
      if (keeps && given !== undefined) {
        throw badRequest(request, `give an expiry or "keep_ttl", not both`);
      }
      const refused = refusal(request, current) ?? versionRefusal(request, current);
      if (refused !== undefined) return { answer: withPrevious(refused, request, current) };
      const expiresAtMs = given ?? (keeps ? current?.expiresAtMs : undefined) ?? 0;
      const write = valueWrite(valueOf(request), expiresAtMs, wallMs, request.content_type);
      if (request.previous !== true && request.created !== true) return { write };
      const before = request.previous === true ? previousOf(current) : {};
      const created = request.created === true ? { created: current === undefined } : {};
      return {
        write,
        reply: (version) => ({
          req_type: "ack",
          message: "success",
          version,
          ...before,
          ...created,
        }),
      };
    },
  };
}

/** A refusal also returns the previous value, if it was asked for. */
function withPrevious(refused: Reply, request: StoreRequest, current: Entry | undefined): Reply {
  if (request.previous !== true || refused.req_type !== "error") return refused;
  const detail = { ...(refused.detail ?? {}), ...previousDetail(current) };
  return { ...refused, detail };
}

export const put = storeOperation(
  "Write a value, whether the key exists or not",
  ["version_mismatch", "value_too_large"],
  { words: ["username", "alice", "--ttl", "30m"] },
  ["set"],
  () => undefined,
);

export const create = storeOperation(
  "Write a value only if the key does not exist",
  ["exists", "version_mismatch", "value_too_large"],
  { words: ["username", "alice"] },
  [],
  (request, current) =>
    current === undefined
      ? undefined
      : errorReply("exists", `create: the key ${quote(request.key)} exists`, {
        version: versionOf(current),
      }),
);

export const update = storeOperation(
  "Write a value only if the key exists",
  ["not_found", "version_mismatch", "value_too_large"],
  { words: ["username", "bob", "--if-version", "7"], before: "alice" },
  [],
  (request, current) => current === undefined ? noSuchKey(request) : undefined,
);
