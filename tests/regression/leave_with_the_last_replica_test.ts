/**
 * A node that was told to leave was let go at once if all others were down at that moment: with the
 * last replica of a partition on a disk that nobody meant to start again. Found by the simulation (seed
 * 23000176: "150 s after the storm partition 3 is held by …, undefined first").
 */
import { assert, assertEquals } from "@std/assert";
import { World } from "../support/worlds/membership_world.ts";

Deno.test("a node that leaves waits for those that are down, since it may have the last replica", () => {
  const world = new World();
  const a = world.start("a");
  const b = world.start("b");
  const c = world.start("c");
  for (let i = 0; i < 20; i++) {
    world.advance(50);
    world.obey();
  }
  world.kill(b);
  world.kill(c);
  world.advance(3_000);
  world.leave(a, false);
  world.advance(5_000);
  world.leave(a, false);
  world.advance(5_000);
  assertEquals(world.received(a, "left"), []);
  world.map.partitions.forEach(({ primary }) => assertEquals(primary, a.node));
  world.start("b", { incarnation: 2 });
  for (let i = 0; i < 400 && world.map.nodes.some(({ id }) => id === a.node); i++) {
    world.advance(50);
    world.obey();
  }
  assert(!world.map.nodes.some(({ id }) => id === a.node));
  world.map.partitions.forEach(({ primary, inSync }) => {
    assertEquals(primary, b.node);
    assertEquals(inSync, [b.node]);
  });
});
