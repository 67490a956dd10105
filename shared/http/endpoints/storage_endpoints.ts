/**
 * `/storage/{key}`: keys as the `http` driver of npm's unstorage wants them. The parts of a key are between slashes in the
 * address and between colons in store, as that package's other drivers have them. An address that ends with a colon or
 * a slash stands for all keys that begin so.
 *
 * Whoever wants versions, conditions or pages uses `/kv/{key}` and `/kv`: they are the same keys.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { lenientText, REPLACEMENT } from "../../base/utf8_text.ts";
import { isMediaType } from "../../cluster/map_shape.ts";
import { HTTP_STORAGE_KEYS_BYTES_MAX } from "../../limits/http.ts";
import { REQUEST_TIMEOUT_MS } from "../../limits/requests.ts";
import { SCAN_KEYS_DEFAULT } from "../../limits/scans.ts";
import { valueOfReply } from "../../schema/value_codec.ts";
import { fromErrorReply } from "../../wire/error_reply.ts";
import type { Message } from "../../wire/messages.ts";
import { readBody } from "../protocol/body.ts";
import { httpDate } from "../protocol/preconditions.ts";
import { endpoint, json, type Services, unexpected } from "./endpoint.ts";
import { INERT } from "./key_endpoints.ts";

const BYTES = "application/octet-stream";
const TEXT = "text/plain; charset=utf-8";
/** Seconds until a key expires: of a write, and of an answer. */
const TTL_HEADER = "x-ttl";
const SECONDS_MAX = 10 ** 11;

export const getStorageItem = endpoint({
  id: "getStorageItem",
  summary: "The value of a key for unstorage; null if there is none",
  parameters: {},
  requestHeaders: { Accept: `\`${BYTES}\`: the bytes, and 204 if there is no such key.` },
  responses: {
    200: { description: "The value, or JSON's null.", contentType: "*/*" },
    204: { description: "There is no such key, and bytes were asked for." },
  },
  async run({ request, key, services }) {
    services.checkKeyOfTarget(key);
    const isHead = request.method === "HEAD";
    const reply = await services.execute({ req_type: isHead ? "inspect" : "get", key });
    if (reply.req_type === "error") {
      // The driver asks by HEAD whether there is such a key.
      if (reply.code !== "not_found" || isHead) throw fromErrorReply(reply);
      return absent(request.headers.get("accept") === BYTES);
    }
    if (reply.req_type === "result") {
      return new Response(null, { headers: headersOf(reply.result as Partial<Message<"data">>) });
    }
    if (reply.req_type !== "data") throw unexpected(reply);
    const value = valueOfReply(reply);
    return new Response(value as Uint8Array<ArrayBuffer>, {
      headers: {
        ...headersOf(reply),
        "content-type": request.headers.get("accept") === BYTES || !isText(value) ? BYTES : TEXT,
        "content-length": String(value.length),
      },
    });
  },
});

/** The driver takes any 404 for a failure where it wants bytes. */
function absent(asBytes: boolean): Response {
  const headers = { "cache-control": "no-store" };
  return asBytes ? new Response(null, { status: 204, headers }) : json(200, null);
}

function isText(value: Uint8Array): boolean {
  return !lenientText(value).includes(REPLACEMENT);
}

function headersOf({ timestamp = 0, ttl_ms: ttlMs }: Partial<Message<"data">>) {
  return {
    ...INERT,
    "last-modified": httpDate(timestamp),
    ...(ttlMs === undefined ? {} : { [TTL_HEADER]: String(Math.ceil(ttlMs / 1_000)) }),
  };
}

export const putStorageItem = endpoint({
  id: "putStorageItem",
  summary: "Write the value of a key for unstorage",
  parameters: {},
  requestHeaders: { "X-TTL": "The key expires after this many seconds." },
  body: { contentType: "*/*", schema: {} },
  responses: { 204: { description: "The key has the value." } },
  async run({ request, key, services }) {
    services.checkKeyOfTarget(key);
    const ttlMs = ttlOf(request.headers);
    const type = request.headers.get("content-type")?.trim() ?? "";
    const { valueBytesMax } = services.site.limits;
    const body = await readBody(request, valueBytesMax, "value_too_large", services.bodies);
    try {
      await services.demand({
        req_type: "put",
        key,
        bytes: body.bytes,
        ...(isMediaType(type) ? { content_type: type } : {}),
        ...(ttlMs === undefined ? {} : { ttl_ms: ttlMs }),
      });
      return new Response(null, { status: 204 });
    } finally {
      body.release();
    }
  },
});

/** @throws {KvError} `bad_request` */
function ttlOf(headers: Headers): number | undefined {
  const text = headers.get(TTL_HEADER);
  if (text === null) return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(text.trim()) ? Number(text) : NaN;
  if (seconds > 0 && seconds <= SECONDS_MAX) return Math.ceil(seconds * 1_000);
  throw new KvError(
    "bad_request",
    `${TTL_HEADER} must be a number of seconds, more than 0 and at most ${SECONDS_MAX}`,
  );
}

export const deleteStorageItem = endpoint({
  id: "deleteStorageItem",
  summary: "Delete a key for unstorage, whether it is there or not",
  parameters: {},
  responses: { 204: { description: "It is gone." } },
  async run({ key, services }) {
    services.checkKeyOfTarget(key);
    const reply = await services.execute({ req_type: "delete", key });
    if (reply.req_type === "error" && reply.code !== "not_found") throw fromErrorReply(reply);
    return new Response(null, { status: 204 });
  },
});

export const listStorage = endpoint({
  id: "listStorage",
  summary: "All keys that begin so, for unstorage",
  description: `At most ${HTTP_STORAGE_KEYS_BYTES_MAX} bytes of them; GET /keys has pages.`,
  parameters: {},
  responses: {
    200: { description: "The keys.", schema: { type: "array", items: { type: "string" } } },
  },
  run: async ({ key: prefix, services }) => json(200, await keysOf(services, prefix)),
});

async function keysOf(services: Services, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let bytes = 0;
  let after: string | undefined;
  do {
    const page = await services.scan({ prefix, after, limit: SCAN_KEYS_DEFAULT });
    for (const { key } of page.entries) {
      // A key of bytes is none that unstorage could have written.
      if (!key.isWellFormed()) continue;
      keys.push(key);
      bytes += key.length;
    }
    if (bytes > HTTP_STORAGE_KEYS_BYTES_MAX) {
      throw new KvError(
        "frame_too_large",
        `the keys are more than ${HTTP_STORAGE_KEYS_BYTES_MAX} bytes; GET /keys has pages`,
      );
    }
    after = page.next;
  } while (after !== undefined);
  return keys;
}

export const clearStorage = endpoint({
  id: "clearStorage",
  summary: "Delete all keys that begin so, for unstorage",
  description: "Each key by itself. Keys that are written meanwhile may stay.",
  parameters: {},
  responses: { 204: { description: "They are gone." } },
  async run({ key: prefix, services }) {
    const order = { prefix, timeoutMs: REQUEST_TIMEOUT_MS, until: "end" } as const;
    const { deleted, error } = await services.deleteMatching(order);
    if (error === undefined) return new Response(null, { status: 204 });
    const { code, message } = fromErrorReply(error);
    throw new KvError(code, message, { detail: { deleted } });
  },
});
