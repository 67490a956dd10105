/**
 * The map of 65,536 partitions with 16 replicas each, which could be asked for, was 24 MB and did not fit into a
 * message of 16 MiB: no node could ever have joined. What is allowed fits, whole and as a change of all of it;
 * the rest is refused when it is asked for (tests/unit/coordinator/state/cluster_settings_test.ts).
 */
import { assert, assertEquals } from "@std/assert";
import { clusterSettings } from "../../coordinator/state/cluster_settings.ts";
import type { ClusterMap, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import {
  mapBytesMax,
  NAME_CHARACTERS_MAX,
  NODES_MAX,
  PARTITIONS_MAX,
  REPLICATION_FACTOR_MAX,
  TERM_MAX,
} from "../../shared/limits/cluster.ts";
import { FRAME_BYTES_MAX } from "../../shared/limits/wire.ts";
import { KvError } from "../../shared/base/errors.ts";

const ID = "0123456789abcdef";

/** The largest partition, while all of its replicas move. */
function largest(replicas: number): PartitionConfig {
  const ids = Array.from({ length: replicas }, () => ID);
  return { term: TERM_MAX, primary: ID, inSync: ids, learners: ids };
}

function bytes(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).length;
}

Deno.test("the largest map that may be asked for fits into a frame, its change too", () => {
  for (let replicas = 1; replicas <= REPLICATION_FACTOR_MAX; replicas++) {
    let partitionCount = PARTITIONS_MAX;
    const allowed = () => {
      try {
        return clusterSettings({ partitionCount, replicationFactor: replicas }, undefined, ID);
      } catch (error) {
        assertEquals(error instanceof KvError && error.code, "bad_config");
        return undefined;
      }
    };
    while (allowed() === undefined) partitionCount /= 2;
    const settings = allowed();
    assert(settings !== undefined);
    const name = "\u20ac".repeat(NAME_CHARACTERS_MAX);
    const node = { id: ID, host: name, port: 65_535, httpPort: 65_535, zone: name, weight: 99.99 };
    const nodes = [{ ...node, incarnation: Number.MAX_SAFE_INTEGER, state: "leaving" as const }];
    const map: ClusterMap = { epoch: Number.MAX_SAFE_INTEGER, settings, nodes, partitions: [] };
    const partition = bytes(["65535", largest(replicas)]) + 1;
    const total = bytes(map) + bytes(nodes) * NODES_MAX + partitionCount * partition;
    assert(total <= FRAME_BYTES_MAX, `${replicas} replicas: ${total}`);
    assert(
      total <= mapBytesMax(partitionCount, replicas) + bytes(map),
      `${replicas} replicas: ${total}`,
    );
  }
});
