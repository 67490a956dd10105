import { assert, assertEquals } from "@std/assert";
import { JournalStorage } from "../../../../../node/storage/journal/journal_storage.ts";
import { segmentsAmong } from "../../../../../node/storage/journal/replay.ts";
import { encodeRecord, recordKey } from "../../../../../node/storage/record.ts";
import { encodeState, isControlKey, NO_STATE } from "../../../../../node/storage/state_record.ts";
import type { StorageChange } from "../../../../../node/storage/storage.ts";
import { TOMBSTONE } from "../../../../../shared/base/entry.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";
import { WorkScheduler } from "../../../../../shared/scheduling/work_scheduler.ts";
import { CrashingDisk } from "../../../../support/doubles/crashing_disk.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";
import { entry } from "../../../../support/doubles/recording_ports.ts";

const PARTITIONS = 3;
const KEYS = 40;
const MINUTE_MS = 60_000;

/** A journal to which partitions write in order, and what it is to tell. */
class Journalled {
  readonly random: SeededRandom;
  readonly disk: CrashingDisk;
  readonly clock = new ManualClock();
  readonly work = new WorkScheduler(this.clock);
  readonly lastSeqs = Array.from({ length: PARTITIONS }, () => 0);
  /** By partition: the key and the seq of each write; a removal has the seq of the write before it. */
  readonly written: { key: string; seq: number; removed: boolean }[][] = this.lastSeqs.map(
    () => [],
  );
  storage!: JournalStorage;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = new CrashingDisk(this.random);
    void this.disk.begin(Infinity);
  }

  async open(create = true, keptBytes = 1 << 20): Promise<void> {
    this.storage = await JournalStorage.open({
      clock: this.clock,
      random: this.random,
      files: this.disk.files(),
      table: this.disk.table(),
      id: "test",
      create,
      isControl: isControlKey,
      bounds: {
        feedBytes: 2_000,
        segmentBytes: 1_500,
        segmentBytesMin: 300,
        keptBytes,
        reserveBytes: 0,
      },
    });
  }

  /** A batch of some partitions' writes, tombstones and removals. @returns whether it was written */
  batch(): Promise<boolean> {
    const changes = new Map<string, StorageChange>();
    const before = this.lastSeqs.slice();
    const noted: (() => void)[] = [];
    for (let i = 0; i <= randomBelow(this.random, 4); i++) {
      const p = randomBelow(this.random, PARTITIONS);
      const key = `k${randomBelow(this.random, KEYS)}`;
      const removed = randomBelow(this.random, 4) === 0;
      const seq = removed ? this.lastSeqs[p] ?? 0 : (this.lastSeqs[p] ?? 0) + 1;
      this.lastSeqs[p] = seq;
      const flags = randomBelow(this.random, 4) === 0 ? TOMBSTONE : 0;
      const row = encodeRecord(p, { ...entry(key, seq), flags });
      changes.set(`${p} ${key}`, removed ? { key: recordKey(p, key) } : row);
      const state = encodeState(p, { ...NO_STATE, lastSeq: seq });
      changes.set(`${p}`, { key: state.key, value: state.value });
      noted.push(() => this.written[p]?.push({ key, seq, removed }));
    }
    return new Promise((resolve) =>
      this.storage.write([...changes.values()], true, (error) => {
        if (error === undefined) { for (const note of noted) note(); }
        else this.lastSeqs.splice(0, PARTITIONS, ...before);
        resolve(error === undefined);
      })
    );
  }

  /** What the journal tells of a partition. */
  async since(partition: number, seq: number): Promise<ReadonlySet<string> | undefined> {
    const found = this.storage.writtenSince(partition, seq, this.work);
    for (let i = 0; i < 20; i++) await this.clock.run(0);
    return await found;
  }

  /** What it must tell: every key that was written beyond `seq`, or removed since. */
  wanted(partition: number, seq: number): string[] {
    const written = this.written[partition] ?? [];
    const first = written.findIndex((write) => write.seq > seq);
    if (first < 0) return [];
    return [...new Set(written.slice(first).map(({ key }) => key))];
  }
}

