import { assertEquals, assertThrows } from "@std/assert";
import { ForcedPrimaries } from "../../../../coordinator/partitions/forced_primaries.ts";
import { KvError } from "../../../../shared/base/errors.ts";
import { LATER_MS, partitionParts } from "../../../support/worlds/coordinator_state.ts";

/** Only `a` was in sync, and it is gone. */
function setUp() {
  const parts = partitionParts({
    partitions: [{ term: 4, primary: "a", inSync: ["a"], learners: [] }],
  });
  const { state, member, judgeAll } = parts;
  const gone = member("a");
  gone.presence = "down";
  gone.lastSeenMs = gone.heardMs = LATER_MS - 10_000;
  gone.leaseUntilMs = 0;
  judgeAll(LATER_MS);
  return { ...parts, orders: new ForcedPrimaries(state, parts.failover, parts.out) };
}

function code(order: () => unknown): string {
  return assertThrows(order, KvError).code;
}

Deno.test("ForcedPrimaries.force: the node that has told of most, in a term above everything", () => {
  const { orders, state, member, failover } = setUp();
  member("b").held = new Map([[0, { term: 3, lastSeq: 9 }]]);
  member("c").held = new Map([[0, { term: 7, lastSeq: 1 }]]);
  const forced = orders.force(undefined, undefined, LATER_MS);
  assertEquals(forced, [{ partition: 0, node: "c", term: 7, last_seq: 1 }]);
  const { term, primary, inSync, forcedTerm } = state.table.get(0);
  assertEquals([term, primary, inSync, forcedTerm], [8, "c", ["c"], 8]);
  assertEquals(failover.lost, []);
});

Deno.test("ForcedPrimaries.force: refuses what is not lost, unknown, or may still be served", () => {
  const { orders, member, state, judgeAll } = setUp();
  assertEquals(code(() => orders.force(7, undefined, LATER_MS)), "bad_request");
  assertEquals(code(() => orders.force(0, "a", LATER_MS)), "bad_request");
  state.barUntil(0, LATER_MS + 1);
  assertEquals(code(() => orders.force(0, "b", LATER_MS)), "unavailable");
  member("a").heardMs = LATER_MS;
  assertEquals(code(() => orders.force(0, "b", LATER_MS + 1)), "unavailable");
  state.reconfigure(0, { primary: "b", inSync: ["b"], learners: [] });
  judgeAll(LATER_MS + 1);
  assertEquals(code(() => orders.force(0, "c", LATER_MS + 1)), "bad_request");
});

Deno.test("ForcedPrimaries.giveUp: the node is in no configuration, and its lease is waited for", () => {
  const { orders, state, member } = setUp();
  member("a").leaseUntilMs = LATER_MS + 700;
  state.reconfigure(0, { primary: "a", inSync: ["a", "b"], learners: ["c"] });
  orders.giveUp(member("a"));
  const { primary, inSync, learners } = state.table.get(0);
  assertEquals([primary, inSync, learners], [undefined, ["b"], ["c"]]);
  assertEquals(state.barredUntilMs(0), LATER_MS + 700);
});
