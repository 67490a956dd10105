/**
 * A coordinator with a blank folder had been offered the seat of its name in a document that only it had on its disk when the
 * active one died. It waited for ever to be made equal to the others, who knew nothing of it. Found by seed 1840000 of
 * the storm `coordinators`.
 */
import { assertEquals, assertNotEquals } from "@std/assert";
import { RegisterWorld } from "../support/worlds/register_world.ts";

Deno.test("coordinators: a learner whose document was never chosen asks again, and gets its seat", () => {
  const { world, slots } = RegisterWorld.begun(1, 3);
  const active = world.active();
  const [other, lost] = slots.filter((slot) => slot !== active);
  if (active === undefined || other === undefined || lost === undefined) throw new Error("three");
  world.kill(lost);
  world.blank(lost);
  // What it proposes reaches the blank folder, and neither the other one nor its own disk.
  active.diskMode = "full";
  world.cuts.add(`${active.id}>${other.id}`);
  world.start(lost);
  const isOffered = () => lost.disk.accepted !== undefined;
  assertNotEquals(world.runUntil(isOffered, 2_000), undefined);
  world.kill(active);
  active.diskMode = "fast";
  world.cuts.clear();
  world.start(active);
  const { folder } = lost.disk;
  assertEquals(active.disk.accepted?.document.set.wanted, undefined, "it was proposed in vain");

  const isSeated = () =>
    world.voters().some((voter) => voter.id === lost.id && voter.folder === lost.disk.folder);
  const tookMs = world.runUntil(() => {
    world.change();
    return isSeated() && world.newestChosen?.document.set.wanted === undefined;
  }, 30_000);
  assertNotEquals(tookMs, undefined);
  assertNotEquals(lost.disk.folder, folder, "under another folder");
});
