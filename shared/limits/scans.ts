/**
 * Scans, counts, and deletions of what a pattern matches.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";

/** Rows and bytes of one page of a scan that a client asked for. */
export const SCAN_ROWS_MAX = 1_000;
export const SCAN_BYTES_MAX = 1 * MIB;
/** Keys that a page of the whole cluster may be asked for, at most and by default. */
export const SCAN_KEYS_MAX = 10_000;
/**
 * Keys of one page at most, whatever was asked for: what is done with a page at once (merging, encoding) takes
 * about 2 µs a key each time, and others wait for it.
 */
export const SCAN_PAGE_KEYS = 4_000;
export const SCAN_KEYS_DEFAULT = 1_000;
/** Rows that a node reads for one page or one piece of a count; then it answers, even with less than was asked for. */
export const SCAN_LOOKED_ROWS_MAX = 50_000;
export const SCAN_LOOKED_BYTES_MAX = 32 * MIB;
/** After the first rows of each partition a page may look at this many times as much again, whatever those took. */
export const SCAN_AGAIN_PART = 3;
/**
 * What a page has read beyond its end is kept for the next page of its scan: for at most this many scans, this
 * many entries of each (a page and what its 256 partitions were read too far), with values of at most this many
 * bytes, and for this long: about 30 MiB in all. Longer values are read again.
 */
export const SCANS_READ_AHEAD_MAX = 8;
export const SCAN_READ_AHEAD_ENTRIES_MAX = 8_192;
export const SCAN_READ_AHEAD_VALUE_BYTES = 256;
export const SCAN_READ_AHEAD_MS = 10_000;
/** Scans and counts that a node carries out at a time, and those that wait for their turn. */
export const NODE_SCANS_MAX = 4;
export const NODE_SCANS_WAITING_MAX = 256;
/** Partitions of a node that one scan reads at the same time. */
export const SCAN_READS_MAX = 8;
/** Values of a page that a node keeps in memory; beyond it, long ones are read again when they are sent. */
export const SCAN_KEPT_BYTES = 8 * MIB;
export const SCAN_LONG_VALUE_BYTES = 16 * KIB;
/** A node that has not answered a piece of a scan after this time is asked again, ... */
export const SCAN_ATTEMPT_MS = 4_000;
/** ... and it answers with what it has before that; from here on it skips reads that take longer. */
export const SCAN_ANSWER_PART = 0.5;
export const SCAN_OVERDUE_PART = 0.75;
/** How often the nodes are asked for more if their first answers do not fill a page. */
export const SCAN_ROUNDS_MAX = 8;
/**
 * Deletions of keys that match something: how many are under way, how many begin in one step, and how many
 * keys are looked for at once (each look reads the first rows of all partitions).
 */
export const DELETES_IN_FLIGHT_MAX = 256;
export const DELETES_PER_STEP = 32;
export const DELETES_PAGE_KEYS = 4_000;

invariant(
  SCAN_ANSWER_PART < SCAN_OVERDUE_PART && SCAN_OVERDUE_PART < 1,
  "a scan that is late still has time to read of each partition what it must, and to answer",
);
invariant(
  DELETES_PAGE_KEYS >= DELETES_IN_FLIGHT_MAX && DELETES_PAGE_KEYS <= SCAN_KEYS_MAX,
  "a page is enough for the deletions that are under way",
);
