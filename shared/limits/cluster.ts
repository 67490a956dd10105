/**
 * The shape of a cluster: partitions, nodes, their placement, and the size of the cluster map.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";

export const PARTITIONS_DEFAULT = 256;
export const PARTITIONS_MAX = 65_536;
/** A partition's term is kept in four bytes; even after a report of the highest term there is room for more. */
export const TERM_MAX = 2 ** 32 - 2;
export const REPLICATION_FACTOR_DEFAULT = 3;
export const REPLICATION_FACTOR_MAX = 16;
export const NODES_MAX = 1_000;
/** The most bytes that a partition, each of its replicas, and a node take in a cluster map as JSON. */
const MAP_PARTITION_BYTES = 90;
const MAP_REPLICA_BYTES = 19;
const MAP_NODE_BYTES = 1_750;
export const VNODES_DEFAULT = 150;
/** Relative capacity of a node: the range in which placement uses it. */
export const WEIGHT_DEFAULT = 1;
export const WEIGHT_MIN = 0.01;
export const WEIGHT_MAX = 100;
/** Longest host name, zone or instance that a coordinator accepts. */
export const NAME_CHARACTERS_MAX = 255;
/** A node's share of replicas is at most this times its weighted average, rounded up. */
export const BALANCE_BOUND = 1.15;

/** Databases of one cluster besides `default`. */
export const DATABASES_MAX = 4_096;
/** The greatest number that a database can get. Numbers are never given twice. */
export const DATABASE_NUMBER_MAX = 999_999;
export const DATABASE_NAME_CHARACTERS_MAX = 63;
/** What stands before the key of a database's row, at most. */
export const DATABASE_PREFIX_BYTES_MAX = 12;
/** The most bytes that one takes in a cluster map as JSON. */
export const MAP_DATABASE_BYTES = 160 + DATABASE_NAME_CHARACTERS_MAX;
/** How long a node waits for the map that names a database which it has asked for. */
export const DATABASE_WAIT_MS = 10_000;
/** How often it asks meanwhile. */
export const DATABASE_ASK_MS = 1_000;
/** The part of the room that is left which all nodes together may use before they ask each other again. */
export const QUOTA_SHARE = 0.25;
/** How long a node may use its share. */
export const QUOTA_FRESH_MS = 1_000;
/** How long a node waits for the others' answers; who does not answer counts as empty. */
export const QUOTA_ASK_TIMEOUT_MS = 2_000;
/** Databases of which a node's metrics tell one by one; those beyond are told as one. */
export const METRIC_DATABASES_MAX = 100;
/**
 * Rows of dropped databases that a node deletes in one step. It looks this often whether they are committed; then it rests
 * this many times as long as that took, and this long at least.
 */
export const DROPPED_ROWS_PER_STEP = 256;
export const DROPPED_LOOK_MS = 5;
export const DROPPED_REST = 2;
export const DROPPED_PAUSE_MS = 20;

/**
 * The most bytes that a cluster map, or a change of all of it, takes in a frame. While replicas move, a
 * partition has up to twice as many as asked for: the old ones, and those that are being filled.
 */
export function mapBytesMax(partitionCount: number, replicationFactor: number): number {
  const partitionBytes = MAP_PARTITION_BYTES + 2 * replicationFactor * MAP_REPLICA_BYTES;
  return partitionCount * partitionBytes + NODES_MAX * MAP_NODE_BYTES;
}

invariant(VNODES_DEFAULT * WEIGHT_MIN >= 1, "the lightest node has a virtual node");
