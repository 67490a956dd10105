/**
 * Makes a history that no order explains short enough to be read: the shortest beginning of it that
 * is wrong already, of that the shortest end that is wrong whatever was before, and of that only the
 * operations without which it would not be wrong. What is left is printed as a timeline.
 *
 * Leaving an operation out must not make a history worse: a read is forgotten, a write becomes one whose
 * outcome is unknown.
 *
 * @module
 */
import { type Call, isObservation, isReadName } from "./history.ts";
import { checkKey } from "./linearizability.ts";
import type { BeginOf } from "./register_model.ts";

/** Searches that shortening one history may cost, and states that each may look at. */
const SEARCHES_MAX = 400;
const STATES_MAX = 50_000;

/** A short form of a history that is wrong. */
export interface CounterExample {
  /** The operations concerned, as they were. */
  readonly calls: readonly Call[];
  /** How many there were in all. */
  readonly of: number;
  /** The place, among the history's events, of the answer with which it became wrong. */
  readonly endAt: number;
}

/** Shortens the calls of one key, which `checkKey` has found wrong. */
export function shorten(calls: readonly Call[], beginOf?: BeginOf): CounterExample {
  const options = { statesMax: STATES_MAX, ...(beginOf === undefined ? {} : { beginOf }) };
  let before: "absent" | "unknown" = "absent";
  let searches = 0;
  const isWrong = (some: readonly Call[]) => {
    searches++;
    return checkKey(some, { ...options, before }).is === "violation";
  };
  const ends = calls.map((call) => call.endAt).filter((end) => end !== Infinity)
    .toSorted((a, b) => a - b);
  // What is wrong stays wrong, whatever follows.
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isWrong(cut(calls, ends[middle] ?? 0))) high = middle;
    else low = middle + 1;
  }
  const endAt = ends[low] ?? Infinity;
  let kept = cut(calls, endAt);
  if (!isWrong(kept)) return { calls, of: calls.length, endAt };
  const tails = quietMoments(kept, beginOf ?? ((call) => call.at)).map((at) => () =>
    tailFrom(kept, at)
  );
  before = "unknown";
  [low, high] = [-1, tails.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (isWrong(tails[middle]?.() ?? [])) low = middle;
    else high = middle - 1;
  }
  if (low >= 0) kept = tails[low]?.() ?? kept;
  else before = "absent";
  const needed = new Set(kept.filter((call) => isReadName(call.f) || call.outcome !== "info"));
  for (
    let size = Math.ceil(needed.size / 2);
    size > 0;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    const parts = [...needed];
    for (let from = 0; from < parts.length && searches < SEARCHES_MAX; from += size) {
      const part = new Set(parts.slice(from, from + size));
      const fewer = kept.flatMap((call) => part.has(call) ? weaker(call) : [call]);
      if (!isWrong(fewer)) continue;
      kept = fewer;
      for (const call of part) needed.delete(call);
    }
  }
  const ids = new Set([...needed].map((call) => call.id));
  const values = new Set([...needed].map((call) => call.value));
  const first = calls.find((call) => ids.has(call.id))?.at ?? 0;
  const shown = calls.filter((call) => {
    if (ids.has(call.id)) return true;
    if (isReadName(call.f)) return false;
    // A write that is said not to have happened may be the one that did, and one of unknown
    // outcome is of interest if its value was read.
    const denied = call.outcome === "fail" && !isObservation(call);
    return denied
      ? call.at > first && call.at < endAt
      : call.value !== null && values.has(call.value);
  });
  return { calls: shown, of: calls.length, endAt };
}

/**
 * Places among the events at which no call was under way whose end is known, and before which no
 * later call can have looked.
 */
function quietMoments(calls: readonly Call[], beginOf: BeginOf): number[] {
  const looks = calls.map(beginOf);
  for (let i = looks.length - 2; i >= 0; i--) {
    looks[i] = Math.min(looks[i] ?? 0, looks[i + 1] ?? 0);
  }
  const moments: number[] = [];
  let busyUntil = -1;
  for (const [i, { at, endAt }] of calls.entries()) {
    if (at > busyUntil && looks[i] === at) moments.push(at);
    if (endAt !== Infinity) busyUntil = Math.max(busyUntil, endAt);
  }
  return moments;
}

/**
 * What happened from a quiet moment on. Of what was before, only that remains which may have happened
 * later, or was seen later.
 */
function tailFrom(calls: readonly Call[], at: number): Call[] {
  const tail = calls.filter((call) => call.at >= at);
  const seen = new Set(tail.map((call) => isReadName(call.f) ? call.value : null));
  const earlier = calls.filter((call) =>
    call.at < at &&
    (call.endAt === Infinity ||
      (!isReadName(call.f) && call.value !== null && seen.has(call.value)))
  );
  return [...earlier, ...tail];
}

/** The history as it was known at one of its events. */
function cut(calls: readonly Call[], endAt: number): Call[] {
  return calls.filter((call) => call.at <= endAt)
    .flatMap((call) => call.endAt <= endAt ? [call] : weaker(call));
}

function weaker(call: Call): Call[] {
  if (isReadName(call.f)) return [];
  // A refusal for certain says that it never happened: that must stay known.
  if (call.outcome === "fail") return [];
  return [{ ...call, outcome: "info", version: undefined, endAt: Infinity, endTime: Infinity }];
}

/** One line for each operation, in the order of their beginning. */
export function timeline(calls: readonly Call[]): string {
  const rows = calls.map((call) => {
    const { time, endTime, process } = call;
    const end = endTime === Infinity ? "" : seconds(endTime);
    return [seconds(time), end, `process ${process}`, whatHappened(call)] as const;
  });
  const width = (column: 0 | 1 | 2) => Math.max(0, ...rows.map((row) => row[column].length));
  const [begins, ends, processes] = [width(0), width(1), width(2)];
  return rows.map(([begin, end, process, text]) =>
    `  ${begin.padStart(begins)} - ${end.padStart(ends)}  ${process.padEnd(processes)}  ${text}`
  ).join("\n");
}

function seconds(timeMs: number): string {
  return `${(timeMs / 1000).toFixed(4)} s`;
}

function whatHappened(call: Call): string {
  const { f, value, consistency, acks, outcome, error, version } = call;
  const words: string[] = [f];
  if (consistency !== undefined && consistency !== "strong") words.push(`(${consistency})`);
  if (acks === "primary") words.push("(acks: primary)");
  if (!isReadName(f) && value !== null) words.push(value);
  const told = version === undefined ? "" : `, version ${version}`;
  if (outcome === "info") words.push(`-> unknown${error === undefined ? "" : ` (${error})`}`);
  else if (outcome === "fail") words.push(`-> ${error}`);
  else if (f === "exists") words.push(`-> ${value === null ? "no" : "yes"}`);
  else if (f === "read") words.push(`-> ${value ?? "no such key"}${told}`);
  else words.push(`-> ok${told}`);
  return words.join(" ");
}
