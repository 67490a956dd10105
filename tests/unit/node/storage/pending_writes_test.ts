import { assertEquals } from "@std/assert";
import { PendingWrites } from "../../../../node/storage/pending_writes.ts";
import type { PendingWrite } from "../../../../node/storage/group_commit.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

Deno.test("PendingWrites: the newest write of each key, until just that one is on disk", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = new SeededRandom(seed);
    const ours = new PendingWrites();
    const theirs = new Map<string, PendingWrite>();
    /** All that were put in, in order, as batches reach the disk. */
    const queue: PendingWrite[] = [];
    // Few keys stay in the array; many go into the table, and come back.
    const keys = 1 + randomBelow(random, 40);
    for (let step = 0; step < 3_000; step++) {
      const key = `key${randomBelow(random, keys)}`;
      assertEquals(ours.get(key), theirs.get(key));
      if (randomBelow(random, 2) === 0) {
        const write = { key, place: step } as PendingWrite;
        ours.set(write);
        theirs.set(key, write);
        queue.push(write);
      } else {
        const write = queue.shift();
        if (write === undefined) continue;
        const isNewest = theirs.get(write.key) === write;
        assertEquals(ours.delete(write), isNewest);
        if (isNewest) theirs.delete(write.key);
      }
      if (step % 50 !== 0) continue;
      const all = (writes: Iterable<PendingWrite>) => [...writes].map(({ place }) => place).sort();
      assertEquals(all(ours), all(theirs.values()));
    }
  }
});
