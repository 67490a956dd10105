/**
 * What other nodes and strangers send was checked for being an object or an array, and no deeper. A
 * configuration without its lists was adopted and ended the process at the next turn of its
 * scrubbing; a partition beyond two bytes would have been written over another one; a node that
 * had got a dead node's address acknowledged writes in its place.
 *
 * @module
 */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { decodeMessage } from "../../shared/wire/codec.ts";
import type { KvError } from "../../shared/base/errors.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { NodeCluster } from "../support/worlds/node_cluster.ts";

const CONFIG = { term: 1, primary: "n1", inSync: ["n1", "n2"], learners: [] };
const MAP = {
  epoch: 1,
  settings: {
    clusterId: "c",
    clusterName: "kv",
    partitionCount: 1,
    replicationFactor: 1,
    minInSync: 1,
    leaseMs: 1,
    heartbeatIntervalMs: 1,
    failureTimeoutMs: 1,
  },
  nodes: [],
  partitions: [CONFIG],
};

function refusal(message: object): KvError | undefined {
  let refused: KvError | undefined;
  decodeMessage(JSON.stringify(message), (error) => refused = error);
  return refused;
}

Deno.test("decodeMessage looks into maps, configurations and lists before anybody believes them", () => {
  const query = { req_type: "resync_query", p: 0, config: CONFIG, epoch: 1, stream: 1 };
  const begin = { req_type: "resync_begin", p: 0, term: 1, stream: 1, next: 1, full: true };
  const info = {
    req_type: "resync_info",
    p: 0,
    term: 1,
    stream: 1,
    last_term: 1,
    commit: 0,
    last: 0,
    unacknowledged: ["k"],
  };
  const append = { req_type: "append", parts: [[0, 1, 1, 0, []]] };
  const map = { req_type: "map", map: MAP };
  const delta = { fromEpoch: 1, epoch: 2, partitions: [[0, CONFIG]] };
  for (const good of [query, begin, info, append, map, { req_type: "map_delta", delta }]) {
    assertEquals(refusal(good), undefined);
  }
  const noPrimary = { term: 1, inSync: [], learners: [] };
  assertEquals(refusal({ ...query, config: noPrimary }), undefined);
  const bad: object[] = [
    { ...query, config: {} },
    { ...query, config: { ...CONFIG, inSync: null } },
    { ...query, config: { ...CONFIG, learners: [1] } },
    { ...query, config: { ...CONFIG, primary: null } },
    { ...query, config: { ...CONFIG, term: 2 ** 32 } },
    { ...query, p: 65_536 },
    { ...begin, next: 0 },
    { ...info, unacknowledged: [null] },
    { ...append, parts: [null] },
    { ...append, parts: [[0, 1, 1, 0]] },
    { ...append, parts: [[0, 1, -1, 0, []]] },
    { req_type: "appended", acks: [[0]] },
    { req_type: "confirm", round: 1, parts: [7] },
    { req_type: "confirmed", round: 1, refused: ["0"] },
    { req_type: "map", map: {} },
    { req_type: "map", map: { ...MAP, partitions: [] } },
    { req_type: "map", map: { ...MAP, settings: { ...MAP.settings, partitionCount: 1e9 } } },
    { req_type: "map", map: { ...MAP, nodes: [{ id: "n1" }] } },
    { req_type: "registered", heartbeat_port: 1, map: { ...MAP, partitions: [{}] } },
    { req_type: "map_delta", delta: { ...delta, partitions: [[0]] } },
  ];
  for (const message of bad) {
    assertEquals(refusal(message)?.code, "bad_request", JSON.stringify(message));
  }
});

Deno.test("Node follows only who is primary by the configuration that it sends, and only as its replica", async () => {
  const cluster = new NodeCluster({ nodes: 3, replicas: 2 });
  await cluster.startAll();
  const node = cluster.host("n2").node;
  const before = node?.partition(0)?.config;
  const sent: Message[] = [];
  const send = (message: object) => void sent.push(message as Message);
  const peer = node?.acceptPeer("n9", { closed: false, send });
  const strange = [
    { term: 9, primary: "n9", inSync: ["n9"], learners: [] },
    { term: 9, primary: "n1", inSync: ["n1", "n2"], learners: [] },
    { term: 9, primary: "n9", inSync: ["n2"], learners: [] },
    { term: 9, primary: "n2", inSync: ["n2"], learners: [] },
  ];
  for (const config of strange) {
    for (const type of ["resync_query", "new_term"] as const) {
      peer?.onMessage({ req_type: type, p: 0, config, epoch: 99, stream: 1 });
    }
  }
  assertEquals(sent.map((message) => message.req_type), sent.map(() => "stream_refused"));
  assertEquals(sent.length, 8);
  assertEquals(node?.partition(0)?.config, before);
  try {
    const config = { term: 9, primary: "n9", inSync: ["n9", "n2"], learners: [] };
    peer?.onMessage({ req_type: "resync_query", p: 1, config, epoch: 99, stream: 1 });
    throw new Error("a partition beyond the map was taken");
  } catch (error) {
    assertStringIncludes(String(error), "the cluster has 0 to 0");
  }
});
