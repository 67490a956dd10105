/** Node and coordinator never say that they can serve if they cannot. */
import { ALONE } from "../../../support/data/coordinators_sample.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { CoordinatorsReport } from "../../../../coordinator/coordinators_report.ts";
import { coordinatorHealth, standbyHealth } from "../../../../coordinator/health.ts";
import type { ClusterStats } from "../../../../coordinator/controller/cluster_stats.ts";
import { nodeHealth, type NodeHealthFacts } from "../../../../node/server/node_health.ts";
import type {
  ClusterMap,
  NodeState,
  PartitionConfig,
} from "../../../../shared/cluster/cluster_map.ts";

const NODE = "00000000000000aa";

function mapWith(state: NodeState | undefined, minInSync = 1): ClusterMap {
  const node = { id: NODE, host: "h", port: 1, httpPort: 2, zone: "z", weight: 1, incarnation: 1 };
  return {
    epoch: 5,
    settings: {
      clusterId: "c",
      clusterName: "n",
      partitionCount: 1,
      replicationFactor: 2,
      minInSync,
      leaseMs: 1,
      heartbeatIntervalMs: 1,
      failureTimeoutMs: 1,
    },
    nodes: state === undefined ? [] : [{ ...node, state }],
    partitions: [],
  };
}

interface ReplicaFacts {
  phase?: string;
  streams?: { mustAck: boolean; state: string }[];
  damaged?: boolean;
  inSync?: number;
  own?: boolean;
}

/** A replica as the rules see it. */
function replica(
  { phase = "serving", streams = [], damaged = false, own = true }: ReplicaFacts,
  partition: number,
) {
  return {
    partition,
    damaged,
    isMember: true,
    primary: own && phase !== "none" ? { phase, streams } : undefined,
  };
}

/** The map's line of it. */
function configOf({ inSync = 2, own = true }: ReplicaFacts): PartitionConfig {
  const others = Array.from({ length: inSync - 1 }, (_, i) => String(i));
  const ids = own ? [NODE, ...others] : [...others, NODE];
  return { term: 1, primary: ids[0], inSync: ids, learners: [] };
}

function reportOf(replicas: ReplicaFacts[], facts: Partial<NodeHealthFacts> = {}) {
  const map = "map" in facts ? facts.map : mapWith("up");
  const report = nodeHealth({
    nodeId: NODE,
    standalone: false,
    sessionUp: true,
    coordinatorRefusal: undefined,
    lease: true,
    replicas: replicas.map(replica) as unknown as NodeHealthFacts["replicas"],
    storageFailure: undefined,
    retries: [],
    ...facts,
    map: map === undefined || replicas.length === 0
      ? map
      : { ...map, partitions: replicas.map(configOf) },
  });
  return report;
}

function healthOf(replicas: ReplicaFacts[], facts: Partial<NodeHealthFacts> = {}) {
  return reportOf(replicas, facts).status;
}

Deno.test("nodeHealth: a node that serves all it is primary of", () => {
  const level = { mustAck: true, state: "level" };
  const learner = { mustAck: false, state: "resyncing" };
  assertEquals(healthOf([{}, { streams: [level, learner] }, { own: false }]), "ok");
  assertEquals(healthOf([]), "ok");
  assertEquals(healthOf([{}], { standalone: true, map: mapWith(undefined) }), "ok");
});

Deno.test("nodeHealth: what is degraded", () => {
  assertEquals(healthOf([{}, { phase: "resyncing" }]), "degraded");
  assertEquals(healthOf([{}, { own: false, damaged: true }]), "degraded");
  assertEquals(healthOf([{}, { inSync: 1 }], { map: mapWith("up", 2) }), "degraded");
  // The coordinator's death stops no read and no write.
  assertEquals(healthOf([{}], { sessionUp: false, lease: false }), "degraded");
  // Nor does a coordinator that hangs, or is cut off: its connection may stand for long.
  assertEquals(healthOf([{}], { lease: false }), "degraded");
});

