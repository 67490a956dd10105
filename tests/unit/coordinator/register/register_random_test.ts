/**
 * Storms over some coordinators, by seed. `RegisterWorld` checks after each event that at most one holds the right,
 * that what is chosen is on a majority's disks, never forks, never goes back and is never lost; here it is checked
 * that all goes on when the storm is over.
 */
import { assert, assertEquals } from "@std/assert";
import { flapLinks, runStorm } from "../../../support/worlds/register_storms.ts";

const SEEDS = 24;

for (let seed = 1; seed <= SEEDS; seed++) {
  Deno.test(`RegisterMember: a storm leaves one document and one holder, seed ${seed}`, () => {
    const { world, recovered } = runStorm(seed);
    assert(recovered, `nobody is active after the storm: ${JSON.stringify([...world.counts])}`);
    const active = world.active();
    assertEquals(world.holders().length, 1);
    const body = active?.member?.chosen?.document.body ?? [];
    assertEquals(world.acknowledged.filter((text) => !body.includes(text)), []);
    assert(world.acknowledged.length > 0, "something was changed in it");
  });
}

Deno.test("RegisterMember: ten minutes of links that flap, one at a time, depose nobody", () => {
  const { changes, cuts } = flapLinks(1, 600_000);
  assert(cuts > 100, `${cuts} cuts`);
  assertEquals(changes, 0);
});