Deno.test("JournalReader: tells every key that was written or removed beyond any seq, over segments and feedings", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const journalled = new Journalled(seed);
    await journalled.open();
    journalled.storage.keep(MINUTE_MS);
    for (let i = 0; i < 150; i++) {
      await journalled.batch();
      if (i % 10 === 0) await journalled.clock.run(10);
    }
    const segments = segmentsAmong(journalled.disk.contents.keys()).length;
    assert(segments > 5, `seed ${seed}: ${segments} segments are kept`);
    for (let p = 0; p < PARTITIONS; p++) {
      for (const back of [0, 1, 2, 5, 20, 60, 1_000]) {
        const seq = Math.max(0, (journalled.lastSeqs[p] ?? 0) - back);
        const found = await journalled.since(p, seq);
        const missing = journalled.wanted(p, seq).filter((key) => found?.has(key) !== true);
        assertEquals([found === undefined, missing], [false, []], `seed ${seed}, ${p} from ${seq}`);
      }
    }
    await journalled.storage.close();
  }
});

Deno.test("JournalReader: gives nothing but keys beyond the seq, and keys that were removed", async () => {
  const journalled = new Journalled(1);
  await journalled.open();
  journalled.storage.keep(MINUTE_MS);
  for (let i = 0; i < 60; i++) await journalled.batch();
  const seq = (journalled.lastSeqs[0] ?? 0) - 5;
  const found = await journalled.since(0, seq);
  const written = journalled.written[0] ?? [];
  const allowed = new Set(
    written.filter((write) => write.seq > seq || write.removed).map(({ key }) => key),
  );
  assertEquals([...found ?? []].filter((key) => !allowed.has(key)), []);
  await journalled.storage.close();
});

Deno.test("JournalReader: where a batch is garbled or a segment is gone, it tells nothing that lies beyond", async () => {
  for (const harm of ["garbled", "gone"] as const) {
    const journalled = new Journalled(3);
    await journalled.open();
    journalled.storage.keep(MINUTE_MS);
    for (let i = 0; i < 100; i++) await journalled.batch();
    const names = segmentsAmong(journalled.disk.contents.keys());
    const harmed = names[names.length - 4]?.name ?? "";
    const file = journalled.disk.contents.get(harmed);
    if (harm === "gone") journalled.disk.contents.delete(harmed);
    else file?.bytes.fill(0xff, file.bytes.length - 3);
    assertEquals(await journalled.since(0, 0), undefined, harm);
    assert(await journalled.since(0, (journalled.lastSeqs[0] ?? 0) - 1) !== undefined, harm);
    await journalled.storage.close();
  }
});

Deno.test("JournalStorage.keep: segments that no start needs stay for so long, and go when the disk refuses a write", async () => {
  const journalled = new Journalled(4);
  await journalled.open();
  const segments = async () => {
    await journalled.clock.run(0);
    return segmentsAmong(journalled.disk.contents.keys()).length;
  };
  const write = async () => {
    for (let i = 0; i < 100; i++) await journalled.batch();
  };
  await write();
  assert(await segments() <= 6, `${await segments()} are needed`);
  journalled.storage.keep(MINUTE_MS);
  await write();
  assert(await segments() >= 12, `${await segments()} are kept`);
  await journalled.clock.run(2 * MINUTE_MS);
  journalled.storage.keep(MINUTE_MS);
  assert(await segments() <= 6, `${await segments()} are left after the time`);
  await write();
  journalled.disk.full = true;
  assertEquals(await journalled.batch(), false);
  assert(await segments() <= 6, `${await segments()} are left on a full disk`);
  journalled.disk.full = false;
  assertEquals(await journalled.batch(), true);
  await journalled.storage.close();
});

Deno.test("JournalStorage.keep: no more bytes are kept than the bound, and little less", async () => {
  const journalled = new Journalled(5);
  await journalled.open(true, 30_000);
  journalled.storage.keep(MINUTE_MS);
  for (let i = 0; i < 1_000; i++) {
    await journalled.batch();
    let bytes = 0;
    for (const file of journalled.disk.contents.values()) bytes += file.bytes.length;
    assert(bytes < 42_000, `${bytes} after ${i}`);
    if (i > 400) assert(bytes > 26_000, `${bytes} after ${i}`);
  }
  await journalled.storage.close();
});

Deno.test("JournalReader: after a start it tells all of what was written before, or nothing", async () => {
  const journalled = new Journalled(6);
  await journalled.open();
  for (let i = 0; i < 30; i++) await journalled.batch();
  journalled.disk.crash(true);
  void journalled.disk.begin(Infinity);
  await journalled.open(false);
  for (let seq = 0; seq < (journalled.lastSeqs[0] ?? 0); seq++) {
    const found = await journalled.since(0, seq);
    const missing = journalled.wanted(0, seq).filter((key) => !found?.has(key));
    assert(found === undefined || missing.length === 0, `from ${seq}: ${missing}`);
  }
  await journalled.storage.close();
});
