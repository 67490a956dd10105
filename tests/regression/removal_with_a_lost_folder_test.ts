import { assertEquals, assertNotEquals } from "@std/assert";
import { RegisterWorld } from "../support/worlds/register_world.ts";

Deno.test("coordinators: a removal that leaves a lost folder with half of the votes waits until that has its seat again", () => {
  const world = new RegisterWorld(1);
  const slots = [0, 1, 2, 3].map((i) => world.add(i === 0));
  world.runUntil(() => {
    if (world.voters().length < 4) world.want(slots);
    return world.voters().length === 4 && world.active() !== undefined;
  }, 20_000);
  const active = world.active();
  const [lost, stays, ...out] = slots.filter((slot) => slot !== active);
  if (active === undefined || lost === undefined || stays === undefined) throw new Error("four");
  const before = lost.disk.folder;
  world.kill(lost);
  world.blank(lost);
  world.runFor(3_000);
  // Of the two that are to stay, one is gone: from a joint set on, nothing could ever be chosen again.
  assertEquals(world.want([active, lost]), true);
  world.runFor(5_000);
  assertEquals([world.newestChosen?.document.set.joint, world.active()], [false, active]);
  world.start(lost);
  const settled = world.runUntil(() => {
    const { set } = world.newestChosen?.document ?? {};
    return set?.wanted === undefined && world.voters().length === 2;
  }, 20_000);
  assertNotEquals(settled, undefined);
  assertNotEquals(world.voters().map(({ folder }) => folder).includes(before), true);
  assertEquals([stays, ...out].length, 2);
});
