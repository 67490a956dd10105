/**
 * Random histories of one key that are linearizable by construction: a register that carries out each
 * operation at one moment between its question and its answer; some answers are lost. And ways to
 * spoil such a history.
 *
 * @module
 */
import { type Random, randomBelow } from "../../../shared/platform/random.ts";
import { History, type Operation, type OperationName } from "../../simulation/checkers/history.ts";

/** What a generated history is like. */
export interface RandomHistoryOptions {
  readonly operations: number;
  readonly processes: number;
  /** Of 100 answers to writes, this many are lost. */
  readonly lostPercent: number;
  /** The operations; one that is named twice is chosen twice as often. */
  readonly names?: readonly OperationName[];
}

const NAMES: readonly OperationName[] = [
  "read",
  "read",
  "read",
  "write",
  "write",
  "create",
  "update",
  "delete",
  "exists",
];

interface Register {
  value: string | null;
  version: number;
  seq: number;
}

interface Running {
  id: number;
  f: OperationName;
  value: string | null;
  /** What the register answered; undefined before it was carried out. */
  answer: ((history: History, time: number) => void) | undefined;
}

/** A history that is linearizable. */
export function randomHistory(random: Random, options: RandomHistoryOptions): History {
  const below = (bound: number) => randomBelow(random, bound);
  const names = options.names ?? NAMES;
  const history = new History();
  const register: Register = { value: null, version: 0, seq: 0 };
  const running: Running[] = [];
  /** Writes whose callers gave up, and that may still happen. */
  const lost: Running[] = [];
  let begun = 0;
  for (let time = 1; begun < options.operations || running.length > 0; time++) {
    const dice = below(100);
    if (begun < options.operations && running.length < options.processes && dice < 40) {
      const f = names[below(names.length)] ?? "read";
      const writes = f === "write" || f === "create" || f === "update";
      const value = writes ? `v${begun}` : null;
      const id = history.invoke({ process: history.newProcess(), f, key: "k", value, time });
      running.push({ id, f, value, answer: undefined });
      begun++;
      continue;
    }
    if (lost.length > 0 && dice < 43) carryOut(register, take(lost, below(lost.length)));
    const call = running[below(Math.max(running.length, 1))];
    if (call === undefined) continue;
    const reads = call.f === "read" || call.f === "exists";
    if (!reads && below(100) * 3 < options.lostPercent) {
      history.info(call.id, time, "outcome_unknown");
      running.splice(running.indexOf(call), 1);
      if (call.answer === undefined) lost.push(call);
    } else if (call.answer === undefined) {
      carryOut(register, call);
    } else {
      call.answer(history, time);
      running.splice(running.indexOf(call), 1);
    }
  }
  return history;
}

function take(from: Running[], index: number): Running | undefined {
  return from.splice(index, 1)[0];
}

function carryOut(register: Register, call: Running | undefined): void {
  if (call === undefined) return;
  const { id, f } = call;
  const { value, version } = register;
  const present = value !== null;
  if (f === "read") {
    call.answer = (history, time) =>
      history.ok(id, present ? { time, value, version } : { time, value: null });
  } else if (f === "exists") {
    call.answer = (history, time) => history.ok(id, { time, value: present ? "" : null });
  } else if (f === "create" && present) {
    call.answer = (history, time) => history.fail(id, time, "exists");
  } else if ((f === "update" || f === "delete") && !present) {
    call.answer = (history, time) => history.fail(id, time, "not_found");
  } else {
    register.seq += 1;
    const seq = register.seq;
    register.value = call.value;
    register.version = seq;
    call.answer = (history, time) =>
      history.ok(id, f === "delete" ? { time } : { time, version: seq });
  }
}

/** A way to spoil a history. Undefined if this history offers no occasion. */
export type Spoil = (events: readonly Operation[], random: Random) => Operation[] | undefined;

const isAnswer = (event: Operation) => event.type === "ok";

function replaceOne(
  events: readonly Operation[],
  random: Random,
  choose: (event: Operation) => boolean,
  change: (event: Operation) => Operation | undefined,
): Operation[] | undefined {
  const places = events.flatMap((event, place) => choose(event) ? [place] : []);
  const place = places[randomBelow(random, places.length)];
  if (place === undefined) return undefined;
  const event = events[place];
  const changed = event && change(event);
  return changed && events.with(place, changed);
}

/** Mistakes that a store could make, by name. Not each of them makes a history that no order explains. */
export const SPOILS: Readonly<Record<string, Spoil>> = {
  "a read finds an earlier value": (events, random) => {
    const written = new Map<string, number>();
    for (const event of events) {
      if (event.type !== "ok" || event.version === undefined || event.value === null) continue;
      written.set(event.value, event.version);
    }
    return replaceOne(
      events,
      random,
      (event) => event.f === "read" && isAnswer(event) && event.value !== null,
      (event) => {
        const older = [...written].filter(([, version]) => version < (event.version ?? 0));
        const [value, version] = older[randomBelow(random, older.length)] ?? [];
        return value === undefined ? undefined : { ...event, value, version };
      },
    );
  },
  "a read finds nothing": (events, random) =>
    replaceOne(
      events,
      random,
      (event) => event.f === "read" && isAnswer(event) && event.value !== null,
      (event) => ({ ...event, value: null, version: undefined }),
    ),
  "an acknowledged write is refused": (events, random) =>
    replaceOne(
      events,
      random,
      (event) => event.f === "write" && isAnswer(event),
      (event) => ({ ...event, type: "fail", error: "unavailable", version: undefined }),
    ),
  "two acknowledgements are exchanged": (events, random) => {
    const writes = events.flatMap((event, place) =>
      isAnswer(event) && event.f === "write" && event.version !== undefined ? [place] : []
    );
    const first = randomBelow(random, writes.length - 1);
    const [a, b] = [writes[first] ?? -1, writes[first + 1] ?? -1];
    const [one, two] = [events[a], events[b]];
    if (one === undefined || two === undefined) return undefined;
    return events.with(a, { ...one, version: two.version }).with(b, {
      ...two,
      version: one.version,
    });
  },
  "a refused create succeeds": (events, random) =>
    replaceOne(
      events,
      random,
      (event) => event.f === "create" && event.type === "fail",
      (event) => ({ ...event, type: "ok", error: undefined }),
    ),
};
