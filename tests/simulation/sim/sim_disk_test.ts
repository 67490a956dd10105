/** What the simulated disk promises, and that it breaks no promise unless it is told to. */
import { assertEquals, assertThrows } from "@std/assert";
import { randomBelow, SeededRandom } from "../../../shared/platform/random.ts";
import type { Storage, StorageChange } from "../../../node/storage/storage.ts";
import { Coverage } from "../coverage.ts";
import { EXACT_CLOCK, Scheduler } from "./scheduler.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { SimDisk } from "./sim_disk.ts";

const key = (n: number) => Uint8Array.of(0, n);
const ALL = { from: key(0), to: Uint8Array.of(1), rowsMax: 1e6, bytesMax: Infinity };

function disk(seed: number) {
  const scheduler = new Scheduler(seed);
  return { scheduler, disk: new SimDisk("d", scheduler, new Coverage()) };
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
    const storage = d.open(process);
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
    const found = await contents(scheduler, d.open(scheduler.spawn("q", "h", EXACT_CLOCK)));
    assertEquals(states.slice(synced).includes(found), true, `seed ${seed}: ${found}`);
  }
});

Deno.test("SimDisk: what is durable is what a power cut leaves", async () => {
  const { scheduler, disk: d } = disk(1);
  const process = scheduler.spawn("p", "h", EXACT_CLOCK);
  const storage = d.open(process);
  storage.write([{ key: key(1), value: Uint8Array.of(1) }], true, () => {});
  await scheduler.run(10);
  storage.write([{ key: key(1), value: Uint8Array.of(2) }], false, () => {});
  await scheduler.run(10);
  assertEquals(storage.get(key(1)), Uint8Array.of(2));
  assertEquals(d.durable("\u0000\u0001"), Uint8Array.of(1));
});

Deno.test("SimDisk: a full disk refuses, reads on, and recovers", async () => {
  const { scheduler, disk: d } = disk(1);
  const storage = d.open(scheduler.spawn("p", "h", EXACT_CLOCK));
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

Deno.test("SimDisk: batches vanish from the middle, never the last one", async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const { scheduler, disk: d } = disk(seed);
    const storage = d.open(scheduler.spawn("p", "h", EXACT_CLOCK));
    for (let n = 0; n < 6; n++) {
      storage.write([{ key: key(n), value: Uint8Array.of(n) }], true, () => {});
    }
    await scheduler.run(50);
    const lost = d.loseBatches();
    assertEquals(lost.length > 0, true);
    assertEquals(storage.get(key(5)), Uint8Array.of(5));
    assertEquals(d.outstandingDamage().length, lost.length);
  }
});

Deno.test("SimDisk: what lies over a rotten block cannot be read, nor deleted, until a repair lets go of it", async () => {
  const { scheduler, disk: d } = disk(1);
  const storage = d.open(scheduler.spawn("p", "h", EXACT_CLOCK));
  for (let n = 1; n <= 3; n++) {
    storage.write([{ key: key(n), value: Uint8Array.of(n) }], true, () => {});
  }
  await scheduler.run(10);
  const range = async (): Promise<string> => {
    let end = "nothing";
    storage.range({ from: key(0), to: key(9), rowsMax: 9, bytesMax: 999 }).then(
      (rows) => end = `${rows.length} rows`,
      (error) => end = error.code,
    );
    await scheduler.run(10);
    return end;
  };
  d.rotBlock(["\u0000\u0001", "\u0000\u0002"]);
  assertThrows(() => storage.get(key(1)), KvError);
  assertEquals([await range(), storage.get(key(3))], ["corrupt", Uint8Array.of(3)]);
  storage.write([{ key: key(1), value: Uint8Array.of(9) }, { key: key(3) }], true, () => {});
  await scheduler.run(10);
  assertEquals([storage.get(key(1)), await range()], [Uint8Array.of(9), "corrupt"]);
  d.repair();
  assertEquals([storage.get(key(2)), await range()], [undefined, "1 rows"]);
});
