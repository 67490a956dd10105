/**
 * A node's folder that was copied while the node ran, and put back after its death, was let in as the newest: its
 * incarnation grows with its start as that of the folder itself would. With the other replicas gone it was made primary,
 * and what had been acknowledged since the copy was lost. The number of its database's last batch tells it.
 */
import { assert, assertEquals } from "@std/assert";
import { GroupCommit, NO_STATE, PartitionStore } from "../../node/storage/partition_store.ts";
import { SeededRandom } from "../../shared/platform/random.ts";
import { MemoryStorage } from "../../node/storage/memory/memory_storage.ts";
import { entryOf } from "../support/data/partition_model.ts";
import { ManualClock } from "../support/doubles/manual_clock.ts";
import { ScriptedStorage } from "../support/doubles/scripted_storage.ts";
import { type Process, settled, type World } from "../support/worlds/membership_world.ts";

/** Three nodes with 200 batches each, of which `a` is killed. */
function afterDeath(): { world: World; a: Process; b: Process; c: Process } {
  const [world, a, b, c] = settled(3, { obedient: true });
  assert(a !== undefined && b !== undefined && c !== undefined);
  for (const process of [a, b, c]) process.batch = 200;
  world.advance(1_000);
  return { world, a, b, c };
}

Deno.test("an old copy of a folder is not made primary when no other member lives", () => {
  const { world, a, b, c } = afterDeath();
  const held = world.heldOf(a);
  for (const process of [a, b, c]) world.kill(process);
  world.advance(10_000);
  const old = world.start("a", { held, batch: 150 });
  world.advance(10_000);
  assertEquals(world.controller.stats().lost_partitions, 16);
  assert(world.errors.some((line) => line.includes("older than what it had written")));

  // Nor after the coordinator has started again, to which the same process says the same.
  old.batch = 400;
  world.restartCoordinator();
  world.register(old, { held });
  world.advance(10_000);
  assertEquals(world.controller.stats().lost_partitions, 16);

  // One that has everything serves, and fills it.
  world.start("b", { held: world.heldOf(b), batch: 200 });
  world.map.partitions.forEach(({ primary }) => assertEquals(primary, b.node));
  world.advance(30_000);
  assertEquals(world.controller.stats().unavailable_partitions, 0);
  world.map.partitions.forEach(({ inSync }) => assert(inSync.includes(a.node)));
  assertEquals(world.controller.stats().damaged_replicas, 0);
});

Deno.test("the folder itself, started again, counts as ever", () => {
  const { world, a, b, c } = afterDeath();
  const held = world.heldOf(a);
  for (const process of [a, b, c]) world.kill(process);
  world.advance(10_000);
  // It had written on after its last heartbeat.
  world.start("a", { held, batch: 203 });
  world.advance(10_000);
  assertEquals(world.controller.stats().unavailable_partitions, 0);
  assertEquals(world.controller.stats().damaged_replicas, 0);
});

Deno.test("an old copy beside living members is filled as a learner", () => {
  const { world, a } = afterDeath();
  const held = world.heldOf(a);
  world.kill(a);
  world.obedient = false;
  world.start("a", { held, batch: 150 });
  world.advance(2_000);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.includes(a.node), false));
  world.obedient = true;
  world.advance(30_000);
  world.map.partitions.forEach(({ inSync }) => assertEquals(inSync.length, 3));
  // Once filled it counts again, also when it is started again.
  const again = world.start("a", { held, batch: 160 });
  assertEquals(again.incarnation, a.incarnation + 2);
  assertEquals(world.controller.stats().damaged_replicas, 0);
});

Deno.test("GroupCommit: the number of the last synced batch goes on from process to process", async () => {
  const clock = new ManualClock();
  const storage = new ScriptedStorage();
  const put = (queue: GroupCommit, seq: number) => {
    const store = new PartitionStore(queue, 1, NO_STATE, () => {});
    store.apply(entryOf("k", seq, "v"));
    store.setState({ lastSeq: seq, term: 1 });
  };
  const queue = new GroupCommit(storage, clock, { fsync: "always", onError: () => {} });
  assertEquals([queue.openedBatch, queue.syncedBatch], [0, 0]);
  put(queue, 1);
  await clock.run(0);
  assertEquals(queue.syncedBatch, 0, "it is being written");
  storage.complete();
  await clock.run(0);
  assertEquals(queue.syncedBatch, 1);

  const lazy = new GroupCommit(storage, clock, { fsync: "never", onError: () => {} });
  put(lazy, 2);
  await clock.run(0);
  storage.complete();
  await clock.run(0);
  assertEquals(lazy.syncedBatch, lazy.openedBatch, "what is not synced is not told");
  // Memory has no batches, and its nodes have no past.
  const memory = new GroupCommit(new MemoryStorage(clock, new SeededRandom(1)), clock, {
    fsync: "always",
    onError: () => {},
  });
  assertEquals(memory.openedBatch, 0);
});
