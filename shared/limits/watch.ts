/**
 * Watches: what a node keeps for them, what one answer holds, and how often a watcher hears that nothing has happened.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";
import { SCAN_ATTEMPT_MS } from "./scans.ts";

/** Keys and prefixes that one watch may name. */
export const WATCH_SELECTORS_MAX = 128;
/**
 * Bytes of the entries of one answer to a watcher, approximately: an answer ends after the group of writes with which
 * it reaches them. So a watcher holds at most this much of each node, or one group (`GROUP_WIRE_BYTES_MAX`).
 */
export const WATCH_REPLY_BYTES = 256 * KIB;
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
/** ... and counts as silent after this much more. */
export const WATCH_LATE_MS = SCAN_ATTEMPT_MS;
/** How often a watch looks whether another node is primary by now of what it has asked a silent one about. */
export const WATCH_LOOK_MS = 1_000;
/** Watches of one connection of the JSON wire, or of RESP. */
export const WATCHES_PER_CONNECTION_MAX = 64;
/** What a position in a partition takes of memory, about. */
export const WATCH_POSITION_BYTES = 64;
/** Characters of a token: what a watch of all of 65,536 partitions takes. */
export const WATCH_TOKEN_CHARACTERS_MAX = 2 * MIB;

invariant(
  WATCH_READ_MS < WATCH_LATE_MS && WATCH_WAIT_MS <= WATCH_WAIT_MS_MAX,
  "a node that reads for a watcher answers before it counts as silent",
);
