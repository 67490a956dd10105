/**
 * A disk fills up under a journal: what was accepted is written, into the space that was taken in advance; nothing more is
 * accepted until it can be taken again.
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { GroupCommit, PartitionStore } from "../../../../../node/storage/partition_store.ts";
import { JournalStorage } from "../../../../../node/storage/journal/journal_storage.ts";
import { isControlKey, NO_STATE } from "../../../../../node/storage/state_record.ts";
import { KvError } from "../../../../../shared/base/errors.ts";
import {
  JOURNAL_RESERVE_DELAY_MS,
  STORAGE_RETRY_MS,
} from "../../../../../shared/limits/storage.ts";
import { SeededRandom } from "../../../../../shared/platform/random.ts";
import { CrashingDisk } from "../../../../support/doubles/crashing_disk.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { entry } from "../../../../support/doubles/recording_ports.ts";

/** A partition on a journal, whose reserve is of some bytes. */
async function setUp(reserveBytes: number) {
  const clock = new ManualClock();
  const random = new SeededRandom(1);
  const disk = new CrashingDisk(random);
  void disk.begin(Infinity);
  const open = async (create: boolean) => {
    const storage = await JournalStorage.open({
      clock,
      random,
      files: disk.files(),
      table: disk.table(),
      id: "test",
      create,
      isControl: isControlKey,
      bounds: { reserveBytes },
    });
    await clock.run(JOURNAL_RESERVE_DELAY_MS);
    return storage;
  };
  const storage = await open(true);
  const errors: string[] = [];
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    onError: ({ message }) => errors.push(message),
  });
  let synced = 0;
  const store = new PartitionStore(queue, 0, NO_STATE, (seq) => synced = seq);
  const write = (seq: number) => {
    store.apply(entry(`k${seq}`, seq));
    store.setState({ lastSeq: seq });
  };
  return { clock, disk, storage, queue, store, write, errors, open, synced: () => synced };
}

Deno.test("JournalStorage: when the disk is full, what was accepted is written, and nothing more is accepted", async () => {
  const { clock, disk, write, errors, synced, queue } = await setUp(10_000);
  write(1);
  await clock.run(10);
  assertEquals([synced(), disk.reserved], [1, 10_000]);
  disk.full = true;
  write(2);
  // Its batch is under way, and the next one is accepted meanwhile.
  clock.settle();
  write(3);
  await clock.run(10);
  assertEquals([synced(), disk.reserved, errors], [3, 0, []]);
  const error = assertThrows(() => write(4), KvError);
  assertEquals(error.code, "storage_failed");
  assertStringIncludes(error.message, "no space is left");
  assert(queue.failure !== undefined);
});

Deno.test("JournalStorage: with room again, it takes its reserve first, and then writes", async () => {
  const { clock, disk, write, synced, queue } = await setUp(10_000);
  disk.full = true;
  write(1);
  await clock.run(3 * STORAGE_RETRY_MS);
  assertEquals([synced(), disk.reserved], [1, 0]);
  assertThrows(() => write(2), KvError);
  disk.full = false;
  await clock.run(STORAGE_RETRY_MS + 10);
  assertEquals([disk.reserved, queue.failure], [10_000, undefined]);
  write(2);
  await clock.run(10);
  assertEquals(synced(), 2);
});

Deno.test("JournalStorage: what does not fit into the reserve waits for room, and is written then", async () => {
  const { clock, disk, write, errors, synced } = await setUp(50);
  disk.full = true;
  write(1);
  await clock.run(3 * STORAGE_RETRY_MS);
  assertEquals([synced(), errors.length], [0, 1]);
  assertThrows(() => write(2), KvError);
  disk.full = false;
  await clock.run(2 * STORAGE_RETRY_MS);
  assertEquals(synced(), 1);
});

Deno.test("JournalStorage: on a disk that is nearly full from the start, nothing is accepted", async () => {
  const { clock, disk, storage, open } = await setUp(10_000);
  await storage.close();
  disk.full = true;
  disk.reserved = 0;
  disk.spare = 5_000;
  const again = await open(false);
  assertStringIncludes(again.full?.message ?? "", "no space is left");
  disk.full = false;
  await clock.run(STORAGE_RETRY_MS);
  assertEquals([again.full, disk.reserved], [undefined, 10_000]);
  await again.close();
});

Deno.test("JournalStorage: what was accepted survives a crash on the full disk", async () => {
  const { clock, disk, write, synced, open } = await setUp(10_000);
  write(1);
  await clock.run(10);
  disk.full = true;
  write(2);
  await clock.run(10);
  assertEquals(synced(), 2);
  disk.crash(false);
  disk.full = false;
  void disk.begin(Infinity);
  const again = await open(false);
  assert(again.get(Uint8Array.of(0, 0, ...new TextEncoder().encode("k2"))) !== undefined);
  await again.close();
});
