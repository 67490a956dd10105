/**
 * Databases that nodes want for their clients, at the coordinator.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import { findDatabase } from "../../../../shared/cluster/databases.ts";
import { settled } from "../../../support/worlds/membership_world.ts";

Deno.test("ClusterController: a registered node has databases made and dropped, once each; nobody else has", () => {
  const [world, a] = settled(2);
  assert(a !== undefined);
  const { session } = a;
  const numberOf = () => findDatabase(world.map.databases, "orders")?.number;
  const make = (by: number) =>
    world.controller.step({
      type: "create_database",
      order: { name: "orders" },
      ifAbsent: true,
      session: by,
    }, world.nowMs);
  const drop = (number: number, by = session) =>
    world.controller.step(
      { type: "drop_database", name: "orders", number, session: by },
      world.nowMs,
    );

  const stranger = make(999);
  world.advance(50);
  assertEquals([stranger.orderedEpoch, numberOf()], [0, undefined]);

  const made = make(session);
  world.advance(50);
  assertEquals(numberOf(), 1);
  assert(made.orderedEpoch > 0 && made.orderedEpoch <= world.map.epoch);
  // A wish may come twice.
  assertEquals(make(session).orderedEpoch, world.map.epoch);

  drop(1);
  make(session);
  world.advance(50);
  assertEquals(numberOf(), 2);
  // So may this one, when there is another database of the name.
  const late = drop(1);
  world.advance(50);
  assertEquals([late.refusal, late.orderedEpoch > 0, numberOf()], [undefined, true, 2]);
  drop(2, 999);
  world.advance(50);
  assertEquals(numberOf(), 2);
});
