/**
 * Primary and followers: writes under way, resyncs, links between nodes, retries, and tombstones.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";
import { RETRIES_SILENT_MAX } from "./connections.ts";

export const REPLICA_ACK_TIMEOUT_MS = 1_000;
/** A replica that nobody waits for, and that makes no progress for this long, makes room for others. */
export const LEARNER_TIMEOUT_MS = 10_000;
/** Uncommitted writes of one partition. */
export const IN_FLIGHT_ENTRIES_MAX = 16_384;
/** Bytes of the uncommitted writes of all partitions of a node. */
export const IN_FLIGHT_BYTES_MAX = 128 * MIB;
/** Requests that wait in one partition for a write, a lease or a primary. */
export const WAITING_REQUESTS_MAX = 16_384;
/**
 * Bytes queued for a peer. Beyond the first, pieces of a resync wait. Only live writes can reach the second;
 * beyond it the connection is closed, and the peer's replicas are resynced over the next one.
 */
export const PEER_QUEUE_BYTES_PAUSE = 4 * MIB;
export const PEER_QUEUE_BYTES_MAX = 256 * MIB;
export const RESYNC_CHUNK_BYTES = 256 * KIB;
/** What an in-sync replica holds back during its resync, to apply it all at once. */
export const RESYNC_HELD_BYTES_MAX = 64 * MIB;
export const RESYNC_CHUNK_ROWS = 250;
/** Keys that a replica may list as unacknowledged; with more of them it asks for everything. */
export const RESYNC_UNACKNOWLEDGED_MAX = 4_096;
/** How many recent writes a primary keeps the keys of, so that a short difference needs no scan. */
export const RECENT_WRITES_MAX = 1_024;
export const HANDOVER_TIMEOUT_MS = 2_000;

/** The question whether a node is still primary is asked again after this time. */
export const CONFIRM_TIMEOUT_MS = 1_000;
/** Bytes of live writes in one frame to a peer, approximately. */
export const PEER_FRAME_BYTES = 1 * MIB;
/** A longer message to a peer is compressed, if that makes it shorter: pieces of transfers, in the main. */
export const PACKED_LINE_CHARACTERS_MIN = 4 * KIB;
/** A link to a peer asks for a sign of life this often, and is closed after this long without one. */
export const PEER_PING_MS = 1_000;
export const PEER_SILENCE_MS_MAX = 3_000;
export const PEER_RECONNECT_MS_MIN = 50;
export const PEER_RECONNECT_MS_MAX = 1_000;
/** How often a node checks deadlines, silent replicas, and commit seqs that it has told nobody. */
export const NODE_TICK_MS = 100;
/** How often a report that the coordinator has not acted on is repeated. */
export const REPORT_REPEAT_MS = 1_000;
/**
 * Failed work on a node's own replicas (a read of the disk, a stream that was refused) is tried again after
 * this time, then after twice as long for each further failure in a row, up to the maximum. So a hiccup of
 * the disk is not felt, and a lasting failure costs nothing.
 */
export const FOLLOWER_RETRY_MS_MIN = 100;
export const FOLLOWER_RETRY_MS_MAX = 5_000;
/**
 * A replica that cannot be read for this long, in this many attempts in a row, counts as damaged, because a
 * sector that cannot be read does not mend itself. The time is many times what it takes to close and open a
 * database, which is how long reads fail after a disk was full.
 */
export const READ_FAILURE_MS_MAX = 30_000;
export const READ_FAILURES_MAX = 8;
/** How often replicas compare their digests. */
export const DIGEST_INTERVAL_MS = 10_000;
/** How often a node reads all of one of its partitions. */
export const SCRUB_INTERVAL_MS = 5_000;
/** The most time that one piece of a transfer to a replica that nobody waits for counts for, in its pace. */
export const TRANSFER_PIECE_MS_MAX = 1_000;

/** How long a tombstone is kept while a replica is away, ... */
export const TOMBSTONE_KEEP_MS = 3_600_000;
/** ... and while all replicas are there and have it. */
export const TOMBSTONE_SETTLE_MS = 10_000;
/** Tombstones of a node (about 260 bytes each). Each partition has its share; beyond it the oldest are dropped. */
export const TOMBSTONES_MAX = 262_144;
/** This many tombstones of a partition are dropped at a time. */
export const TOMBSTONES_PER_TURN = 1_000;
/** How long a node keeps the data of a partition that it no longer holds. */
export const SURPLUS_KEEP_MS = 60_000;

invariant(FOLLOWER_RETRY_MS_MIN < FOLLOWER_RETRY_MS_MAX, "retries slow down");
invariant(
  READ_FAILURES_MAX > RETRIES_SILENT_MAX &&
    READ_FAILURE_MS_MAX > READ_FAILURES_MAX / 2 * REPLICA_ACK_TIMEOUT_MS,
  "a replica that cannot be read is in the log before it is given up",
);
