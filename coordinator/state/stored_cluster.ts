/**
 * The document that the coordinator keeps on disk: the cluster map, and what must outlive the
 * coordinator so that a restart of it never makes a role of an earlier process count again. Checked
 * when read: a damaged document is refused, not repaired.
 *
 * @module
 */
import {
  checkInvariants,
  type ClusterMap,
  type ClusterSettings,
  type NodeId,
  type PartitionConfig,
} from "../../shared/cluster/cluster_map.ts";
import { KvError, messageOf } from "../../shared/base/errors.ts";
import { isStoredNames, type StoredNames } from "./dropped_names.ts";
import type { CoordinatorStart } from "./lineage.ts";
import { isClusterMap, isUint } from "../../shared/cluster/map_shape.ts";

/** The layout of {@linkcode StoredCluster}. */
export const STORED_FORMAT = 1;

/** What is kept of a node beside its line in the map. */
export interface StoredMember {
  readonly id: NodeId;
  readonly instance: string | undefined;
  readonly memory: boolean;
  /** Partitions whose in-sync role is that of an earlier process. */
  readonly stale: readonly number[];
  /** Partitions whose replica is not to be believed. */
  readonly damaged: readonly number[];
  /** The last batch that its database was known to hold when this was written. */
  readonly batch: number;
}

/** The document. */
export interface StoredCluster {
  readonly format: typeof STORED_FORMAT;
  readonly map: ClusterMap;
  readonly members: readonly StoredMember[];
  /** Partitions that no node is known to have served yet. */
  readonly fresh: readonly number[];
  /** The latest starts of coordinators that this document follows from, the last one being that which wrote it. */
  readonly lineage: readonly CoordinatorStart[];
  /** The longest lease that a node may still hold: that of the map, or a longer one from before. */
  readonly leaseMsMax: number;
  /** Names of databases that were dropped and that not all nodes are known to know of; absent: none. */
  readonly dropped?: StoredNames;
}

/** A new cluster, which no node knows yet. */
export function newCluster(settings: ClusterSettings): StoredCluster {
  const unplaced: PartitionConfig = { term: 0, primary: undefined, inSync: [], learners: [] };
  const partitions = Array.from({ length: settings.partitionCount }, () => unplaced);
  const map = { epoch: 0, settings, nodes: [], partitions };
  const { leaseMs: leaseMsMax } = settings;
  return { format: STORED_FORMAT, map, members: [], fresh: [], lineage: [], leaseMsMax };
}

/**
 * The document as it was read from disk.
 *
 * @throws {KvError} `wrong_version` for another format, `corrupt` for anything that is no cluster
 */
export function parseStoredCluster(document: unknown): StoredCluster {
  const { format } = asObject(document, "the document");
  if (format !== STORED_FORMAT) {
    throw new KvError(
      "wrong_version",
      `the cluster map on disk has format ${JSON.stringify(format)}, this program reads ` +
        `${STORED_FORMAT}; use the version of kv-coordinator that wrote it`,
    );
  }
  try {
    const stored = document as StoredCluster;
    if (!isClusterMap(stored.map)) throw new TypeError("the map is incomplete");
    for (const { id, stale, damaged, batch } of stored.members) {
      const lists = Array.isArray(stale) && Array.isArray(damaged);
      if (typeof id !== "string" || !lists || !isUint(batch)) throw new TypeError("a member");
    }
    if (!Array.isArray(stored.fresh) || !Array.isArray(stored.lineage)) {
      throw new TypeError("a list is missing");
    }
    if (stored.dropped !== undefined && !isStoredNames(stored.dropped)) {
      throw new TypeError("the names of dropped databases");
    }
    checkInvariants(stored.map);
    // Documents that were written before there was such a line do not have it.
    const { leaseMsMax = stored.map.settings.leaseMs } = stored;
    if (!(leaseMsMax >= stored.map.settings.leaseMs)) throw new TypeError("leaseMsMax");
    return { ...stored, leaseMsMax };
  } catch (error) {
    throw new KvError(
      "corrupt",
      `the cluster map on disk is damaged (${messageOf(error)}); put back a copy of it`,
      { cause: error },
    );
  }
}

function asObject(value: unknown, what: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new KvError("corrupt", `the cluster map on disk is damaged: ${what} is not an object`);
  }
  return value as Record<string, unknown>;
}
