/** How soon another coordinator is active, in the time of a healthy network and disks of a few milliseconds. */
import { assert, assertEquals } from "@std/assert";
import { RegisterWorld, type Slot } from "../../../support/worlds/register_world.ts";

function worldOf(seed: number, size = 3): RegisterWorld {
  const world = new RegisterWorld(seed);
  for (let i = 0; i < size; i++) world.add(i === 0);
  world.runUntil(() => {
    if (world.voters().length < size) world.want(world.slots);
    return world.voters().length === size;
  }, 20_000);
  world.runFor(3_000);
  return world;
}

/** True milliseconds until another one has the right. */
function takeover(seed: number, fail: (world: RegisterWorld, active: Slot) => void): number {
  const world = worldOf(seed);
  const active = world.active();
  assert(active !== undefined);
  fail(world, active);
  const tookMs = world.runUntil(() => world.holders().some((slot) => slot !== active), 10_000);
  assert(tookMs !== undefined, "nobody took over");
  world.change();
  world.runFor(1_000);
  return tookMs;
}

function cutOff(world: RegisterWorld, { id }: Slot, direction: "both" | "out" | "in"): void {
  for (const other of world.slots) {
    if (other.id === id) continue;
    if (direction !== "in") world.cuts.add(`${id}>${other.id}`);
    if (direction !== "out") world.cuts.add(`${other.id}>${id}`);
  }
}

const FAILURES: Readonly<Record<string, (world: RegisterWorld, active: Slot) => void>> = {
  "is killed": (world, active) => world.kill(active),
  "stands still": (world, active) => world.freeze(active, "stopped"),
  "is suspended": (world, active) => world.freeze(active, "suspended"),
  "is cut off": (world, active) => cutOff(world, active, "both"),
  "is not heard": (world, active) => cutOff(world, active, "out"),
};

for (const [how, fail] of Object.entries(FAILURES)) {
  Deno.test(`RegisterMember: if the active one ${how}, another is active within 5 s, half of the time within 3 s`, () => {
    const times = Array.from({ length: 20 }, (_, i) => takeover(i + 1, fail)).sort((a, b) => a - b);
    assert((times.at(-1) ?? Infinity) <= 5_000, `${times}`);
    assert((times[10] ?? Infinity) <= 3_000, `${times}`);
  });
}

Deno.test("RegisterMember: if the active one gives its right back, another has it within a second", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const tookMs = takeover(seed, (world) => world.release());
    assert(tookMs <= 1_000, `${tookMs}`);
  }
});

Deno.test("RegisterMember: if the active one hears nobody, it has no right, and gets it back afterwards", () => {
  const world = worldOf(3);
  const active = world.active();
  assert(active !== undefined);
  cutOff(world, active, "in");
  world.runFor(4_000);
  assertEquals(world.holders().length, 0, "the others hear it, and hold");
  world.cuts.clear();
  const tookMs = world.runUntil(() => world.active() !== undefined, 3_000);
  assert(tookMs !== undefined);
});

Deno.test("RegisterMember: without a majority there is no right; when it comes back, all goes on by itself", () => {
  const world = worldOf(4);
  const [first, second] = world.slots;
  assert(first !== undefined && second !== undefined);
  world.kill(first);
  world.kill(second);
  world.runFor(20_000);
  assertEquals(world.holders(), []);
  world.start(first);
  const tookMs = world.runUntil(() => world.active() !== undefined, 10_000);
  assert(tookMs !== undefined && tookMs <= 5_000, `${tookMs}`);
});
