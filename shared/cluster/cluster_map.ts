/**
 * The cluster map: the one document that says who is in the cluster and who holds what. The
 * coordinator writes it, everybody else indexes it. Values are never changed in place: a new map
 * shares what did not change with the one before.
 *
 * Invariants: `epoch` grows with every published change; a partition's `term` grows by one with each
 * change of its primary or in-sync set; a primary is in the in-sync set; a learner is not.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";

/** 16 hexadecimal digits. */
export type NodeId = string;

/** What the coordinator thinks of a node. */
export type NodeState = "up" | "down" | "leaving";

/** A member of the cluster. */
export interface NodeInfo {
  readonly id: NodeId;
  /** Where clients and peers reach it (TCP). */
  readonly host: string;
  readonly port: number;
  /** 0 where it serves no HTTP. */
  readonly httpPort: number;
  /** Failure domain; by default the host. Replicas of a partition avoid sharing one. */
  readonly zone: string;
  /** Relative capacity; 1 is usual. */
  readonly weight: number;
  /** Grows at each start of the process. */
  readonly incarnation: number;
  readonly state: NodeState;
}

/** Who holds a partition. */
export interface PartitionConfig {
  readonly term: number;
  /** Undefined while no replica can serve. */
  readonly primary: NodeId | undefined;
  /** Every replica that holds all acknowledged writes, in ring order, the primary included. */
  readonly inSync: readonly NodeId[];
  /** Replicas that are being filled. */
  readonly learners: readonly NodeId[];
  /**
   * The latest term that an operator began with a replica that may lack acknowledged writes; absent: none. A replica that was
   * last level in a term before it has another past, in which the same seqs may stand for other writes.
   */
  readonly forcedTerm?: number;
}

/** What is fixed, or changes rarely, in a cluster. */
export interface ClusterSettings {
  readonly clusterId: string;
  readonly clusterName: string;
  readonly partitionCount: number;
  readonly replicationFactor: number;
  /** Writes are refused while fewer replicas are in sync. */
  readonly minInSync: number;
  /** Nobody has given `minInSync`: it is {@linkcode minInSyncDefault}, and follows `replicationFactor`. */
  readonly minInSyncByDefault?: true;
  readonly leaseMs: number;
  readonly heartbeatIntervalMs: number;
  readonly failureTimeoutMs: number;
}

/** The whole document. */
export interface ClusterMap {
  readonly epoch: number;
  /** The start of the coordinator that made it; absent before the first change of a document. */
  readonly generation?: string;
  readonly settings: ClusterSettings;
  readonly nodes: readonly NodeInfo[];
  /** Index: partition number. */
  readonly partitions: readonly PartitionConfig[];
}

/** What changed from one epoch to a later one. */
export interface ClusterMapDelta {
  readonly fromEpoch: number;
  readonly epoch: number;
  /** Where it is another one than before. */
  readonly generation?: string;
  /** The whole list, where any node changed. */
  readonly nodes?: readonly NodeInfo[];
  readonly partitions: readonly (readonly [partition: number, config: PartitionConfig])[];
}

/** The map after a delta, or undefined where the delta does not start at this map's epoch. */
export function applyDelta(map: ClusterMap, delta: ClusterMapDelta): ClusterMap | undefined {
  if (delta.fromEpoch !== map.epoch) return undefined;
  const partitions = map.partitions.slice();
  for (const [partition, config] of delta.partitions) partitions[partition] = config;
  const { generation = map.generation } = delta;
  return {
    ...map,
    epoch: delta.epoch,
    ...(generation === undefined ? {} : { generation }),
    nodes: delta.nodes ?? map.nodes,
    partitions,
  };
}

