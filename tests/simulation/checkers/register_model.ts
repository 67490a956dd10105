/**
 * One key as a sequential object: a register with versions, which can be absent. Turns the calls of a
 * key into the steps that an order of them must contain, and finds at once what no order can explain
 * (a value nobody wrote, one write with two versions). The search for an order is in
 * `linearizability.ts`.
 *
 * What is known of versions: a write has one version, told by its acknowledgement or by any read of its
 * value, and versions grow in the order of the writes. So writes whose version is known have their
 * order given, which is what makes the search fast.
 *
 * A write whose outcome is unknown and whose value nobody read can only have mattered by making the key
 * present, or absent. Such writes are alike, and are kept in pools from which the search takes one if
 * nothing else explains what was seen.
 *
 * A value that expires is gone at some moment that the clocks of those who have it decide: not before its
 * time by the clock that is furthest ahead, and no reader finds it after its time by the one furthest
 * behind. One whose write nobody has seen can also have come and gone.
 *
 * @module
 */
import { type Call, isObservation, isReadName } from "./history.ts";

/** States of the key beside "written by the step of this index". */
export const ABSENT = -1;
export const UNSEEN = -2;

/** What a step requires of the key. */
export type Need =
  | { readonly is: "anything" }
  | { readonly is: "absent" }
  | { readonly is: "present" }
  | { readonly is: "value"; readonly call: Call }
  | { readonly is: "version"; readonly version: number }
  | { readonly is: "other version"; readonly version: number };

/** A call that took effect, or saw something, and so has its place in the order. */
export interface Step {
  readonly call: Call;
  /** Its place in the order is between these, as places among the history's events. */
  readonly begin: number;
  readonly end: number;
  readonly need: Need;
  /** What it leaves: undefined if it only looks. */
  readonly gives: "value" | "absent" | undefined;
  /** The place among the writes whose version is known; undefined if it is not. */
  rank: number | undefined;
  readonly version: number | undefined;
  /** What it leaves may be gone by itself from this place among the events on; Infinity: never. */
  readonly mayEndAt: number;
}

/** Writes that may have happened, are alike, and were seen by nobody. */
export interface Pool {
  readonly need: Need;
  readonly gives: "value" | "absent";
  /** When each may have happened at the earliest; ascending. */
  readonly begins: number[];
}

/** What the search works on. */
export interface Problem {
  /** In the order of their beginning. */
  readonly steps: readonly Step[];
  readonly pools: readonly Pool[];
}

/** Something that no order can explain. */
export interface Contradiction {
  readonly reason: string;
  readonly calls: readonly Call[];
}

/** How much earlier than it was asked a read may have looked, in places among events. */
export type BeginOf = (call: Call) => number;

const ANYTHING: Need = { is: "anything" };
const PRESENT: Need = { is: "present" };
const ABSENCE: Need = { is: "absent" };

/**
 * The steps of one key's calls.
 *
 * @throws {Error} if two writes have the same value: then nothing can be told
 */
