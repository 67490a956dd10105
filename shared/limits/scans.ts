/**
 * Scans, counts, and deletions of what a pattern matches; then watches: what a node keeps for them, what one answer
 * holds, and how often a watcher hears that nothing has happened.
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

/** Keys and prefixes that one watch may name. */
export const WATCH_SELECTORS_MAX = 128;
/**
 * Partitions that one question of a watch is about. An answer costs in proportion to that, and a watch of all partitions
 * gets an answer for each event; but each question costs something by itself, every WATCH_WAIT_MS.
 */
export const WATCH_QUESTION_PARTITIONS = 16;
/**
 * Bytes of the entries of one answer to a watcher, approximately: an answer ends after the group of writes with which
 * it reaches them. So a watcher holds at most this much of each question, or one group (`GROUP_WIRE_BYTES_MAX`).
 */
export const WATCH_REPLY_BYTES = 64 * KIB;
export const WATCH_REPLY_ENTRIES = 1_000;
/**
 * What a node keeps of the newest writes of the partitions that somebody watches. Each partition has its share, and
 * at least the last commit. A watcher that has fallen behind further is told the newest state of each key.
 */
export const WATCH_LOG_BYTES_MAX = 32 * MIB;
export const WATCH_LOG_ENTRIES_MAX = 1_024;
/** A partition that nobody has asked about for this long keeps nothing for watchers. */
export const WATCH_LOG_IDLE_MS = 30_000;
/** Watchers' questions that a node holds at a time, until there is something to tell. */
export const WATCH_POLLS_MAX = 65_536;
/** Watchers whose answers must be read from the storage: so many at a time, and so many that wait for that. */
export const WATCH_READS_MAX = 4;
export const WATCH_READS_WAITING_MAX = 4_096;
/** Rows of a partition that are read at a time. */
export const WATCH_READ_ROWS = 1_000;
/** Reading for one answer ends after this time. */
export const WATCH_READ_MS = 1_000;
/** A node answers a watcher after this time, also if there is nothing to tell, ... */
export const WATCH_WAIT_MS = 5_000;
export const WATCH_WAIT_MS_MAX = 60_000;
/** How often a node looks which watchers' questions nobody waits for any more. */
export const WATCH_CALLERS_MS = 1_000;
/** ... and counts as silent after this much more. */
export const WATCH_LATE_MS = SCAN_ATTEMPT_MS;
/** How often a watch looks whether another node is primary by now of what it has asked a silent one about. */
export const WATCH_LOOK_MS = 1_000;
/** Watches of one connection of the JSON wire, or of RESP, ... */
export const WATCHES_PER_CONNECTION_MAX = 64;
/** ... and of all clients of one process. */
export const WATCHES_MAX = 16_384;
/**
 * Places at which the watches of a process stand, one for each partition in which there may be keys of a watch: about 430
 * bytes each, so 230 MB. With 256 partitions these are 2,048 watches of prefixes, or WATCHES_MAX of keys.
 */
export const WATCH_PLACES_MAX = 524_288;
/** Places that the questions of a node's own watches and of those of others are about. */
export const WATCH_POLL_PLACES_MAX = 2 * WATCH_PLACES_MAX;
/** What a position in a partition takes of memory, about. */
export const WATCH_POSITION_BYTES = 64;
/** Characters of a token: what a watch of all of 65,536 partitions takes. */
export const WATCH_TOKEN_CHARACTERS_MAX = 2 * MIB;

invariant(
  WATCH_READ_MS < WATCH_LATE_MS && WATCH_WAIT_MS <= WATCH_WAIT_MS_MAX,
  "a node that reads for a watcher answers before it counts as silent",
);
