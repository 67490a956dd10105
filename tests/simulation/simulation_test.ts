/** A small fixed set of runs. Large ones: `deno task sim --seeds 200`. */
import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import type { Happening } from "./coverage.ts";
import { noFaults } from "./faults/faults.ts";
import { STORMS } from "./faults/storms.ts";
import { simulate, type SimulationOptions } from "./simulation.ts";

/** Beside what `tests/regression/` keeps. */
const SEEDS = [1, 5, 8, 11, 13, 17, 26];

for (const seed of SEEDS) {
  Deno.test(`simulate: seed ${seed}`, async () => {
    const { failure } = await simulate({ seed, stormMs: 60_000 });
    assertEquals(failure?.what, undefined, `replay: deno task sim --from ${seed} --storm 60`);
  });
}

const NONE = noFaults();
const STORM: SimulationOptions = {
  seed: 0,
  faults: {
    ...NONE,
    rates: {
      ...NONE.rates,
      kill: 8,
      allAtOnce: 0.5,
      stop: 2,
      cut: 2,
      coordinatorKill: 2,
      oldFolder: 8,
    },
    outageMsMax: 8_000,
    powerLoss: 0.3,
  },
  stormMs: 40_000,
  workload: { pauseMsMax: 1_500, coldKeys: 24 },
};

/** Runs seeds until one has met with it; all of them must pass. */
async function runUntil(what: Happening, memory: boolean): Promise<void> {
  for (let seed = 100; seed < 120; seed++) {
    const { failure, coverage } = await simulate({ ...STORM, seed, shape: { memory } });
    assertEquals(failure?.what, undefined, `seed ${seed}`);
    if (coverage.count(what) > 0) return;
  }
  throw new Error(`not in 20 seeds: ${what}`);
}

Deno.test("simulate: an old copy of a node's folder is refused", () =>
  runUntil("node: old folder refused", false));

Deno.test("simulate: if memory nodes lose a partition, all heals once it is given up", () =>
  runUntil("partition: forced", true));

Deno.test("simulate: a rolling restart costs no request an error", async () => {
  const { failure, coverage } = await simulate({ ...STORMS.rolling, seed: 1, scanner: true });
  assertEquals(failure?.what, undefined);
  assert(coverage.count("node: started") >= 6);
});

Deno.test("simulate: while a node's disk is full, others take its writes within the time that is promised", async () => {
  const { failure, coverage } = await simulate({ ...STORMS.full, seed: 1 });
  assertEquals(failure?.what, undefined);
  assert(coverage.count("disk: write refused") > 0);
});

for (const storm of ["deaths", "coordinator's standstills"] as const) {
  Deno.test(`simulate: with one fault at a time, keys are served in time: ${storm}`, async () => {
    const { failure } = await simulate({ ...STORMS[storm], seed: 1, stormMs: 25_000 });
    assertEquals(failure?.what, undefined);
  });
}

Deno.test("simulate: three coordinators die, stand still and lose each other, one at most acts, and all heals", async () => {
  const { failure } = await simulate({ ...STORMS.coordinators, seed: 3, stormMs: 60_000 });
  assertEquals(failure?.what, undefined);
});

for (const storm of ["outages", "forces", "accepted", "deaf"] as const) {
  Deno.test(`simulate: what happens in no storm of all kinds: ${storm}`, async () => {
    const { failure } = await simulate({ ...STORMS[storm], seed: 1 });
    assertEquals(failure?.what, undefined);
  });
}

Deno.test("simulate: a run with hardly any traffic fails", async () => {
  const { failure } = await simulate({
    seed: 1,
    faults: NONE,
    stormMs: 10_000,
    scanner: false,
    workload: { pauseMsMax: 600_000, coldKeys: 0, looseKeys: 0, loosePercent: 0 },
  });
  assertMatch(failure?.what ?? "", /only \d+ operations succeeded: the run proves nothing/);
});

Deno.test("simulate: the same seed is the same run, byte for byte, recorded or not", async () => {
  const options = { seed: 3, stormMs: 30_000 };
  const one = await simulate({ ...options, recording: true });
  const other = await simulate({ ...options, recording: true });
  const bare = await simulate(options);
  assert(one.trace.lines.length > 1_000);
  assertEquals(one.trace.text() === other.trace.text(), true, "the traces differ");
  assertEquals([other.hash, bare.hash], [one.hash, one.hash]);
  assertEquals(JSON.stringify(bare.history.events), JSON.stringify(one.history.events));
  assert(one.transactions.length > 10);
  assertEquals(JSON.stringify(bare.transactions), JSON.stringify(one.transactions));
  const another = await simulate({ ...options, seed: 4 });
  assertNotEquals(another.hash, one.hash);
});
