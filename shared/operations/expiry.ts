/**
 * `expire` and `persist` set and end a key's expiry; `get_and_expire` reads the value in the same step.
 * Each counts as a write, and gives the key a new version.
 *
 * @module
 */
import type { Entry } from "../base/entry.ts";
import { described, flag, oneOf, optional } from "../schema/fields.ts";
import {
  ALL_FRONT_ENDS,
  badRequest,
  dataReply,
  EXPIRY_FIELDS,
  expiryOf,
  noSuchKey,
  resultReply,
  valueWrite,
  WRITE_FIELDS,
  type WriteOperation,
} from "./operation.ts";

const EXPIRE_FIELDS = {
  ...WRITE_FIELDS,
  ...EXPIRY_FIELDS,
  when: described(
    "Only if the key has no expiry (nx), has one (xx), or if the new one is later (gt) or earlier (lt; none counts as latest), or xx and lt at once (xx_lt)",
    optional(oneOf("nx", "xx", "gt", "lt", "xx_lt")),
    { fallback: "always" },
  ),
};

function allows(when: string | undefined, current: Entry, expiresAtMs: number): boolean {
  const now = current.expiresAtMs;
  switch (when) {
    case "nx":
      return now === 0;
    case "xx":
      return now !== 0;
    case "gt":
      return now !== 0 && expiresAtMs > now;
    case "lt":
      return now === 0 || expiresAtMs < now;
    case "xx_lt":
      return now !== 0 && expiresAtMs < now;
    default:
      return true;
  }
}

export const expire: WriteOperation<typeof EXPIRE_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "Set when a key expires",
  reply: "result",
  answers: "result: whether it was set; false if there is no such key or the condition fails",
  errors: [],
  arguments: ["ttl_ms?"],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["session:7", "30m"], before: "alice" },
  fields: EXPIRE_FIELDS,
  needsCurrent: () => true,
  evaluate(request, current, { wallMs }) {
    const expiresAtMs = expiryOf(request, wallMs);
    if (expiresAtMs === undefined) throw badRequest(request, `give "expires_at" or "ttl_ms"`);
    if (current === undefined || !allows(request.when, current, expiresAtMs)) {
      return { answer: resultReply(false) };
    }
    return {
      // A date of 0 is long past, and must not read as "never".
      write: valueWrite(current.value, Math.max(1, expiresAtMs), wallMs, current.contentType),
      reply: (version) => resultReply(true, version),
    };
  },
};

export const persist: WriteOperation<typeof WRITE_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "End a key's expiry",
  reply: "result",
  answers: "result: whether it had one",
  errors: [],
  arguments: [],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["session:7"], before: "alice", expires: true },
  fields: WRITE_FIELDS,
  needsCurrent: () => true,
  evaluate(_request, current) {
    if (current === undefined || current.expiresAtMs === 0) return { answer: resultReply(false) };
    return {
      write: {
        flags: 0,
        value: current.value,
        expiresAtMs: 0,
        contentType: current.contentType,
      },
      reply: (version) => resultReply(true, version),
    };
  },
};

const GET_AND_EXPIRE_FIELDS = {
  ...WRITE_FIELDS,
  ...EXPIRY_FIELDS,
  persist: described("End the key's expiry", optional(flag), { fallback: "false" }),
};

export const getAndExpire: WriteOperation<typeof GET_AND_EXPIRE_FIELDS> = {
  kind: "write",
  since: 1,
  summary: "The value of a key, setting or ending its expiry in the same step",
  reply: "data",
  answers: "data with the new version; not_found if there is no such key",
  errors: ["not_found"],
  arguments: ["ttl_ms?"],
  frontEnds: ALL_FRONT_ENDS,
  example: { words: ["session:7", "30m"], before: "alice" },
  fields: GET_AND_EXPIRE_FIELDS,
  needsCurrent: () => true,
  evaluate(request, current, { wallMs }) {
    if (current === undefined) return { answer: noSuchKey(request) };
    const given = expiryOf(request, wallMs);
    if (given !== undefined && request.persist === true) {
      throw badRequest(request, `give an expiry or "persist", not both`);
    }
    const expiresAtMs = request.persist === true
      ? 0
      : given === undefined
      ? current.expiresAtMs
      : Math.max(1, given);
    if (expiresAtMs === current.expiresAtMs) return { answer: dataReply(current, wallMs) };
    const write = valueWrite(current.value, expiresAtMs, wallMs, current.contentType);
    return {
      write,
      reply: (version) =>
        dataReply(
          { ...current, seq: version, timestampMs: wallMs, expiresAtMs: write.expiresAtMs },
          wallMs,
        ),
    };
  },
};
