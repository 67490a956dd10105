import { assertEquals } from "@std/assert";
import { FirstPlacement } from "../../../../coordinator/partitions/first_placement.ts";
import {
  addMember,
  LATER_MS,
  partitionParts,
  type StateOptions,
} from "../../../support/worlds/coordinator_state.ts";

const UNPLACED = { term: 0, primary: undefined, inSync: [], learners: [] };

function setUp(expectNodes: number, options: StateOptions = {}) {
  const parts = partitionParts({ partitions: [UNPLACED, UNPLACED], ...options });
  return {
    ...parts,
    placement: new FirstPlacement(parts.state, parts.mover, parts.out, expectNodes),
  };
}

Deno.test("FirstPlacement: waits for so many nodes, and says so once for each number", () => {
  const { placement, state, out } = setUp(3, { nodes: ["a", "b"] });
  placement.placeIfReady(LATER_MS);
  placement.placeIfReady(LATER_MS);
  assertEquals([placement.awaitedNodes, out.take().log.length], [3, 1]);
  addMember(state, "c");
  placement.placeIfReady(LATER_MS);
  assertEquals(state.table.get(1), {
    term: 1,
    primary: "a",
    inSync: ["a", "b", "c"],
    learners: [],
  });
  assertEquals([placement.awaitedNodes, [...state.fresh.keys()]], [0, [0, 1]]);
});

Deno.test("FirstPlacement: waits for as many as a write needs", () => {
  const { placement } = setUp(1, { nodes: ["a"], settings: { minInSync: 2 } });
  placement.placeIfReady(LATER_MS);
  assertEquals(placement.awaitedNodes, 2);
});

Deno.test("FirstPlacement: waits until it is known who is there, and gives nothing to who is not", () => {
  const { placement, state, member } = setUp(2);
  member("c").presence = "unknown";
  placement.placeIfReady(LATER_MS);
  assertEquals(state.table.get(0).term, 0);
  member("c").presence = "down";
  member("c").downSinceMs = LATER_MS;
  placement.placeIfReady(LATER_MS);
  assertEquals(state.table.get(0).inSync, ["a", "b"]);
});

Deno.test("FirstPlacement: a cluster that is laid out is left alone", () => {
  const { placement, state } = setUp(1, {
    partitions: [{ term: 3, primary: "a", inSync: ["a"], learners: [] }],
  });
  placement.placeIfReady(LATER_MS);
  assertEquals([placement.awaitedNodes, state.table.get(0).term], [0, 3]);
});