Deno.test("nodeHealth: tells a silent coordinator from one of another cluster", () => {
  const down = { sessionUp: false, lease: false };
  assertEquals(reportOf([{}], down).reasons, ["the coordinator does not answer"]);
  assertEquals(
    reportOf([{}], { ...down, coordinatorRefusal: "it leads cluster c9" }).reasons,
    ["the coordinator cannot be used: it leads cluster c9"],
  );
});

Deno.test("nodeHealth: a node that cannot serve", () => {
  assertEquals(healthOf([], { map: undefined }), "unavailable");
  assertEquals(healthOf([{}], { storageFailure: "no space left" }), "unavailable");
  assertEquals(healthOf([{ phase: "resyncing" }, { phase: "stopped" }]), "unavailable");
  // Named as primary, but with a damaged replica.
  assertEquals(healthOf([{ phase: "none" }]), "unavailable");
  assertEquals(healthOf([{ inSync: 1 }], { map: mapWith("up", 2) }), "unavailable");
  assertEquals(healthOf([{}], { map: mapWith("down") }), "unavailable");
  assertEquals(healthOf([{}], { map: mapWith(undefined) }), "unavailable");
  // Cut off from the coordinator and from its replicas.
  const away = { streams: [{ mustAck: true, state: "down" }] };
  assertEquals(healthOf([{}, away], { sessionUp: false }), "unavailable");
  assertEquals(healthOf([{ own: false }], { sessionUp: false }), "unavailable");
});

const GOOD: ClusterStats = {
  read_only_nodes: 0,
  epoch: 3,
  nodes: { up: 3, down: 0, leaving: 0, unknown: 0 },
  partitions: 8,
  awaited_nodes: 0,
  stale_document: null,
  nobody_registered: false,
  unavailable_partitions: 0,
  unserved_partitions: 0,
  lost_partitions: 0,
  read_only_partitions: 0,
  under_replicated_partitions: 0,
  damaged_replicas: 0,
  moves: 0,
  handovers: 0,
  failovers: 0,
  moves_done: 0,
  handovers_done: 0,
};

const REPORT: CoordinatorsReport = {
  ...ALONE,
  coordinators: ["c1", "c2", "c3"].map((id, i) => ({
    id,
    folder: id,
    address: "h:1",
    role: i === 0 ? "active" as const : "standby" as const,
    behind: 0,
    heard_ms: 0,
  })),
};
const WELL = { published: true, persistFailure: undefined, minInSync: 2, report: REPORT };

Deno.test("coordinatorHealth, standbyHealth: what is said of the other coordinators", () => {
  const [c1, c2, c3] = REPORT.coordinators;
  if (c1 === undefined || c2 === undefined || c3 === undefined) throw new Error("there are three");
  const away = { ...REPORT, coordinators: [c1, { ...c2, heard_ms: 9_000 }, c3] };
  const degraded = coordinatorHealth(GOOD, { ...WELL, report: away });
  assertEquals([degraded.status, degraded.reasons], [
    "degraded",
    ["1 of 3 coordinators are away: c2"],
  ]);
  const alone = {
    ...REPORT,
    right: false,
    coordinators: [c1, { ...c2, heard_ms: null }, { ...c3, heard_ms: 9_000 }],
  };
  const lost = coordinatorHealth(GOOD, { ...WELL, report: alone });
  assertEquals([lost.status, lost.reasons.length], ["unavailable", 1]);
  assertStringIncludes(lost.reasons[0] ?? "", "1 of 3 are there");

  const standby = { ...REPORT, coordinator: "c2", role: "standby", right: false };
  const of = (report: CoordinatorsReport) =>
    standbyHealth({ published: true, persistFailure: undefined, epoch: 1, report }).status;
  assertEquals(of(standby), "ok");
  const silent = [{ ...c1, heard_ms: 9_000 }, c2, c3];
  assertEquals(of({ ...standby, coordinators: silent }), "degraded");
  assertEquals(of({ ...standby, role: "removed" }), "unavailable");
  assertEquals(of({ ...standby, role: "stranger", coordinators: [] }), "unavailable");
});

