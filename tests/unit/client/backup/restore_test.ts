import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Backup } from "../../../../client/backup/backup_reader.ts";
import { type RestoreOptions, runRestore } from "../../../../client/backup/restore.ts";
import type { Entry } from "../../../../shared/base/entry.ts";
import { type ErrorCode, KvError } from "../../../../shared/base/errors.ts";
import { compareKeys } from "../../../../shared/base/key_order.ts";
import { RESTORE_WRITE_BYTES, RESTORE_WRITE_ENTRIES } from "../../../../shared/limits/backup.ts";
import { partitionOf } from "../../../../shared/cluster/position.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

const NOW_MS = 1_000_000;

/** Entries whose versions do not go with the order of their keys. */
function makeEntries(count: number, valueBytes = 10): Entry[] {
  return Array.from({ length: count }, (_, i) => ({
    key: `key ${i}`,
    seq: 1 + (i * 7_919) % count,
    term: 0,
    flags: 0,
    timestampMs: 1,
    expiresAtMs: 0,
    value: new Uint8Array(valueBytes).fill(i),
  }));
}

function backupOf(all: readonly Entry[], partitions: number): Backup & { reads: number } {
  const lists = Array.from(
    { length: partitions },
    (_, p) =>
      all.filter(({ key }) => partitionOf(key, partitions) === p)
        .sort((a, b) => compareKeys(a.key, b.key)),
  );
  return {
    reads: 0,
    header: {
      format: 1,
      clusterId: "c",
      clusterName: "c",
      partitions,
      createdMs: 0,
      program: "",
    },
    entries: all.length,
    sections: lists.map((list, partition) => ({
      partition,
      attempt: 1,
      term: 1,
      seq: all.length,
      entries: list.length,
      chunks: 1,
      bytes: list.reduce((sum, { key, value }) => sum + key.length + value.length + 31, 0),
      sha256: "",
    })),
    async *read(partition) {
      this.reads++;
      const list = lists[partition] ?? [];
      for (let i = 0; i < list.length; i += 50) yield await Promise.resolve(list.slice(i, i + 50));
    },
  };
}

/** A cluster that gives versions, and fails as it is told. */
function targetOf(partitionCount: number, fail: () => ErrorCode | undefined = () => undefined) {
  const stored = new Map<string, { entry: Entry; version: number }>();
  let version = 0;
  let writes = 0;
  return {
    stored,
    partitionCount,
    groupOf: (key: string) => String(partitionOf(key, partitionCount)),
    get writes() {
      return writes;
    },
    async putInOrder(entries: readonly Entry[]) {
      await Promise.resolve();
      writes++;
      const homes = new Set(entries.map(({ key }) => partitionOf(key, partitionCount)));
      assertEquals(homes.size, 1, "one partition at a time");
      assert(entries.length <= RESTORE_WRITE_ENTRIES);
      const bytes = entries.reduce((sum, { value }) => sum + value.length, 0);
      assert(entries.length === 1 || bytes <= RESTORE_WRITE_BYTES);
      const code = fail();
      if (code !== undefined) throw new KvError(code, `failed with ${code}`);
      for (const entry of entries) stored.set(entry.key, { entry, version: ++version });
    },
  };
}

async function run(
  backup: Backup,
  target: ReturnType<typeof targetOf>,
  options: Partial<RestoreOptions> = {},
) {
  const clock = new ManualClock(NOW_MS);
  const restoring = runRestore(backup, target, { clock }, { giveUpAfterMs: 1_000, ...options });
  let settled = false;
  restoring.then(() => settled = true, () => settled = true);
  for (let i = 0; i < 10_000 && !settled; i++) await clock.run(10);
  return await restoring;
}

function checkOrder(
  all: readonly Entry[],
  target: ReturnType<typeof targetOf>,
  partitions: number,
): void {
  assertEquals(target.stored.size, all.length);
  const last = new Map<string, number>();
  for (const entry of all.toSorted((a, b) => a.seq - b.seq)) {
    const found = target.stored.get(entry.key);
    assertEquals(found?.entry, entry);
    const home = `${partitionOf(entry.key, partitions)} ${
      partitionOf(entry.key, target.partitionCount)
    }`;
    assert((found?.version ?? 0) > (last.get(home) ?? 0), "the order of versions is kept");
    last.set(home, found?.version ?? 0);
  }
}

Deno.test("runRestore keeps the order of versions, into any number of partitions", async () => {
  const all = makeEntries(2_000);
  for (const [from, to] of [[4, 4], [4, 16], [4, 1], [1, 64]] as const) {
    const target = targetOf(to);
    const summary = await run(backupOf(all, from), target);
    checkOrder(all, target, from);
    assertEquals([summary.written, summary.expired, summary.retries], [all.length, 0, 0]);
  }
});

Deno.test("runRestore sorts a partition that does not fit in memory slice by slice", async () => {
  const all = makeEntries(500, 1_000);
  const backup = backupOf(all, 1);
  const target = targetOf(2);
  await run(backup, target, { sliceBytes: 100_000 });
  checkOrder(all, target, 1);
  assertEquals(backup.reads, 1 + 6, "once for the cuts, once a slice");
});

Deno.test("runRestore tries again what may not have happened, in the same order", async () => {
  const all = makeEntries(1_000);
  let count = 0;
  const codes: ErrorCode[] = ["outcome_unknown", "unavailable", "timeout"];
  const target = targetOf(4, () => count++ % 3 === 0 ? undefined : codes[count % codes.length]);
  const summary = await run(backupOf(all, 4), target);
  checkOrder(all, target, 4);
  assert(summary.retries > 0);
});

Deno.test("runRestore ends with the error that does not get better, and begins nothing more", async () => {
  const all = makeEntries(2_000);
  for (const [code, atLeast] of [["value_too_large", 1], ["unavailable", 4]] as const) {
    const target = targetOf(64, () => code);
    const error = await assertRejects(() => run(backupOf(all, 64), target), KvError);
    assertEquals(error.code, code);
    assert(target.writes >= atLeast && target.writes < 64);
    assertEquals(target.stored.size, 0);
  }
});

Deno.test("runRestore leaves out what has expired since", async () => {
  const all = makeEntries(10).map((entry, i) => ({
    ...entry,
    expiresAtMs: i === 0 ? 0 : i < 5 ? NOW_MS - i : NOW_MS + 1_000_000 + i,
  }));
  const target = targetOf(2);
  const summary = await run(backupOf(all, 2), target);
  assertEquals([summary.written, summary.expired], [6, 4]);
  assertEquals(target.stored.get("key 7")?.entry.expiresAtMs, NOW_MS + 1_000_007);
  assertEquals(target.stored.has("key 3"), false);
});
