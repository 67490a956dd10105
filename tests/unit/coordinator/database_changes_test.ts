/**
 * Orders about databases that are held back.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import {
  DatabaseChanges,
  type DatabaseInput,
  type Decided,
} from "../../../coordinator/database_changes.ts";
import { NOTHING_TO_DO } from "../../../coordinator/state/ready.ts";
import { KvError } from "../../../shared/base/errors.ts";
import {
  DATABASE_NAME_WAIT_MS,
  DATABASE_ORDERS_WAITING_MAX,
} from "../../../shared/limits/cluster.ts";
import { ManualClock } from "../../support/doubles/manual_clock.ts";

class Bench {
  readonly clock = new ManualClock();
  readonly awaited = new Set<string>();
  readonly steps: string[] = [];
  readonly outcomes: (number | string)[] = [];
  hasRight = true;
  readonly changes = new DatabaseChanges({
    clock: this.clock,
    step: (input) => {
      const { type, name } = { name: "", ...input, ...("order" in input ? input.order : {}) };
      this.steps.push(`${type} ${name}`);
      if (type === "drop_database") this.awaited.add(name);
      else if (this.awaited.has(name)) {
        return { ...NOTHING_TO_DO, refusal: new KvError("unavailable", "awaited") };
      }
      return { ...NOTHING_TO_DO, orderedEpoch: this.steps.length };
    },
    checkRight: () => {
      if (!this.hasRight) throw new KvError("unavailable", "another one may act");
    },
    isNameAwaited: (name) => this.awaited.has(name),
  });
  readonly decided: Decided = (outcome) => {
    this.outcomes.push(outcome instanceof KvError ? outcome.code : outcome);
  };

  make(name: string): void {
    const input: DatabaseInput = { type: "create_database", order: { name }, ifAbsent: true };
    this.changes.order(input, this.decided);
  }

  drop(name: string, number?: number): void {
    const input = { type: "drop_database", name, ...(number === undefined ? {} : { number }) };
    this.changes.order(input as DatabaseInput, this.decided);
  }
}

Deno.test("DatabaseChanges: a name that nobody waits for is made at once", () => {
  const bench = new Bench();
  bench.make("a");
  assertEquals(bench.outcomes, [1]);
});

Deno.test("DatabaseChanges: a drop is carried out at once, and answered when all know of it; then others get the name", () => {
  const bench = new Bench();
  bench.drop("a");
  bench.make("a");
  bench.make("b");
  assertEquals([bench.steps, bench.outcomes], [["drop_database a", "create_database b"], [2]]);
  bench.changes.look();
  assertEquals(bench.outcomes, [2]);
  bench.awaited.delete("a");
  bench.changes.look();
  assertEquals(bench.outcomes, [2, 1, 3]);
  bench.changes.look();
  assertEquals(bench.outcomes, [2, 1, 3], "each once");
});

Deno.test("DatabaseChanges: nobody waits for ever: a drop counts, a name is refused", async () => {
  const bench = new Bench();
  bench.drop("a");
  bench.make("a");
  await bench.clock.advance(DATABASE_NAME_WAIT_MS - 1);
  bench.changes.look();
  assertEquals(bench.outcomes, []);
  await bench.clock.advance(1);
  bench.changes.look();
  assertEquals(bench.outcomes, [1, "unavailable"]);
});

Deno.test("DatabaseChanges: who asks for the newest map alone does not wait", () => {
  const bench = new Bench();
  bench.drop("a", 0);
  assertEquals(bench.outcomes, [1]);
});

Deno.test("DatabaseChanges: when the coordinator is not active any more, a drop has happened and nothing was made", () => {
  const bench = new Bench();
  bench.drop("a");
  bench.make("a");
  bench.changes.close();
  assertEquals(bench.outcomes, [1, "unavailable"]);
  assertEquals(bench.steps, ["drop_database a"]);
});

Deno.test("DatabaseChanges: who may have been replaced answers nobody from what it knows, also not later", () => {
  const bench = new Bench();
  bench.awaited.add("a");
  bench.make("a");
  bench.hasRight = false;
  bench.make("b");
  bench.drop("c");
  bench.awaited.clear();
  bench.changes.look();
  assertEquals(bench.outcomes, ["unavailable", "unavailable", "unavailable"]);
  assertEquals(bench.steps, []);
});

Deno.test("DatabaseChanges: so many wait, and no more", () => {
  const bench = new Bench();
  bench.awaited.add("a");
  for (let i = 0; i < DATABASE_ORDERS_WAITING_MAX; i++) bench.make("a");
  assertEquals(bench.outcomes, []);
  bench.make("a");
  bench.drop("b");
  assertEquals(bench.outcomes, ["overloaded", 1]);
});
