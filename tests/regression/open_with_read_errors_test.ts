/**
 * A read error of the disk while a node took a partition up ended the process: the state record was
 * read a second time, in the middle of adopting a map. Found by the simulation (seed 434).
 */
import { assertEquals } from "@std/assert";
import { MemoryStorage } from "../../node/storage/memory/memory_storage.ts";
import {
  GroupCommit,
  NO_STATE,
  openPartitionStores,
  PartitionStore,
} from "../../node/storage/partition_store.ts";
import { type Entry, NO_VALUE } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";

const OPTIONS = { fsync: "always", onError() {} } as const;

function entry(seq: number): Entry {
  return {
    key: `k${seq}`,
    seq,
    term: 1,
    flags: 0,
    timestampMs: 0,
    expiresAtMs: 0,
    value: NO_VALUE,
  };
}

Deno.test("PartitionStore takes an opened partition up without reading", async () => {
  const clock = new ManualClock();
  const storage = new MemoryStorage(clock, new SeededRandom(1));
  const first = new PartitionStore(new GroupCommit(storage, clock, OPTIONS), 0, NO_STATE, () => {});
  first.apply(entry(1));
  await clock.run(1);
  const opened = await openPartitionStores(storage, 1);
  const state = opened.get(0) ?? NO_STATE;
  const queue = new GroupCommit(storage, clock, OPTIONS);
  const { get } = storage;
  storage.get = () => {
    throw new KvError("storage_failed", "a read error");
  };
  const second = new PartitionStore(queue, 0, state, () => {});
  storage.get = get;
  // The sum over state records goes on from there.
  second.apply(entry(2));
  await clock.run(1);
  assertEquals((await openPartitionStores(storage, 1)).damaged.size, 0);
});
