/** A small fixed set of runs. Large ones: `deno task sim --seeds 200`. */
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { simulate } from "./simulation.ts";

/** Beside what `tests/regression/` keeps. */
const SEEDS = [1, 2, 5, 8, 11, 13, 16, 17, 20, 26];

for (const seed of SEEDS) {
  Deno.test(`simulate: seed ${seed}`, async () => {
    const { failure } = await simulate({ seed, stormMs: 60_000 });
    assertEquals(failure?.what, undefined, `replay: deno task sim --from ${seed} --storm 60`);
  });
}

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
