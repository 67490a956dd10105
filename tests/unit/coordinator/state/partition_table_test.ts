import { assert, assertEquals, assertThrows } from "@std/assert";
import { PartitionTable } from "../../../../coordinator/state/partition_table.ts";
import { InvariantError } from "../../../../shared/base/errors.ts";

function table() {
  const config = { term: 3, primary: "a", inSync: ["a", "b"], learners: ["c"] };
  return { table: new PartitionTable([config]), config };
}

Deno.test("PartitionTable.reconfigure: the term grows with all but the addition of a learner", () => {
  const rows: [
    Partial<{ primary: string | undefined; inSync: string[]; learners: string[] }>,
    number,
  ][] = [
    [{ learners: ["c", "d"] }, 3],
    [{ learners: [] }, 4],
    [{ learners: ["d"] }, 4],
    [{ primary: "b" }, 4],
    [{ primary: undefined }, 4],
    [{ inSync: ["a"] }, 4],
    [{ inSync: ["b", "a"] }, 4],
    [{ inSync: ["a", "b", "c"], learners: [] }, 4],
  ];
  for (const [change, term] of rows) {
    const { table: t, config } = table();
    const made = t.reconfigure(0, { ...config, ...change });
    assertEquals(t.get(0).term, term, JSON.stringify(change));
    assertEquals(made, { partition: 0, before: config, after: t.get(0) });
  }
});

Deno.test("PartitionTable.reconfigure: nothing new is no change; options raise the term", () => {
  const { table: t, config } = table();
  assertEquals(t.reconfigure(0, config), undefined);
  assert(t.reconfigure(0, config, { newTerm: true }) !== undefined);
  assertEquals(t.get(0).term, 4);
  t.reconfigure(0, { ...config, primary: "b" }, { termFloor: 9 });
  assertEquals(t.get(0).term, 10);
});

Deno.test("PartitionTable.reconfigure: refuses what is no configuration", () => {
  const { table: t, config } = table();
  assertThrows(() => t.reconfigure(0, { ...config, primary: "x" }), InvariantError);
  assertThrows(() => t.reconfigure(0, { ...config, learners: ["a"] }), InvariantError);
  assertThrows(() => t.reconfigure(1, config), InvariantError);
});

Deno.test("PartitionTable: knows what each node holds and learns", () => {
  const { table: t, config } = table();
  assertEquals([...t.heldBy("c")], [0]);
  assertEquals([...t.learnedBy("c")], [0]);
  assertEquals(t.learnerCount, 1);
  t.reconfigure(0, { ...config, inSync: ["a", "c"], learners: [] });
  assertEquals([t.heldBy("b").size, t.heldBy("c").size, t.learnedBy("c").size], [0, 1, 0]);
});
