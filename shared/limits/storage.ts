/**
 * The disk of a node: batches, failures, compaction; and keys that expire.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";

/**
 * How many of the keys that expire next a node keeps in memory (about 150 bytes and a key each). Each
 * partition has its share, within the bounds below.
 */
export const EXPIRY_INDEX_MAX = 262_144;
/** A partition's share of a bound of the whole node stays within these. */
export const PARTITION_SHARE_MIN = 64;
export const PARTITION_SHARE_MAX = 16_384;
/** Expired keys are deleted in turns: this many for each millisecond since the last turn began, ... */
export const EXPIRED_PER_MS = 20;
/** ... at most this many in a turn, ... */
export const EXPIRED_PER_TURN_MAX = 1_000;
/** ... and at most this many of one partition before the next partition has its turn. */
export const EXPIRED_PER_PARTITION = 50;
/** Besides, each write of a key that expires deletes this many expired ones: more than it adds. */
export const EXPIRED_PER_WRITE = 2;
/** While keys are due, the next turn comes after this time, so that other work has its turn. */
export const EXPIRED_PAUSE_MS = 10;
/** A partition is read for keys that expire this long before the first key that is not in memory expires. */
export const EXPIRY_LEAD_MS = 5_000;
/**
 * The latest moment at which a key can expire: the last date that JavaScript knows (year 275760). A later one
 * is changed to it; otherwise a relative time could give a number that replicas do not accept.
 */
export const EXPIRY_DATE_MAX = 8_640_000_000_000_000; // ms since 1970-01-01 UTC

export const BATCH_BYTES_MAX = 4 * MIB;
export const BATCH_ENTRIES_MAX = 10_000;
export const RECORD_CACHE_BYTES_DEFAULT = 64 * MIB;
/** With `--fsync interval`: a write is on disk at most this long after it was acknowledged. */
export const FSYNC_INTERVAL_MS = 100;
/** After the disk refused a batch, the same batch is tried again after each such interval. */
export const STORAGE_RETRY_MS = 1_000;
/** How often a node checks that its disk is the right one. */
export const DISK_CHECK_MS = 10_000;
/** A node whose disk has refused writes for this long reports it and hands its primaries over, ... */
export const DISK_FAILED_MS = 1_000;
/** ... and takes part again once nothing was refused for this long. */
export const DISK_WELL_MS = 10_000;
/** For this long after a disk's first refusal another replica may take over, so clients are told to try again. */
export const DISK_HANDOVER_MS = 4_000;
/** How many damaged folders `--rebuild` keeps beside a node's folder. */
export const DAMAGED_FOLDERS_MAX = 100;
/** A commit seq that no write carries to disk is written after this time. */
export const STATE_WRITE_DELAY_MS = 1_000;
/** Rows that are in the journal and not in the table: at this size they are fed to it, ... */
export const FEED_BYTES: number = 8 * MIB;
/** ... or after this time. */
export const FEED_DELAY_MS = 60_000;
/** One batch of what is fed has at most this many rows, or bytes and one row. It holds up the event loop for some ms. */
export const FEED_SLICE_ROWS = 4_000;
export const FEED_SLICE_BYTES: number = 512 * KIB;
/** At this size of what the table lacks, the table is fed, however little is left of it after overwriting. */
export const JOURNAL_BYTES: number = 64 * MIB;
/** A segment of this size is followed by another one, ... */
export const SEGMENT_BYTES: number = 16 * MIB;
/** ... and so is one of this size when the table has been fed, so that the space comes back. */
export const SEGMENT_BYTES_MIN: number = 1 * MIB;
/**
 * Segments that no start needs are kept for replicas that were away, which get from them what they missed: at most this many
 * bytes, the latest, ...
 */
