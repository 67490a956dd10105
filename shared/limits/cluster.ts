/**
 * The shape of a cluster: partitions, nodes, their placement, the size of the cluster map, and the workers of one machine.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";

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
/**
 * How long the coordinator holds back the answer to an order about a name until all nodes that may take writes know that its
 * database was dropped, and how many orders it holds back. A node that can be told knows it within two heartbeats; one that
 * cannot is replaced a little later, if another one can take over.
 */
export const DATABASE_NAME_WAIT_MS = 4_000;
export const DATABASE_ORDERS_WAITING_MAX = 1_024;
/** Names of dropped databases of which some nodes do not know that yet. */
export const DROPPED_NAMES_MAX = 1_024;
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
 * this many times as long as that took, and this long at least. Others' writes wait for a step that is under way, on each of
 * its replicas: with steps of 256 their median was twice as long meanwhile, with these a quarter longer.
 */
export const DROPPED_ROWS_PER_STEP = 64;
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
invariant(
  DATABASE_NAME_WAIT_MS + 2 * DATABASE_ASK_MS < DATABASE_WAIT_MS,
  "a node that asks for a name that was dropped is told what came of it while it waits",
);

/** Workers of one machine; each is a process, and a node of the cluster. */
export const WORKERS_MAX = 64;
/** Before a worker that ended is started again, doubling from the first to the second with each failure in a row. */
export const WORKER_RESTART_MS = 250;
export const WORKER_RESTART_MS_MAX = 30_000;
/** A worker that has served for this long has no failures in a row any more. */
export const WORKER_STEADY_MS = 60_000;
/** If no worker runs, and each has failed so often in a row, the machine's supervisor ends. About 8 seconds. */
export const WORKER_FAILURES_MAX = 5;
/** How often a worker tells its health, and after which silence it counts as one that does not answer. */
export const WORKER_REPORT_MS = 1_000;
export const WORKER_SILENT_MS = 15_000;
/** For how long a worker waits for what another one of its machine says of itself, when somebody asks for the machine. */
export const WORKER_ASK_TIMEOUT_MS = 2_000;
/** Characters of the id by which a worker is a node. */
export const WORKER_NODE_CHARACTERS_MAX = 64;
/** Reasons that a worker tells, and the length of each. */
export const WORKER_REASONS_MAX = 8;
export const WORKER_REASON_CHARACTERS_MAX = 250;
/** A line between supervisor and worker; a longer one is cut. */
export const WORKER_LINE_CHARACTERS_MAX = 1 * MIB;
/** A line of a worker's log, or of its last words; a longer one is cut. */
export const WORKER_LOG_LINE_CHARACTERS_MAX = 64 * KIB;

invariant(
  // JSON may write a character with six.
  WORKERS_MAX *
      (WORKER_REASONS_MAX * (6 * WORKER_REASON_CHARACTERS_MAX + 16) +
        6 * WORKER_NODE_CHARACTERS_MAX + 128) <
    WORKER_LINE_CHARACTERS_MAX,
  "what all workers tell fits into one line",
);
invariant(
  WORKER_RESTART_MS < WORKER_RESTART_MS_MAX && WORKER_RESTART_MS_MAX < WORKER_STEADY_MS,
  "pauses before restarts grow, and are shorter than the time after which a worker counts as steady",
);
invariant(3 * WORKER_REPORT_MS < WORKER_SILENT_MS, "a few late reports are no silence");