export function problemOf(calls: readonly Call[], beginOf?: BeginOf): Problem | Contradiction {
  const writers = new Map<string, Call>();
  for (const call of calls) {
    if (isReadName(call.f) || call.value === null) continue;
    if (writers.has(call.value)) throw new Error(`two writes of ${call.value} to ${call.key}`);
    writers.set(call.value, call);
  }
  /** Of each write whose value was read: when it had happened at the latest, and its version. */
  const seen = new Map<Call, { end: number; version: number | undefined; reader: Call }>();
  for (const read of calls) {
    if (read.f !== "read" || read.outcome !== "ok" || read.value === null) continue;
    const writer = writers.get(read.value);
    const wrong = contradiction(read, writer);
    if (wrong !== undefined) return wrong;
    if (writer === undefined) continue;
    const known = seen.get(writer);
    const version = known?.version ?? read.version;
    if (read.version !== undefined && read.version !== (writer.version ?? version)) {
      const reason = `a write was seen with version ${read.version} and has ` +
        `${writer.version ?? version}`;
      return { reason, calls: [writer, ...(known === undefined ? [] : [known.reader]), read] };
    }
    if (!isWeakRead(read) && read.time > lastMoment(writer)) {
      return { reason: "a value was read that had expired by any clock", calls: [writer, read] };
    }
    const end = Math.min(known?.end ?? Infinity, read.endAt);
    seen.set(writer, { end, version, reader: known?.reader ?? read });
  }

  const steps: Step[] = [];
  const pools = new Map<string, Pool>();
  for (const call of calls) {
    const witness = seen.get(call);
    const begin = beginOf?.(call) ?? call.at;
    const { mayEndAt } = call;
    const step = { call, begin, end: call.endAt, rank: undefined, version: undefined, mayEndAt };
    if (isReadName(call.f)) {
      if (call.outcome !== "ok") continue;
      steps.push({ ...step, need: whatWasRead(call, writers), gives: undefined });
    } else if (call.outcome === "fail") {
      if (!isObservation(call)) continue;
      steps.push({ ...step, need: whatRefused(call), gives: undefined });
    } else {
      const need = whatWriteNeeds(call);
      const gives = call.f === "delete" ? "absent" : "value";
      if (call.outcome === "ok" || witness !== undefined) {
        const end = Math.min(call.endAt, witness?.end ?? Infinity);
        const version = call.version ?? witness?.version;
        steps.push({ ...step, end, need, gives, version });
        continue;
      }
      addTo(pools, need, gives, begin);
      if (mayEndAt !== Infinity) addTo(pools, ANYTHING, "absent", mayEndAt);
    }
  }
  steps.sort((a, b) => a.begin - b.begin);
  const ranked = steps.filter((step) => step.version !== undefined)
    .sort((a, b) => (a.version ?? 0) - (b.version ?? 0));
  for (const [rank, step] of ranked.entries()) {
    const before = ranked[rank - 1];
    if (before?.version === step.version) {
      const reason = `two writes have the version ${step.version}`;
      return { reason, calls: before === undefined ? [step.call] : [before.call, step.call] };
    }
    step.rank = rank;
  }
  for (const pool of pools.values()) pool.begins.sort((a, b) => a - b);
  return { steps, pools: [...pools.values()] };
}

/** Whether a state is what is required. `steps` are those that states are indices of. */
export function meets(need: Need, state: number, steps: readonly Step[]): boolean {
  switch (need.is) {
    case "anything":
      return true;
    case "absent":
      return state === ABSENT;
    case "present":
      return state !== ABSENT;
    case "value":
      return steps[state]?.call === need.call;
    case "version": {
      const version = steps[state]?.version;
      // A value that nobody read can have any version.
      return state !== ABSENT && (version === undefined || version === need.version);
    }
    case "other version":
      return state === ABSENT || steps[state]?.version !== need.version;
  }
}

function addTo(
  pools: Map<string, Pool>,
  need: Need,
  gives: "value" | "absent",
  begin: number,
): void {
  const name = `${gives} ${need.is} ${need.is === "version" ? need.version : ""}`;
  const pool = pools.get(name);
  if (pool === undefined) pools.set(name, { need, gives, begins: [begin] });
  else pool.begins.push(begin);
}

/** After this time nobody finds what was written; Infinity if nothing is known of that. */
function lastMoment({ expiry, endTime }: Call): number {
  return expiry === undefined ? Infinity : endTime + expiry.afterMs + expiry.clocksMs + 2;
}

function isWeakRead({ consistency }: Call): boolean {
  return consistency !== undefined && consistency !== "strong";
}

function contradiction(read: Call, writer: Call | undefined): Contradiction | undefined {
  if (writer === undefined) {
    return { reason: `a read found ${read.value}, which nobody has written`, calls: [read] };
  }
  const calls = [writer, read];
  if (writer.outcome === "fail") {
    return { reason: `a write was refused (${writer.error}), and yet it was read`, calls };
  }
  if (writer.at > read.endAt) return { reason: "a write was read before it was asked for", calls };
  return undefined;
}

function whatWasRead(call: Call, writers: ReadonlyMap<string, Call>): Need {
  if (call.value === null) return ABSENCE;
  const writer = call.f === "exists" ? undefined : writers.get(call.value);
  return writer === undefined ? PRESENT : { is: "value", call: writer };
}

function whatRefused(call: Call): Need {
  if (call.error === "exists") return PRESENT;
  if (call.error === "not_found" || call.expect === undefined) return ABSENCE;
  return { is: "other version", version: call.expect };
}

function whatWriteNeeds(call: Call): Need {
  switch (call.f) {
    case "create":
      return ABSENCE;
    case "update":
    case "delete":
      return PRESENT;
    case "cas":
      return call.expect === undefined ? ANYTHING : { is: "version", version: call.expect };
    default:
      return ANYTHING;
  }
}
