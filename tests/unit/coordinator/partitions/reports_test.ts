import { assertEquals } from "@std/assert";
import { type Report, Reports } from "../../../../coordinator/partitions/reports.ts";
import {
  LATER_MS,
  partitionParts,
  type StateOptions,
} from "../../../support/worlds/coordinator_state.ts";

const LEARNING = [{ term: 4, primary: "a", inSync: ["a", "b"], learners: ["c"] }];

function setUp(options: StateOptions = {}) {
  const parts = partitionParts(options);
  const reports = new Reports(parts.state, parts.failover, parts.mover, parts.out);
  const say = (from: string, message: Report) => {
    reports.take(parts.member(from), message, LATER_MS);
    parts.judgeAll(LATER_MS);
    const { primary, inSync, learners } = parts.state.table.get(0);
    return [primary, inSync.join(""), learners.join("")];
  };
  return { ...parts, say };
}

Deno.test("Reports: a learner that has caught up is in sync; other terms and other senders are ignored", () => {
  const { say, state } = setUp({ partitions: LEARNING });
  const same = ["a", "ab", "c"];
  const report: Report = { req_type: "caught_up", p: 0, term: 4, node: "c" };
  assertEquals(say("a", { ...report, term: 3 }), same);
  assertEquals(say("b", report), same);
  assertEquals(say("a", { ...report, p: 7 }), same);
  assertEquals(say("a", { ...report, node: "b" }), same);
  assertEquals(say("a", report), ["a", "abc", ""]);
  assertEquals(state.counts.movesDone, 1);
});

Deno.test("Reports: the word of a primary of an earlier process does not count", () => {
  const { say, member, state } = setUp({ partitions: LEARNING });
  member("a").stale.add(0);
  say("a", { req_type: "caught_up", p: 0, term: 4, node: "c" });
  assertEquals([state.counts.movesDone, state.table.get(0).inSync.includes("c")], [0, false]);
});

Deno.test("Reports: who lags leaves, in sync or learner; nobody reports itself", () => {
  const lagging = (node: string): Report => ({
    req_type: "lagging",
    p: 0,
    term: 4,
    node,
    reason: "slow",
  });
  assertEquals(setUp({ partitions: LEARNING }).say("a", lagging("b")), ["a", "a", "c"]);
  assertEquals(setUp({ partitions: LEARNING }).say("a", lagging("c")), ["a", "ab", ""]);
  assertEquals(setUp({ partitions: LEARNING }).say("a", lagging("a")), ["a", "ab", "c"]);
});

Deno.test("Reports: a damaged replica goes, and a damaged primary's place is taken", () => {
  const damaged: Report = { req_type: "damaged", p: 0, term: 4 };
  assertEquals(setUp({ partitions: LEARNING }).say("b", damaged), ["a", "a", "c"]);
  assertEquals(setUp({ partitions: LEARNING }).say("c", damaged), ["a", "ab", ""]);
  assertEquals(setUp({ partitions: LEARNING }).say("a", damaged)[0], "b");
});

Deno.test("Reports: a last replica that is damaged is in the log once, however often it says so", () => {
  const { say, out } = setUp({
    partitions: [{ term: 4, primary: "a", inSync: ["a"], learners: [] }],
  });
  out.take();
  for (let i = 0; i < 3; i++) say("a", { req_type: "damaged", p: 0, term: 4 });
  const said = out.take().log.filter(({ event }) => event === "a replica is damaged");
  assertEquals(said.map(({ fields }) => fields), [{ partition: 0, node: "a" }]);
});

Deno.test("Reports: resumed gives a new term and nothing else; drained without an order nothing", () => {
  const { say, state } = setUp({ partitions: LEARNING });
  assertEquals(say("a", { req_type: "drained", p: 0, term: 4 }), ["a", "ab", "c"]);
  assertEquals(state.table.get(0).term, 4);
  assertEquals(say("a", { req_type: "resumed", p: 0, term: 4 }), ["a", "ab", "c"]);
  assertEquals(state.table.get(0).term, 5);
});
