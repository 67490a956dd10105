/**
 * HTTP front ends.
 *
 * @module
 */
import { KIB, MIB } from "../base/units.ts";

/** HTTP: if no port is asked for, it is the TCP port plus this. */
export const HTTP_PORT_OFFSET = 1_000;
/** Longest address of a request: a prefix, a start, an end and a cursor, all percent-encoded. */
export const HTTP_TARGET_CHARACTERS_MAX = 16 * KIB;
/** A body must be complete within this time. */
export const HTTP_BODY_TIMEOUT_MS = 30_000;
/** A body that is announced as at most this long is not read in pieces. */
export const HTTP_BODY_WHOLE_BYTES = 64 * KIB;
/** How long a client of Deno KV may use what it was told of a database. */
export const KV_CONNECT_METADATA_MS = 3_600_000;
/** The same, if it is sent to another node. Deno's client asks anew 10 s before, so after 5 s. */
export const KV_CONNECT_OTHER_NODE_MS = 15_000;
/**
 * So many clients a second are told so short a time; others the long one, after which Deno's client asks again in a minute. If
 * its clock is ahead by more than the difference, it asks without a pause until it is told the long time.
 */
export const KV_CONNECT_OTHER_NODE_ANSWERS_MAX = 50;
/** Keys of one watch of Deno KV. */
export const KV_CONNECT_WATCH_KEYS_MAX = 100;
/** A watch of Deno KV whose keys cannot be read looks again after this time. */
export const KV_CONNECT_WATCH_RETRY_MS = 200;
/** A response longer than this goes out in pieces, and counts until it is sent. */
export const HTTP_RESPONSE_COUNTED_BYTES = 64 * KIB;
/** Keys on one page of a listing, by default and at most. */
export const HTTP_PAGE_KEYS_DEFAULT = 100;
export const HTTP_PAGE_KEYS_MAX = 1_000;
/** Keys that a listing for unstorage has, which knows no pages. */
export const HTTP_STORAGE_KEYS_BYTES_MAX = 16 * MIB;
/** How often a conditional write is tried if others keep changing its key. */
export const HTTP_CONDITION_ATTEMPTS_MAX = 8;
/** Its HTTP front end sends clients elsewhere until none has come for this long, or RETIRE_MS have passed. */
export const HTTP_QUIET_MS = 200;
/** The console: all processes are asked at most once in this long, whoever looks. */
export const CONSOLE_PERIOD_MS = 2_000;
/** A node that does not answer in this long is shown as one that does not. */
export const CONSOLE_ASK_TIMEOUT_MS = 1_500;
/** Rates are shown if two looks are at most this far apart. */
export const CONSOLE_GAP_MS_MAX = 15_000;
/** With more partitions the console shows counts, and not each of them. */
export const CONSOLE_PARTITIONS_MAX = 4_096;
/** Operations that the console lists, the most frequent. */
export const CONSOLE_OPERATIONS_MAX = 12;
/** A browser whose stream of events has ended connects again after this time. */
export const SSE_RETRY_MS = 1_000;
