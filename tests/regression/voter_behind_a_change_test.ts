import { assertNotEquals } from "@std/assert";
import { RegisterWorld, type Slot } from "../support/worlds/register_world.ts";

/** Of the first three one stays, and two new ones come, of which one has not heard that it is a voter when it dies. */
function replaceTwo(): {
  world: RegisterWorld;
  stays: Slot;
  out: Slot[];
  behind: Slot;
  newer: Slot;
} {
  const { world, slots } = RegisterWorld.begun(1, 3);
  const stays = world.active();
  if (stays === undefined) throw new Error("nobody is active");
  const out = slots.filter((slot) => slot !== stays);
  const [behind, newer] = [world.add(false), world.add(false)];
  world.runFor(1_000);
  world.want([stays, behind, newer]);
  world.runUntil(() => behind.disk.accepted !== undefined, 1_000);
  world.cuts.add(`${stays.id}>${behind.id}`);
  const isDone = () => world.voters().some(({ id }) => id === newer.id);
  assertNotEquals(world.runUntil(isDone, 10_000), undefined);
  world.kill(behind);
  world.cuts.clear();
  assertNotEquals(behind.disk.accepted?.document.set.wanted, undefined);
  return { world, stays, out, behind, newer };
}

/** Waits until its disk has the document of the others. */
function isLevelWithin(world: RegisterWorld, slot: Slot): number | undefined {
  const newest = () => world.newestChosen?.stamp.revision;
  return world.runUntil(() => {
    world.change();
    return slot.disk.accepted?.stamp.revision === newest() && world.active() !== undefined &&
      slot.member?.role !== "starting";
  }, 20_000);
}

Deno.test("coordinators: a voter that did not hear that it is one takes part after a restart, though those before it are gone", () => {
  const { world, stays, out, behind, newer } = replaceTwo();
  // The majority of the set is there, and nobody is active who could tell the new voter of it.
  for (const slot of [stays, newer, ...out]) world.kill(slot);
  world.start(stays);
  world.start(behind);
  assertNotEquals(isLevelWithin(world, behind), undefined);
});

Deno.test("coordinators: a voter that restarts takes part, though it knows none of those that are left", () => {
  const { world, stays, out, behind, newer } = replaceTwo();
  const [f, g] = [world.add(false), world.add(false)];
  world.runFor(1_000);
  const isDone = () => world.voters().some(({ id }) => id === f.id);
  const isReplaced = () => {
    if (!isDone()) world.want([behind, f, g]);
    return isDone() && world.active() !== undefined;
  };
  assertNotEquals(world.runUntil(isReplaced, 20_000), undefined);
  for (const slot of [stays, newer, ...out]) world.kill(slot);
  world.start(behind);
  assertNotEquals(isLevelWithin(world, behind), undefined);
});