/** What changed between two maps, the later one second. Compares by identity. */
export function mapDelta(from: ClusterMap, to: ClusterMap): ClusterMapDelta {
  const partitions: [number, PartitionConfig][] = [];
  to.partitions.forEach((config, partition) => {
    if (config !== from.partitions[partition]) partitions.push([partition, config]);
  });
  const { generation } = to;
  const delta = {
    fromEpoch: from.epoch,
    epoch: to.epoch,
    ...(generation === undefined || generation === from.generation ? {} : { generation }),
    partitions,
  };
  return to.nodes === from.nodes ? delta : { ...delta, nodes: to.nodes };
}

/** Whether the cluster has been laid out. Until its first nodes are there, nobody holds anything. */
export function isLaidOut(map: ClusterMap): boolean {
  return map.partitions.some(({ term }) => term > 0);
}

/**
 * How many in-sync copies a write needs unless an operator says otherwise: half of the replicas that were
 * asked for, rounded up. Of three replicas two, of two one, of one one.
 */
export function minInSyncDefault(replicationFactor: number): number {
  return Math.ceil(replicationFactor / 2);
}

/** Why a partition cannot serve, for whoever asked for one of its keys. */
export function whyNoPrimary(map: ClusterMap | undefined, partition: number): string {
  if (map === undefined || isLaidOut(map)) return `partition ${partition} has no primary now`;
  const there = map.nodes.filter(({ state }) => state === "up").length;
  return whyNotLaidOut({ there, minInSync: map.settings.minInSync });
}

/**
 * Why a new cluster holds no keys yet, and what to do about it.
 *
 * @param of `there`: nodes that are up; `awaited`: how many its coordinator waits for, if that is known
 *   here; `minInSync`: replicas that a write needs
 */
export function whyNotLaidOut(
  { there, awaited, minInSync }: { there: number; awaited?: number; minInSync: number },
): string {
  const waits = `the new cluster is not laid out yet: ${there} ${
    there === 1 ? "node is" : "nodes are"
  } there, and its coordinator waits for ${awaited ?? "more"}`;
  return there < minInSync && (awaited ?? minInSync) <= minInSync
    ? `${waits}: ${whatWritesNeed(minInSync)}`
    : `${waits} (--expect-nodes)`;
}

/** What is missing when too few replicas are in sync for a write, and what to do about it. */
export function whatWritesNeed(minInSync: number): string {
  return `a write needs ${minInSync} replicas in sync; start more nodes, or restart kv-coordinator ` +
    "with --min-in-sync 1 if one replica is enough";
}

/** A node by its id. */
export function findNode(map: ClusterMap, id: NodeId | undefined): NodeInfo | undefined {
  return id === undefined ? undefined : map.nodes.find((node) => node.id === id);
}

/** The partition's entry. @throws {InvariantError} for a number outside the map */
export function partitionConfig(map: ClusterMap, partition: number): PartitionConfig {
  const config = map.partitions[partition];
  invariant(config !== undefined, "partition is within the map", { partition });
  return config;
}

/** Two configurations say the same. */
export function sameConfig(a: PartitionConfig, b: PartitionConfig): boolean {
  return a.term === b.term && a.primary === b.primary && sameIds(a.inSync, b.inSync) &&
    sameIds(a.learners, b.learners) && a.forcedTerm === b.forcedTerm;
}

function sameIds(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((id, i) => id === b[i]);
}

/** Checks the invariants at the head of this file. @throws {InvariantError} */
export function checkInvariants(map: ClusterMap): void {
  const known = new Set(map.nodes.map((node) => node.id));
  invariant(known.size === map.nodes.length, "node ids are distinct");
  invariant(map.partitions.length === map.settings.partitionCount, "every partition has an entry");
  map.partitions.forEach((config, partition) => {
    const { primary, inSync, learners } = config;
    const where = { partition, config };
    invariant(primary === undefined || inSync.includes(primary), "a primary is in sync", where);
    const members = [...inSync, ...learners];
    invariant(new Set(members).size === members.length, "a node holds one replica", where);
    invariant(members.every((id) => known.has(id)), "a member is in the node list", where);
  });
}