Deno.test("coordinatorHealth: ok, degraded, unavailable", () => {
  const healthOf = (
    stats: Partial<ClusterStats>,
    more: { published?: boolean; persistFailure?: string } = {},
  ) => {
    const state = { ...WELL, ...more };
    return coordinatorHealth({ ...GOOD, ...stats }, state).status;
  };
  assertEquals(healthOf({}), "ok");
  assertEquals(healthOf({ nodes: { ...GOOD.nodes, down: 1 } }), "degraded");
  assertEquals(healthOf({ nodes: { ...GOOD.nodes, unknown: 1 } }), "degraded");
  assertEquals(healthOf({ under_replicated_partitions: 1 }), "degraded");
  assertEquals(healthOf({ damaged_replicas: 1 }), "degraded");
  assertEquals(healthOf({ nobody_registered: true }), "unavailable");
  assertEquals(healthOf({ stale_document: "it is old" }), "unavailable");
  assertEquals(healthOf({ read_only_partitions: 7 }), "degraded");
  assertEquals(healthOf({ read_only_partitions: 8 }), "unavailable");
  assertEquals(healthOf({ unavailable_partitions: 1 }), "unavailable");
  assertEquals(healthOf({ nodes: { ...GOOD.nodes, up: 0, down: 3 } }), "unavailable");
  assertEquals(healthOf({}, { published: false }), "unavailable");
  assertEquals(healthOf({}, { persistFailure: "read-only" }), "unavailable");
});

Deno.test("coordinatorHealth: what is degraded, in words for one and for several", () => {
  const reasonsOf = (stats: Partial<ClusterStats>) =>
    coordinatorHealth({ ...GOOD, ...stats }, WELL).reasons;
  const nodes = { ...GOOD.nodes, down: 1, unknown: 1 };
  assertEquals(reasonsOf({ nodes, damaged_replicas: 1 }), [
    "1 node is down",
    "1 node has not reported yet",
    "1 replica is damaged",
  ]);
  assertEquals(reasonsOf({ nodes: { ...GOOD.nodes, down: 2 }, under_replicated_partitions: 5 }), [
    "2 nodes are down",
    "5 partitions have fewer replicas than configured",
  ]);
  assertEquals(reasonsOf({ read_only_partitions: 8, under_replicated_partitions: 8 }), [
    "writes are refused: a write needs 2 replicas in sync; start more nodes, or restart " +
    "kv-coordinator with --min-in-sync 1 if one replica is enough",
    "8 partitions have fewer replicas than configured",
  ]);
});

Deno.test("coordinatorHealth, nodeHealth: a new cluster says that it waits for nodes", () => {
  const nodes = { ...GOOD.nodes, up: 2 };
  const { status, reasons } = coordinatorHealth(
    { ...GOOD, nodes, awaited_nodes: 3, unavailable_partitions: 8, under_replicated_partitions: 8 },
    WELL,
  );
  assertEquals(status, "unavailable");
  assertStringIncludes(
    reasons[0] ?? "",
    "2 nodes are there, and its coordinator waits for 3 (--exp",
  );
  assertEquals(reasons.some((reason) => reason.includes("have no primary")), false);

  const alone = coordinatorHealth(
    { ...GOOD, nodes: { ...GOOD.nodes, up: 1 }, awaited_nodes: 2 },
    WELL,
  );
  assertStringIncludes(
    alone.reasons[0] ?? "",
    "1 node is there, and its coordinator waits for 2: a write needs 2 replicas in sync",
  );

  const config = { term: 0, primary: undefined, inSync: [], learners: [] };
  const map = { ...mapWith("up"), partitions: [config] };
  assertEquals(healthOf([], { map }), "unavailable");
  assertEquals(healthOf([], { map: { ...map, partitions: [{ ...config, term: 1 }] } }), "ok");
});
