/**
 * Whether transactions were atomic, isolated, in an order that real time allows, and carried out once.
 *
 * The last log of a group is the order in which its transactions happened. Against it is held what
 * each was told: a look must have found what all of the log up to some place comes to, no more and no
 * less, in every key; a transaction that was acknowledged stands where it was told that it stands, one
 * that was refused or failed nowhere, one of unknown outcome there once or not; one with a check
 * directly behind what it had checked. Places grow with real time: what begins when something has
 * ended comes behind it.
 *
 * @module
 */
import {
  type AtomicCall,
  type AtomicView,
  describe,
  namesOf,
  viewAfter,
} from "./atomic_history.ts";
import type { Coverage } from "../coverage.ts";

/** What is wrong, and with which group. */
export interface AtomicFailure {
  readonly group: number;
  readonly text: string;
}

/** Checks all transactions of a run, and counts what they were about. */
export function judgeAtomic(
  calls: readonly AtomicCall[],
  coverage?: Coverage,
): AtomicFailure | undefined {
  for (const [group, list] of Map.groupBy(calls, (call) => call.group)) {
    const text = checkAtomic(list);
    if (text !== undefined) return { group, text };
    if (coverage === undefined) continue;
    const log = longestLog(list).log;
    const count = (of: (call: AtomicCall) => boolean) => list.filter(of).length;
    coverage.hit("transaction: done", count(({ outcome }) => outcome === "ok"));
    coverage.hit("transaction: refused by its check", count((call) => call.outcome === "refused"));
    const happened = ({ outcome, name }: AtomicCall) =>
      outcome === "info" && name !== "" && log.includes(`${name};`);
    coverage.hit("transaction: of unknown outcome, and done", count(happened));
  }
  return undefined;
}

/** Checks the transactions of one group. @returns what is wrong, or undefined */
export function checkAtomic(calls: readonly AtomicCall[]): string | undefined {
  const group = calls[0]?.group;
  if (group === undefined) return undefined;
  const { log, wrong } = longestLog(calls);
  if (wrong !== undefined) return wrong;
  const order = new Order(group, log);
  return order.doubled() ?? firstOf(calls, (call) => whyImpossible(call, calls, order)) ??
    whyOutOfTime(calls, order);
}

/** The log that every other one must be a beginning of. */
function longestLog(
  calls: readonly AtomicCall[],
): { log: string; wrong: string | undefined } {
  let longest: AtomicCall | undefined;
  for (const call of calls) {
    if ((call.view?.log?.length ?? 0) > (longest?.view?.log?.length ?? 0)) longest = call;
  }
  const log = longest?.view?.log ?? "";
  for (const call of calls) {
    const other = call.view?.log ?? "";
    if (!log.startsWith(other)) {
      return { log, wrong: told("two logs contradict each other", call, longest) };
    }
  }
  return { log, wrong: undefined };
}

/** Transactions in the order in which they happened. */
class Order {
  readonly group: number;
  readonly names: readonly string[];
  /** How long the log was before each, and with it. */
  readonly starts = new Map<string, number>();
  readonly lengths = new Map<string, number>();
  readonly end: number;
  readonly #countAt = new Map<number, number>([[0, 0]]);

  constructor(group: number, log: string) {
    this.group = group;
    this.names = namesOf(log === "" ? null : log) ?? [];
    let length = 0;
    for (const [i, name] of this.names.entries()) {
      this.starts.set(name, length);
      length += name.length + 1;
      this.lengths.set(name, length);
      this.#countAt.set(length, i + 1);
    }
    this.end = length;
  }

  doubled(): string | undefined {
    const seen = new Set<string>();
    for (const name of this.names) {
      if (seen.has(name)) return `group ${this.group}: ${name} was carried out twice`;
      seen.add(name);
    }
    return undefined;
  }

  /** What a look at a log of this length must find. */
  viewAt(length: number): AtomicView | undefined {
    const count = this.#countAt.get(length);
    return count === undefined ? undefined : viewAfter(this.group, this.names.slice(0, count));
  }

  /** Who stands behind the log of this length. */
  nameAt(length: number): string | undefined {
    const count = this.#countAt.get(length);
    return count === undefined ? undefined : this.names[count];
  }
}

/** What is wrong with one transaction, whenever it was. */
function whyImpossible(
  call: AtomicCall,
  calls: readonly AtomicCall[],
  order: Order,
): string | undefined {
  const { kind, name, outcome, expect } = call;
  if (kind === "look") {
    if (call.view === undefined) return undefined;
    const wanted = order.viewAt(call.view.log?.length ?? 0);
    if (JSON.stringify(wanted) === JSON.stringify(call.view)) return undefined;
    return `${told("a part of a transaction was seen", call)}\n  wanted: ${JSON.stringify(wanted)}`;
  }
  const length = order.lengths.get(name);
  if (length === undefined) {
    if (outcome === "refused") return whyRefused(call, calls, order);
    // Of what came behind the longest log that was seen, nothing is known.
    if (outcome !== "ok" || (call.length ?? 0) > order.end) return undefined;
    return told("a transaction was acknowledged and is not there", call);
  }
  if (outcome === "refused" || outcome === "fail") {
    return told("a transaction that was refused has happened", call);
  }
  if (call.length !== undefined && call.length !== length) {
    return told(`a transaction was told ${call.length} and stands at ${length}`, call);
  }
  if (expect !== undefined && expect !== order.starts.get(name)) {
    return told(`a check of a log of ${expect} held at ${order.starts.get(name)}`, call);
  }
  return undefined;
}

/** A check may fail only if another transaction came first. */
function whyRefused(
  call: AtomicCall,
  calls: readonly AtomicCall[],
  order: Order,
): string | undefined {
  if (call.expect === undefined) return told("refused without a check", call);
  if (call.expect >= order.end) return undefined;
  const next = order.nameAt(call.expect);
  const other = calls.find(({ name, kind }) => kind !== "look" && name === next);
  if (other !== undefined && other.begin < call.end) return undefined;
  return told("a check failed although nothing had changed", call, other);
}

/** Places in the order never go back in real time. */
function whyOutOfTime(calls: readonly AtomicCall[], order: Order): string | undefined {
  const moments: { at: number; call: AtomicCall; isEnd: boolean }[] = [];
  for (const call of calls) {
    if (placeOf(call, order) === undefined) continue;
    moments.push({ at: call.begin, call, isEnd: false });
    if (call.end !== Infinity) moments.push({ at: call.end, call, isEnd: true });
  }
  moments.sort((a, b) => a.at - b.at);
  let floor = 0;
  let last: AtomicCall | undefined;
  for (const { call, isEnd } of moments) {
    const place = placeOf(call, order) ?? 0;
    if (!isEnd) {
      const tooLow = call.kind === "look" ? place < floor : place <= floor;
      if (tooLow) return told("something began later and stands before", call, last);
    } else if (place > floor) {
      floor = place;
      last = call;
    }
  }
  return undefined;
}

/** The length of the log that it saw, its own name included; undefined if nobody knows. */
function placeOf(call: AtomicCall, order: Order): number | undefined {
  if (call.kind === "look") return call.view === undefined ? undefined : call.view.log?.length ?? 0;
  return order.lengths.get(call.name) ?? (call.outcome === "ok" ? call.length : undefined);
}

function firstOf(
  calls: readonly AtomicCall[],
  why: (call: AtomicCall) => string | undefined,
): string | undefined {
  for (const call of calls) {
    const wrong = why(call);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function told(what: string, ...calls: (AtomicCall | undefined)[]): string {
  return [what, ...calls.filter((call) => call !== undefined).map(describe)].join("\n");
}
