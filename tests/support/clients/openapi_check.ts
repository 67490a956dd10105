/**
 * Checks responses against the OpenAPI document: a status, a content type, a header or a body that it does not
 * describe is a failure. Every test of the HTTP front end uses it.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { Ajv2020, type AnySchema, type ValidateFunction } from "ajv/2020";
import addFormats from "ajv-formats";
import { openApiDocument } from "../../../shared/http/endpoints/openapi.ts";
import { ROUTES } from "../../../shared/http/endpoints/routes.ts";

interface Described {
  $ref?: string;
  headers?: Record<string, { $ref: string }>;
  content?: Record<string, { schema?: AnySchema }>;
}

const document = openApiDocument(ROUTES) as {
  paths: Record<string, Record<string, { responses: Record<string, Described> }>>;
  components: {
    schemas: Record<string, AnySchema>;
    headers: Record<string, { required: boolean }>;
    responses: Record<string, Described>;
  };
};

const ajv = new Ajv2020({ strict: true, strictRequired: false, allErrors: true });
addFormats.default(ajv);
ajv.addVocabulary(["components"]);
ajv.addSchema({ $id: "openapi", components: document.components } as AnySchema);
const validators = new Map<string, ValidateFunction>();

/** Throws if the response to a request is not as the document says. Reads a copy of the body. */
export async function checkAgainstOpenApi(
  method: string,
  path: string,
  response: Response,
): Promise<void> {
  const where = `${method} ${path}: ${response.status}`;
  if (method === "OPTIONS") return;
  const template = templateOf(path.split(/[?#]/)[0] ?? "");
  const operation = document.paths[template]?.[method === "HEAD" ? "get" : method.toLowerCase()];
  const described = operation === undefined
    ? document.components.responses.Problem
    : operation.responses[response.status] ?? operation.responses[`${response.status / 100 | 0}XX`];
  if (operation === undefined) {
    assert([400, 403, 404, 405, 414, 503].includes(response.status), `${where} of no operation`);
  }
  assert(described !== undefined, `${where} is not described`);
  const name = described.$ref?.split("/").at(-1);
  const spec = name === undefined ? described : document.components.responses[name];
  for (const header of Object.keys(spec?.headers ?? {})) {
    if (!document.components.headers[header]?.required) continue;
    assert(response.headers.has(header), `${where} lacks ${header}`);
  }
  const type = response.headers.get("content-type")?.split(";")[0] ?? "";
  if (response.body === null) {
    if (method !== "HEAD") assertEquals(spec?.content, undefined, `${where} has no body`);
    return;
  }
  const content = spec?.content?.[type] ?? spec?.content?.["*/*"];
  assert(content !== undefined, `${where} has an undescribed body of type ${type}`);
  if (content.schema === undefined) return;
  const validate = validatorOf(content.schema);
  const body = await response.clone().json();
  assert(validate(body), `${where}: ${JSON.stringify(body)} ${ajv.errorsText(validate.errors)}`);
}

function templateOf(path: string): string {
  if (path.startsWith("/kv/")) return "/kv/{key}";
  if (path.startsWith("/storage/")) return `/storage/${/[:/]$/.test(path) ? "{base}:" : "{key}"}`;
  if (!path.startsWith("/db/")) return path;
  const rest = path.replace(/^\/db\/[^/]*/, "").replace(/^\/$/, "");
  const isItsOwn = ["", "/snapshot_read", "/atomic_write", "/watch"].includes(rest);
  return isItsOwn ? `/db/{database}${rest}` : templateOf(rest);
}

function validatorOf(schema: AnySchema): ValidateFunction {
  const text = JSON.stringify(schema).replaceAll('"#/components/', '"openapi#/components/');
  let validate = validators.get(text);
  if (validate === undefined) {
    validate = ajv.compile(JSON.parse(text));
    validators.set(text, validate);
  }
  return validate;
}
