/**
 * What clients asked of lists and accounts whose keys are in several partitions, and what they were told.
 *
 * A *list* is a key to which unique numbers are appended and which is read, in transactions of a few of these and in
 * single requests. A list that was read tells the order in which its numbers were appended, so the order of all
 * transactions can be recovered from what was read (Kingsbury and Alvaro, Elle, VLDB 2020). *Accounts* are numbers
 * between which amounts are moved, and which are read all at once: their sum is always 0.
 *
 * @module
 */
import type { ErrorCode } from "../../../shared/base/errors.ts";

/** A step of a transaction. */
export type ListStep =
  | { readonly f: "append"; readonly key: string; readonly element: number }
  /** `found` once it is known; null: no such key. */
  | { readonly f: "read"; readonly key: string; found: readonly number[] | null | undefined };

/** A transaction, or a single request. Places are places among all beginnings and ends of a history. */
export interface ListCall {
  readonly id: number;
  readonly client: string;
  readonly kind: "lists" | "single" | "move" | "sum";
  readonly steps: readonly ListStep[];
  readonly begin: number;
  readonly beginMs: number;
  /** Infinity while it may still happen. */
  end: number;
  endMs: number;
  /** `fail`: it is known not to have happened. */
  outcome: "ok" | "fail" | "info";
  code: ErrorCode | undefined;
  /** Of `sum`: the accounts. */
  balances: readonly number[] | undefined;
}

/** The numbers of a list's text; undefined if it is none. */
export function elementsOf(text: string | null): readonly number[] | null | undefined {
  if (text === null) return null;
  if (!/^(\d+;)+$/.test(text)) return undefined;
  return text.slice(0, -1).split(";").map(Number);
}

/** A transaction in one line. */
export function describeList(call: ListCall): string {
  const { client, kind, steps, outcome, code, balances } = call;
  const seconds = (ms: number) => ms === Infinity ? "never" : `${(ms / 1000).toFixed(4)} s`;
  const what = steps.map((step) =>
    step.f === "append"
      ? `${step.key} + ${step.element}`
      : `${step.key} = ${step.found === undefined ? "?" : shortened(step.found)}`
  );
  const more = balances === undefined ? "" : ` ${balances.join(" ")}`;
  return `  ${seconds(call.beginMs)} - ${seconds(call.endMs)}  ${client}  ${kind} ${call.id}: ` +
    `${what.join(", ")}${more} -> ${outcome} ${code ?? ""}`;
}

function shortened(list: readonly number[] | null): string {
  if (list === null) return "none";
  return list.length <= 6
    ? `[${list.join(" ")}]`
    : `[… ${list.slice(-6).join(" ")}] (${list.length})`;
}
