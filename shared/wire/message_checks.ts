/**
 * Whether an object that came over the wire is a message of the table: quickly for what nearly every message is,
 * and with the reason for any other.
 *
 * @module
 */
import type { Field } from "../schema/fields.ts";
import type { MessageSpec } from "../schema/reply_messages.ts";
import { MESSAGES, type MessageType } from "./messages.ts";

/**
 * Why an object is not a message of the table, as an English clause; undefined if it is one.
 * JSON null counts as absent only for an optional field.
 */
export function whyInvalid(message: Record<string, unknown>): string | undefined {
  const type = message.req_type;
  if (typeof type !== "string") return `"req_type" must be a string`;
  const spec: MessageSpec | undefined = Object.hasOwn(MESSAGES, type)
    ? MESSAGES[type as MessageType]
    : undefined;
  if (spec === undefined) return `unknown req_type ${JSON.stringify(type.slice(0, 64))}`;
  const { id } = message;
  if (id !== undefined && id !== null && typeof id !== "number" && typeof id !== "string") {
    return `${type}: "id" must be a number or a string`;
  }
  const { as } = message;
  if (as !== undefined && typeof as !== "string") return `${type}: "as" must be a string`;
  for (const name in spec.fields) {
    const wanted = spec.fields[name];
    const value = message[name];
    if (wanted === undefined || (wanted.optional && (value === undefined || value === null))) {
      continue;
    }
    if (!wanted.is(value)) {
      return value === undefined
        ? `${type}: "${name}" is missing; it must be ${wanted.requires}`
        : `${type}: "${name}" must be ${wanted.requires}`;
    }
  }
  return undefined;
}

/** The fields of a message by name, and how many of them must be there. */
interface FieldChecks {
  // A map: in an object, a peer's field name could match a property that every object has.
  readonly fields: ReadonlyMap<string, Field<unknown>>;
  readonly required: number;
}

const CHECKS: ReadonlyMap<string, FieldChecks> = new Map(
  Object.entries<MessageSpec>(MESSAGES).map(([type, { fields }]) => [type, {
    fields: new Map(Object.entries(fields)),
    required: Object.values(fields).filter(({ optional }) => !optional).length,
  }]),
);

/**
 * Whether an object is a message of the table that has only fields of the table (and perhaps an `id` and `as`),
 * none of them null. It looks at the fields that are there, not at the many that could be. Nearly every
 * message passes this; {@linkcode whyInvalid} judges the others.
 */
export function isExact(message: Record<string, unknown>): boolean {
  const checks = CHECKS.get(message.req_type as string);
  if (checks === undefined) return false;
  let missing = checks.required;
  for (const name in message) {
    if (name === "req_type" || name === "id") continue;
    const value = message[name];
    if (name === "as" && typeof value === "string") continue;
    const wanted = checks.fields.get(name);
    if (wanted === undefined || value === null || !wanted.is(value)) return false;
    if (!wanted.optional) missing--;
  }
  return missing === 0;
}
