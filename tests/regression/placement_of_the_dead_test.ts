/**
 * The first placement of a cluster included nodes that were down by then, and left out the partitions
 * that only such nodes were to hold: these had no replica for ever, did not count as lost, and `--force`
 * refused them. Found by a review.
 */
import { assertEquals } from "@std/assert";
import { World } from "../support/worlds/membership_world.ts";

Deno.test("first placement: every partition is placed, whoever was there before and is down by now", () => {
  const world = new World({ expectNodes: 2, settings: { replicationFactor: 1 } });
  // A node in memory that was started, and started again before the others came: it has another id then.
  const a = world.start("a", { memory: true });
  world.advance(1_000);
  world.kill(a);
  world.advance(3_000);
  world.start("b", { memory: true });
  world.start("c", { memory: true });
  world.advance(60_000, 100);
  const { lost_partitions, unavailable_partitions } = world.controller.stats();
  assertEquals({ lost_partitions, unavailable_partitions }, {
    lost_partitions: 0,
    unavailable_partitions: 0,
  });
});

Deno.test("first placement: with two replicas, two nodes that are down", () => {
  const world = new World({
    expectNodes: 3,
    settings: { replicationFactor: 2, partitionCount: 64 },
  });
  const a = world.start("a");
  const b = world.start("b");
  world.advance(1_000);
  world.kill(a);
  world.kill(b);
  world.advance(3_000);
  for (const letter of ["c", "d", "e"]) world.start(letter);
  world.advance(60_000, 100);
  assertEquals(world.controller.stats().unavailable_partitions, 0);
});

Deno.test("first placement: it waits until it is known who is there after a start of the coordinator", () => {
  const world = new World({ expectNodes: 2, settings: { replicationFactor: 1 } });
  const a = world.start("a");
  world.advance(1_000);
  world.kill(a);
  world.restartCoordinator();
  world.start("b");
  world.start("c");
  world.advance(10_000);
  assertEquals(world.controller.stats().unavailable_partitions, 0);
});

Deno.test("first placement: who comes back afterwards gets its part", () => {
  const world = new World({ expectNodes: 2, settings: { replicationFactor: 1 }, obedient: true });
  const a = world.start("a");
  world.advance(1_000);
  world.kill(a);
  world.advance(3_000);
  world.start("b");
  world.start("c");
  world.advance(1_000);
  world.start("a");
  world.advance(60_000, 100);
  const primaries = new Set(world.map.partitions.map(({ primary }) => primary));
  assertEquals(primaries.size, 3);
});
