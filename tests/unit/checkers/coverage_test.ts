import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Coverage, EXPECTED, HAPPENINGS } from "../../simulation/coverage.ts";

/** What a number of runs saw, each of them everything but one thing. */
function after(runs: number, never: string): Coverage {
  const sum = new Coverage();
  for (let i = 0; i < runs; i++) {
    const run = new Coverage();
    for (const what of HAPPENINGS) if (what !== never) run.hit(what, 2);
    sum.add(run);
  }
  return sum;
}

Deno.test("Coverage: a thing that happens in most runs and never in 100 fails", () => {
  const what = "partition: failover";
  assertEquals(after(100, what).missing(), [what]);
  assertStringIncludes(String(after(100, what)), "NEVER");
  assertEquals(after(100, "nothing").missing(), []);
});

Deno.test("Coverage: nothing is due after few runs, and rare things only after many", () => {
  assertEquals(after(10, "").due(), []);
  const rare = HAPPENINGS.filter((what) => EXPECTED[what] > 0)
    .toSorted((a, b) => EXPECTED[a] - EXPECTED[b])[0];
  assert(rare !== undefined);
  assertEquals(after(100, rare).missing(), []);
  assertEquals(after(Math.ceil(2_800 / EXPECTED[rare]), rare).missing(), [rare]);
});

Deno.test("Coverage: what belongs to a storm of its own is never due in others", () => {
  const due = after(10_000, "").due();
  for (const what of HAPPENINGS) assertEquals(due.includes(what), EXPECTED[what] > 0, what);
});
