import { assertEquals } from "@std/assert";
import { MOVES_PER_NODE_MAX, REPAIR_BACKOFF_MS } from "../../../../shared/limits/membership.ts";
import { HANDOVER_TIMEOUT_MS } from "../../../../shared/limits/replication.ts";
import {
  addMember,
  LATER_MS,
  partitionParts,
  type StateOptions,
} from "../../../support/worlds/coordinator_state.ts";

/** The target is the first nodes by id; everything is planned until nothing is left. */
function setUp(options: StateOptions = {}) {
  const parts = partitionParts(options);
  const { state, mover, failover } = parts;
  const work = (nowMs: number) => {
    mover.tick(nowMs);
    do {
      const news = state.takeNews();
      failover.note(news);
      mover.note(news);
      mover.work(nowMs);
    } while (state.hasNews);
  };
  return { ...parts, work };
}

Deno.test("Mover: fills what is missing, a few at a time for each node", () => {
  const partitions = Array.from({ length: MOVES_PER_NODE_MAX + 3 }, () => ({
    term: 1,
    primary: "a",
    inSync: ["a"],
    learners: [],
  }));
  const { state, work } = setUp({ nodes: ["a", "b"], partitions });
  work(LATER_MS);
  assertEquals(state.table.learnedBy("b").size, MOVES_PER_NODE_MAX);
  state.reconfigure(0, { primary: "a", inSync: ["a", "b"], learners: [] });
  work(LATER_MS);
  assertEquals(state.table.learnedBy("b").size, MOVES_PER_NODE_MAX, "the next one in its place");
});

Deno.test("Mover.backOff: a replica that did not follow is filled again after a pause", () => {
  const { state, mover, work } = setUp({
    nodes: ["a", "b"],
    partitions: [{ term: 1, primary: "a", inSync: ["a"], learners: [] }],
  });
  mover.backOff(0, "b", LATER_MS);
  work(LATER_MS);
  assertEquals(state.table.get(0).learners, []);
  work(LATER_MS + REPAIR_BACKOFF_MS);
  assertEquals(state.table.get(0).learners, ["b"]);
});

Deno.test("Mover: surplus replicas go when all of the target are in sync", () => {
  const { state, work } = setUp({
    nodes: ["a", "b", "c", "d"],
    partitions: [{ term: 1, primary: "a", inSync: ["a", "d", "b"], learners: ["c"] }],
  });
  work(LATER_MS);
  assertEquals(state.table.get(0).inSync, ["a", "d", "b"]);
  state.reconfigure(0, { primary: "a", inSync: ["a", "b", "c", "d"], learners: [] });
  work(LATER_MS);
  assertEquals(state.table.get(0).inSync, ["a", "b", "c"]);
});

Deno.test("Mover: orders a hand-over for a configuration that is published, and only then", () => {
  const { state, out, work, mover } = setUp({
    partitions: [{ term: 1, primary: "b", inSync: ["b", "a", "c"], learners: [] }],
  });
  state.reconfigure(0, { primary: "c", inSync: ["c", "a", "b"], learners: [] });
  work(LATER_MS);
  assertEquals([out.take().messages, mover.handoverCount], [[], 0]);
  state.flush(LATER_MS);
  state.publisher.persisted(out.take().document?.map.epoch ?? 0, LATER_MS);
  mover.onPublished();
  work(LATER_MS);
  const [order] = out.take().messages;
  assertEquals(order, {
    sessions: [3],
    message: { req_type: "handover", p: 0, term: 2, to: "a" },
  });
  assertEquals(mover.handoverTarget(0, 2, "c", LATER_MS), "a");
  assertEquals(mover.handoverTarget(0, 1, "c", LATER_MS), undefined, "of another term");
});

Deno.test("Mover: an order that nobody answers is forgotten and given again later", () => {
  const { out, work, mover } = setUp({
    partitions: [{ term: 1, primary: "b", inSync: ["b", "a", "c"], learners: [] }],
  });
  work(LATER_MS);
  assertEquals(out.take().messages.length, 1);
  const overdueMs = LATER_MS + HANDOVER_TIMEOUT_MS + REPAIR_BACKOFF_MS;
  work(overdueMs);
  assertEquals([out.take().messages.length, mover.handoverCount], [0, 0]);
  work(overdueMs + REPAIR_BACKOFF_MS);
  assertEquals([out.take().messages.length, mover.handoverCount], [1, 1]);
});

Deno.test("Mover: a new node becomes part of the target, a node that leaves does not stay in it", () => {
  const { state, mover, work, member } = setUp({
    nodes: ["b", "c", "d"],
    partitions: [{ term: 1, primary: "b", inSync: ["b", "c", "d"], learners: [] }],
  });
  work(LATER_MS);
  assertEquals(mover.target.of(0), ["b", "c", "d"]);
  state.touch(addMember(state, "a"));
  work(LATER_MS);
  assertEquals([mover.target.of(0), state.table.get(0).learners], [["a", "b", "c"], ["a"]]);
  member("c").departure = "leaving";
  state.touch(member("c"));
  work(LATER_MS);
  assertEquals(mover.target.of(0), ["a", "b", "d"]);
});
