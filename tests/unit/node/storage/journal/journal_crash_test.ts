/**
 * A storage with a journal, against a model: crashes at every byte, power cuts that lose and garble what was not synced,
 * full disks, failing syncs, flipped bits. What is there afterwards is what some prefix of the batches had left, with
 * everything that was promised; or it is told that something is missing.
 */
import { assert, assertEquals } from "@std/assert";
import { JournalStorage } from "../../../../../node/storage/journal/journal_storage.ts";
import { segmentsAmong } from "../../../../../node/storage/journal/replay.ts";
import type { StorageChange } from "../../../../../node/storage/storage.ts";
import { isControlKey } from "../../../../../node/storage/state_record.ts";
import { randomBelow, SeededRandom } from "../../../../../shared/platform/random.ts";
import { CrashingDisk } from "../../../../support/doubles/crashing_disk.ts";
import { ManualClock } from "../../../../support/doubles/manual_clock.ts";

const PARTITIONS = 3;
const KEYS = 8;
const ALL = {
  from: Uint8Array.of(0, 0),
  to: new Uint8Array([PARTITIONS]),
  rowsMax: 1_000,
  bytesMax: Infinity,
};
const SMALL = {
  feedBytes: 300,
  journalBytes: 900,
  segmentBytes: 500,
  segmentBytesMin: 150,
  reserveBytes: 2_000,
};

/** What all batches up to one have left: rows and control rows as text. */
type State = string;

/** A process on a disk, and what it was promised. */
class Run {
  readonly disk: CrashingDisk;
  readonly random: SeededRandom;
  readonly clock = new ManualClock();
  readonly model = new Map<string, string>();
  /** By the number of the batch after which it was so; numbers without one left it as it was. */
  readonly states = new Map<number, State>([[0, ""]]);
  /** The last batch that was promised to survive the process, and the last to survive a power cut. */
  acknowledged = 0;
  synced = 0;
  /** What the batch under way would leave, and each that was refused since the last that was not. */
  maybe: State[] = [];

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    this.disk = new CrashingDisk(this.random);
  }

  below(bound: number): number {
    return randomBelow(this.random, bound);
  }

  open(create: boolean): Promise<JournalStorage> {
    return JournalStorage.open({
      clock: this.clock,
      random: this.random,
      files: this.disk.files(),
      table: this.disk.table(),
      id: "test",
      create,
      isControl: isControlKey,
      bounds: SMALL,
    });
  }

  changes(): StorageChange[] {
    const changes = new Map<string, StorageChange>();
    const count = this.below(5);
    for (let i = 0; i < count; i++) {
      const partition = this.below(PARTITIONS);
      const isState = this.below(4) === 0;
      const key = isState
        ? Uint8Array.of(0, partition)
        : Uint8Array.of(0, partition, 97 + this.below(KEYS));
      const value = Uint8Array.from({ length: this.below(40) }, () => this.random.uint32());
      changes.set(key.join(), this.below(5) === 0 ? { key } : { key, value });
    }
    return [...changes.values()];
  }

  /** Ends when it is written or refused. @returns whether it was written */
  write(storage: JournalStorage, changes: StorageChange[], sync: boolean): Promise<boolean> {
    const before = new Map(this.model);
    for (const { key, value } of changes) {
      if (value === undefined) this.model.delete(key.join());
      else this.model.set(key.join(), value.join());
    }
    this.maybe.push(stateOf(this.model));
    return new Promise((resolve) => {
      storage.write(changes, sync, (error) => {
        if (error !== undefined) {
          this.model.clear();
          for (const [key, value] of before) this.model.set(key, value);
          resolve(false);
          return;
        }
        this.states.set(storage.batch, stateOf(this.model));
        this.maybe = [];
        this.acknowledged = storage.batch;
        if (sync) this.synced = storage.batch;
        resolve(true);
      });
    });
  }

  /** What batch `number` has left. */
  stateAt(number: number): State {
    for (let n = number; n > 0; n--) {
      const state = this.states.get(n);
      if (state !== undefined) return state;
    }
    return "";
  }

  /** Goes on from what was found. */
  adopt(storage: JournalStorage, found: State): void {
    for (const number of this.states.keys()) {
      if (number > storage.batch) this.states.delete(number);
    }
    this.states.set(storage.batch, found);
    this.model.clear();
    for (const line of found.split("\n").filter((line) => line !== "")) {
      const [key = "", value = ""] = line.split(" = ");
      this.model.set(key, value);
    }
    this.acknowledged = this.synced = storage.batch;
    this.maybe = [];
  }
}

function stateOf(model: ReadonlyMap<string, string>): State {
  return [...model].map(([key, value]) => `${key} = ${value}`).sort().join("\n");
}

async function contentOf(storage: JournalStorage): Promise<State> {
  const rows = new Map<string, string>();
  for (const [key, value] of await storage.range(ALL)) rows.set(key.join(), value.join());
  for (let partition = 0; partition < PARTITIONS; partition++) {
    const key = Uint8Array.of(0, partition);
    const value = storage.get(key);
    if (value !== undefined) rows.set(key.join(), value.join());
    for (let k = 0; k < KEYS; k++) {
      const row = Uint8Array.of(0, partition, 97 + k);
      assertEquals(storage.get(row)?.join(), rows.get(row.join()));
    }
  }
  return stateOf(rows);
}

