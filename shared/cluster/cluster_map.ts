/**
 * The cluster map: the one document that says which nodes are in the cluster and which node holds what.
 * Only the coordinator writes it; all others read it. Values are never changed in place: a new map
 * shares everything that did not change with the map before.
 *
 * Invariants: `epoch` grows with every published change; a partition's `term` grows by one with each
 * change of its primary or in-sync set; a primary is in the in-sync set; a learner is not.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import type { ClusterSettings } from "./cluster_settings.ts";
import type { DatabaseList } from "./databases.ts";

export type { ClusterSettings } from "./cluster_settings.ts";

/** 16 hexadecimal digits. */
export type NodeId = string;

/** The coordinator's judgement of a node. */
export type NodeState = "up" | "down" | "leaving";

/** A member of the cluster. */
export interface NodeInfo {
  readonly id: NodeId;
  /** Where clients reach it (TCP). */
  readonly host: string;
  readonly port: number;
  /** Where members reach it instead, in a secured cluster; absent: by `port` as well. */
  readonly peerPort?: number;
  /** 0 if it serves no HTTP. */
  readonly httpPort: number;
  /** Failure domain; by default the host. Replicas of a partition avoid sharing one. */
  readonly zone: string;
  /** Relative capacity; 1 is usual. */
  readonly weight: number;
  /** Grows at each start of the process. */
  readonly incarnation: number;
  readonly state: NodeState;
}

/** Which nodes hold a partition. */
export interface PartitionConfig {
  readonly term: number;
  /** Undefined while no replica can serve. */
  readonly primary: NodeId | undefined;
  /** Every replica that holds all acknowledged writes, in ring order, the primary included. */
  readonly inSync: readonly NodeId[];
  /** Replicas that are being filled. */
  readonly learners: readonly NodeId[];
  /**
   * The latest term that an operator began with a replica that may lack acknowledged writes; absent: none. A
   * replica that was last level in an earlier term has another history, in which the same seqs may be other writes.
   */
  readonly forcedTerm?: number;
}

/** Where one of the cluster's coordinators is. */
export interface CoordinatorInfo {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

/** The whole document. */
export interface ClusterMap {
  readonly epoch: number;
  /** The start of the coordinator that made it; absent until a document is first changed. */
  readonly generation?: string;
  /** Of a secured cluster: by which a node shows that this map was published (`shared/security/map_seal.ts`). */
  readonly seal?: string;
  readonly settings: ClusterSettings;
  readonly nodes: readonly NodeInfo[];
  /** The coordinators; absent in a map of a node that is a cluster by itself. */
  readonly coordinators?: readonly CoordinatorInfo[];
  /** The databases besides `default`; absent until the first is made. */
  readonly databases?: DatabaseList;
  /** Index: partition number. */
  readonly partitions: readonly PartitionConfig[];
}

/** What changed from one epoch to a later one. */
export interface ClusterMapDelta {
  readonly fromEpoch: number;
  readonly epoch: number;
  /** The generation, if it is another one. */
  readonly generation?: string;
  /** That of the later map. */
  readonly seal?: string;
  /** The whole list, if any node has changed. */
  readonly nodes?: readonly NodeInfo[];
  /** The whole list, if it has changed. */
  readonly coordinators?: readonly CoordinatorInfo[];
  /** The whole list, if it has changed. */
  readonly databases?: DatabaseList;
  readonly partitions: readonly (readonly [partition: number, config: PartitionConfig])[];
}

/** The map after a delta, or undefined if the delta does not start at this map's epoch. */
export function applyDelta(map: ClusterMap, delta: ClusterMapDelta): ClusterMap | undefined {
  if (delta.fromEpoch !== map.epoch) return undefined;
  const partitions = map.partitions.slice();
  for (const [partition, config] of delta.partitions) partitions[partition] = config;
  const { epoch, seal, generation = map.generation, coordinators = map.coordinators } = delta;
  const { databases = map.databases } = delta;
  return {
    epoch,
    ...(generation === undefined ? {} : { generation }),
    ...(seal === undefined ? {} : { seal }),
    settings: map.settings,
    ...(coordinators === undefined ? {} : { coordinators }),
    ...(databases === undefined ? {} : { databases }),
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
  const { generation, seal, coordinators, databases } = to;
  const delta = {
    fromEpoch: from.epoch,
    epoch: to.epoch,
    ...(generation === undefined || generation === from.generation ? {} : { generation }),
    ...(seal === undefined ? {} : { seal }),
    ...(coordinators === undefined || coordinators === from.coordinators ? {} : { coordinators }),
    ...(databases === undefined || databases === from.databases ? {} : { databases }),
    partitions,
  };
  return to.nodes === from.nodes ? delta : { ...delta, nodes: to.nodes };
}

/** Whether the cluster has been laid out. Until its first nodes are there, no node holds anything. */
export function isLaidOut(map: ClusterMap): boolean {
  return map.partitions.some(({ term }) => term > 0);
}

/** Why a partition cannot serve, for a client that asked for one of its keys. */
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

/** Where members of the cluster reach a node. */
export function peerAddressOf({ host, port, peerPort }: NodeInfo): { host: string; port: number } {
  return { host, port: peerPort ?? port };
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
