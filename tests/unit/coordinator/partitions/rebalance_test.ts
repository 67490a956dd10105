import { assertEquals } from "@std/assert";
import {
  nextStep,
  orderReplicas,
  type Readiness,
  type Step,
} from "../../../../coordinator/partitions/rebalance.ts";

interface Row {
  name: string;
  primary?: string;
  inSync: string;
  learners?: string;
  target: string;
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
  { name: "as wanted", primary: "a", inSync: "abc", target: "abc", step: NONE },
  {
    name: "nothing without a primary",
    inSync: "ab",
    target: "abc",
    step: NONE,
  },
  {
    name: "nothing with a dead primary",
    primary: "a",
    inSync: "ab",
    target: "bc",
    down: "a",
    step: NONE,
  },
  {
    name: "nothing without a target assignment",
    primary: "a",
    inSync: "ab",
    target: "",
    step: NONE,
  },
  {
    name: "a missing replica is filled, urgently",
    primary: "a",
    inSync: "ab",
    target: "abc",
    step: { kind: "fill", nodes: ["c"], urgent: true },
  },
  {
    name: "a replica that only moves is not urgent",
    primary: "a",
    inSync: "abc",
    target: "abd",
    step: { kind: "fill", nodes: ["d"], urgent: false },
  },
  {
    name: "one that is down or backs off is not filled",
    primary: "a",
    inSync: "a",
    target: "abc",
    down: "b",
    backingOff: "c",
    step: NONE,
  },
  {
    name: "unwanted learners go first",
    primary: "a",
    inSync: "ab",
    learners: "d",
    target: "abc",
    step: { kind: "drop_learners", nodes: ["d"] },
  },
  {
    name: "the primary moves to the first of the target assignment",
    primary: "b",
    inSync: "bac",
    target: "abc",
    step: { kind: "hand_over", to: "a" },
  },
  {
    name: "not while a replica is being filled",
    primary: "b",
    inSync: "ba",
    learners: "c",
    target: "abc",
    step: NONE,
  },
  {
    name: "not to a replica that is not live",
    primary: "b",
    inSync: "bac",
    target: "abc",
    down: "a",
    step: NONE,
  },
  {
    name: "an unwanted primary moves to any of the target assignment",
    primary: "d",
    inSync: "dbc",
    target: "abc",
    down: "a",
    step: { kind: "hand_over", to: "b" },
  },
  {
    name: "surplus goes when all of the target assignment is in sync",
    primary: "a",
    inSync: "abcd",
    target: "abc",
    step: { kind: "drop_surplus", nodes: ["d"] },
  },
  {
    name: "surplus stays while one of the target assignment is missing",
    primary: "a",
    inSync: "abd",
    target: "abc",
    down: "c",
    step: NONE,
  },
  {
    name: "surplus stays while one of the target assignment is not live",
    primary: "a",
    inSync: "abcd",
    target: "abc",
    down: "c",
    step: NONE,
  },
  {
    name: "the primary is never surplus: it moves first",
    primary: "d",
    inSync: "dabc",
    target: "abc",
    step: { kind: "hand_over", to: "a" },
  },
  {
    name: "a stopping primary hands over at once",
    primary: "a",
    inSync: "abc",
    learners: "d",
    target: "abd",
    stopping: "a",
    step: { kind: "hand_over", to: "b" },
  },
  {
    name: "nobody hands over to one that stops",
    primary: "b",
    inSync: "bac",
    target: "abc",
    stopping: "a",
    step: NONE,
  },
  {
    name: "a leaving primary's replicas move first",
    primary: "a",
    inSync: "abc",
    target: "bcd",
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
    assertEquals(nextStep(config, [...row.target], ready), row.step);
  });
}

Deno.test("orderReplicas: the primary first, then as wanted, then the rest", () => {
  const order = (replicas: string, target: string, primary?: string) =>
    orderReplicas([...replicas], [...target], primary).join("");
  assertEquals(order("dcba", "abc", "c"), "cabd");
  assertEquals(order("dcba", "abc", "d"), "dabc");
  assertEquals(order("ba", "", "a"), "ab");
  assertEquals(order("ba", "ab"), "ab");
});
