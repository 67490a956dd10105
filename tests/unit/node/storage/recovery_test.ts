import { assertEquals, assertRejects } from "@std/assert";
import {
  GroupCommit,
  NO_STATE,
  OpenedPartitions,
  openPartitionStores,
  PartitionStore,
} from "../../../../node/storage/partition_store.ts";
import { putUint32 } from "../../../../node/storage/record.ts";
import { stateKey } from "../../../../node/storage/state_record.ts";
import { crc32c } from "../../../../shared/base/crc32c.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";
import type { StorageChange } from "../../../../node/storage/storage.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";
import { entryOf, PartitionModel, randomTurn } from "../../../support/data/partition_model.ts";
import { hexOf, ScriptedStorage } from "../../../support/doubles/scripted_storage.ts";

const PARTITIONS = 8;

/** Batches of a node with several partitions; some of them are written more than others. */
function randomBatches(seed: number, turns: number): StorageChange[][] {
  const random = new SeededRandom(seed);
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    onError: () => {},
  });
  const stores = Array.from(
    { length: PARTITIONS },
    (_, partition) => new PartitionStore(queue, partition, NO_STATE, () => {}),
  );
  const models = stores.map((store) => new PartitionModel(store.partition));
  for (let turn = 0; turn < turns; turn++) {
    const partition = Math.min(randomBelow(random, PARTITIONS), randomBelow(random, PARTITIONS));
    const store = stores[partition];
    const model = models[partition];
    if (store === undefined || model === undefined) continue;
    randomTurn(random, store, model);
    clock.settle();
    if (storage.writes.length > 0 && randomBelow(random, 2) === 0) storage.complete();
  }
  while (storage.writes.length > 0) storage.complete();
  return storage.batches;
}

/** Opens, letting writes end. */
async function open(
  storage: ScriptedStorage,
  holdsAll = false,
  unacknowledged = false,
): Promise<OpenedPartitions> {
  const opening = openPartitionStores(storage, PARTITIONS, holdsAll, unacknowledged);
  let ended = false;
  opening.then(() => ended = true, () => ended = true);
  while (!ended) {
    if (storage.writes.length > 0) storage.complete();
    await Promise.resolve();
  }
  return await opening;
}

/** What a storage says from which a batch is missing; it knows what was written later. */
function lose(storage: ScriptedStorage, missing: number): void {
  const since = (key: Uint8Array) =>
    storage.batches.slice(missing).some((changes) =>
      changes.some((change) => hexOf(change.key) === hexOf(key))
    );
  storage.lost = { why: `batch ${missing} is missing`, writtenSince: since };
}

/** The partitions of which two databases hold different rows. */
function differing(a: ScriptedStorage, b: ScriptedStorage): Set<number> {
  const found = new Set<number>();
  for (const key of new Set([...a.rows.keys(), ...b.rows.keys()])) {
    if (key.startsWith("ffffff")) continue;
    if (hexOf(a.rows.get(key) ?? new Uint8Array()) !== hexOf(b.rows.get(key) ?? new Uint8Array())) {
      found.add(parseInt(key.slice(0, 4), 16));
    }
  }
  return found;
}

Deno.test("openPartitionStores finds nothing wrong after any crash", async () => {
  const batches = randomBatches(1, 80);
  for (let crash = 0; crash <= batches.length; crash++) {
    const opened = await open(ScriptedStorage.replay(batches.slice(0, crash)));
    assertEquals([...opened.damaged], []);
  }
});

Deno.test("openPartitionStores finds whom a missing batch has damaged, and remembers", async () => {
  for (let seed = 1; seed <= 4; seed++) {
    const batches = randomBatches(seed, 60);
    const whole = ScriptedStorage.replay(batches);
    for (let missing = 0; missing < batches.length; missing++) {
      const gapped = ScriptedStorage.replay(batches.filter((_, i) => i !== missing));
      lose(gapped, missing);
      const wrong = differing(whole, gapped);
      const holdsAll = seed % 2 === 0;
      const opened = await open(gapped, holdsAll);
      for (const partition of wrong) {
        // If all was in that batch, it is as if there had never been a replica: its primary fills it anew.
        if (!holdsAll && !opened.has(partition)) continue;
        assertEquals(opened.damaged.has(partition), true, `seed ${seed}, batch ${missing}`);
        assertEquals(opened.get(partition)?.damaged, true);
      }
      const again = await open(gapped, holdsAll);
      assertEquals([...again.damaged.keys()].sort(), [...opened.damaged.keys()].sort());
      assertEquals(gapped.batches.length, batches.length - 1 + (opened.damaged.size > 0 ? 1 : 0));
      gapped.lost = undefined;
      const later = await open(gapped, holdsAll);
      assertEquals([...later.damaged.keys()].sort(), [...opened.damaged.keys()].sort());
    }
  }
});

