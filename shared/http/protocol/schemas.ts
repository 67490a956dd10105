/**
 * JSON Schemas (2020-12) of the documents that HTTP carries, and small helpers to write them. A schema
 * that has a name appears once in the OpenAPI document.
 *
 * @module
 */
import { BATCH_REQUESTS_MAX, REQUEST_TIMEOUT_MS_MAX } from "../../limits/requests.ts";
import { settingRows, snakeCase } from "../../cluster/cluster_settings.ts";
import type { JsonSchema } from "./parameters.ts";

export const STRING: JsonSchema = { type: "string" };
const UINT: JsonSchema = { type: "integer", minimum: 0 };
const BOOLEAN: JsonSchema = { type: "boolean" };

/** An object with these properties; names that end in `?` may be absent. No others. */
export function objectSchema(properties: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const plain: Record<string, JsonSchema> = {};
  const required: string[] = [];
  for (const [name, schema] of Object.entries(properties)) {
    if (name.endsWith("?")) plain[name.slice(0, -1)] = schema;
    else {
      plain[name] = schema;
      required.push(name);
    }
  }
  return { type: "object", properties: plain, required, additionalProperties: false };
}

function arraySchema(items: JsonSchema, more: JsonSchema = {}): JsonSchema {
  return { type: "array", items, ...more };
}

function named(name: string): JsonSchema {
  return { $ref: `#/components/schemas/${name}` };
}

const VALUE = {
  "value?": { type: "string", description: "The value, if it is text." },
  "value64?": {
    type: "string",
    contentEncoding: "base64",
    description: "The value, if it is not UTF-8.",
  },
};
export const KEY64 = {
  type: "string",
  contentEncoding: "base64",
  description: "The key, if it is not UTF-8.",
};
/** A key in a list. */
const KEY = { anyOf: [STRING, objectSchema({ key64: KEY64 })] };
const VERSION = { type: "integer", minimum: 1, description: "Grows with every write." };
const DATE_MS = { type: "integer", minimum: 0, description: "Milliseconds since 1970-01-01 UTC." };

export const PROBLEM = named("Problem");
export const HEALTH = named("Health");
export const LIVENESS = named("Liveness");
export const ENTRY = named("Entry");
export const SET_REQUEST = named("SetRequest");
export const WRITTEN = named("Written");
export const PAGE = named("Page");
export const COUNT = named("Count");
export const DELETED = named("Deleted");
export const BATCH_REQUEST = named("BatchRequest");
export const BATCH_RESULT = named("BatchResult");
export const CLUSTER = named("Cluster");
export const DATABASE = named("Database");
export const DATABASES = named("Databases");

/** A reply that has a schema of its own. */
export type ReplyName = "ack" | "data" | "result" | "error";

/** The name of a reply's schema. */
export function replySchemaName(reply: ReplyName): string {
  return `${reply[0]?.toUpperCase()}${reply.slice(1)}Reply`;
}

/** A reply to an operation, as on the wire. */
export function replySchema(reply: ReplyName): JsonSchema {
  return named(replySchemaName(reply));
}

/** The schemas that have a name. */
export const NAMED_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  Problem: {
    description: "Problem details (RFC 9457).",
    ...objectSchema({
      type: { type: "string", format: "uri" },
      title: STRING,
      status: { type: "integer", minimum: 400, maximum: 599 },
      detail: { type: "string", description: "What was wrong, and what to do." },
      code: { type: "string", description: "A stable code; see docs/protocol.md." },
      retry: {
        type: "boolean",
        description: "It is known not to have happened, and may be tried again.",
      },
      "context?": { type: "object", description: "Facts, such as the version that is there." },
    }),
  },
  Health: objectSchema({
    role: { type: "string", enum: ["node", "coordinator"] },
    status: { type: "string", enum: ["ok", "degraded", "unavailable"] },
    reasons: arraySchema(STRING),
    checks: { type: "object" },
  }),
  Liveness: objectSchema({ live: { const: true }, role: STRING }),
  Entry: objectSchema({
    "key?": STRING,
    "key64?": KEY64,
    ...VALUE,
    version: VERSION,
    timestamp: DATE_MS,
    "expires_at?": DATE_MS,
    "content_type?": STRING,
  }),
  Page: {
    ...objectSchema({
      "keys?": arraySchema(KEY),
      "entries?": arraySchema(named("Entry")),
      "cursor?": {
        type: "string",
        description: "Where the next page begins; absent after the last page.",
      },
    }),
    description: "`keys`, or `entries` if values are asked for. A page may be short, even empty.",
  },
  Count: objectSchema({ count: UINT }),
  Deleted: objectSchema({
    deleted: UINT,
    "cursor?": {
      type: "string",
      description: "If the time was up: where to go on. Absent if everything is done.",
    },
  }),
  BatchRequest: objectSchema({
    requests: arraySchema(
      {
        type: "object",
        required: ["req_type"],
        properties: { req_type: STRING, key: STRING, key64: KEY64 },
      },
      { minItems: 1, maxItems: BATCH_REQUESTS_MAX },
    ),
    "atomic?": { ...BOOLEAN, description: "All of them or none. Default false." },
    "checks?": arraySchema({
      type: "array",
      prefixItems: [KEY, UINT],
      minItems: 2,
      maxItems: 2,
      description: "A key, and the version that it must have; 0: it must not be there.",
    }),
    "timeout_ms?": { type: "integer", minimum: 1, maximum: REQUEST_TIMEOUT_MS_MAX },
  }),
  BatchResult: objectSchema({
    replies: arraySchema({
      anyOf: ["AckReply", "DataReply", "ResultReply", "ErrorReply"].map(named),
    }),
    "version?": UINT,
  }),
  SetRequest: {
    ...objectSchema({ "key?": { type: "string", minLength: 1 }, "key64?": KEY64, ...VALUE }),
    description: "Give `key` or `key64`, and `value` or `value64`.",
  },
  Written: objectSchema({ "key?": STRING, "key64?": KEY64, version: VERSION }),
  Database: objectSchema({
    name: STRING,
    number: UINT,
    placement: { type: "string", enum: ["spread", "together"] },
    "max_keys?": UINT,
    "max_bytes?": UINT,
    "keys?": UINT,
    "bytes?": UINT,
    "expiring?": UINT,
  }),
  Databases: objectSchema({ databases: arraySchema(named("Database")) }),
  Cluster: objectSchema({
    epoch: UINT,
    cluster_id: STRING,
    ...Object.fromEntries(
      settingRows().map(([, { flag, kind }]) => [snakeCase(flag), kind === "text" ? STRING : UINT]),
    ),
    nodes: arraySchema(objectSchema({
      id: STRING,
      host: STRING,
      port: UINT,
      httpPort: UINT,
      zone: STRING,
      weight: { type: "number" },
      state: { type: "string", enum: ["up", "down", "leaving"] },
      own: arraySchema(UINT),
      prev: arraySchema(UINT),
      learning: arraySchema(UINT),
    })),
  }),
};
