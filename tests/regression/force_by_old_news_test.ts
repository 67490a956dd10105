/**
 * An operator's `--force` that names no node chose by what the disks held when the nodes registered,
 * however long ago: in a cluster that was never started again that is nothing for all of them, so
 * that the lowest id became primary with an empty replica when another one was nearly level. Found by a
 * review.
 */
import { assertEquals } from "@std/assert";
import { idOf, type Process, World } from "../support/worlds/membership_world.ts";

/** Partition 0 was c's, who is dead; b was filled again at that moment, and a never held anything. */
function lastHolderDead(): { world: World; a: Process; b: Process } {
  const world = new World({
    expectNodes: 3,
    settings: { replicationFactor: 2, partitionCount: 1 },
    place: () => [[idOf("c"), idOf("b")]],
  });
  const a = world.start("a");
  const b = world.start("b");
  const c = world.start("c");
  world.advance(5_000);
  assertEquals(world.config(0).inSync, [c.node, b.node]);
  const { term } = world.config(0);
  world.report(c, { req_type: "lagging", p: 0, term, node: b.node, reason: "" });
  world.advance(1_500);
  assertEquals(world.config(0).learners, [b.node]);
  world.kill(c);
  world.advance(10_000);
  assertEquals(world.controller.stats().lost_partitions, 1);
  for (const { node } of [a, b]) world.forced.add(`0/${node}`);
  return { world, a, b };
}

Deno.test("force: if nobody tells anything, it takes the replica that was being filled", () => {
  const { world, b } = lastHolderDead();
  const forced = world.controller.force(undefined, undefined, world.nowMs);
  assertEquals(forced, [{ partition: 0, node: b.node, term: 0, last_seq: 0 }]);
});

Deno.test("force: all nodes are asked what they hold by now, and the most of it counts", () => {
  const { world, a, b } = lastHolderDead();
  assertEquals(world.controller.askWhatIsHeld(world.nowMs), true);
  for (const process of [a, b]) assertEquals(world.received(process, "register_again").length, 1);
  // Here it is one that was a member once and kept its replica; b has just begun with nothing.
  world.register(a, { held: [[0, 3, 700, 0]] });
  world.register(b, { held: [[0, 0, 9, 0]] });
  const forced = world.controller.force(undefined, undefined, world.nowMs);
  assertEquals(forced, [{ partition: 0, node: a.node, term: 3, last_seq: 700 }]);
  world.advance(1_000);
  assertEquals(world.config(0).primary, a.node);
  assertEquals(
    world.controller.askWhatIsHeld(world.nowMs),
    false,
    "nothing is lost, and nobody is asked",
  );
});
