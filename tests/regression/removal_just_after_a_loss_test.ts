/**
 * Two of three coordinators were removed a moment after the third had lost its folder. Since that one had answered shortly
 * before, the set became joint, and nothing could be chosen any more: its majority alone was wanted, and was gone. Found
 * by seed 1980004 of the storm `coordinators`.
 */
import { assertEquals, assertNotEquals } from "@std/assert";
import { RegisterWorld } from "../support/worlds/register_world.ts";

Deno.test("coordinators: a removal waits for those that are to stay to answer from then on, and one with a new folder goes on", () => {
  const { world, slots } = RegisterWorld.begun(1, 3);
  world.runFor(2_000);
  const lost = slots.find((slot) => slot !== world.active());
  if (lost === undefined) throw new Error("three");
  world.kill(lost);
  world.blank(lost);
  assertEquals(world.want([lost]), true);
  world.runFor(3_000);
  assertEquals(world.newestChosen?.document.set.joint, false, "it can be called off");
  world.start(lost);
  const isAlone = () =>
    world.voters().length === 1 && world.voters()[0]?.folder === lost.disk.folder;
  assertNotEquals(world.runUntil(() => isAlone() && world.active() === lost, 30_000), undefined);
});
