/**
 * Databases that nodes want for their clients, at the coordinator.
 *
 * @module
 */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { DroppedNames, isStoredNames } from "../../../../coordinator/state/dropped_names.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { findDatabase } from "../../../../shared/cluster/databases.ts";
import { DROPPED_NAMES_MAX } from "../../../../shared/limits/cluster.ts";
import { settled, type World } from "../../../support/worlds/membership_world.ts";

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
  world.advance(600);
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

/** Makes or drops `orders`. @returns the code of a refusal */
function orders(world: World, what: "create" | "drop"): string | undefined {
  const { controller, nowMs } = world;
  const { refusal } = what === "drop"
    ? controller.step({ type: "drop_database", name: "orders" }, nowMs)
    : controller.step(
      { type: "create_database", order: { name: "orders" }, ifAbsent: false },
      nowMs,
    );
  while (world.writing !== undefined) world.persist();
  return refusal?.code;
}

Deno.test("ClusterController: a primary's word of before its process began does not tell that it knows of a drop", () => {
  const [world, a, b] = settled(2, { settings: { partitionCount: 1, replicationFactor: 2 } });
  assert(a !== undefined && b !== undefined);
  orders(world, "create");
  orders(world, "drop");
  const primary = world.config(0).primary === a.node ? a : b;
  const other = primary === a ? b : a;
  world.beat(primary);
  // It has said so, and dies before anybody looks; the other one has said nothing.
  other.heard = false;
  world.kill(primary);
  const again = world.start(primary.node[0] ?? "", { held: world.heldOf(primary) });
  again.heard = false;
  world.advance(50);
  assertEquals(orders(world, "create"), "unavailable");
  again.heard = other.heard = true;
  world.advance(5_000);
  assertEquals(orders(world, "create"), undefined);
});

Deno.test("ClusterController: whoever becomes primary meanwhile has to know of a drop as well", () => {
  const [world, a, b] = settled(2, { settings: { partitionCount: 1, replicationFactor: 2 } });
  assert(a !== undefined && b !== undefined);
  orders(world, "create");
  orders(world, "drop");
  const { primary, term } = world.config(0);
  const [old, next] = primary === a.node ? [a, b] : [b, a];
  // All know of the drop, and say so; but the next primary has not said yet that it is one.
  world.beat(next);
  world.report(old, { req_type: "damaged", p: 0, term });
  assertEquals(world.config(0).primary, next.node);
  next.heard = false;
  world.advance(50);
  assertEquals(orders(world, "create"), "unavailable");
  next.heard = true;
  world.advance(600);
  assertEquals(orders(world, "create"), undefined);
});

Deno.test("ClusterController: a name is refused as one that is there, as long as it is", () => {
  const [world] = settled(1, { settings: { replicationFactor: 1 } });
  orders(world, "create");
  assertEquals(orders(world, "create"), "exists");
  orders(world, "drop");
  assertEquals(orders(world, "drop"), "no_database");
  assertEquals(world.controller.step({ type: "tick" }, world.nowMs).refusal, undefined);
});

Deno.test("DroppedNames: there is room for so many; a document with others is damaged", () => {
  const names = new DroppedNames();
  for (let i = 0; i < DROPPED_NAMES_MAX; i++) names.add(`n${i}`, i);
  assertThrows(() => names.checkRoom(), KvError, "some nodes do not know");
  assertEquals(isStoredNames(names.toStored()), true);
  names.letGo(9);
  names.checkRoom();
  assertEquals([names.has("n9"), names.has("n10"), names.size], [
    false,
    true,
    DROPPED_NAMES_MAX - 10,
  ]);
  const bad = [{}, [["a"]], [["a", -1]], [["a", "1"]], [["", 1]], [[1, 1]], "a"];
  for (const value of bad) assertEquals(isStoredNames(value), false, JSON.stringify(value));
});
