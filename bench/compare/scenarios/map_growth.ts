/**
 * How the coordinator's work grows with the cluster, from 3 nodes to 1,000 and 65,536 partitions:
 * placement, the map's size and what writing and reading it takes, the change that everybody is told
 * when a node fails, heartbeats. Computed in this process with the production classes; times are
 * processor time.
 *
 * @module
 */
import { place } from "../../../coordinator/placement/placement.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import {
  FAILURE_TIMEOUT_MS,
  HEARTBEAT_INTERVAL_MS,
  LEASE_MS,
} from "../../../shared/limits/membership.ts";
import { FRAME_BYTES_MAX } from "../../../shared/limits/wire.ts";
import { whyInvalid } from "../../../shared/wire/message_checks.ts";
import { isClusterMap } from "../../../shared/cluster/map_shape.ts";
import { ownCpuMs } from "../process_stats.ts";
import type { Scenario, ScenarioContext } from "../scenario.ts";
import { SimulatedMembers } from "../simulated_members.ts";

const SIZES = [[3, 256], [10, 1_024], [100, 8_192], [1_000, 65_536]] as const;
const QUICK_SIZES = [[3, 256], [10, 1_024]] as const;
const MIB = 2 ** 20;
const KIB = 1_024;
/** The least number of heartbeats that are timed. */
const BEATS = 20_000;

/** Bounds with 1,000 nodes and 65,536 partitions. */
const BOUNDS = {
  // It is computed in one go, and leases must not run out meanwhile.
  placementMs: LEASE_MS - HEARTBEAT_INTERVAL_MS,
  deltaKib: 256,
  writeMs: 500,
  readMs: 500,
  failureMs: 500,
  heartbeatPercent: 5,
} as const;

/** The scenario. */
export const MAP_GROWTH: Scenario = {
  name: "map",
  title: "the coordinator's work with 3 to 1,000 nodes and 256 to 65,536 partitions",
  group: "extra",
  run: async (context) => {
    for (const [nodes, partitions] of context.quick ? QUICK_SIZES : SIZES) {
      measureSize(context, nodes, partitions);
      // So that a signal is heard between two of them.
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  },
};

function measureSize(context: ScenarioContext, nodes: number, partitions: number): void {
  const cluster = new SimulatedMembers(nodes, partitions);
  const where = `${nodes} nodes, ${partitions} partitions`;
  const figure = (name: string, title: string, value: number, unit: string, bound?: number) =>
    context.figure({
      name: `map-${nodes}-${partitions}-${name}`,
      title: `${where}: ${title}`,
      value,
      unit,
      ...(bound === undefined ? {} : { bound }),
    });

  const members = cluster.ids.map((id) => ({ id, weight: 1, zone: id }));
  const placementMs = cpuMs(() => place(members, partitions, 3));
  figure("placement", "placement of all partitions", placementMs, "ms", BOUNDS.placementMs);

  const { map } = cluster;
  let text = "";
  const writeMs = cpuMs(() => text = JSON.stringify(map));
  const frameMib = FRAME_BYTES_MAX / MIB;
  figure("bytes", "the map as JSON", text.length / MIB, "MiB", frameMib);
  figure("write", "writing it", writeMs, "ms", BOUNDS.writeMs);
  const readMs = cpuMs(() => {
    const read: ClusterMap = JSON.parse(text);
    if (!isClusterMap(read)) throw new Error("the map is not one");
  });
  figure("read", "reading and checking it", readMs, "ms", BOUNDS.readMs);

  const beatUs = heartbeatUs(cluster);
  const percent = beatUs * nodes * (1_000 / HEARTBEAT_INTERVAL_MS) / 1e4;
  figure("heartbeat", "a heartbeat, parsed, judged and acknowledged", beatUs, "µs");
  figure(
    "heartbeats",
    "heartbeats of all, of one processor",
    percent,
    "%",
    BOUNDS.heartbeatPercent,
  );

  cluster.delta = undefined;
  const failureMs = cluster.advance(FAILURE_TIMEOUT_MS + HEARTBEAT_INTERVAL_MS, cluster.ids[0]);
  figure("failure", "a node fails: the longest tick", failureMs, "ms", BOUNDS.failureMs);
  const delta = JSON.stringify(cluster.delta ?? {}).length / KIB;
  figure("delta", "a node fails: what every other one is told", delta, "KiB", BOUNDS.deltaKib);
}

/** As the listener does it, but without the socket. */
function heartbeatUs(cluster: SimulatedMembers): number {
  const texts = cluster.ids.map((id) => JSON.stringify(cluster.heartbeatOf(id)));
  let bytes = 0;
  const rounds = Math.ceil(BEATS / texts.length);
  const spentMs = cpuMs(() => {
    for (let i = 0; i < rounds; i++) {
      for (const text of texts) {
        const message = JSON.parse(text);
        if (whyInvalid(message) !== undefined) throw new Error("a heartbeat is not one");
        const ack = cluster.beat(message).acknowledgement;
        bytes += JSON.stringify(ack).length;
      }
    }
  });
  if (bytes === 0) throw new Error("no heartbeat was acknowledged");
  return spentMs * 1_000 / (rounds * texts.length);
}

function cpuMs(work: () => void): number {
  const begin = ownCpuMs();
  work();
  return ownCpuMs() - begin;
}
