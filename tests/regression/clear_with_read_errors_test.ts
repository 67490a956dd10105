/**
 * A read error of the disk while a replica was being deleted left it half deleted for ever: it could
 * neither be used nor deleted again. Found by the simulation (seed 291, "partition 7 has learners").
 */
import { assertEquals } from "@std/assert";
import { MemoryStorage } from "../../node/storage/memory/memory_storage.ts";
import { GroupCommit, NO_STATE, PartitionStore } from "../../node/storage/partition_store.ts";
import { NO_VALUE } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

Deno.test("PartitionStore.clear: what the disk failed to read is deleted by the next call", async () => {
  const clock = new ManualClock();
  const storage = new MemoryStorage(clock, new SeededRandom(1));
  const range = storage.range.bind(storage);
  let failures = 2;
  storage.range = (wanted) =>
    failures-- > 0 ? Promise.reject(new KvError("storage_failed", "a read error")) : range(wanted);
  const queue = new GroupCommit(storage, clock, { fsync: "always", onError() {} });
  const store = new PartitionStore(queue, 3, NO_STATE, () => {});
  const times = { timestampMs: 0, expiresAtMs: 0 };
  store.apply({ key: "k", seq: 1, term: 1, flags: 0, ...times, value: NO_VALUE });
  await clock.run(1);
  const cleared: boolean[] = [];
  for (let attempt = 1; attempt <= 3; attempt++) {
    store.clear().then(() => cleared.push(true), () => cleared.push(false));
    await clock.run(10);
    assertEquals([store.get("k"), store.isClearing], [undefined, attempt < 3]);
  }
  assertEquals(cleared, [false, false, true]);
});