export const JOURNAL_KEPT_BYTES: number = 256 * MIB;
/** ... while a replica is away those that ended in this time, ... */
export const JOURNAL_KEPT_AWAY_MS = 3_600_000;
/** ... and otherwise those that ended in this time: for so long nobody may have noticed that one is away. */
export const JOURNAL_KEPT_MS = 30_000;
/**
 * Space that the journal has taken in advance. When the disk is full, the writes that were accepted get it, and no more
 * are accepted until it can be taken again.
 */
export const JOURNAL_RESERVE_BYTES: number = 8 * MIB;
/** It is taken this long after a start, which it should not slow down. */
export const JOURNAL_RESERVE_DELAY_MS = 2_000;
/** What a node keeps in memory of what it has read in its journal for replicas, about, ... */
export const JOURNAL_INDEX_BYTES_MAX: number = 32 * MIB;
/** ... and for how long after it was last used. */
export const JOURNAL_INDEX_KEEP_MS = 10_000;
/** The journal is read for replicas in steps of about this many bytes, each of which holds up the event loop. */
export const JOURNAL_READ_STEP_BYTES: number = 128 * KIB;
/** A replica that lacks more keys of a partition than this gets them from reading through the partition. */
export const MISSED_KEYS_MAX = 100_000;
/** Reads of the disk that hold up the event loop: shorter ones are not counted, ... */
export const SLOW_READ_MS_MIN = 0.05;
/** ... and if the others take this much ... */
export const SLOW_READS_MS = 50;
/** ... of this time, ... */
export const SLOW_READS_WINDOW_MS = 1_000;
/** ... threads read first for this long. */
export const SLOW_READS_KEEP_MS = 10_000;
/** Requests of a partition whose rows a thread reads at a time. */
export const COLD_BATCH_MAX = 256;
/** Full passes over a partition (unacknowledged keys, scrub, clearing) read this much at a time. */
export const PASS_PAGE_ROWS = 1_000;
export const PASS_PAGE_BYTES = 1 * MIB;
/**
 * Unused space in a node's files that is left alone: the size of the rows, plus this. Each partition has its
 * share of it, but at least COMPACTION_WASTE_MIN. Space beyond that is given back.
 */
export const COMPACTION_WASTE_MAX: number = 16 * MIB;
export const COMPACTION_WASTE_MIN: number = 64 * KIB;
/** After rewriting a partition's files, the node leaves them alone for this many times as long as that took, ... */
export const COMPACTION_REST_FACTOR = 4;
/** ... and after checking all partitions without finding work, for this long. */
export const COMPACTION_INTERVAL_MS = 5_000;
/** It checks this many partitions at a time. */
export const COMPACTION_LOOKS_PER_TURN = 64;

/** What one partition gets of a bound of the whole node. */
export function partitionShare(ofNode: number, partitions: number): number {
  const share = Math.floor(ofNode / partitions);
  return Math.min(Math.max(share, PARTITION_SHARE_MIN), PARTITION_SHARE_MAX);
}

invariant(
  PARTITION_SHARE_MIN >= 4 && PARTITION_SHARE_MIN <= PARTITION_SHARE_MAX,
  "a partition's share has bounds",
);
invariant(EXPIRED_PER_WRITE > 1, "expired keys are deleted faster than such keys are written");
invariant(
  FEED_SLICE_BYTES < FEED_BYTES && FEED_BYTES < JOURNAL_BYTES && SEGMENT_BYTES < JOURNAL_BYTES,
  "what is fed is a part of the journal, in slices",
);
invariant(SEGMENT_BYTES_MIN < SEGMENT_BYTES, "a segment has a size between its bounds");
invariant(
  JOURNAL_KEPT_MS < JOURNAL_KEPT_AWAY_MS && SEGMENT_BYTES < JOURNAL_KEPT_BYTES,
  "more is kept while a replica is away",
);
invariant(
  JOURNAL_RESERVE_BYTES >= 2 * BATCH_BYTES_MAX,
  "the batch under way and the one after it fit into the reserve",
);