Deno.test("openPartitionStores blames only those that lost entries, if all states were written since", async () => {
  // Partition 1 is written in batches 1, 2 and 3, partition 2 in 2 and 3: batch 2 is missing.
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    onError: () => {},
  });
  const one = new PartitionStore(queue, 1, NO_STATE, () => {});
  const two = new PartitionStore(queue, 2, NO_STATE, () => {});
  const write = (store: PartitionStore, key: string) => {
    store.apply(entryOf(key, store.state.lastSeq + 1, "v"));
    store.setState({ lastSeq: store.state.lastSeq + 1 });
  };
  const end = () => {
    clock.settle();
    storage.complete();
  };
  write(one, "a");
  end();
  write(one, "b");
  write(two, "x");
  end();
  write(one, "c");
  write(two, "x");
  end();
  const gapped = ScriptedStorage.replay(storage.batches.filter((_, i) => i !== 1));
  lose(gapped, 1);
  const opened = await open(gapped);
  assertEquals([...opened.damaged.keys()], [1], "x was written again, b was not");
});

Deno.test("openPartitionStores cannot see that the last batches are missing", async () => {
  const batches = randomBatches(5, 40);
  const opened = await open(ScriptedStorage.replay(batches.slice(0, -2)));
  assertEquals(opened.damaged.size, 0);
});

Deno.test("openPartitionStores takes one garbled state record for that partition's damage alone", async () => {
  const batches = randomBatches(6, 60);
  for (let bit = 0; bit < 8 * 68; bit += 7) {
    const storage = ScriptedStorage.replay(batches);
    storage.flip(stateKey(1), bit);
    const opened = await open(storage);
    assertEquals([...opened.damaged.keys()], [1], `bit ${bit}`);
    assertEquals([...(await open(storage)).damaged.keys()], [1], "and remembers it");
  }
});

Deno.test("openPartitionStores suspects rows without a state record if a batch is missing", async () => {
  const batches = randomBatches(7, 60);
  const storage = ScriptedStorage.replay(batches);
  storage.rows.delete(hexOf(stateKey(2)));
  lose(storage, batches.length);
  assertEquals((await open(storage)).damaged.has(2), true);
  assertEquals((await open(storage)).damaged.has(2), true);
});

Deno.test("openPartitionStores refuses what a newer program wrote", async () => {
  const storage = ScriptedStorage.replay(randomBatches(8, 20));
  const key = stateKey(0);
  const row = storage.rows.get(hexOf(key)) ?? new Uint8Array();
  row[5] = 2;
  putUint32(row, 0, crc32c(row, crc32c(key), 4));
  await assertRejects(() => open(storage), Error, "format 2");
});

Deno.test("a GroupCommit goes on when findings were written down", async () => {
  const batches = randomBatches(9, 60);
  const storage = ScriptedStorage.replay(batches.filter((_, i) => i !== 10));
  lose(storage, 10);
  const opened = await open(storage);
  const clock = new ManualClock();
  const queue = new GroupCommit(storage, clock, {
    fsync: "always",
    onError: () => {},
  });
  const good = [...opened].find(([partition]) => !opened.damaged.has(partition));
  const [partition, state] = good ?? [7, NO_STATE];
  const store = new PartitionStore(queue, partition, state, () => {});
  for (let i = 0; i < 5; i++) {
    store.apply(entryOf(`new${i}`, state.lastSeq + 1 + i, "v"));
    clock.settle();
    storage.complete();
  }
  assertEquals([...(await open(storage)).damaged.keys()], [...opened.damaged.keys()]);
});

Deno.test("openPartitionStores: after a repair a partition is damaged if its rows do not add up", async () => {
  const batches = randomBatches(5, 60);
  const storage = ScriptedStorage.replay(batches);
  const entries = [...storage.rows.keys()].filter((key) =>
    key.length > 4 && !key.startsWith("ffffff")
  );
  const lost = entries[Math.floor(entries.length / 2)] ?? "";
  storage.rows.delete(lost);
  assertEquals((await open(storage)).damaged.size, 0, "no batch is missing");
  const opened = await open(storage, false, true);
  assertEquals([...opened.damaged.keys()], [parseInt(lost.slice(0, 4), 16)]);
  assertEquals([...(await open(storage)).damaged.keys()], [...opened.damaged.keys()], "noted");
});
