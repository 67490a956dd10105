import { assertEquals } from "@std/assert";
import type {
  ClusterMap,
  NodeState,
  PartitionConfig,
} from "../../../shared/cluster/cluster_map.ts";
import { whatIsMissing } from "../../../tools/cluster_state.ts";
import { parseReadyLine } from "../../../tools/server_process.ts";

function mapOf(states: NodeState[], partitions: string[][]): ClusterMap {
  const configs = partitions.map((inSync): PartitionConfig => ({
    term: 1,
    primary: inSync[0],
    inSync,
    learners: [],
  }));
  return {
    epoch: 1,
    settings: {
      clusterId: "c",
      clusterName: "test",
      partitionCount: partitions.length,
      replicationFactor: 2,
      minInSync: 1,
      leaseMs: 1500,
      heartbeatIntervalMs: 500,
      failureTimeoutMs: 2500,
    },
    nodes: states.map((state, i) => ({
      id: `n${i}`,
      host: "127.0.0.1",
      port: 8081 + i,
      httpPort: 0,
      zone: "z",
      weight: 1,
      incarnation: 1,
      state,
    })),
    partitions: configs,
  };
}

Deno.test("whatIsMissing: names what a cluster still lacks", () => {
  const table: [ClusterMap | undefined, nodeCount: number, missing: string | undefined][] = [
    [undefined, 1, "no cluster map"],
    [mapOf(["up"], [["n0"]]), 2, "1 of 2 nodes are up"],
    [mapOf(["up", "down"], [["n0", "n1"]]), 2, "1 of 2 nodes are up"],
    [
      mapOf(["up", "up"], [["n0", "n1"], ["n0"]]),
      2,
      "1 of 2 partitions have their 2 replicas",
    ],
    [mapOf(["up", "up"], [["n0", "n1"], []]), 2, "1 of 2 partitions have their 2 replicas"],
    [mapOf(["up", "up"], []), 2, "0 of 0 partitions have their 2 replicas"],
    [mapOf(["up", "up"], [["n0", "n1"], ["n1", "n0"]]), 2, undefined],
    [mapOf(["up"], [["n0"], ["n0"]]), 1, undefined],
    // A replica on a dead node does not count.
    [
      mapOf(["up", "up", "down"], [["n0", "n2"]]),
      2,
      "0 of 1 partitions have their 2 replicas",
    ],
  ];
  for (const [map, nodeCount, missing] of table) {
    assertEquals(whatIsMissing(map, nodeCount), missing);
  }
});

Deno.test("parseReadyLine: reads address and numbers, and no other line", () => {
  assertEquals(parseReadyLine("kv-node 127.0.0.1:8081 http=9081 pid=4242"), {
    text: "kv-node 127.0.0.1:8081 http=9081 pid=4242",
    program: "kv-node",
    host: "127.0.0.1",
    port: 8081,
    facts: { http: 9081, pid: 4242 },
  });
  assertEquals(parseReadyLine("kv-coordinator [::1]:80 heartbeat=3769 pid=1")?.host, "::1");
  for (const line of ["", "kv-node", "kv-node 127.0.0.1:x", "hello 127.0.0.1:1 pid=1"]) {
    assertEquals(parseReadyLine(line), undefined, line);
  }
});
