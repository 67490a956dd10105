/** What the simulated disk promises, and that it breaks no promise unless it is told to. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { JournalStorage } from "../../../node/storage/journal/journal_storage.ts";
import { randomBelow, SeededRandom } from "../../../shared/platform/random.ts";
import type { Storage, StorageChange } from "../../../node/storage/storage.ts";
import { Coverage } from "../coverage.ts";
import { EXACT_CLOCK, Scheduler, type SimProcess } from "./scheduler.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { SimDisk } from "./sim_disk.ts";

const key = (n: number) => Uint8Array.of(0, n, 0);
const ALL = { from: key(0), to: Uint8Array.of(1), rowsMax: 1e6, bytesMax: Infinity };

function disk(seed: number) {
  const scheduler = new Scheduler(seed);
  return { scheduler, disk: new SimDisk("d", scheduler, new Coverage()) };
}

/** A storage on a disk, when it is open. */
async function opened(
  scheduler: Scheduler,
  on: SimDisk,
  process: SimProcess,
  create = false,
): Promise<JournalStorage> {
  let storage: JournalStorage | undefined;
  JournalStorage.open({
    clock: process.clock,
    random: process.random,
    files: on.files(process),
    table: on.table(process),
    id: "d",
    create,
    bounds: { feedBytes: 200, segmentBytes: 300, segmentBytesMin: 100 },
  }).then((open) => storage = open);
  await scheduler.run(200);
  assert(storage !== undefined);
  return storage;
}

async function contents(scheduler: Scheduler, storage: Storage): Promise<string> {
  let text = "";
  storage.range(ALL).then((rows) => text = rows.map(([k, v]) => `${k[1]}=${v}`).join(" "));
  await scheduler.run(10);
  return text;
}

Deno.test("SimDisk: what is there after a crash is a prefix of the batches, with all that was synced", async () => {
  for (let seed = 1; seed <= 200; seed++) {
    const { scheduler, disk: d } = disk(seed);
    const random = new SeededRandom(seed);
    const process = scheduler.spawn("p", "h", EXACT_CLOCK);
    const storage = await opened(scheduler, d, process, true);
    const states = [""];
    const model = new Map<number, number>();
    let synced = 0;
    const count = 1 + randomBelow(random, 12);
    for (let n = 1; n <= count; n++) {
      const changes: StorageChange[] = [];
      for (let i = 0; i <= randomBelow(random, 3); i++) {
        const at = randomBelow(random, 5);
        if (randomBelow(random, 3) === 0) {
          model.delete(at);
          changes.push({ key: key(at) });
        } else {
          model.set(at, n);
          changes.push({ key: key(at), value: Uint8Array.of(n) });
        }
      }
      const sorted = [...model].sort(([a], [b]) => a - b);
      states.push(sorted.map(([k, v]) => `${k}=${v}`).join(" "));
      const sync = randomBelow(random, 2) === 0;
      storage.write(changes, sync, (error) => {
        assertEquals(error, undefined);
        if (sync) synced = n;
      });
      if (randomBelow(random, 2) === 0) await scheduler.run(randomBelow(random, 3));
    }
    process.kill();
    d.crash(randomBelow(random, 2) === 0);
    const again = await opened(scheduler, d, scheduler.spawn("q", "h", EXACT_CLOCK));
    const found = await contents(scheduler, again);
    assertEquals(states.slice(synced).includes(found), true, `seed ${seed}: ${found}`);
    assertEquals([...d.rows.entries()].filter(([k]) => k[0] === "\0").length, foundRows(found));
  }
});

function foundRows(text: string): number {
  return text === "" ? 0 : text.split(" ").length;
}

Deno.test("SimDisk: what is durable is what a power cut leaves", async () => {
  const { scheduler, disk: d } = disk(1);
  const process = scheduler.spawn("p", "h", EXACT_CLOCK);
  const storage = await opened(scheduler, d, process, true);
  storage.write([{ key: key(1), value: Uint8Array.of(1) }], true, () => {});
  await scheduler.run(10);
  storage.write([{ key: key(1), value: Uint8Array.of(2) }], false, () => {});
  await scheduler.run(10);
  assertEquals(storage.get(key(1)), Uint8Array.of(2));
  assertEquals(d.durable("\u0000\u0001\u0000"), Uint8Array.of(1));
});

Deno.test("SimDisk: a full disk refuses, reads on, and recovers", async () => {
  const { scheduler, disk: d } = disk(1);
  const storage = await opened(scheduler, d, scheduler.spawn("p", "h", EXACT_CLOCK), true);
  const ends: (string | undefined)[] = [];
  const write = () =>
    storage.write([{ key: key(1), value: Uint8Array.of(7) }], true, (error) => {
      ends.push(error?.message);
    });
  d.faults.full = true;
  write();
  await scheduler.run(10);
  assertEquals(storage.get(key(1)), undefined);
  d.faults.full = false;
  write();
  await scheduler.run(10);
  assertEquals(ends, ["cannot write: no space is left", undefined]);
  assertEquals(storage.get(key(1)), Uint8Array.of(7));
});

Deno.test("SimDisk: what a flipped bit of the journal takes is told when it is opened, and counted", async () => {
  let told = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const { scheduler, disk: d } = disk(seed);
    const process = scheduler.spawn("p", "h", EXACT_CLOCK);
    const storage = await opened(scheduler, d, process, true);
    for (let n = 0; n < 6; n++) {
      storage.write([{ key: key(n), value: Uint8Array.of(n) }], true, () => {});
    }
    await scheduler.run(50);
    process.kill();
    d.crash(true);
    const lost = d.damageJournal();
    assertEquals(d.outstandingDamage().length, lost);
    const again = await opened(scheduler, d, scheduler.spawn("q", "h", EXACT_CLOCK));
    if (lost !== 0) assert(again.lost !== undefined);
    if (again.lost !== undefined) told++;
  }
  assert(told > 5, `${told}`);
});

Deno.test("SimDisk: what lies over a rotten block cannot be read, nor deleted, until a repair lets go of it", async () => {
  const { scheduler, disk: d } = disk(1);
  const table = d.table(scheduler.spawn("p", "h", EXACT_CLOCK));
  for (let n = 1; n <= 3; n++) {
    table.write([{ key: key(n), value: Uint8Array.of(n) }], false, () => {});
  }
  await scheduler.run(10);
  const range = async (): Promise<string> => {
    let end = "nothing";
    table.range({ from: key(0), to: key(9), rowsMax: 9, bytesMax: 999 }).then(
      (rows) => end = `${rows.length} rows`,
      (error) => end = error.code,
    );
    await scheduler.run(10);
    return end;
  };
  d.rotBlock(["\u0000\u0001\u0000", "\u0000\u0002\u0000"]);
  assertThrows(() => table.get(key(1)), KvError);
  assertEquals([await range(), table.get(key(3))], ["corrupt", Uint8Array.of(3)]);
  table.write([{ key: key(1), value: Uint8Array.of(9) }, { key: key(3) }], false, () => {});
  await scheduler.run(10);
  assertEquals([table.get(key(1)), await range()], [Uint8Array.of(9), "corrupt"]);
  d.repair();
  assertEquals([table.get(key(2)), await range()], [undefined, "1 rows"]);
});

Deno.test("SimDisk: a flush is refused while the disk is full", async () => {
  const { scheduler, disk: d } = disk(1);
  const table = d.table(scheduler.spawn("p", "h", EXACT_CLOCK));
  d.faults.full = true;
  const refused = assertRejects(async () => await table.flush?.(), KvError);
  await scheduler.run(10);
  await refused;
});