/** Writes until it dies or has written so much. */
async function work(run: Run, storage: JournalStorage, died: Promise<void>): Promise<void> {
  const modes = run.below(3);
  const count = 1 + run.below(40);
  let refused: StorageChange[] | undefined;
  for (let i = 0; i < count && !run.disk.isDead; i++) {
    run.disk.full = run.below(12) === 0;
    run.disk.syncFails = run.below(12) === 0;
    const changes = refused !== undefined && run.below(2) === 0 ? refused : run.changes();
    const sync = modes === 0 || (modes === 1 && run.below(3) === 0);
    const written = await Promise.race([run.write(storage, changes, sync), died]);
    if (written === false) refused = changes;
    if (run.below(3) === 0) await Promise.race([run.clock.run(run.below(2_000)), died]);
    if (run.below(6) === 0 && !run.disk.isDead) {
      const content = await contentOf(storage);
      assertEquals(content, stateOf(run.model), "what is read is what was written");
    }
  }
  run.disk.full = run.disk.syncFails = false;
}

const SEEDS = 1_500;

Deno.test("JournalStorage: after a crash at any byte there is a prefix, with all that was promised", async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const run = new Run(seed);
    let storage: JournalStorage | undefined;
    for (let life = 0; life < 4; life++) {
      const died = run.disk.begin(life === 0 ? Infinity : 100 + run.below(4_000));
      const opening = run.open(life === 0);
      const opened = await Promise.race([opening, died]);
      if (opened === undefined) {
        run.disk.crash(run.below(2) === 0);
        continue;
      }
      storage = opened;
      const content = await contentOf(storage);
      const name = `seed ${seed}, life ${life}, batch ${storage.batch}`;
      assertEquals(storage.lost, undefined, name);
      const states = [run.stateAt(storage.batch)];
      if (storage.batch > run.acknowledged) states.push(...run.maybe);
      assert(
        states.includes(content),
        `${name}: ${content}\n--- wanted\n${states.join("\n---\n")}`,
      );
      assert(storage.batch >= run.synced, `${name}, synced ${run.synced}`);
      run.adopt(storage, content);
      await work(run, storage, died);
      const power = run.below(2) === 0;
      if (power) run.synced = run.acknowledged;
      run.disk.crash(power);
    }
  }
});

Deno.test("JournalStorage: a flipped bit is noticed, or it was in what nobody needs, or in the last batch", async () => {
  let noticed = 0;
  let atTheEnd = 0;
  for (let seed = 1; seed <= SEEDS / 2; seed++) {
    const run = new Run(seed);
    let died = run.disk.begin(Infinity);
    let storage = await run.open(true);
    const count = 1 + run.below(60);
    for (let i = 0; i < count; i++) await run.write(storage, run.changes(), true);
    const last = storage.batch;
    run.disk.crash(run.below(2) === 0);
    const names = segmentsAmong(run.disk.contents.keys());
    const file = run.disk.contents.get(names[run.below(names.length)]?.name ?? "");
    assert(file !== undefined);
    const bit = run.below(file.bytes.length * 8);
    file.bytes[bit >>> 3] = (file.bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
    died = run.disk.begin(Infinity);
    storage = await Promise.race([run.open(false), died]) as JournalStorage;
    if (storage.lost !== undefined) {
      noticed++;
      continue;
    }
    assert(storage.batch >= last - 1, `seed ${seed}: ${storage.batch} of ${last}`);
    if (storage.batch < last) atTheEnd++;
    assertEquals(await contentOf(storage), run.stateAt(storage.batch), `seed ${seed}`);
  }
  assert(noticed > 100 && atTheEnd > 10, `${noticed} noticed, ${atTheEnd} at the end`);
});

Deno.test("JournalStorage: a segment that is gone is noticed, unless the table has all of it", async () => {
  let noticed = 0;
  for (let seed = 1; seed <= 400; seed++) {
    const run = new Run(seed);
    await Promise.race([run.disk.begin(Infinity), Promise.resolve()]);
    let storage = await run.open(true);
    const count = 1 + run.below(60);
    for (let i = 0; i < count; i++) await run.write(storage, run.changes(), true);
    const last = storage.batch;
    run.disk.crash(true);
    const names = segmentsAmong(run.disk.contents.keys());
    if (names.length < 2) continue;
    // Of the last segment nobody can know, except by the checkpoint.
    run.disk.contents.delete(names[run.below(names.length - 1)]?.name ?? "");
    await Promise.race([run.disk.begin(Infinity), Promise.resolve()]);
    storage = await run.open(false);
    if (storage.lost !== undefined) noticed++;
    else assertEquals([storage.batch, await contentOf(storage)], [last, run.stateAt(last)]);
  }
  assert(noticed > 20, `${noticed} noticed`);
});
