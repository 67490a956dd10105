/**
 * The search for an order against histories that have one by construction, against spoilt ones, and,
 * for small ones, against a search that tries everything and knows no shortcut.
 */
import { assert, assertEquals } from "@std/assert";
import { randomBelow, SeededRandom } from "../../../shared/platform/random.ts";
import {
  type Call,
  callsOf,
  isObservation,
  isReadName,
} from "../../simulation/checkers/history.ts";
import { checkKey } from "../../simulation/checkers/linearizability.ts";
import { randomHistory, SPOILS } from "../../support/data/random_history.ts";

Deno.test("checkKey accepts histories of a register that works", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = new SeededRandom(seed);
    const history = randomHistory(random, {
      operations: 20 + randomBelow(random, 200),
      processes: 1 + randomBelow(random, 20),
      lostPercent: randomBelow(random, 60),
    });
    assertEquals(checkKey(history.calls()).is, "linearizable", `seed ${seed}`);
  }
});

// A stale read beside the write that it missed is no mistake: not every spoilt history is wrong.
const FOUND_PERCENT_MIN: Record<string, number> = {
  "a read finds an earlier value": 75,
  "a read finds nothing": 50,
  "an acknowledged write is refused": 40,
  "two acknowledgements are exchanged": 75,
  "a refused create succeeds": 60,
};

for (const [name, spoil] of Object.entries(SPOILS)) {
  const atLeast = FOUND_PERCENT_MIN[name] ?? 100;
  Deno.test(`checkKey rejects at least ${atLeast} of 100 if ${name}`, () => {
    let [found, spoilt] = [0, 0];
    for (let seed = 1; seed <= 200; seed++) {
      const random = new SeededRandom(seed);
      const history = randomHistory(random, { operations: 80, processes: 4, lostPercent: 10 });
      const events = spoil(history.events, random);
      if (events === undefined) continue;
      spoilt++;
      const { is } = checkKey(callsOf(events));
      assert(is !== "undecided");
      if (is === "violation") found++;
    }
    assert(spoilt > 100, `${spoilt} histories could be spoilt`);
    const percent = Math.floor(found / spoilt * 100);
    assert(percent >= atLeast, `${percent} of 100 were found`);
  });
}

Deno.test("checkKey agrees with trying everything, on small histories", () => {
  const counts = { linearizable: 0, violation: 0, undecided: 0 };
  const spoils = Object.values(SPOILS);
  for (let seed = 1; seed <= 3_000; seed++) {
    const random = new SeededRandom(seed);
    const history = randomHistory(random, {
      operations: 3 + randomBelow(random, 5),
      processes: 1 + randomBelow(random, 4),
      lostPercent: randomBelow(random, 90),
    });
    let events = history.events;
    for (let i = randomBelow(random, 4); i > 0; i--) {
      events = spoils[randomBelow(random, spoils.length)]?.(events, random) ?? events;
    }
    const calls = callsOf(events);
    const { is } = checkKey(calls);
    counts[is]++;
    assertEquals(is === "linearizable", hasOrder(calls), `seed ${seed}: ${JSON.stringify(events)}`);
  }
  assert(counts.linearizable > 400 && counts.violation > 400, JSON.stringify(counts));
});

/** Tries every order of every set of operations that may have happened. */
function hasOrder(calls: readonly Call[]): boolean {
  const counts = calls.filter((call) =>
    isReadName(call.f) ? call.outcome === "ok" : call.outcome !== "fail" || isObservation(call)
  );
  return extend(counts, []);
}

function extend(left: readonly Call[], order: readonly Call[]): boolean {
  if (left.every((call) => call.outcome === "info") && explains(order)) return true;
  const limit = Math.min(...left.map((call) => call.endAt));
  return left.some((call) =>
    call.at <= limit && extend(left.filter((other) => other !== call), [...order, call])
  );
}

function explains(order: readonly Call[]): boolean {
  let writer: Call | undefined;
  const versions = new Map<Call, number>();
  const writes: Call[] = [];
  const bind = (call: Call, version: number | undefined) => {
    if (version === undefined) return true;
    if (versions.has(call)) return versions.get(call) === version;
    versions.set(call, version);
    return true;
  };
  for (const call of order) {
    const { f, outcome, error, value, version } = call;
    const present = writer !== undefined;
    if (f === "read") {
      if (value !== (writer?.value ?? null)) return false;
      if (writer !== undefined && !bind(writer, version)) return false;
    } else if (f === "exists") {
      if (present !== (value !== null)) return false;
    } else if (outcome === "fail") {
      if (present !== (error === "exists")) return false;
    } else {
      if (f === "create" && present) return false;
      if ((f === "update" || f === "delete") && !present) return false;
      if (!bind(call, version)) return false;
      writes.push(call);
      writer = f === "delete" ? undefined : call;
    }
  }
  const known = writes.flatMap((call) => versions.get(call) ?? []);
  return known.every((version, i) => i === 0 || version > (known[i - 1] ?? 0));
}
