/**
 * Databases that are made and dropped through a node, which may be some maps behind.
 *
 * @module
 */
import { assert, assertEquals } from "@std/assert";
import {
  DatabaseDirectory,
  type DatabaseWish,
} from "../../../../node/server/database_directory.ts";
import { databaseWanted } from "../../../../node/standalone_databases.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import type { DatabaseInfo } from "../../../../shared/cluster/databases.ts";
import { DATABASE_ASK_MS, DATABASE_WAIT_MS } from "../../../../shared/limits/cluster.ts";
import { whyInvalid } from "../../../../shared/wire/message_checks.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

function mapOf(epoch: number, ...list: readonly (readonly [name: string, number: number])[]) {
  const databases = list.map(([name, number]) => ({ name, number }));
  const next = 1 + Math.max(0, ...list.map(([, number]) => number));
  return { epoch, databases: { next, list: databases } } as unknown as ClusterMap;
}

class Bench {
  readonly clock = new ManualClock();
  readonly wants: [id: number, wish: DatabaseWish][] = [];
  readonly outcomes: (DatabaseInfo | KvError | undefined)[] = [];
  map: ClusterMap;
  readonly directory: DatabaseDirectory;

  constructor(map: ClusterMap) {
    this.map = map;
    this.directory = new DatabaseDirectory({
      clock: this.clock,
      map: () => this.map,
      want: (id, wish) => this.wants.push([id, wish]),
    });
  }

  follow(map: ClusterMap): void {
    this.map = map;
    this.directory.onMap(map);
  }

  /** The newest wish. */
  get last(): [id: number, wish: DatabaseWish] {
    const last = this.wants.at(-1);
    assert(last !== undefined);
    return last;
  }

  /** The node is told which map is the newest, and has it. */
  look(epoch: number, map = this.map): void {
    const [id, wish] = this.last;
    assert("look" in wish);
    this.directory.onDecided(id, epoch);
    if (map !== this.map) this.follow(map);
  }

  get codes(): (string | number | undefined)[] {
    return this.outcomes.map((one) => one instanceof KvError ? one.code : one?.number);
  }
}

Deno.test("DatabaseDirectory.create: a database of that name in a map of before is not the one that is made", () => {
  const bench = new Bench(mapOf(1));
  bench.directory.create({ name: "orders" }, (outcome) => bench.outcomes.push(outcome));
  bench.look(1);
  const [id, wish] = bench.last;
  assertEquals(wish, { make: { name: "orders" } });
  // Somebody had made it, and has dropped it; this node reads of that only now.
  bench.follow(mapOf(2, ["orders", 6]));
  assertEquals(bench.outcomes, []);
  bench.directory.onDecided(id, 4);
  bench.follow(mapOf(3));
  assertEquals(bench.outcomes, []);
  bench.follow(mapOf(4, ["orders", 7]));
  assertEquals(bench.codes, [7]);
  bench.directory.close();
});

Deno.test("DatabaseDirectory.ensure: what the node knows is there, what it does not know is asked for", () => {
  const bench = new Bench(mapOf(2, ["orders", 6]));
  const done = (outcome: DatabaseInfo | KvError | undefined) => bench.outcomes.push(outcome);
  bench.directory.ensure("orders", false, done);
  bench.directory.ensure("default", false, done);
  bench.directory.ensure("no name", false, done);
  assertEquals(bench.codes, [6, undefined, "bad_request"]);
  bench.directory.ensure("carts", true, done);
  assertEquals(bench.last[1], { make: { name: "carts", together: true } });
  bench.directory.close();
});

Deno.test("DatabaseDirectory.drop: is about the database that there is, and no later one of that name", () => {
  const bench = new Bench(mapOf(2, ["orders", 5]));
  bench.directory.drop("orders", (outcome) => bench.outcomes.push(outcome));
  // The node was behind: the one that it knew was dropped, and there is another one.
  bench.look(3, mapOf(3, ["orders", 6]));
  const [id, wish] = bench.last;
  assert("drop" in wish);
  assertEquals(wish.drop.number, 6);
  // It was dropped by somebody else, and made anew.
  bench.directory.onDecided(id, 4);
  bench.follow(mapOf(4, ["orders", 7]));
  assertEquals(bench.codes, [6]);
  bench.directory.close();
});

