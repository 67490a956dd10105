/**
 * What the console is told: one document for everybody who looks, made from the map and from what each process says of
 * itself. Pure.
 *
 * Invariant: its length is bounded by the number of nodes, and of partitions and databases up to a bound; it has no keys.
 *
 * @module
 */
import {
  type ClusterMap,
  isLaidOut,
  type NodeInfo,
  type PartitionConfig,
} from "../cluster/cluster_map.ts";
import type { HealthReport } from "../http/protocol/health_report.ts";
import { CONSOLE_OPERATIONS_MAX, CONSOLE_PARTITIONS_MAX } from "../limits/http.ts";
import { type DatabaseView, databaseViews } from "./database_views.ts";
import { type Alert, alertsOf } from "../diagnosis/alerts.ts";
import {
  type ClusterFacts,
  clusterFactsOf,
  type OperationFigures,
  operationFigures,
  type ProcessFigures,
  processFigures,
  type Told,
} from "../metrics/figures.ts";
import { type CoordinatorsView, coordinatorsView } from "../diagnosis/coordinator_figures.ts";
import { formatAddress } from "../platform/transport.ts";

/** A node, for the page. */
export interface NodeView {
  readonly id: string;
  readonly address: string;
  /** Where its own HTTP front end is; 0 if it has none. */
  readonly httpPort: number;
  readonly zone: string;
  /** By the map: up, down, leaving. */
  readonly state: string;
  readonly primaries: number;
  readonly followers: number;
  readonly learners: number;
  /** What it says itself; absent if it does not answer. */
  readonly figures?: ProcessFigures;
}

/** A partition: indexes of nodes, in the order of `nodes`; -1 for no primary. */
export type PartitionView = readonly [
  primary: number,
  followers: readonly number[],
  learners: readonly number[],
];

/** The document. */
export interface ConsoleSnapshot {
  readonly atMs: number;
  readonly periodMs: number;
  readonly cluster: {
    readonly name: string;
    readonly id: string;
    readonly epoch: number;
    readonly partitions: number;
    readonly replicationFactor: number;
    readonly minInSync: number;
    readonly secured: boolean;
    readonly version: string;
  };
  readonly health: Pick<HealthReport, "status" | "reasons">;
  /** Who tells this: "coordinator", or the id of a node. */
  readonly seenBy: string;
  readonly facts: ClusterFacts;
  /** Absent if none was asked. */
  readonly coordinators?: CoordinatorsView;
  readonly nodes: readonly NodeView[];
  /** Absent if there are too many to be shown one by one. */
  readonly partitions?: readonly PartitionView[];
  /** Besides `default`; empty if there is no other. */
  readonly databases: readonly DatabaseView[];
  readonly operations: readonly OperationFigures[];
  readonly alerts: readonly Alert[];
}

/** What a process has said, and said before. */
export interface Pair {
  readonly now: Told;
  readonly before: Told | undefined;
}

/** What a snapshot is made from. */
export interface SnapshotSource {
  readonly wallMs: number;
  readonly periodMs: number;
  readonly map: ClusterMap | undefined;
  readonly secured: boolean;
  readonly version: string;
  readonly health: Pick<HealthReport, "status" | "reasons">;
  readonly seenBy: string;
  /**
   * By coordinator, "" for the only one of a map that names none; those that do not answer are not in it. Undefined if
   * none was asked.
   */
  readonly coordinators: ReadonlyMap<string, Pair> | undefined;
  /** By node; those that do not answer are not in it. */
  readonly nodes: ReadonlyMap<string, Pair>;
}

