/**
 * `/kv/{key}`: a key as a resource. The body is the value, byte for byte; the version is its entity
 * tag, so that conditional requests (RFC 9110) are conditional writes.
 *
 * Invariant: a precondition and the write that it guards are one step at the key's primary, whatever
 * others write meanwhile.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { quotedKey } from "../../base/key_text.ts";
import { fromErrorReply } from "../../wire/error_reply.ts";
import { HTTP_CONDITION_ATTEMPTS_MAX } from "../../limits/http.ts";
import { REQUEST_TIMEOUT_MS } from "../../limits/requests.ts";
import { CONTENT_TYPE_CHARACTERS_MAX } from "../../limits/wire.ts";
import { isMediaType } from "../../cluster/map_shape.ts";
import type { KeyRequest, Message, Reply } from "../../wire/messages.ts";
import { valueOfReply } from "../../schema/value_codec.ts";
import { readBody } from "../protocol/body.ts";
import {
  type Call,
  endpoint,
  READ_PARAMETERS,
  type Services,
  unexpected,
  WRITE_PARAMETERS,
} from "./endpoint.ts";
import {
  EXPIRES_AT_HEADER,
  EXPIRY_PARAMETERS,
  readExpiry,
  TTL_HEADER,
} from "../protocol/expiry.ts";
import { flagParameter, type ParameterValues } from "../protocol/parameters.ts";
import {
  type CurrentState,
  demandedVersion,
  entityTag,
  evaluatePreconditions,
  httpDate,
  isUnconditional,
  type Preconditions,
  readPreconditions,
} from "../protocol/preconditions.ts";
import { HttpProblem } from "../protocol/problem.ts";

/** The version, for clients that find a plain number easier than a quoted one. */
const VERSION_HEADER = "kv-version";
const DEFAULT_TYPE = "application/octet-stream";
/** A stored page must not run in a browser with the rights of this address. */
export const INERT = {
  "x-content-type-options": "nosniff",
  "content-security-policy": "default-src 'none'; sandbox",
  // Caches may keep it, but must ask each time; the entity tag makes that cheap.
  "cache-control": "no-cache",
};

const CONDITIONS = {
  "If-Match": 'Only if the key has this version: `"7"`, a list, or `*` for any.',
  "If-None-Match": "Only if the key has none of these versions; `*`: only if it is not there.",
  "If-Unmodified-Since": "Only if it was not written since; in whole seconds.",
};
const TAGGED = ["ETag", "KV-Version"];

type Reading = Message<"data"> | undefined;

/** The key's entry; undefined if there is no such key. */
async function readEntry(
  services: Services,
  request: Message<"get">,
  timeoutMs: number | undefined,
): Promise<Reading> {
  const reply = await services.execute(request, timeoutMs);
  if (reply.req_type === "data") return reply;
  if (reply.req_type !== "error") throw unexpected(reply);
  if (reply.code === "not_found") return undefined;
  throw fromErrorReply(reply);
}

/** As `readEntry`, without the value: its length is in `length`. */
async function inspectEntry(
  services: Services,
  request: Message<"inspect">,
  timeoutMs: number | undefined,
): Promise<(Message<"data"> & { length: number }) | undefined> {
  const reply = await services.execute(request, timeoutMs);
  if (reply.req_type === "error" && reply.code === "not_found") return undefined;
  if (reply.req_type === "error") throw fromErrorReply(reply);
  if (reply.req_type !== "result") throw unexpected(reply);
  const known = reply.result as Partial<Message<"data">> & { length: number };
  return { ...known, req_type: "data" };
}

function stateOf(entry: Reading): CurrentState | undefined {
  if (entry === undefined) return undefined;
  return { version: entry.version ?? 0, timestampMs: entry.timestamp ?? 0 };
}

