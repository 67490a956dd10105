import { assert, assertEquals } from "@std/assert";
import { SeededRandom } from "../../../../shared/platform/random.ts";
import { backoffMs, isLoggedFailure } from "../../../../shared/scheduling/backoff.ts";

Deno.test("backoffMs: doubles from the least to the most, however often it has failed", () => {
  const pauses = [0, 1, 2, 3, 4, 5_000].map((failures) => backoffMs(50, 350, failures));
  assertEquals(pauses, [50, 100, 200, 350, 350, 350]);
});

Deno.test("backoffMs: leaves the upper half of the pause to chance", () => {
  const random = new SeededRandom(7);
  const pauses = Array.from({ length: 1_000 }, () => backoffMs(100, 1_000, 1, random));
  for (const pause of pauses) assert(pause >= 100 && pause < 200, `${pause} ms`);
  assert(Math.min(...pauses) < 110 && Math.max(...pauses) > 190, "all of the half is used");
});

Deno.test("isLoggedFailure: the third failure in a row, then each doubling", () => {
  const logged = Array.from({ length: 100 }, (_, index) => index + 1).filter(isLoggedFailure);
  assertEquals(logged, [3, 6, 12, 24, 48, 96]);
});
