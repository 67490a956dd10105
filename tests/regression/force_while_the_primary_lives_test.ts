/**
 * `kv-coordinator --force` made another replica primary while the old one, cut off from the coordinator, still
 * served: it was the only one in sync, and so needs no lease. Both acknowledged until the map came through.
 * If its heartbeats still arrive, the coordinator sees this, and now refuses the order.
 */
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { KvError } from "../../shared/base/errors.ts";
import { settled } from "../support/worlds/membership_world.ts";

Deno.test("force: refused while the last replica's node is heard of, although it cannot register", () => {
  const [world, a, b] = settled(2, { settings: { partitionCount: 1, replicationFactor: 2 } });
  assert(a !== undefined && b !== undefined);
  const [primary, other] = world.config(0).primary === a.node ? [a, b] : [b, a];
  world.kill(other);
  world.advance(5_000);
  assertEquals(world.config(0).inSync, [primary.node]);
  // For a while nothing of it comes through; then its heartbeats do, and its session does not.
  primary.heard = false;
  world.advance(5_000);
  const held = world.heldOf(other);
  world.start(other === a ? "a" : "b", { held });
  world.advance(5_000);
  assertEquals(world.controller.stats().lost_partitions, 1);
  assertEquals(world.beat(primary), undefined);
  const error = assertThrows(
    () => world.controller.force(undefined, undefined, world.nowMs),
    KvError,
  );
  assertEquals(error.code, "unavailable");
  assertStringIncludes(error.message, `may still be served by ${primary.node}`);

  world.advance(3_000);
  world.forced.add(`0/${other.node}`);
  const [forced] = world.controller.force(undefined, undefined, world.nowMs);
  assertEquals(forced?.node, other.node, "it has been silent for the time of a failure");
});