export const getValue = endpoint({
  id: "getValue",
  summary: "The value of a key",
  parameters: READ_PARAMETERS,
  requestHeaders: {
    ...CONDITIONS,
    "If-None-Match": "304 if the key has one of these versions.",
    "If-Modified-Since": "304 if it was not written since.",
  },
  responses: {
    200: {
      description: "The value.",
      contentType: "*/*",
      headers: [...TAGGED, "Last-Modified", "KV-Expires-At", "KV-TTL"],
    },
    304: { description: "The client has it already.", headers: TAGGED },
  },
  async run({ request, key, params, services }) {
    services.checkKeyOfTarget(key);
    const conditions = readPreconditions(request.headers);
    const { consistency } = params;
    const fields = { key, ...(consistency === undefined ? {} : { consistency }) };
    // A value that nobody will see is neither read nor sent between nodes.
    const inspected = request.method === "HEAD"
      ? await inspectEntry(services, { req_type: "inspect", ...fields }, params.timeout_ms)
      : undefined;
    const entry = request.method === "HEAD"
      ? inspected
      : await readEntry(services, { req_type: "get", ...fields }, params.timeout_ms);
    const current = stateOf(entry);
    const verdict = evaluatePreconditions(conditions, current, true);
    if (verdict === "failed") throw preconditionFailed(key, current?.version ?? 0);
    if (entry === undefined || current === undefined) {
      throw new KvError("not_found", `get: no such key ${quotedKey(key)}`);
    }
    const headers = headersOf(entry);
    if (verdict === "not modified") return new Response(null, { status: 304, headers });
    headers["content-type"] = entry.content_type ?? DEFAULT_TYPE;
    if (inspected !== undefined) {
      headers["content-length"] = String(inspected.length);
      return new Response(null, { status: 200, headers });
    }
    const value = valueOfReply(entry);
    headers["content-length"] = String(value.length);
    return new Response(value as Uint8Array<ArrayBuffer>, { status: 200, headers });
  },
});

/** Not a `Headers` object, because a response makes a copy of it. */
function headersOf(entry: Message<"data">): Record<string, string> {
  const version = entry.version ?? 0;
  const headers: Record<string, string> = {
    ...INERT,
    etag: entityTag(version),
    [VERSION_HEADER]: String(version),
    "last-modified": httpDate(entry.timestamp ?? 0),
  };
  const expiresAtMs = entry.expires_at;
  if (expiresAtMs !== undefined) {
    headers[EXPIRES_AT_HEADER] = String(expiresAtMs);
    headers[TTL_HEADER] = String(Math.ceil((entry.ttl_ms ?? 0) / 1_000));
  }
  return headers;
}

const PUT_PARAMETERS = {
  ...EXPIRY_PARAMETERS,
  keep_ttl: flagParameter(
    "Keep the key's expiry. Otherwise a write without an expiry removes it.",
  ),
  ...WRITE_PARAMETERS,
};

export const putValue = endpoint({
  id: "putValue",
  summary: "Write the value of a key",
  parameters: PUT_PARAMETERS,
  requestHeaders: {
    ...CONDITIONS,
    "Content-Type": "Kept with the value.",
    "KV-TTL": "The key expires after this many seconds.",
    "KV-Expires-At": "When the key expires: milliseconds since 1970-01-01 UTC.",
  },
  body: { contentType: "*/*", schema: {} },
  responses: {
    201: { description: "The key is new.", headers: TAGGED },
    204: { description: "The key has a new value.", headers: TAGGED },
  },
  async run(call) {
    const { request, key, services } = call;
    services.checkKeyOfTarget(key);
    const conditions = readPreconditions(request.headers);
    const expiry = readExpiry(call.params, request.headers);
    if (request.headers.has("content-range")) {
      throw new KvError("bad_request", "PUT replaces the whole value; POST /op/set_range a part");
    }
    const type = contentTypeOf(request.headers);
    const { valueBytesMax } = services.site.limits;
    const body = await readBody(request, valueBytesMax, "value_too_large", services.bodies);
    try {
      const put = {
        key,
        bytes: body.bytes,
        ...(type === undefined ? {} : { content_type: type }),
        ...expiry,
        ...optionsOf(call.params),
      };
      const reply = await writeGuarded(call, conditions, (demand) => asPut(put, demand));
      if (reply.req_type !== "ack") throw unexpected(reply);
      return new Response(null, {
        status: reply.created === true ? 201 : 204,
        headers: tagOf(reply),
      });
    } finally {
      body.release();
    }
  },
});

/** The content type that is stored with the value. @throws {KvError} `bad_request` */
function contentTypeOf(headers: Headers): string | undefined {
  const type = headers.get("content-type")?.trim();
  if (type === undefined || type === "" || isMediaType(type)) return type || undefined;
  throw new KvError(
    "bad_request",
    `Content-Type must be a media type of at most ${CONTENT_TYPE_CHARACTERS_MAX} characters`,
  );
}

