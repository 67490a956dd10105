/**
 * The OpenAPI 3.1 document of the front end. It is made from the table of routes, which in turn takes
 * the operations' fields from their own table. Nothing is written twice, so nothing can differ.
 *
 * @module
 */
import { MESSAGES } from "../../wire/messages.ts";
import { VERSION } from "../../base/version.ts";
import { type Endpoint, endpoint, json, type Methods, type ResponseSpec } from "./endpoint.ts";
import { fieldsSchema } from "../protocol/field_schemas.ts";
import type { JsonSchema } from "../protocol/parameters.ts";
import { PROBLEM_TYPE } from "../protocol/problem.ts";
import { NAMED_SCHEMAS, PROBLEM, replySchemaName } from "../protocol/schemas.ts";

/** A JSON document. */
type Document = Readonly<Record<string, unknown>>;

const HEADER_SUMMARIES: Readonly<Record<string, string>> = {
  ETag: "The key's version in double quotes.",
  "KV-Version": "The key's version.",
  "Last-Modified": "When it was written, in whole seconds.",
  "KV-Expires-At":
    "When the key expires, in milliseconds since 1970-01-01 UTC; absent if it never does.",
  "KV-TTL": "The seconds until the key expires, rounded up; absent if it never does.",
};
/** Headers of a response that are not always there. */
const OPTIONAL_HEADERS: ReadonlySet<string> = new Set(["KV-Expires-At", "KV-TTL"]);

/** The document for these routes. */
export function openApiDocument(routes: Readonly<Record<string, Methods>>): Document {
  const paths: Record<string, Document> = {};
  for (const [path, methods] of Object.entries(routes)) paths[path] = pathItem(path, methods);
  return {
    openapi: "3.1.0",
    jsonSchemaDialect: "https://json-schema.org/draft/2020-12/schema",
    info: {
      title: "Key-value store",
      version: VERSION,
      description:
        "The HTTP front end of nodes and of the coordinator; the same at each. If a path " +
        "has GET it has HEAD, and every path has OPTIONS. The key in /kv/{key} is the rest of the " +
        "path, slashes included, percent-encoded.",
    },
    paths,
    components: {
      schemas: { ...NAMED_SCHEMAS, ...replySchemas() },
      headers: Object.fromEntries(
        Object.entries(HEADER_SUMMARIES).map(([name, description]) => [name, {
          description,
          required: !OPTIONAL_HEADERS.has(name),
          schema: { type: "string" },
        }]),
      ),
      responses: {
        Problem: {
          description: "What was wrong, as problem details (RFC 9457).",
          content: { [PROBLEM_TYPE]: { schema: PROBLEM } },
        },
        PlainProblem: {
          description:
            "What was wrong, as text; if it was wrong for any endpoint, as problem details.",
          content: { "text/plain": {}, [PROBLEM_TYPE]: { schema: PROBLEM } },
        },
      },
    },
  };
}

function pathItem(path: string, methods: Methods): Document {
  const item: Record<string, unknown> = {};
  for (const [, name] of path.matchAll(/\{(\w+)\}/g)) {
    const schema = { type: "string", minLength: 1 };
    item.parameters = [{ name, in: "path", required: true, schema }];
  }
  for (const [method, endpoint] of Object.entries(methods)) {
    item[method.toLowerCase()] = operation(endpoint);
  }
  return item;
}

function operation(endpoint: Endpoint): Document {
  const { id, summary, description, parameters, requestHeaders, body, responses } = endpoint;
  const all = [
    ...Object.entries(parameters).map(([name, parameter]) => ({
      name,
      in: "query",
      description: parameter.summary,
      required: parameter.required,
      schema: parameter.schema,
    })),
    ...Object.entries(requestHeaders ?? {}).map(([name, text]) => ({
      name,
      in: "header",
      description: text,
      required: false,
      schema: { type: "string" },
    })),
  ];
  const { plainErrors = false } = endpoint;
  const problem = { $ref: `#/components/responses/${plainErrors ? "PlainProblem" : "Problem"}` };
  return {
    operationId: id,
    summary,
    ...(description === undefined ? {} : { description }),
    ...(all.length === 0 ? {} : { parameters: all }),
    ...(body === undefined ? {} : {
      requestBody: { required: true, content: { [body.contentType]: { schema: body.schema } } },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(responses).map(([status, spec]) => [status, response(spec)]),
      ),
      "4XX": problem,
      "5XX": problem,
    },
  };
}

function response({ description, schema, contentType, headers }: ResponseSpec): Document {
  const content = schema === undefined
    ? contentType === undefined ? undefined : { [contentType]: {} }
    : { [contentType ?? "application/json"]: { schema } };
  return {
    description,
    ...(headers === undefined ? {} : {
      headers: Object.fromEntries(
        headers.map((name) => [name, { $ref: `#/components/headers/${name}` }]),
      ),
    }),
    ...(content === undefined ? {} : { content }),
  };
}

/** Replies to operations, as on the wire. */
function replySchemas(): Record<string, JsonSchema> {
  const schemas: Record<string, JsonSchema> = {};
  for (const name of ["ack", "data", "result", "error"] as const) {
    const { properties = {}, required = [] } = fieldsSchema(MESSAGES[name].fields) as {
      properties?: Document;
      required?: readonly string[];
    };
    schemas[replySchemaName(name)] = {
      type: "object",
      properties: { req_type: { const: name }, ...properties },
      required: ["req_type", ...required],
      additionalProperties: false,
    };
  }
  return schemas;
}

/** The document as an endpoint. @param routes returns all routes; called when the document is needed */
export function openApiEndpoint(routes: () => Readonly<Record<string, Methods>>): Endpoint {
  let document: Document | undefined;
  return endpoint({
    id: "getOpenApi",
    summary: "This description",
    parameters: {},
    responses: { 200: { description: "OpenAPI 3.1.", schema: { type: "object" } } },
    run: () => json(200, document ??= openApiDocument(routes())),
  });
}
