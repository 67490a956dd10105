/**
 * Storms over a {@linkcode RegisterWorld}: what goes wrong, when, and how often, by seed. Each kind of fault is off in
 * a third of the runs, so that one does not hide another.
 *
 * @module
 */
import { randomBelow, randomFraction } from "../../../shared/platform/random.ts";
import { membersOf } from "../../../coordinator/register/coordinator_set.ts";
import { Broken, RegisterWorld, type Slot } from "./register_world.ts";

/** What came of it. */
export interface Storm {
  readonly world: RegisterWorld;
  /** Whether somebody is active again, and changes are chosen, after everything was healed. */
  readonly recovered: boolean;
}

const FAULTS = [
  "kill",
  "killAll",
  "stop",
  "suspend",
  "cut",
  "isolate",
  "flap",
  "slowDisk",
  "fullDisk",
  "setChange",
  "blank",
  "putBack",
  "release",
] as const;

type Fault = typeof FAULTS[number];

/** How long the storm is, in true time. */
export const STORM_MS = 60_000;

/** One storm; every eighth is one of links alone. @throws {Broken} if a promise of docs/coordinators.md was broken */
export function runStorm(seed: number, durationMs = STORM_MS): Storm {
  if (seed % 8 === 0) return runFlapping(seed, durationMs);
  const world = new RegisterWorld(seed);
  const { random, network } = world;
  const faults = FAULTS.filter(() => randomBelow(random, 3) > 0);
  const size = [1, 3, 3, 3, 5][randomBelow(random, 5)] ?? 3;
  for (let i = 0; i < size; i++) world.add(i === 0);
  if (randomBelow(random, 3) > 0) network.loss = randomFraction(random) * 0.2;
  if (randomBelow(random, 3) > 0) network.late = randomFraction(random) * 0.1;
  if (randomBelow(random, 3) > 0) network.doubled = randomFraction(random) * 0.2;
  seat(world, size);
  const untilMs = world.nowMs + durationMs;
  while (world.nowMs < untilMs) {
    const fault = faults[randomBelow(random, faults.length)];
    if (fault !== undefined) inject(world, fault);
    world.change();
    world.runFor(50 + randomBelow(random, 900));
    world.change();
    if (randomBelow(random, 3) === 0) world.runFor(randomBelow(random, 4_000));
  }
  heal(world);
  network.loss = network.late = network.doubled = 0;
  const before = world.acknowledged.length;
  const recovered = world.runUntil(() => {
    world.change();
    return world.active() !== undefined && world.acknowledged.length > before;
  }, 20_000) !== undefined;
  return { world, recovered };
}

/** The links of one standby flap, one direction or both: the active one is well, and must stay what it is. Rule G6. */
function runFlapping(seed: number, durationMs: number): Storm {
  const world = new RegisterWorld(seed);
  const { random } = world;
  for (let i = 0; i < 3; i++) world.add(i === 0);
  seat(world, 3);
  const active = world.active();
  const standby = world.slots.find((slot) => slot !== active);
  if (active === undefined || standby === undefined) throw new Broken("nobody is active");
  const { length } = world.activities;
  const untilMs = world.nowMs + durationMs;
  while (world.nowMs < untilMs) {
    const others = world.slots.filter((slot) => slot !== standby);
    const pairs = others.flatMap(({ id }) => [`${standby.id}>${id}`, `${id}>${standby.id}`]);
    const cut = pairs.filter(() => randomBelow(random, 2) === 0);
    cutFor(world, cut, 1_000 + randomBelow(random, 4_000));
    world.change();
    world.runFor(2_000 + randomBelow(random, 6_000));
  }
  if (world.activities.length > length) {
    throw new Broken(
      `the links of a standby deposed the active one ${world.activities.length - length} times`,
    );
  }
  return { world, recovered: world.active() === active };
}

/**
 * Every few seconds another link of three coordinators is cut, mostly in one direction: at each moment the active one
 * reaches one of the others.
 *
 * @returns how often another one has become active, and how many links were cut
 */
export function flapLinks(seed: number, durationMs: number): { changes: number; cuts: number } {
  const world = new RegisterWorld(seed);
  const { random } = world;
  for (let i = 0; i < 3; i++) world.add(i === 0);
  seat(world, 3);
  const { length } = world.activities;
  let cuts = 0;
  for (const untilMs = world.nowMs + durationMs; world.nowMs < untilMs; cuts++) {
    const one = randomBelow(random, 3);
    const [from, to] = [world.slots[one], world.slots[(one + 1 + randomBelow(random, 2)) % 3]];
    if (from === undefined || to === undefined) throw new Broken("there are three");
    const isBoth = randomBelow(random, 4) === 0;
    const lastsMs = 500 + randomBelow(random, 5_000);
    const back = isBoth ? [`${to.id}>${from.id}`] : [];
    cutFor(world, [`${from.id}>${to.id}`, ...back], lastsMs);
    world.change();
    world.runFor(lastsMs + randomBelow(random, 1_000));
  }
  return { changes: world.activities.length - length, cuts };
}

