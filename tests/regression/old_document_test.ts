/**
 * An old copy of the coordinator's document was put back. Nodes refused its epochs, but each of their attempts to
 * register raised them, and after some seconds the old document was believed: replicas that had left the in-sync set
 * since could be made primary, without what had been acknowledged in between.
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import type { StoredCluster } from "../../coordinator/state/stored_cluster.ts";
import { KvError } from "../../shared/base/errors.ts";
import { type Process, settled, type World } from "../support/worlds/membership_world.ts";

interface Scene {
  readonly world: World;
  readonly processes: readonly Process[];
  readonly old: StoredCluster;
}

/** A copy of the document is made, and `changes` happen after it. */
function scene(changes: (world: World, processes: readonly Process[]) => void): Scene {
  const [world, ...processes] = settled(3, { obedient: true });
  assert(world.disk !== undefined);
  const old = structuredClone(world.disk);
  changes(world, processes);
  return { world, processes, old };
}

/** It is put back, and the coordinator started on it. */
function putBack({ world, old }: Scene): void {
  world.obedient = false;
  world.disk = structuredClone(old);
  world.publishedMaps = [];
  for (const process of world.processes.values()) process.heard = false;
  world.restartCoordinator();
}

/** A node dies and comes back: the map's epoch and terms grow, and so does what everybody has seen. */
function deathAndReturn(world: World, [a]: readonly Process[]): void {
  assert(a !== undefined);
  world.kill(a);
  world.advance(5_000);
  world.start("a");
  world.advance(20_000);
}

function assertRefused(world: World, process: Process): void {
  const refusal = world.register(process);
  assertEquals(refusal?.code, "stale_document");
  assertStringIncludes(refusal?.message ?? "", "--accept-epoch");
}

Deno.test("an old document stays refused, however often nodes try", () => {
  const it = scene(deathAndReturn);
  const { world, processes: [, b] } = it;
  assert(b !== undefined);
  putBack(it);
  world.errors.length = 0;
  const { epoch } = world.map;
  for (let i = 0; i < 100; i++) {
    assertRefused(world, b);
    world.advance(2_000);
  }
  assertEquals(world.map.epoch, epoch, "nothing is decided");
  assertEquals(world.errors.length, 1, "said once");
  assertStringIncludes(
    world.controller.stats().stale_document ?? "",
    "put the newest copy back",
  );
  assertEquals(world.beat(b), undefined, "nobody gets a lease");
  const error = assertThrows(() => world.controller.force(0, undefined, world.nowMs), KvError);
  assertEquals(error.code, "stale_document");
});

Deno.test("an old document is told also after its epochs have grown past those that were seen", () => {
  const it = scene((world) => {
    world.start("d");
    world.advance(1_000);
  });
  const { world, processes: [a] } = it;
  assert(a !== undefined);
  const seen = a.map?.epoch ?? 0;
  assert(seen > it.old.map.epoch);
  putBack(it);
  // Nodes that know of nothing come first.
  for (let i = 0; world.map.epoch <= seen; i++) {
    assertEquals(world.register(world.start("e", { register: false })), undefined);
    world.advance(100);
    assert(i < 100);
  }
  assertRefused(world, a);
});

Deno.test("an old document is told by the terms on the nodes' disks, if all have been started again", () => {
  const it = scene(deathAndReturn);
  const { world, processes: [, b] } = it;
  assert(b !== undefined);
  const held = world.heldOf(b);
  world.kill(b);
  putBack(it);
  const again = world.start("b", { register: false });
  assertEquals(world.register(again, { held })?.code, "stale_document");
});

Deno.test("the newest document is believed, after any number of starts", () => {
  const [world, ...processes] = settled(3, { obedient: true });
  for (let i = 0; i < 300; i++) {
    world.restartCoordinator();
    for (const process of processes) assertEquals(world.register(process), undefined);
  }
  // One that was away for all of it.
  const [a] = processes;
  assert(a !== undefined);
  assertEquals(world.controller.stats().stale_document, null);
});

Deno.test("an operator may go on from an old document, above all that was seen", () => {
  const it = scene(deathAndReturn);
  const { world, processes: [, b, c] } = it;
  assert(b !== undefined && c !== undefined);
  const seen = b.map?.epoch ?? 0;
  const terms = b.map?.partitions.map(({ term }) => term) ?? [];
  world.acceptEpoch = it.old.map.epoch - 1;
  putBack(it);
  assertRefused(world, b);

  world.acceptEpoch = it.old.map.epoch;
  putBack(it);
  for (const process of [b, c]) {
    assertEquals(world.register(process), undefined);
    process.heard = true;
  }
  world.advance(10_000);
  assert(world.map.epoch > seen);
  world.map.partitions.forEach(({ term, primary }, p) => {
    assert(term > (terms[p] ?? 0));
    assert(primary === b.node || primary === c.node);
  });
  // The flag has no effect any more, and is not needed.
  world.restartCoordinator();
  for (const process of [b, c]) assertEquals(world.register(process), undefined);
});
