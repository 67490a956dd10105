/**
 * In memory, a key that came twice in a group, or was written and removed in one, was counted out twice:
 * `SET k 1; MULTI; DEL k; SET k 2; EXEC` left a DBSIZE of 0 and a partition that scans passed over. Found by a
 * review.
 */
import { assertEquals } from "@std/assert";
import { MemoryStorage } from "../../node/storage/memory/memory_storage.ts";
import { GroupCommit, NO_STATE, PartitionStore } from "../../node/storage/partition_store.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { entryOf } from "../support/data/partition_model.ts";

for (const volatile of [false, true]) {
  Deno.test(`a group that has a key twice counts it once, ${volatile ? "in memory" : "on disk"}`, async () => {
    const clock = new ManualClock();
    const storage = new MemoryStorage(clock, new SeededRandom(1), { volatile });
    const queue = new GroupCommit(storage, clock, {
      fsync: "always",
      onError: (error) => {
        throw error;
      },
    });
    const store = new PartitionStore(queue, 3, NO_STATE, () => {});
    store.apply(entryOf("k", 1, "one"));
    store.applyAll([entryOf("k", 2, "two"), entryOf("k", 3, "three")]);
    store.applyAll([entryOf("a", 4, "x"), entryOf("b", 5, "y")], ["b"]);
    store.setState({ lastSeq: 5 });
    clock.settle();
    assertEquals([store.state.count, await store.verify()], [2, true]);
  });
}
