/**
 * Fields of messages as JSON Schemas, so that the documentation is what is checked; and the check that
 * a request has no other fields.
 *
 * @module
 */
import { KvError } from "../../base/errors.ts";
import type { Field, Fields } from "../../schema/fields.ts";
import type { JsonSchema } from "./parameters.ts";
import { KEY64, objectSchema } from "./schemas.ts";
import { quoted } from "./target.ts";

/** Whether a field is meant for clients, and not for our own processes. */
function isForPrograms({ about, local }: Field<unknown>): boolean {
  return local !== true && about?.audience !== "servers";
}

/**
 * Refuses a field that does not exist, or that is not meant for clients: a misspelt condition must not
 * be ignored silently.
 *
 * @throws {KvError} `bad_request`
 */
export function refuseUnknownFields(what: string, fields: Fields, names: readonly string[]): void {
  for (const name of names) {
    const known = fieldNamed(fields, name);
    if (known !== undefined && isForPrograms(known)) continue;
    throw new KvError("bad_request", `${what}: there is no field ${quoted(name)}`);
  }
}

function fieldNamed(fields: Fields, name: string): Field<unknown> | undefined {
  if (Object.hasOwn(fields, name)) return fields[name];
  const keyName = name.endsWith("64") ? name.slice(0, -2) : "";
  const key = Object.hasOwn(fields, keyName) ? fields[keyName] : undefined;
  return key?.isKey ? key : undefined;
}

/** An object with these fields, without those that are only for our own processes. */
export function fieldsSchema(fields: Fields): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  for (const [name, field] of Object.entries(fields)) {
    if (!isForPrograms(field)) continue;
    properties[field.optional || field.isKey ? `${name}?` : name] = fieldSchema(field);
    if (field.isKey) properties[`${name}64?`] = KEY64;
  }
  return objectSchema(properties);
}

function fieldSchema(field: Field<unknown>): JsonSchema {
  const { about } = field;
  const unit = about?.unit === undefined ? "" : ` (${about.unit})`;
  const fallback = about?.fallback === undefined ? "" : `; default ${about.fallback}`;
  const description = about === undefined ? {} : {
    description: `${about.summary}${unit}${fallback}.`,
  };
  return { ...typeOf(field), ...description };
}

function typeOf({ form, choices, requires }: Field<unknown>): JsonSchema {
  switch (form) {
    case "text":
      return { type: "string" };
    case "uint":
    case "duration":
    case "date":
      return { type: "integer", minimum: requires === "a whole number from 1" ? 1 : 0 };
    case "number":
      return { type: "number" };
    case "flag":
      return { type: "boolean" };
    case "choice":
      return { type: "string", enum: choices };
    case "document":
      if (requires.startsWith("an array")) return { type: "array" };
      return requires === "an object" ? { type: "object" } : {};
  }
}