/** The document of a source. */
export function consoleSnapshot(source: SnapshotSource): ConsoleSnapshot {
  const { map, health } = source;
  const nodes = nodeViews(map, source.nodes);
  const told = [...source.nodes.values(), ...source.coordinators?.values() ?? []];
  const coordinators = coordinatorsOf(source);
  const facts = factsOfActive(source, coordinators) ?? factsOfMap(map, nodes);
  const partitions = map?.partitions ?? [];
  const isShown = partitions.length <= CONSOLE_PARTITIONS_MAX;
  return {
    atMs: source.wallMs,
    periodMs: source.periodMs,
    cluster: {
      name: map?.settings.clusterName ?? "",
      id: map?.settings.clusterId ?? "",
      epoch: map?.epoch ?? 0,
      partitions: partitions.length,
      replicationFactor: map?.settings.replicationFactor ?? 0,
      minInSync: map?.settings.minInSync ?? 0,
      secured: source.secured,
      version: source.version,
    },
    health: { status: health.status, reasons: health.reasons },
    seenBy: source.seenBy,
    facts,
    ...(coordinators === undefined ? {} : { coordinators }),
    nodes,
    ...(isShown ? { partitions: partitionViews(map?.nodes ?? [], partitions) } : {}),
    databases: databaseViews(
      map?.databases,
      [...source.nodes.values()].map(({ now }) => now.document),
    ),
    operations: operationFigures(told, CONSOLE_OPERATIONS_MAX),
    alerts: alertsOf(
      facts,
      nodes.map(({ id, address, state, figures }) => ({ id, address, state, figures })),
      source.wallMs,
      coordinators,
    ),
  };
}

/** Undefined if none was asked: then nothing is known of them but where they are. */
export function coordinatorsOf(
  { map, coordinators }: Pick<SnapshotSource, "map" | "coordinators">,
): CoordinatorsView | undefined {
  return coordinators && coordinatorsView(map?.coordinators ?? [], coordinators);
}

/** Only the active coordinator knows of the cluster. */
function factsOfActive(
  { coordinators }: SnapshotSource,
  view: CoordinatorsView | undefined,
): ClusterFacts | undefined {
  const active = view?.list.find(({ role }) => role === "active");
  const told = active && coordinators?.get(active.id);
  return told && clusterFactsOf(told.now.document);
}

/** What the map alone tells: of a node, which does not know what the coordinator does. */
function factsOfMap(map: ClusterMap | undefined, nodes: readonly NodeView[]): ClusterFacts {
  const { minInSync = 1, replicationFactor = 1 } = map?.settings ?? {};
  const partitions = map?.partitions ?? [];
  const count = (passes: (config: PartitionConfig) => boolean) => partitions.filter(passes).length;
  const sum = (of: (node: NodeView) => number | undefined) =>
    nodes.reduce((total, node) => total + (of(node) ?? 0), 0);
  return {
    awaitedNodes: map !== undefined && isLaidOut(map) ? 0 : 1,
    partitions: partitions.length,
    withoutPrimary: count(({ primary }) => primary === undefined),
    lost: 0,
    unserved: sum(({ figures }) => figures?.unserved),
    readOnly: count(({ primary, inSync }) => primary !== undefined && inSync.length < minInSync),
    underReplicated: count(({ inSync }) => inSync.length < replicationFactor),
    damagedReplicas: sum(({ figures }) => figures?.damaged),
    moves: partitions.reduce((total, { learners }) => total + learners.length, 0),
    handovers: 0,
    documentStale: false,
    documentFailing: false,
  };
}

function nodeViews(map: ClusterMap | undefined, told: ReadonlyMap<string, Pair>): NodeView[] {
  const held = new Map<string, { primaries: number; followers: number; learners: number }>();
  for (const { id } of map?.nodes ?? []) held.set(id, { primaries: 0, followers: 0, learners: 0 });
  for (const { primary, inSync, learners } of map?.partitions ?? []) {
    for (const id of inSync) {
      const of = held.get(id);
      if (of !== undefined) of[id === primary ? "primaries" : "followers"]++;
    }
    for (const id of learners) {
      const of = held.get(id);
      if (of !== undefined) of.learners++;
    }
  }
  return (map?.nodes ?? []).map((node) => {
    const pair = told.get(node.id);
    const { id, httpPort, zone, state } = node;
    return {
      id,
      address: formatAddress(node),
      httpPort,
      zone,
      state,
      ...(held.get(id) ?? { primaries: 0, followers: 0, learners: 0 }),
      ...(pair === undefined ? {} : { figures: processFigures(pair.now, pair.before) }),
    };
  });
}

function partitionViews(
  nodes: readonly NodeInfo[],
  partitions: readonly PartitionConfig[],
): PartitionView[] {
  const index = new Map(nodes.map(({ id }, i) => [id, i]));
  const at = (id: string) => index.get(id) ?? -1;
  return partitions.map(({ primary, inSync, learners }) => [
    primary === undefined ? -1 : at(primary),
    inSync.filter((id) => id !== primary).map(at),
    learners.map(at),
  ]);
}
