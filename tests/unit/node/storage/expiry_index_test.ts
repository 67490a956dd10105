/** Which keys expire next, against a plain map of all of them. */
import { assert, assertEquals } from "@std/assert";
import { ExpiryIndex } from "../../../../node/storage/expiry_index.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("ExpiryIndex: knows what is due, and forgets what is written anew or gone", () => {
  const index = new ExpiryIndex(8, true);
  index.note("a", 30);
  index.note("b", 10);
  index.note("c", 20);
  assertEquals(index.due(20).map(({ key }) => key).sort(), ["b", "c"]);
  assertEquals([index.hasDue(9), index.hasDue(10), index.dueCount(30)], [false, true, 3]);
  index.note("b", 0);
  index.note("c", 40);
  assertEquals(index.due(30), [{ key: "a", expiresAtMs: 30, at: 0 } as never]);
  assertEquals(index.due(50, 1).length, 1);
  index.clear();
  assertEquals([index.size, index.completeMs], [0, Infinity]);
});

Deno.test("ExpiryIndex: of a partition that was opened with entries it knows nothing until a pass has ended", () => {
  const index = new ExpiryIndex(8, false);
  index.note("new", 10);
  assertEquals([index.completeMs, index.size], [0, 0]);
  index.beginPass();
  index.beginPage();
  index.note("k", 70);
  // The page was read before that.
  index.noteOfPage("k", 50);
  index.noteOfPage("old", 60);
  assertEquals(index.completeMs, 0);
  index.endPass(true);
  assertEquals([index.completeMs, index.dueCount(65), index.dueCount(70)], [Infinity, 1, 2]);
  index.beginPass();
  index.endPass(false);
  assertEquals(index.completeMs, 0);
});

Deno.test("ExpiryIndex: it is complete up to the date that it says, whatever is written, with room for few", () => {
  for (let seed = 1; seed <= 10; seed++) {
    const random = new SeededRandom(seed);
    const index = new ExpiryIndex(16, true);
    const all = new Map<string, number>();
    for (let step = 0; step < 1_000; step++) {
      const key = `k${randomBelow(random, 60)}`;
      const expiresAtMs = randomBelow(random, 4) === 0 ? 0 : 1 + randomBelow(random, 50);
      index.note(key, expiresAtMs);
      if (expiresAtMs === 0) all.delete(key);
      else all.set(key, expiresAtMs);
      assert(index.size <= 16);
      if (step % 100 === 99) {
        index.beginPass();
        index.beginPage();
        for (const [key, at] of all) index.noteOfPage(key, at);
        index.endPass(true);
      }
      const before = index.completeMs - 1;
      const wanted = [...all].filter(([, at]) => at <= before).map(([key]) => key).sort();
      assertEquals(index.due(before).map(({ key }) => key).sort(), wanted, `seed ${seed}`);
      for (const { key, expiresAtMs } of index.due(Infinity)) {
        assertEquals(all.get(key), expiresAtMs);
      }
    }
  }
});
