/**
 * Every operation on keys, by its name on the JSON wire. To add one, write a row here and a function in
 * a file of this folder.
 *
 * @module
 */
import { increment, incrementFloat } from "./arithmetic.ts";
import { appendValue, setBit, setRange } from "./bytes.ts";
import { combine } from "./combine.ts";
import { remove } from "./delete.ts";
import { expire, getAndExpire, persist } from "./expiry.ts";
import { inspect } from "./inspect.ts";
import { readRangesOperation } from "./ranges.ts";
import { exists, get } from "./read.ts";
import { create, put, update } from "./store.ts";
import { transaction } from "./transaction.ts";

export const OPERATIONS = {
  put,
  update,
  create,
  delete: remove,
  get,
  exists,
  inspect,
  expire,
  persist,
  get_and_expire: getAndExpire,
  increment,
  increment_float: incrementFloat,
  append_value: appendValue,
  set_range: setRange,
  set_bit: setBit,
  combine,
  read_ranges: readRangesOperation,
  transaction,
} as const;

/** The name of an operation. */
export type OperationName = keyof typeof OPERATIONS;

/** Whether a text names an operation on one key, which a transaction may contain. */
export function isPlainOperation(name: string): name is PlainOperationName {
  if (!Object.hasOwn(OPERATIONS, name)) return false;
  const { kind } = OPERATIONS[name as OperationName];
  return kind === "read" || kind === "write";
}

/** The name of an operation on one key. */
export type PlainOperationName = Exclude<OperationName, "transaction" | "read_ranges">;

/** The rows as the wire's table has them. */
type OperationMessages = {
  [N in OperationName]: {
    since: number;
    direction: "request";
    fields: (typeof OPERATIONS)[N]["fields"];
  };
};

/** Rows for the table of messages. */
export function operationMessages(): OperationMessages {
  const rows: Record<string, unknown> = {};
  for (const [name, { since, fields }] of Object.entries(OPERATIONS)) {
    rows[name] = { since, direction: "request", fields };
  }
  return rows as OperationMessages;
}
