import { assertEquals } from "@std/assert";
import { LATER_MS, partitionParts } from "../../../support/worlds/coordinator_state.ts";

Deno.test("FailoverController: a primary that is down is replaced, once its lease has run out", () => {
  const { state, member, judgeAll, failover } = partitionParts();
  judgeAll(LATER_MS);
  member("a").presence = "down";
  member("a").lastSeenMs = LATER_MS - 3_000;
  member("a").leaseUntilMs = LATER_MS + 200;
  state.touch(member("a"));
  judgeAll(LATER_MS);
  assertEquals(state.table.get(0).primary, "a", "it may still read");
  failover.tick(LATER_MS + 199);
  assertEquals(failover.judgeNext(LATER_MS + 199), false);
  failover.tick(LATER_MS + 200);
  judgeAll(LATER_MS + 200);
  const { primary, inSync, term } = state.table.get(0);
  assertEquals([primary, inSync, term], ["b", ["b", "c"], 2]);
  assertEquals(state.counts.failovers, 1);
});

Deno.test("FailoverController: nobody takes over before the leases of former primaries have ended", () => {
  const { state, member, judgeAll } = partitionParts();
  judgeAll(LATER_MS);
  state.barUntil(0, LATER_MS + 500);
  member("a").leaseUntilMs = 0;
  state.reconfigure(0, { primary: undefined, inSync: ["b", "c"], learners: [] });
  judgeAll(LATER_MS);
  assertEquals(state.table.get(0).primary, undefined);
  judgeAll(LATER_MS + 500);
  state.touch(member("b"));
  judgeAll(LATER_MS + 500);
  assertEquals(state.table.get(0).primary, "b");
  assertEquals(
    state.barredUntilMs(0),
    state.leaseGraceUntilMs,
    "it counts for the one before alone",
  );
});

Deno.test("FailoverController.noteLagging: the replica leaves, and is no laggard of a later term", () => {
  const { state, judgeAll, failover } = partitionParts();
  judgeAll(LATER_MS);
  failover.noteLagging(0, "c");
  judgeAll(LATER_MS);
  assertEquals(state.table.get(0).inSync, ["a", "b"]);
  state.reconfigure(0, { primary: "a", inSync: ["a", "b", "c"], learners: [] });
  judgeAll(LATER_MS);
  assertEquals(state.table.get(0).inSync, ["a", "b", "c"]);
});

Deno.test("FailoverController: what nobody can serve is lost, is said once, and is found again", () => {
  const { state, member, out, judgeAll, failover } = partitionParts({
    nodes: ["a"],
    settings: { replicationFactor: 1 },
  });
  judgeAll(LATER_MS);
  member("a").presence = "down";
  member("a").leaseUntilMs = 0;
  member("a").lastSeenMs = LATER_MS - 10_000;
  state.touch(member("a"));
  judgeAll(LATER_MS);
  failover.logLost();
  failover.logLost();
  assertEquals([failover.lost, failover.isLost(0)], [[0], true]);
  assertEquals(out.take().log.map(({ level }) => level), ["error"]);
  member("a").presence = "live";
  member("a").stale.add(0);
  member("a").held = new Map([[0, { term: 1, lastSeq: 3 }]]);
  state.touch(member("a"));
  judgeAll(LATER_MS);
  failover.logLost();
  assertEquals([state.table.get(0).primary, failover.lost], ["a", []]);
  assertEquals(member("a").stale.size, 0, "its role counts from now on");
  assertEquals(out.take().log.map(({ level }) => level), ["info"]);
});
