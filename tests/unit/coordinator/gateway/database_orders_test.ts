/**
 * Orders about databases over HTTP: answered when the gateway here has the map that shows them.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  DatabaseOrders,
  type DatabaseRequest,
} from "../../../../coordinator/gateway/database_orders.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import type { ClusterMap } from "../../../../shared/cluster/cluster_map.ts";
import type { DatabaseInfo } from "../../../../shared/cluster/databases.ts";
import { DATABASE_WAIT_MS } from "../../../../shared/limits/cluster.ts";
import type { ReplyTo } from "../../../../shared/wire/messages.ts";
import { ON_BEHALF } from "../../../../shared/wire/on_behalf.ts";
import { ManualClock } from "../../../support/doubles/manual_clock.ts";

class Bench {
  readonly clock = new ManualClock();
  readonly asked: [request: DatabaseRequest, reply: ReplyTo][] = [];
  readonly outcomes: (string | undefined)[] = [];
  #map: ClusterMap | undefined;
  readonly orders = new DatabaseOrders({
    clock: this.clock,
    map: () => this.#map,
    carryOut: (request, reply) => this.asked.push([request, reply]),
  });
  readonly done = (outcome: DatabaseInfo | KvError | undefined) => {
    this.outcomes.push(outcome instanceof KvError ? outcome.code : outcome?.name);
  };

  follow(next: number, ...list: DatabaseInfo[]): void {
    this.#map = { databases: { next, list } } as unknown as ClusterMap;
    this.orders.onMap();
  }

  answer(number: number): void {
    const [[request, reply] = []] = this.asked.splice(0);
    const result = { name: request?.database, number, placement: "spread" };
    reply?.({ req_type: "result", result });
  }
}

Deno.test("DatabaseOrders: who is answered finds the database here, and none that was dropped", () => {
  const bench = new Bench();
  bench.orders.create({ name: "a", together: true, maxKeys: 5 }, bench.done, "alice");
  assertEquals(bench.asked[0]?.[0], {
    req_type: "database_create",
    database: "a",
    together: true,
    max_keys: 5,
    [ON_BEHALF]: "alice",
  });
  bench.answer(1);
  bench.follow(1);
  assertEquals(bench.outcomes, [], "the map is one of before");
  bench.follow(2, { name: "a", number: 1 });
  assertEquals(bench.outcomes, ["a"]);

  bench.orders.drop("a", bench.done);
  bench.answer(1);
  assertEquals(bench.outcomes.length, 1);
  bench.follow(2);
  assertEquals(bench.outcomes, ["a", "a"]);
  // Somebody has dropped it again by the time the map comes here: that it was made is true all the same.
  bench.orders.create({ name: "b" }, bench.done);
  bench.answer(2);
  bench.follow(3);
  assertEquals(bench.outcomes, ["a", "a", "b"]);
  assertEquals(bench.clock.timers, 0);
});

Deno.test("DatabaseOrders: one that is there is not asked for, and a refusal is told as it is", () => {
  const bench = new Bench();
  bench.follow(2, { name: "a", number: 1 });
  bench.orders.ensure("a", false, bench.done);
  bench.orders.ensure("default", false, bench.done);
  assertEquals([bench.outcomes, bench.asked.length], [["a", undefined], 0]);
  bench.orders.create({ name: "a" }, bench.done);
  const [[, reply] = []] = bench.asked.splice(0);
  reply?.({ req_type: "error", code: "exists", message: "it is there" });
  assertEquals(bench.outcomes.at(-1), "exists");
});

Deno.test("DatabaseOrders: nobody waits for ever for a map, nor beyond the end", () => {
  const bench = new Bench();
  bench.orders.create({ name: "a" }, bench.done);
  bench.answer(1);
  bench.clock.advance(DATABASE_WAIT_MS);
  bench.orders.create({ name: "b" }, bench.done);
  bench.answer(2);
  bench.orders.close();
  assertEquals(bench.outcomes, ["a", "b"]);
});
