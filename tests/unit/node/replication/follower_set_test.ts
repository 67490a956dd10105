import { assertEquals } from "@std/assert";
import {
  LEARNER_TIMEOUT_MS,
  REPLICA_ACK_TIMEOUT_MS,
} from "../../../../shared/limits/replication.ts";
import type { PartitionConfig } from "../../../../shared/cluster/cluster_map.ts";
import type { LiveWrites } from "../../../../node/requests/live_writes.ts";
import { FollowerSet } from "../../../../node/replication/follower_set.ts";
import type { FollowerStream, StreamOwner } from "../../../../node/replication/follower_stream.ts";
import { configOf, RecordingNode } from "../../../support/doubles/recording_ports.ts";

/** Those who are told do not look into them. */
const NO_WRITES: LiveWrites = { rows: [], json: "" };

function setUp(config: PartitionConfig) {
  const node = new RecordingNode();
  const owner: StreamOwner & { config: PartitionConfig } = {
    partition: 0,
    config,
    epoch: 1,
    store: node.store,
    recent: node.recent,
    ports: node.ports,
    onStreamAdvanced: (stream) => set.promoteIfLevel(stream),
    onHopeless: () => {},
    onReadFailed: () => false,
  };
  const set: FollowerSet = new FollowerSet(owner);
  set.update();
  const configure = (next: PartitionConfig) => {
    const before = owner.config;
    owner.config = next;
    set.onConfig(before);
  };
  return { node, set, configure };
}

/** The replica answers that it has nothing, takes what it lacks, and acknowledges `seq` of the nine that it is sent. */
function bringLevel(stream: FollowerStream | undefined, seq: number) {
  if (stream === undefined) throw new Error("there is a stream");
  stream.onInfo({
    req_type: "resync_info",
    p: 0,
    term: 1,
    stream: stream.stream,
    last_term: 0,
    commit: 0,
    last: 0,
    unacknowledged: [],
  });
  if (seq > 0) stream.append(9, NO_WRITES, 0);
  stream.onAppended(stream.stream, seq);
}

Deno.test("FollowerSet.update: one stream for each other node of the configuration, and a new one only for a new node", () => {
  const { node, set, configure } = setUp(configOf(["n1", "n2"], ["n3"]));
  assertEquals(node.takeLines(), ["n2 resync_query", "n3 resync_query"]);
  assertEquals([set.mustAck(), set.isEmpty], [["n2"], false]);
  bringLevel(set.stream("n2"), 0);
  node.takeLines();
  configure(configOf(["n1", "n2"], ["n4"], 2));
  assertEquals(set.streams.map((stream) => stream.node), ["n2", "n4"]);
  assertEquals(node.takeLines(), ["n4 resync_query", "n2 new_term"]);
  set.stop();
  assertEquals(set.isEmpty, true);
});

Deno.test("FollowerSet.ackedUpto: the least of those that must acknowledge, none while one of them is not level", () => {
  const { set } = setUp(configOf(["n1", "n2", "n3"], ["n4"]));
  assertEquals(set.ackedUpto(9), undefined);
  bringLevel(set.stream("n2"), 5);
  assertEquals(set.ackedUpto(9), undefined);
  bringLevel(set.stream("n3"), 7);
  assertEquals([set.ackedUpto(9), set.ackedUpto(3)], [5, 3]);
  set.stream("n2")?.onAppended(set.stream("n2")?.stream ?? 0, 8);
  assertEquals(set.ackedUpto(9), 7);
  set.stream("n3")?.stop();
  assertEquals(set.ackedUpto(9), undefined);
});

Deno.test("FollowerSet.ackedUpto: alone, what is on the primary's own disk", () => {
  const { set } = setUp(configOf(["n1"], ["n2"]));
  assertEquals(set.ackedUpto(4), 4);
});

Deno.test("FollowerSet.promoteIfLevel: writes wait for a level learner at once; it is reported when it has all that was committed, once in a term", () => {
  const { node, set, configure } = setUp(configOf(["n1"], ["n2"]));
  node.write("a", 1);
  node.write("b", 2);
  node.store.setState({ commitSeq: 2 });
  const stream = set.stream("n2");
  node.takeLines();
  bringLevel(stream, 1);
  const reports = () => node.takeLines().filter((line) => line.startsWith("report"));
  assertEquals([set.mustAck(), reports()], [["n2"], []]);
  stream?.onAppended(stream.stream, 2);
  stream?.onAppended(stream.stream, 2);
  assertEquals(reports(), ["report caught_up n2"]);
  // The report was lost with its term, and it is a learner of the next one.
  configure(configOf(["n1"], ["n2"], 2));
  assertEquals([set.mustAck(), reports()], [["n2"], ["report caught_up n2"]]);
});

Deno.test("FollowerSet.onConfig: a replica that leaves the set for the learners is asked anew, and need not acknowledge", () => {
  const { node, set, configure } = setUp(configOf(["n1", "n2"]));
  bringLevel(set.stream("n2"), 0);
  node.takeLines();
  configure(configOf(["n1"], ["n2"], 2));
  assertEquals(node.takeLines(), ["n2 resync_query"]);
  assertEquals([set.mustAck(), set.stream("n2")?.state], [[], "querying"]);
});

Deno.test("FollowerSet.tick: reports a replica that writes wait for after a second, another after ten", () => {
  const { node, set } = setUp(configOf(["n1", "n2"], ["n3"]));
  const reportsAfter = (ms: number) => {
    node.takeLines();
    set.tick(ms);
    return node.takeLines().filter((line) => line.startsWith("report"));
  };
  assertEquals(reportsAfter(REPLICA_ACK_TIMEOUT_MS), []);
  assertEquals(reportsAfter(REPLICA_ACK_TIMEOUT_MS + 1), ["report lagging n2"]);
  assertEquals(reportsAfter(LEARNER_TIMEOUT_MS + 1), ["report lagging n2", "report lagging n3"]);
});

Deno.test("FollowerSet.forgive: nobody is to blame for the time in which this process stood still", () => {
  const { node, set } = setUp(configOf(["n1", "n2"]));
  set.forgive(5_000);
  node.takeLines();
  set.tick(5_000 + REPLICA_ACK_TIMEOUT_MS);
  assertEquals(node.takeLines(), []);
});

Deno.test("FollowerSet.compareDigests: asks those that are level", () => {
  const { node, set } = setUp(configOf(["n1", "n2", "n3"]));
  bringLevel(set.stream("n3"), 0);
  node.takeLines();
  set.compareDigests();
  assertEquals(node.takeLines(), ["n3 digest"]);
});
