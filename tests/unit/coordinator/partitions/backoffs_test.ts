import { assertEquals } from "@std/assert";
import { Backoffs } from "../../../../coordinator/partitions/backoffs.ts";
import { REPAIR_BACKOFF_MS, REPAIR_BACKOFF_MS_MAX } from "../../../../shared/limits/membership.ts";

Deno.test("Backoffs: the pause doubles up to a bound, and is one partition's and one name's", () => {
  const backoffs = new Backoffs();
  const pauses: number[] = [];
  for (let i = 0; i < 12; i++) {
    backoffs.add(3, "n", 0);
    let ms = 0;
    while (!backoffs.isOver(3, "n", ms)) ms += REPAIR_BACKOFF_MS;
    pauses.push(ms);
  }
  assertEquals(pauses.slice(0, 3), [1, 2, 4].map((times) => times * REPAIR_BACKOFF_MS));
  assertEquals(Math.max(...pauses) <= REPAIR_BACKOFF_MS_MAX + REPAIR_BACKOFF_MS, true);
  assertEquals([backoffs.isOver(3, "m", 0), backoffs.isOver(4, "n", 0)], [true, true]);
});

Deno.test("Backoffs.takeEnded: tells of each pause once, and forgets failures of long ago", () => {
  const backoffs = new Backoffs();
  backoffs.add(1, "n", 0);
  assertEquals(backoffs.takeEnded(REPAIR_BACKOFF_MS - 1), []);
  assertEquals(backoffs.takeEnded(REPAIR_BACKOFF_MS), [1]);
  assertEquals(backoffs.takeEnded(REPAIR_BACKOFF_MS + 1), []);
  const longAfterMs = REPAIR_BACKOFF_MS + 2 * REPAIR_BACKOFF_MS_MAX + 1;
  backoffs.takeEnded(longAfterMs);
  backoffs.add(1, "n", longAfterMs);
  assertEquals(
    backoffs.isOver(1, "n", longAfterMs + REPAIR_BACKOFF_MS),
    true,
    "the first pause again",
  );
});
