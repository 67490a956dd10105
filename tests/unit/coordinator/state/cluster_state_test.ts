import { assert, assertEquals } from "@std/assert";
import { parseStoredCluster } from "../../../../coordinator/state/stored_cluster.ts";
import {
  addMember,
  coordinatorState,
  infoFor,
  LATER_MS,
  START_MS,
} from "../../../support/worlds/coordinator_state.ts";

Deno.test("ClusterState.reconfigure: the former primary gets no lease under the map of before", () => {
  const { state, member } = coordinatorState({ epoch: 5 });
  const config = state.table.get(0);
  assert(state.reconfigure(0, { ...config, primary: "b" }));
  assertEquals([member("a").ackEpochMin, member("b").ackEpochMin], [6, 0]);
  assertEquals(state.reconfigure(0, state.table.get(0)), false, "nothing new");
});

Deno.test("ClusterState.reconfigure: what is known of a replica goes with it", () => {
  const { state, member } = coordinatorState();
  for (const id of ["a", "b"]) {
    member(id).stale.add(0);
    member(id).damaged.add(0);
  }
  state.reconfigure(0, { primary: "a", inSync: ["a", "c"], learners: [] });
  assertEquals([member("a").stale.size, member("b").stale.size, member("b").damaged.size], [
    1,
    0,
    0,
  ]);
});

Deno.test("ClusterState.takeNews: each change and each touched node once", () => {
  const { state, member } = coordinatorState();
  assertEquals(state.hasNews, false);
  state.reconfigure(0, { primary: "b", inSync: ["a", "b"], learners: [] });
  state.touch(member("c"));
  state.touchReplicas(member("c"));
  const { changes, nodes } = state.takeNews();
  assertEquals(changes.map(({ before, after }) => [before.primary, after.primary]), [["a", "b"]]);
  assertEquals([...nodes], ["c"]);
  assertEquals([state.hasNews, state.takeNews().changes.length], [false, 0]);
});

Deno.test("ClusterState.setInfo: a line that says the same is no change of the map", () => {
  const { state, member } = coordinatorState();
  const before = state.publisher.decidedEpoch;
  state.setInfo(member("a"), infoFor("a"));
  assertEquals(state.publisher.decidedEpoch, before);
  member("a").presence = "down";
  state.setInfo(member("a"), infoFor("a"));
  assertEquals([member("a").info.state, state.publisher.decidedEpoch], ["down", before + 1]);
});

Deno.test("ClusterState.barUntil: the longest former lease counts, and none after a new primary", () => {
  const { state } = coordinatorState();
  const grace = state.leaseGraceUntilMs;
  assertEquals(state.barredUntilMs(0), grace);
  state.barUntil(0, LATER_MS);
  state.barUntil(0, LATER_MS - 1);
  assertEquals([state.barredUntilMs(0), state.barredUntilMs(1)], [LATER_MS, grace]);
  state.unbar(0);
  assertEquals(state.barredUntilMs(0), grace);
});

Deno.test("ClusterState.memberOf: only over its present session, and not of a node that is down", () => {
  const { state, member } = coordinatorState();
  assertEquals(state.memberOf(1)?.id, "a");
  member("a").session = 9;
  assertEquals(state.memberOf(1), undefined);
  member("b").presence = "down";
  assertEquals([state.memberOf(2), state.memberOf(77)], [undefined, undefined]);
});

Deno.test("ClusterState.flush: the document has all that outlives the coordinator", () => {
  const { state, out, member } = coordinatorState();
  addMember(state, "d");
  member("b").stale.add(0);
  member("c").batch = 7;
  state.fresh.set(0, 6);
  state.leaseMsMax = 9_000;
  state.publisher.decide();
  state.flush(START_MS);
  const { document } = out.take();
  const read = parseStoredCluster(JSON.parse(JSON.stringify(document)));
  assertEquals(read.map.nodes.map(({ id }) => id), ["a", "b", "c", "d"]);
  assertEquals(read.members.map(({ stale, batch }) => [stale, batch]), [
    [[], 0],
    [[0], 0],
    [[], 7],
    [[], 0],
  ]);
  assertEquals([read.fresh, read.leaseMsMax, read.map.generation], [[0], 9_000, "g1"]);
});

Deno.test("ClusterState.remove: a node is off the list, and the target is to be computed anew", () => {
  const { state, out, member } = coordinatorState({
    partitions: [{ term: 1, primary: "a", inSync: ["a", "b"], learners: [] }],
  });
  state.targetStale = false;
  state.remove(member("c"));
  state.flush(START_MS);
  assertEquals(out.take().document?.map.nodes.map(({ id }) => id), ["a", "b"]);
  assert(state.targetStale);
});