Deno.test("DatabaseDirectory: what the node's own map has or lacks refuses no order, a map that is the newest does", () => {
  const bench = new Bench(mapOf(2, ["old", 1], ["stays", 2]));
  const done = (outcome: DatabaseInfo | KvError | undefined) => bench.outcomes.push(outcome);
  // `old` was dropped, and `young` made, in a map that the node does not have yet.
  bench.directory.create({ name: "old" }, done);
  bench.directory.create({ name: "stays" }, done);
  bench.directory.drop("young", done);
  bench.directory.drop("nobody", done);
  assertEquals(
    bench.wants.map(([, wish]) => wish),
    ["old", "stays", "young", "nobody"].map((look) => ({ look })),
  );
  for (const [id] of bench.wants) bench.directory.onDecided(id, 3);
  assertEquals(bench.outcomes, []);
  bench.follow(mapOf(3, ["stays", 2], ["young", 3]));
  assertEquals(bench.codes, ["exists", "no_database"]);
  const orders = bench.wants.slice(4);
  assertEquals(orders.map(([, wish]) => wish), [
    { make: { name: "old" } },
    { drop: { name: "young", number: 3 } },
  ]);
  for (const [id] of orders) bench.directory.onDecided(id, 5);
  bench.follow(mapOf(5, ["stays", 2], ["old", 4]));
  assertEquals(bench.codes, ["exists", "no_database", 4, 3]);

  // What no list of databases could have is refused at once.
  bench.directory.create({ name: "default" }, done);
  bench.directory.create({ name: "no name" }, done);
  bench.directory.drop("default", done);
  assertEquals(bench.codes.slice(4), ["exists", "bad_request", "bad_request"]);
  assertEquals(bench.wants.length, 6);
  bench.directory.close();
});

Deno.test("DatabaseDirectory: what was decided by a coordinator that was none any more is asked for again", () => {
  const bench = new Bench(mapOf(2, ["orders", 6]));
  bench.directory.drop("orders", (outcome) => bench.outcomes.push(outcome));
  bench.look(2);
  const [id] = bench.last;
  bench.directory.onDecided(id, 3);
  // The map of this epoch is another coordinator's.
  bench.follow(mapOf(3, ["orders", 6]));
  assertEquals(bench.outcomes, []);
  bench.clock.advance(DATABASE_ASK_MS);
  assertEquals(bench.wants.length, 3);
  bench.directory.onDecided(id, 4);
  bench.follow(mapOf(4));
  assertEquals(bench.codes, [6]);
  bench.directory.close();
});

Deno.test("DatabaseDirectory: a refusal is told, and nobody waits for ever", () => {
  const bench = new Bench(mapOf(1));
  const done = (outcome: DatabaseInfo | KvError | undefined) => bench.outcomes.push(outcome);
  bench.directory.create({ name: "orders" }, done);
  bench.directory.onDecided(1, new KvError("overloaded", "there are too many"));
  bench.directory.onDecided(1, 2);
  bench.directory.create({ name: "others" }, done);
  bench.clock.advance(DATABASE_WAIT_MS + DATABASE_ASK_MS);
  bench.directory.create({ name: "last" }, done);
  bench.directory.close();
  assertEquals(bench.codes, ["overloaded", "unavailable", "unavailable"]);
});

Deno.test("databaseWanted: what a node wishes is a message that the coordinator takes", () => {
  const wishes: DatabaseWish[] = [
    { look: "orders" },
    { make: { name: "orders", together: true, maxKeys: 5 } },
    { drop: { name: "orders", number: 3 } },
  ];
  for (const wish of wishes) {
    const message = JSON.parse(JSON.stringify(databaseWanted(1, wish)));
    assertEquals(whyInvalid(message), undefined, JSON.stringify(message));
  }
});
