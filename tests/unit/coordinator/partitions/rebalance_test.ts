import { assertEquals } from "@std/assert";
import {
  nextStep,
  orderCopies,
  type Readiness,
  type Step,
} from "../../../../coordinator/partitions/rebalance.ts";

interface Row {
  name: string;
  primary?: string;
  inSync: string;
  learners?: string;
  wish: string;
  /** Nodes that are not live. */
  down?: string;
  backingOff?: string;
  stopping?: string;
  leaving?: string;
  step: Step;
}

const NONE: Step = { kind: "none" };

// Nodes are letters; a list of them is a word.
const ROWS: Row[] = [
  { name: "as wished", primary: "a", inSync: "abc", wish: "abc", step: NONE },
  {
    name: "nothing without a primary",
    inSync: "ab",
    wish: "abc",
    step: NONE,
  },
  {
    name: "nothing with a dead primary",
    primary: "a",
    inSync: "ab",
    wish: "bc",
    down: "a",
    step: NONE,
  },
  { name: "nothing without a wish", primary: "a", inSync: "ab", wish: "", step: NONE },
  {
    name: "a missing copy is filled, urgently",
    primary: "a",
    inSync: "ab",
    wish: "abc",
    step: { kind: "fill", nodes: ["c"], urgent: true },
  },
  {
    name: "a copy that only moves is not urgent",
    primary: "a",
    inSync: "abc",
    wish: "abd",
    step: { kind: "fill", nodes: ["d"], urgent: false },
  },
  {
    name: "one that is down or backs off is not filled",
    primary: "a",
    inSync: "a",
    wish: "abc",
    down: "b",
    backingOff: "c",
    step: NONE,
  },
  {
    name: "unwanted learners go first",
    primary: "a",
    inSync: "ab",
    learners: "d",
    wish: "abc",
    step: { kind: "drop_learners", nodes: ["d"] },
  },
  {
    name: "the primary moves to the first of the wish",
    primary: "b",
    inSync: "bac",
    wish: "abc",
    step: { kind: "hand_over", to: "a" },
  },
  {
    name: "not while a copy is being filled",
    primary: "b",
    inSync: "ba",
    learners: "c",
    wish: "abc",
    step: NONE,
  },
  {
    name: "not to a copy that is not live",
    primary: "b",
    inSync: "bac",
    wish: "abc",
    down: "a",
    step: NONE,
  },
  {
    name: "an unwished primary moves to any of the wish",
    primary: "d",
    inSync: "dbc",
    wish: "abc",
    down: "a",
    step: { kind: "hand_over", to: "b" },
  },
  {
    name: "surplus goes when all of the wish is in sync",
    primary: "a",
    inSync: "abcd",
    wish: "abc",
    step: { kind: "drop_surplus", nodes: ["d"] },
  },
  {
    name: "surplus stays while one of the wish is missing",
    primary: "a",
    inSync: "abd",
    wish: "abc",
    down: "c",
    step: NONE,
  },
  {
    name: "surplus stays while one of the wish is not live",
    primary: "a",
    inSync: "abcd",
    wish: "abc",
    down: "c",
    step: NONE,
  },
  {
    name: "the primary is never surplus: it moves first",
    primary: "d",
    inSync: "dabc",
    wish: "abc",
    step: { kind: "hand_over", to: "a" },
  },
  {
    name: "a stopping primary hands over at once",
    primary: "a",
    inSync: "abc",
    learners: "d",
    wish: "abd",
    stopping: "a",
    step: { kind: "hand_over", to: "b" },
  },
  {
    name: "nobody hands over to one that stops",
    primary: "b",
    inSync: "bac",
    wish: "abc",
    stopping: "a",
    step: NONE,
  },
  {
    name: "a leaving primary's copies move first",
    primary: "a",
    inSync: "abc",
    wish: "bcd",
    leaving: "a",
    step: { kind: "fill", nodes: ["d"], urgent: false },
  },
];

for (const row of ROWS) {
  Deno.test(`nextStep: ${row.name}`, () => {
    const has = (list: string | undefined, id: string) => list?.includes(id) ?? false;
    const isServing = (id: string) => !has(row.down, id);
    const isGoing = (id: string) => has(row.stopping, id) || has(row.leaving, id);
    const ready: Readiness = {
      isServing,
      mayLearn: (id) => isServing(id) && !isGoing(id) && !has(row.backingOff, id),
      mayLead: (id) => isServing(id) && !isGoing(id),
      mustHandOver: (id) => has(row.stopping, id),
    };
    const config = {
      term: 1,
      primary: row.primary,
      inSync: [...row.inSync],
      learners: [...row.learners ?? ""],
    };
    assertEquals(nextStep(config, [...row.wish], ready), row.step);
  });
}

Deno.test("orderCopies: the primary first, then as wished, then the rest", () => {
  const order = (copies: string, wish: string, primary?: string) =>
    orderCopies([...copies], [...wish], primary).join("");
  assertEquals(order("dcba", "abc", "c"), "cabd");
  assertEquals(order("dcba", "abc", "d"), "dabc");
  assertEquals(order("ba", "", "a"), "ab");
  assertEquals(order("ba", "ab"), "ab");
});