/** All of them become voters. */
function seat(world: RegisterWorld, size: number): void {
  world.runUntil(() => {
    if (world.voters().length < size) world.want(world.slots);
    return world.voters().length === size;
  }, 20_000);
}

function heal(world: RegisterWorld): void {
  world.cuts.clear();
  for (const slot of world.slots) {
    slot.diskMode = "fast";
    world.thaw(slot);
    world.start(slot);
  }
}

function pick(world: RegisterWorld): Slot {
  const slots = world.slots;
  // The active one is the more interesting.
  const active = world.active();
  if (active !== undefined && randomBelow(world.random, 3) === 0) return active;
  const slot = slots[randomBelow(world.random, slots.length)];
  if (slot === undefined) throw new Error("a world without coordinators");
  return slot;
}

function inject(world: RegisterWorld, fault: Fault): void {
  const { random } = world;
  const slot = pick(world);
  const lastsMs = 200 + randomBelow(random, 6_000);
  world.count(fault);
  switch (fault) {
    case "kill":
      world.kill(slot);
      return world.after(randomBelow(random, lastsMs), () => world.start(slot));
    case "killAll":
      if (randomBelow(random, 3) > 0) return;
      for (const each of world.slots) {
        world.kill(each);
        world.after(randomBelow(random, 3_000), () => world.start(each));
      }
      return;
    case "stop":
    case "suspend":
      world.freeze(slot, fault === "stop" ? "stopped" : "suspended");
      return world.after(lastsMs, () => world.thaw(slot));
    case "cut":
      return cutFor(world, [`${slot.id}>${pick(world).id}`], lastsMs);
    case "isolate": {
      const pairs = world.slots.flatMap(({ id }) => [`${slot.id}>${id}`, `${id}>${slot.id}`]);
      return cutFor(world, pairs.filter((pair) => pair !== `${slot.id}>${slot.id}`), lastsMs);
    }
    case "flap":
      for (let atMs = 0; atMs < 6_000; atMs += 1_500) {
        const pair = `${pick(world).id}>${slot.id}`;
        world.after(atMs, () => cutFor(world, [pair], 900));
      }
      return;
    case "slowDisk":
    case "fullDisk":
      slot.diskMode = fault === "slowDisk" ? "slow" : "full";
      return world.after(lastsMs, () => void (slot.diskMode = "fast"));
    case "setChange":
      return changeSet(world);
    case "blank":
    case "putBack":
      return loseFolder(world, fault);
    case "release":
      return world.release();
  }
}

function cutFor(world: RegisterWorld, pairs: readonly string[], lastsMs: number): void {
  for (const pair of pairs) world.cuts.add(pair);
  world.after(lastsMs, () => {
    for (const pair of pairs) world.cuts.delete(pair);
  });
}

/** From now on, a random number of those that are not removed. */
function changeSet(world: RegisterWorld): void {
  const { random, slots } = world;
  if (slots.length < 6 && randomBelow(random, 3) === 0) world.add(false);
  const able = slots.filter(({ member }) => member !== undefined && member.role !== "removed");
  const wanted = able.filter(() => randomBelow(random, 3) > 0);
  if (wanted.length > 0) world.want(wanted);
}

/**
 * One disk is lost, while the others are well and know of each other: more than that is beyond what a majority can
 * bear, and the page says so.
 */
function loseFolder(world: RegisterWorld, how: "blank" | "putBack"): void {
  const { random, network } = world;
  const { loss, late } = network;
  heal(world);
  network.loss = network.late = 0;
  const isWell = () => {
    const set = world.newestChosen?.document.set;
    const active = world.active();
    return active !== undefined && set !== undefined && set.wanted === undefined &&
      set.voters.length >= 3 &&
      set.voters.every(({ folder }) =>
        world.slots.some((slot) =>
          slot.member?.member.folder === folder &&
          (slot === active || slot.member.role === "standby")
        )
      );
  };
  if (world.runUntil(isWell, 8_000) !== undefined) {
    world.runFor(1_000);
    const folders = new Set(world.voters().map(({ folder }) => folder));
    const slots = world.slots.filter(({ member }) =>
      member !== undefined && folders.has(member.member.folder)
    );
    const slot = slots[randomBelow(random, slots.length)];
    if (slot !== undefined && isWell()) {
      const { folder } = slot.disk;
      world.kill(slot);
      // A copy from when there was one coordinator knows of no others: the nodes tell that it is old (rule C9).
      const old = slot.history.filter(({ folder: copied, accepted }) =>
        copied === folder && (accepted === undefined || membersOf(accepted.document.set).length > 1)
      );
      const copy = old[randomBelow(random, old.length)];
      if (how === "blank") world.blank(slot);
      else if (copy !== undefined) world.putBack(slot, copy);
      world.count(`${how}: done`);
      world.start(slot);
      world.runFor(4_000);
    }
  }
  network.loss = loss;
  network.late = late;
}
