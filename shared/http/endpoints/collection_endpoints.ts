/**
 * Many keys at once: listing in key order, counting, deleting by prefix or range. No answer grows
 * with the number of keys: a listing comes in pages, and a deletion says how far it got.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import { fromErrorReply } from "../../wire/error_reply.ts";
import { HTTP_PAGE_KEYS_DEFAULT, HTTP_PAGE_KEYS_MAX } from "../../limits/http.ts";
import { REQUEST_TIMEOUT_MS } from "../../limits/requests.ts";
import { keyField } from "../../base/key_text.ts";
import { encodeValue, toWireKey } from "../../schema/value_codec.ts";
import { type Entry, versionOf } from "../../base/entry.ts";
import { cursorOf, keyOfCursor, type Listing } from "../protocol/cursor.ts";
import { type Call, endpoint, json, type Services, TIMEOUT } from "./endpoint.ts";
import {
  choiceParameter,
  flagParameter,
  type ParameterValues,
  textParameter,
  uintParameter,
} from "../protocol/parameters.ts";
import { COUNT, DELETED, PAGE } from "../protocol/schemas.ts";

const RANGE = {
  prefix: textParameter("Only keys that begin so."),
  start: textParameter("First key, inclusive."),
  end: textParameter("End, exclusive."),
};
const CURSOR = {
  cursor: textParameter("From the page before; the other parameters must stay the same."),
};
const LISTING = {
  ...RANGE,
  limit: uintParameter(
    `At most this many keys; by default ${HTTP_PAGE_KEYS_DEFAULT}.`,
    1,
    HTTP_PAGE_KEYS_MAX,
  ),
  ...CURSOR,
  reverse: flagParameter("From the last key to the first."),
  ...TIMEOUT,
};

export const listKeys = endpoint({
  id: "listKeys",
  summary: "Keys in order, a page at a time, with their values if asked for",
  parameters: { ...LISTING, values: flagParameter("With values, versions and expiry.") },
  responses: { 200: { description: "A page.", schema: PAGE } },
  run: ({ params, services }) => page(services, params, params.values === true),
});

export const getKeys = endpoint({
  id: "getKeys",
  summary: "Keys in order, a page at a time",
  parameters: LISTING,
  responses: { 200: { description: "A page.", schema: PAGE } },
  run: ({ params, services }) => page(services, params, false),
});

async function page(
  services: Services,
  params: ParameterValues<typeof LISTING>,
  values: boolean,
): Promise<Response> {
  const { cursor, limit = HTTP_PAGE_KEYS_DEFAULT, timeout_ms } = params;
  const listing = listingOf(params);
  const after = cursor === undefined ? undefined : keyOfCursor(listing, cursor);
  const { entries, next } = await services.scan({ ...listing, after, limit, values }, timeout_ms);
  return json(200, {
    ...(values
      ? { entries: entries.map(entryDocument) }
      : { keys: entries.map(({ key }) => toWireKey(key)) }),
    ...(next === undefined ? {} : { cursor: cursorOf(listing, next) }),
  });
}

function entryDocument(entry: Entry) {
  const { key, timestampMs, expiresAtMs, value, contentType } = entry;
  return {
    ...keyField("key", key),
    ...encodeValue(value),
    version: versionOf(entry),
    timestamp: timestampMs,
    ...(expiresAtMs === 0 ? {} : { expires_at: expiresAtMs }),
    ...(contentType === undefined ? {} : { content_type: contentType }),
  };
}

export const countKeys = endpoint({
  id: "countKeys",
  summary: "How many keys there are",
  parameters: { ...RANGE, ...TIMEOUT },
  responses: { 200: { description: "The number.", schema: COUNT } },
  async run({ params, services }) {
    return json(200, { count: await services.count(listingOf(params), params.timeout_ms) });
  },
});

const DELETION = {
  ...RANGE,
  all: choiceParameter("Confirms that every key that matches is to be deleted.", "yes"),
  ...CURSOR,
  ...TIMEOUT,
};

export const deleteKeys = endpoint({
  id: "deleteKeys",
  summary: "Delete all keys that match, in batches",
  description: "Each key by itself. If time is up before all are gone, the answer has a cursor " +
    "with which to go on. Keys that are written meanwhile may stay. If a key cannot be deleted, no " +
    "other batch is begun, and the error's context says how many are deleted, and has a cursor with which " +
    "to go on (none: from the beginning).",
  parameters: DELETION,
  responses: { 200: { description: "How many are gone.", schema: DELETED } },
  run: (call) => deleteMatching(call),
});

async function deleteMatching(
  { params, services }: Call<ParameterValues<typeof DELETION>>,
): Promise<Response> {
  if (params.all !== "yes") {
    throw new KvError(
      "bad_request",
      "this deletes every key that matches; confirm it with all=yes",
    );
  }
  const listing = listingOf(params);
  const { prefix, start, end } = listing;
  const after = params.cursor === undefined ? undefined : keyOfCursor(listing, params.cursor);
  const { timeout_ms: timeoutMs = REQUEST_TIMEOUT_MS } = params;
  const order = { prefix, start, end, after, timeoutMs, until: "half" } as const;
  const ended = await services.deleteMatching(order);
  const { deleted } = ended;
  const cursor = ended.after === undefined ? {} : { cursor: cursorOf(listing, ended.after) };
  if (ended.error === undefined) return json(200, { deleted, ...cursor });
  const { code, message, detail } = fromErrorReply(ended.error);
  throw new KvError(code, message, { detail: { ...detail, deleted, ...cursor } });
}

function listingOf(params: Listing): Listing {
  const { prefix, start, end, reverse } = params;
  return { prefix, start, end, reverse };
}
