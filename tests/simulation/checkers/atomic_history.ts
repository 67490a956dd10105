/**
 * What clients asked of groups of keys that belong together, in transactions, and what they were told;
 * and what the keys of a group must hold after any number of these.
 *
 * A group is one `{tag}`, in one partition, or from {@linkcode SPREAD_FROM} on keys that are in partitions of their own: a *log*, to which every transaction that writes appends its name; two or
 * three *stamps*, all of which a `stamp` sets to its name; and two *balances*, between which a `move`
 * carries units. So the log is the order of the transactions, and everything else follows from it.
 *
 * @module
 */
import type { ErrorCode } from "../../../shared/base/errors.ts";

/** `look` only reads. */
export type AtomicKind = "stamp" | "move" | "look";

/** What a transaction that reads found: texts, or null for no such key. */
export interface AtomicView {
  readonly log: string | null;
  readonly stamps: readonly (string | null)[];
  readonly from: string | null;
  readonly to: string | null;
}

/** A transaction. Places are places among all beginnings and ends of a history. */
export interface AtomicCall {
  readonly id: number;
  readonly group: number;
  readonly kind: AtomicKind;
  readonly client: string;
  /** What it appends to the log; unique. */
  readonly name: string;
  /** Only if the log is still this long, as an earlier look had found it. */
  readonly expect: number | undefined;
  readonly begin: number;
  readonly beginMs: number;
  /** Infinity while it may still happen. */
  end: number;
  endMs: number;
  /** `refused`: by its check. `fail`: it is known not to have happened. */
  outcome: "ok" | "refused" | "fail" | "info";
  code: ErrorCode | "given up" | undefined;
  /** How long the log was with its name, or what a look found. */
  length: number | undefined;
  view: AtomicView | undefined;
}

/** Letters of a log's entries; none is a part of another, since each ends with a semicolon. */
const NAME = /^([sm])(\d+)$/;

/** The name of a transaction. */
export function atomicName(kind: AtomicKind, id: number): string {
  return `${kind === "stamp" ? "s" : "m"}${id}`;
}

/** How many units a move carries. */
export function unitsOf(name: string): number {
  return Number(name.slice(1)) % 9 + 1;
}

/** The keys of this group, and of those beyond it, are in several partitions. */
export const SPREAD_FROM = 2;

/** A group's keys. */
export function groupKeys(group: number) {
  const key = (name: string) => group < SPREAD_FROM ? `{g${group}}${name}` : `g${group}${name}`;
  // Groups of pairs, and of triples.
  const stamps = Array.from({ length: 2 + group % 2 }, (_, i) => key(`stamp${i}`));
  return { log: key("log"), stamps, from: key("from"), to: key("to") };
}

/** The names in a log, in order; undefined if it is not made of names. */
export function namesOf(log: string | null): string[] | undefined {
  if (log === null) return [];
  if (!log.endsWith(";")) return undefined;
  const names = log.slice(0, -1).split(";");
  return names.every((name) => NAME.test(name)) ? names : undefined;
}

/** What a group must hold when these have happened, in this order. */
export function viewAfter(group: number, names: readonly string[]): AtomicView {
  let stamp: string | null = null;
  let moved: number | undefined;
  for (const name of names) {
    if (name.startsWith("s")) stamp = name;
    else moved = (moved ?? 0) + unitsOf(name);
  }
  return {
    log: names.length === 0 ? null : names.map((name) => `${name};`).join(""),
    stamps: groupKeys(group).stamps.map(() => stamp),
    from: moved === undefined ? null : String(-moved),
    to: moved === undefined ? null : String(moved),
  };
}

/** A transaction in one line. */
export function describe(call: AtomicCall): string {
  const { client, kind, name, group, expect, outcome, code, length, view } = call;
  const seconds = (ms: number) => ms === Infinity ? "never" : `${(ms / 1000).toFixed(4)} s`;
  const what = kind === "look" ? "look" : `${kind} ${name}`;
  const only = expect === undefined ? "" : ` if the log has ${expect}`;
  const told = view === undefined ? length ?? code ?? "" : JSON.stringify({
    ...view,
    log: view.log !== null && view.log.length > 60 ? `…${view.log.slice(-60)}` : view.log,
  });
  return `  ${seconds(call.beginMs)} - ${seconds(call.endMs)}  ${client}  group ${group}: ` +
    `${what}${only} -> ${outcome} ${told}`;
}
