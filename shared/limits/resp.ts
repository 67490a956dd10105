/**
 * The front end for clients of Redis.
 *
 * @module
 */
import { KIB, MIB } from "../base/units.ts";

/** RESP: longest inline command or header line whose end has not come. */
export const RESP_LINE_BYTES_MAX = 64 * KIB;
/** Arguments of one command, and what one costs beside its bytes, approximately. */
export const RESP_ARGUMENTS_MAX = 131_072;
export const RESP_ARGUMENT_OVERHEAD_BYTES = 256;
/** A command's arguments together, and the commands that a MULTI has queued. */
export const RESP_COMMAND_BYTES_MAX = 64 * MIB;
export const RESP_QUEUED_COMMANDS_MAX = 1_000;
/** Commands of one connection that are under way; fewer if their replies are long. */
export const RESP_PENDING_MAX = 1_024;
/** Replies to commands under way may come to about this much. */
export const RESP_PENDING_REPLY_BYTES = 16 * MIB;
/** Values of one reply to a command on many keys. */
export const RESP_REPLY_BYTES_MAX = 32 * MIB;
/** Keys that a connection may watch. */
export const RESP_WATCHED_KEYS_MAX = 1_000;
/** Databases that clients select by number: 0 to one less than this, as in Redis' default. */
export const RESP_DATABASES = 16;
/** Cursors of SCAN that a node remembers. */
export const RESP_CURSORS_MAX = 16_384;
/** The text of a script. */
export const RESP_SCRIPT_BYTES_MAX = 1 * MIB;
/** Scripts that a node remembers by their SHA-1: their number, and their texts together. */
export const RESP_SCRIPTS_MAX = 1_000;
export const RESP_SCRIPTS_BYTES_MAX = 16 * MIB;
/** Scripts that wait for their turn: one runs at a time. */
export const RESP_SCRIPTS_WAITING_MAX = 1_000;
/** How long a script may run, and what it may keep in memory. */
export const RESP_SCRIPT_MS_MAX = 5_000;
export const RESP_SCRIPT_MEMORY_BYTES_MAX = 64 * MIB;
/** A JSON that a script decodes: as objects of JavaScript it takes some twenty times as much for a moment. */
export const RESP_SCRIPT_JSON_BYTES_MAX = 8 * MIB;
/**
 * How often a command that reads before it writes is tried if others write meanwhile. Those of one node take turns, so
 * that a few nodes contend: of three, one fails so often in a row once in 10^11.
 */
export const RESP_ATTEMPTS_MAX = 64;
/** What KEYS may answer with. */
export const RESP_KEYS_BYTES_MAX = 16 * MIB;
/** Cells of the table that LCS fills (four bytes each). */
export const RESP_LCS_CELLS_MAX = 16 * MIB;
/** Keys that a page of SCAN looks at, whatever its COUNT: each page asks every partition. */
export const RESP_SCAN_KEYS_MIN = 256;
/** What all subscriptions of a node may take: their names, and this much for each beside its name. */
export const RESP_SUBSCRIPTIONS_BYTES_MAX = 64 * MIB;
export const RESP_SUBSCRIPTION_OVERHEAD_BYTES = 256;
export const RESP_CHANNEL_BYTES_MAX = 1 * KIB;
/** Messages that a subscriber has not read; with more it is cut off. */
export const RESP_PUSH_BYTES_MAX = 32 * MIB;
/** What a node notes of keys that clients keep at their side (CLIENT TRACKING), of all connections together. */
export const RESP_TRACKED_BYTES_MAX = 64 * MIB;
/** Prefixes of one connection of CLIENT TRACKING with BCAST. */
export const RESP_TRACKED_PREFIXES_MAX = 128;
/** CLIENT PAUSE: the longest one. Longer ones would be no time at all to a timer. */
export const RESP_PAUSE_MS_MAX = 2 ** 31 - 1;
/** A node that cannot learn what changes in the cluster tries again after this time. */
export const CHANGES_RETRY_MS = 250;
/** CLIENT TRACKING is refused if it is not known after this time what changes: nothing else of its connection runs meanwhile. */
export const CHANGES_WAIT_MS = 10_000;
/** How long other nodes may take to tell how many subscribers got a message. */
export const PUBSUB_ANSWER_MS_MAX = 1_000;
