/**
 * All that is checked of a history, in one call: every key has an order that explains it, weak
 * reads are no older than they may be, and what the cluster holds in the end is what was acknowledged.
 *
 * A write with `acks: "primary"` may be lost with its primary, so its acknowledgement is worth no more
 * than silence. Everything else holds for such keys too: what was read once is never taken back.
 *
 * @module
 */
import { checkHeld, type Held } from "./acknowledged.ts";
import { checkCounter } from "./counters.ts";
import { shorten, timeline } from "./counter_example.ts";
import { type Call, type History, isReadName } from "./history.ts";
import { checkKey } from "./linearizability.ts";
import { problemOf } from "./register_model.ts";
import { earliestLook, isWeak, type Staleness, staleness } from "./weak_reads.ts";

/** Something that is wrong, or that could not be judged. */
export interface HistoryFailure {
  readonly check:
    | "linearizability"
    | "weak reads"
    | "acknowledged writes"
    | "counters"
    | "undecided";
  readonly key: string;
  /** What is wrong in one line, then the operations concerned. */
  readonly text: string;
}

/** What is judged beside the history. */
export interface JudgeOptions {
  readonly staleness?: Staleness;
  /** What each key held in the end, strongly read. */
  readonly held?: ReadonlyMap<string, Held | undefined>;
  readonly statesMax?: number;
  /** The key is judged by that many events of the history; undefined: by all, and by what is held. */
  upTo?(key: string): number | undefined;
}

/** What a judgement rests on. */
export interface Judgement {
  readonly failures: HistoryFailure[];
  readonly keys: number;
  readonly operations: number;
  /** States that the searches looked at. */
  readonly states: number;
}

/** Judges a whole history. */
export function judgeHistory(history: History, options: JudgeOptions = {}): Judgement {
  const failures: HistoryFailure[] = [];
  const beginOf = earliestLook(history.events, options.staleness ?? staleness());
  const statesMax = options.statesMax === undefined ? {} : { statesMax: options.statesMax };
  let [keys, operations, states] = [0, 0, 0];
  for (const [key, whole] of history.byKey()) {
    keys++;
    const upTo = options.upTo?.(key);
    const all = upTo === undefined ? whole : cutOff(whole, upTo);
    operations += all.length;
    if (all.some((call) => call.f === "increment")) {
      const wrong = checkCounter(all);
      if (wrong === undefined) continue;
      const text = `key ${key}: ${wrong.reason}\n${timeline(wrong.calls)}`;
      failures.push({ check: "counters", key, text });
      continue;
    }
    const calls = all.map(withoutWeakAcks);
    const strong = calls.filter((call) => !isWeak(call));
    let verdict = checkKey(strong, statesMax);
    let check: HistoryFailure["check"] = "linearizability";
    let concerned = strong;
    if (verdict.is === "linearizable" && strong.length < calls.length) {
      states += verdict.states;
      verdict = checkKey(calls, { ...statesMax, beginOf });
      check = "weak reads";
      concerned = calls;
    }
    states += verdict.states;
    if (verdict.is === "undecided") {
      const text =
        `key ${key}: no verdict within ${verdict.states} states of ${concerned.length} ` +
        "operations; this is no pass";
      failures.push({ check: "undecided", key, text });
    } else if (verdict.is === "violation") {
      failures.push({ check, key, text: explain(key, concerned, verdict, beginOf) });
    }
    const held = upTo === undefined ? options.held?.get(key) : undefined;
    const lost = held === undefined ? undefined : checkHeld(all, held);
    if (lost !== undefined) {
      const writes = all.filter((call) => !isReadName(call.f)).slice(-12);
      const text = `key ${key}: ${lost}. The last writes:\n${timeline(writes)}`;
      failures.push({ check: "acknowledged writes", key, text });
    }
  }
  return { failures, keys, operations, states };
}

/** The calls that had begun by then; writes that had not ended might have gone either way. */
function cutOff(calls: readonly Call[], upTo: number): Call[] {
  const cut: Call[] = [];
  for (const call of calls) {
    if (call.at >= upTo) continue;
    if (call.endAt < upTo) cut.push(call);
    else if (!isReadName(call.f)) cut.push(unknown(call));
  }
  return cut;
}

function unknown(call: Call): Call {
  return { ...call, outcome: "info", endAt: Infinity, endTime: Infinity, version: undefined };
}

function withoutWeakAcks(call: Call): Call {
  return call.acks === "primary" && call.outcome === "ok" ? unknown(call) : call;
}

function explain(
  key: string,
  calls: readonly Call[],
  verdict: { readonly reason: string; readonly calls: readonly Call[] | undefined },
  beginOf: (call: Call) => number,
): string {
  if (verdict.calls !== undefined) {
    return `key ${key}: ${verdict.reason}\n${timeline(verdict.calls)}`;
  }
  const example = shorten(calls, beginOf);
  let note = `${example.calls.length} of ${example.of} operations are enough to see it`;
  if (isRegister(example.calls)) {
    note += "; without versions there is an order, so what is wrong are the versions";
  }
  return `key ${key}: ${verdict.reason}; ${note}:\n${timeline(example.calls)}`;
}

/** Whether only the versions are wrong. */
function isRegister(calls: readonly Call[]): boolean {
  const bare = calls.map((call) => ({ ...call, version: undefined }));
  if ("reason" in problemOf(bare)) return false;
  return checkKey(bare).is === "linearizable";
}
