import { assertEquals } from "@std/assert";
import { SURPLUS_KEEP_MS } from "../../../shared/limits/replication.ts";
import type { ClusterMap, PartitionConfig } from "../../../shared/cluster/cluster_map.ts";
import { NodeReplicas } from "../../../node/node_replicas.ts";
import type { ToReplica } from "../../../node/peers/peer_dispatch.ts";
import {
  GroupCommit,
  NO_STATE,
  type OpenedPartitions,
} from "../../../node/storage/partition_store.ts";
import { RecordingNode } from "../../support/doubles/recording_ports.ts";
import { ScriptedStorage } from "../../support/doubles/scripted_storage.ts";

const config = (term: number, inSync: string[], learners: string[] = []): PartitionConfig => ({
  term,
  primary: inSync[0],
  inSync,
  learners,
});

/** The replicas of n1, whose disk held partition 7 as of term 2. */
function setUp({ kept }: { kept?: PartitionConfig } = {}) {
  const node = new RecordingNode("n1");
  const { clock, lines } = node;
  const storage = new ScriptedStorage();
  const queue = new GroupCommit(storage, clock, { fsync: "always", onError: () => {} });
  const opened = Object.assign(new Map([[7, { ...NO_STATE, term: 2, lastSeq: 3, commitSeq: 3 }]]), {
    damaged: new Map<number, string>(),
  }) as OpenedPartitions;
  const world = { lease: true, disk: true, map: undefined as ClusterMap | undefined };
  const partitions: PartitionConfig[] = [];
  const map = { epoch: 1, partitions } as unknown as ClusterMap;
  const keptPartitions = [];
  keptPartitions[7] = kept;
  const replicas = new NodeReplicas({
    ports: {
      ...node.ports,
      recentWritesMax: 16,
      resyncRowsMax: 250,
      replicas: () => 1,
      notPrimary: () => ({ req_type: "error", code: "not_primary", message: "" }),
    },
    queue,
    opened,
    keptMap: kept === undefined
      ? undefined
      : { epoch: 1, partitions: keptPartitions } as unknown as ClusterMap,
    map: () => world.map,
    hasLease: () => world.lease,
    isDiskWell: () => world.disk,
    onTerm: () => {},
    onPrimaryLost: (partition) => void lines.push(`lost ${partition}`),
    onCleared: () => void lines.push("cleared"),
  });
  const adopt = (partition: number, to: PartitionConfig) => {
    partitions[partition] = to;
    world.map = map;
    replicas.adopt(partition, to, 1);
  };
  const settle = async () => {
    await clock.run(0);
    while (storage.writes.length > 0) {
      storage.complete();
      await clock.run(0);
    }
  };
  return { clock, lines, world, opened, replicas, adopt, settle };
}

Deno.test("NodeReplicas.adopt: opens what the node is a member of, and what its disk holds, and nothing else", () => {
  const { replicas, opened, adopt } = setUp();
  assertEquals(replicas.held(), [[7, 2, 3, 0]]);
  adopt(0, config(1, ["n2"]));
  adopt(1, config(1, ["n2"], ["n1"]));
  adopt(7, config(3, ["n2"]));
  assertEquals([...replicas.values()].map(({ partition }) => partition), [1, 7]);
  assertEquals([opened.size, replicas.held()], [0, [[7, 2, 3, 0]]]);
});

Deno.test("NodeReplicas.adopt: says when this node has stopped being a primary", () => {
  const { lines, replicas, adopt } = setUp();
  adopt(0, config(1, ["n1", "n2"]));
  assertEquals([...replicas.primaries()].length, 1);
  adopt(0, config(2, ["n2", "n1"]));
  assertEquals([[...replicas.primaries()], lines.includes("lost 0")], [[], true]);
});

Deno.test("NodeReplicas.clearSurplus: deletes what the node is no member of, after a while, with a lease, a disk and a primary", async () => {
  const { clock, lines, world, replicas, adopt, settle } = setUp();
  adopt(7, config(3, ["n2"]));
  replicas.clearSurplus();
  await clock.run(SURPLUS_KEEP_MS);
  world.lease = false;
  replicas.clearSurplus();
  world.lease = true;
  adopt(7, { ...config(4, ["n2"]), primary: undefined });
  replicas.clearSurplus();
  assertEquals([replicas.get(7) !== undefined, replicas.isClearing(7)], [true, false]);
  adopt(7, config(5, ["n2"]));
  // With a disk that takes no writes the time begins anew.
  world.disk = false;
  replicas.clearSurplus();
  world.disk = true;
  replicas.clearSurplus();
  assertEquals(replicas.get(7) !== undefined, true);
  await clock.run(SURPLUS_KEEP_MS);
  replicas.clearSurplus();
  assertEquals([replicas.get(7), replicas.isClearing(7), replicas.liveBytes(7)], [
    undefined,
    true,
    undefined,
  ]);
  // It becomes a member again meanwhile: it is opened once the old data is gone.
  adopt(7, config(6, ["n2"], ["n1"]));
  assertEquals(replicas.get(7), undefined);
  await settle();
  assertEquals([replicas.isClearing(7), replicas.get(7)?.isMember], [false, true]);
  assertEquals(lines.includes("cleared"), true);
});

Deno.test("NodeReplicas.openVouched: before the first map, for the primary of the kept one, in its term", () => {
  const kept = config(2, ["n2", "n1"]);
  const query = (claimed: PartitionConfig): ToReplica => ({
    req_type: "resync_query",
    p: 7,
    config: claimed,
    epoch: 1,
    stream: 1,
  });
  const refused: [what: string, from: string, term: number, map: boolean][] = [
    ["another node", "n3", 2, false],
    ["another term", "n2", 3, false],
    ["a map has come", "n2", 2, true],
  ];
  for (const [what, from, term, hasMap] of refused) {
    const { replicas, world } = setUp({ kept });
    if (hasMap) world.map = { epoch: 1, partitions: [] } as unknown as ClusterMap;
    assertEquals(replicas.openVouched(query({ ...kept, term }), from), undefined, what);
  }
  const { replicas } = setUp({ kept });
  assertEquals(replicas.openVouched(query(kept), "n2")?.partition, 7);
  assertEquals(setUp().replicas.openVouched(query(kept), "n2"), undefined, "no kept map");
});
