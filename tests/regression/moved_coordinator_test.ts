/**
 * The coordinator's folder was copied to another machine and started there while the nodes, which all served,
 * knew the old address: after the failure timeout it declared all of them failed and raised an alarm of
 * lost partitions, in its log and its health, and wrote that down. "Nobody has registered yet" is not "lost".
 */
import { ALONE } from "../support/data/coordinators_sample.ts";
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { coordinatorHealth } from "../../coordinator/health.ts";
import { NOBODY_REGISTERED } from "../../coordinator/membership/liveness.ts";
import { KvError } from "../../shared/base/errors.ts";
import { settled, type World } from "../support/worlds/membership_world.ts";

function health(world: World) {
  const minInSync = 1;
  return coordinatorHealth(world.controller.stats(), {
    report: ALONE,
    published: true,
    persistFailure: undefined,
    minInSync,
  });
}

Deno.test("a coordinator with which nobody has registered says so, and judges nobody", () => {
  const [world, ...processes] = settled(3);
  const before = JSON.stringify(world.map.partitions);
  for (const process of processes) process.heard = false;
  world.restartCoordinator();
  world.errors.length = 0;
  world.advance(60_000);
  const { epoch } = world.map;
  world.advance(3_600_000, 10_000);
  assertEquals(world.map.epoch, epoch, "it decides nothing");
  assertEquals(JSON.stringify(world.map.partitions), before);
  const { nodes, lost_partitions, nobody_registered } = world.controller.stats();
  assertEquals([nodes.down, lost_partitions, nobody_registered], [0, 0, true]);
  assertEquals(world.errors, [], "no alarm");
  assertEquals([health(world).status, health(world).reasons], ["unavailable", [NOBODY_REGISTERED]]);
  const error = assertThrows(() => world.controller.force(undefined, undefined, 0), KvError);
  assertStringIncludes(error.message, NOBODY_REGISTERED);
});

Deno.test("when the first node registers, the others are given the time of a failure", () => {
  const [world, a, b, c] = settled(3);
  assert(a !== undefined && b !== undefined && c !== undefined);
  for (const process of [a, b, c]) process.heard = false;
  world.restartCoordinator();
  world.advance(60_000);
  world.register(a);
  a.heard = true;
  world.advance(2_000);
  assertEquals(world.controller.stats().nodes.down, 0);
  assertEquals(world.controller.stats().nobody_registered, false);
  world.register(b);
  b.heard = true;
  world.advance(4_000);
  const { nodes, unavailable_partitions } = world.controller.stats();
  assertEquals([nodes.up, nodes.down, unavailable_partitions], [2, 1, 0]);
});
