/** What a storage with a journal says of itself. @module */
import { assert, assertEquals } from "@std/assert";
import { JournalStorage } from "../../../../../node/storage/journal/journal_storage.ts";
import type { StorageChange } from "../../../../../node/storage/storage.ts";
import { STORAGE_RETRY_MS } from "../../../../../shared/limits/storage.ts";
import { MetricSet } from "../../../../../shared/metrics/metric_set.ts";
import type { MetricName } from "../../../../../shared/metrics/metric_table.ts";
import { SeededRandom } from "../../../../../shared/platform/random.ts";
import { CrashingDisk } from "../../../../support/doubles/crashing_disk.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";

const BOUNDS = { feedBytes: 2 ** 30, feedDelayMs: 2 ** 30, segmentBytesMin: 1 };

function write(storage: JournalStorage, changes: StorageChange[], sync = true): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.write(changes, sync, (error) => error === undefined ? resolve() : reject(error));
  });
}

function row(i: number): StorageChange {
  return { key: Uint8Array.of(1, i), value: new Uint8Array(100) };
}

Deno.test("JournalStorage.collect: how far the table is behind, and what syncs and feedings take", async () => {
  const random = new SeededRandom(1);
  const clock = new ManualClock();
  const disk = new CrashingDisk(random);
  let slowMs = 0;
  const files = disk.files();
  const table = disk.table();
  const storage = await JournalStorage.open({
    clock,
    random,
    files: {
      list: () => files.list(),
      read: (name) => files.read(name),
      remove: (name) => files.remove(name),
      sync: (name) => files.sync(name),
      reserve: (bytes) => files.reserve(bytes),
      release: () => files.release(),
      create: async (name, content) => {
        const file = await files.create(name, content);
        return {
          append: async (bytes, sync) => {
            await file.append(bytes, sync);
            if (slowMs > 0) await clock.run(slowMs);
          },
          close: () => file.close(),
        };
      },
    },
    table,
    id: "test",
    create: true,
    bounds: BOUNDS,
  });
  const said = (name: MetricName) => {
    const set = new MetricSet();
    storage.collect(set);
    return set.samples(name)[0]?.value;
  };
  const number = (name: MetricName) => Number(said(name));
  const histogram = (name: MetricName) => {
    const value = said(name);
    assert(typeof value === "object");
    return { count: value.counts.reduce((sum, count) => sum + count, 0), sum: value.sum };
  };
  assertEquals([number("kv_journal_unfed_batches"), number("kv_journal_unfed_bytes")], [0, 0]);
  assertEquals([number("kv_journal_memory_bytes"), number("kv_table_refuses")], [0, 0]);

  slowMs = 40;
  for (let i = 0; i < 5; i++) await write(storage, [row(i)]);
  slowMs = 0;
  await write(storage, [row(5)], false);
  assertEquals(histogram("kv_journal_sync_seconds"), { count: 5, sum: 0.2 });
  assertEquals(number("kv_journal_unfed_batches"), 6);
  assert(number("kv_journal_unfed_bytes") > 600);
  assert(number("kv_journal_memory_bytes") > 600);
  assertEquals(histogram("kv_table_feed_seconds").count, 0);

  await storage.feed();
  assertEquals(number("kv_journal_unfed_batches"), 0);
  assertEquals(number("kv_journal_memory_bytes"), 0);
  assertEquals(histogram("kv_table_feed_seconds").count, 1);
  assert(number("kv_journal_segments") >= 1);
  await clock.run(STORAGE_RETRY_MS);
  await storage.close();
});