function asPut(
  put: Omit<Message<"put">, "req_type">,
  demand: number | "any" | undefined,
): KeyRequest {
  const request = { ...put, created: true };
  if (demand === "any") return { req_type: "update", ...request };
  if (demand === undefined) return { req_type: "put", ...request };
  return { req_type: "put", ...request, if_version: demand };
}

export const deleteValue = endpoint({
  id: "deleteValue",
  summary: "Delete a key",
  parameters: WRITE_PARAMETERS,
  requestHeaders: CONDITIONS,
  responses: { 204: { description: "It is gone.", headers: ["KV-Version"] } },
  async run(call) {
    const { request, key, services } = call;
    services.checkKeyOfTarget(key);
    const conditions = readPreconditions(request.headers);
    const reply = await writeGuarded(call, conditions, (demand) => ({
      req_type: "delete",
      key,
      ...optionsOf(call.params),
      ...(typeof demand === "number" ? { if_version: demand } : {}),
    }));
    if (reply.req_type !== "ack") throw unexpected(reply);
    const headers = { [VERSION_HEADER]: String(reply.version ?? 0) };
    return new Response(null, { status: 204, headers });
  },
});

function tagOf({ version = 0 }: Message<"ack">): Record<string, string> {
  return { etag: entityTag(version), [VERSION_HEADER]: String(version) };
}

function optionsOf(
  params: ParameterValues<typeof WRITE_PARAMETERS> & { keep_ttl?: boolean | undefined },
): { acks?: "all" | "primary"; keep_ttl?: boolean } {
  return {
    ...(params.acks === undefined ? {} : { acks: params.acks }),
    ...(params.keep_ttl === true ? { keep_ttl: true } : {}),
  };
}

/**
 * Writes if the preconditions hold. If one demanded version cannot express all of them, the current
 * state is read first, and the write demands that it is still the same.
 */
async function writeGuarded(
  { key, params, services }: Call<{ readonly timeout_ms: number | undefined }>,
  conditions: Preconditions,
  make: (demand: number | "any" | undefined) => KeyRequest,
): Promise<Exclude<Reply, Message<"error">>> {
  const { clock } = services;
  const untilMs = clock.monotonicMs() + (params.timeout_ms ?? REQUEST_TIMEOUT_MS);
  const leftMs = () => Math.max(1, Math.ceil(untilMs - clock.monotonicMs()));
  const demand = demandedVersion(conditions);
  const guarded = !isUnconditional(conditions);
  if (!guarded || demand !== undefined) {
    const reply = await services.execute(make(demand), leftMs());
    if (reply.req_type !== "error") return reply;
    // The condition held, and it was that there is no such key: then there is nothing to delete.
    const held = reply.code === "not_found" && demand === 0;
    if (guarded && !held && REFUSALS.has(reply.code)) {
      throw preconditionFailed(key, versionIn(reply));
    }
    throw fromErrorReply(reply);
  }
  for (let attempt = 0; attempt < HTTP_CONDITION_ATTEMPTS_MAX; attempt++) {
    const entry = await readEntry(services, { req_type: "get", key }, leftMs());
    const current = stateOf(entry);
    if (evaluatePreconditions(conditions, current, false) !== "go on") {
      throw preconditionFailed(key, current?.version ?? 0);
    }
    const reply = await services.execute(make(current?.version ?? 0), leftMs());
    if (reply.req_type !== "error") return reply;
    if (reply.code !== "version_mismatch") throw fromErrorReply(reply);
  }
  throw new KvError("overloaded", `others write ${quotedKey(key)} all the time; try again`);
}

/** What the primary says if the key does not have the demanded version. */
const REFUSALS: ReadonlySet<string> = new Set(["version_mismatch", "not_found", "exists"]);

function versionIn({ detail }: Message<"error">): number {
  const version = (detail as { version?: unknown } | undefined)?.version;
  return typeof version === "number" ? version : 0;
}

function preconditionFailed(key: string, version: number): HttpProblem {
  const what = version === 0 ? "is not there" : `has version ${version}`;
  return new HttpProblem(
    412,
    "version_mismatch",
    `the key ${quotedKey(key)} ${what}, which the request's conditions exclude`,
    { detail: { version } },
  );
}
