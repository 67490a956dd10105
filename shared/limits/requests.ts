/**
 * How requests are carried out: their deadlines and retries, what transactions and batches may hold, turns for
 * heavy work, client sessions, and the cache of the gateway.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";

/**
 * Heavy work of a process goes on for at most this long, from its first step, before the process looks at its
 * sockets. Beside a scan that look took 1.7 ms in the median, so slices of 5 ms lose about a quarter of the time.
 */
export const WORK_SLICE_MS = 5;
/** Steps of a slice, at most: also when the clock does not move, as in the simulation. */
export const WORK_SLICE_STEPS = 256;
/** A reply that is longer takes a turn of its own, and so do the next requests of its connection. */
export const LONG_REPLY_BYTES = 64 * KIB;
/** After this many short replies in a row its requests go to other nodes on the common connection again. */
export const HEAVY_REPLIES_REMEMBERED = 16;
/** Requests for long replies that are under way at a time: a node makes this many in about half a second. */
export const HEAVY_REQUESTS_IN_FLIGHT_MAX = 4;
/** Default deadline of a client's request: longer than a failover. */
export const REQUEST_TIMEOUT_MS = 10_000;
export const REQUEST_TIMEOUT_MS_MAX = 600_000;

/** Routing: pauses before a retry, doubling from the first to the second. */
export const RETRY_MS_MIN = 20;
export const RETRY_MS_MAX = 250;
/** How often the requests that wait for a retry are checked. */
export const RETRY_SCAN_MS = 10;
/** A read that is not answered within this time is sent again, perhaps to another node. */
export const READ_ATTEMPT_TIMEOUT_MS = 2_000;
/** A request for the cluster map is given up after this time, and another node is asked. */
export const MAP_REQUEST_TIMEOUT_MS = 1_000;
/** A client that found only nodes which have not joined their cluster asks again after this time. */
export const FIRST_MAP_RETRY_MS = 100;
/** From the end of one map refresh to the beginning of the next. */
export const MAP_REFRESH_GAP_MS = 50;

/** The gateway's cache of values: entries by default, and bytes. */
export const GATEWAY_CACHE_ENTRIES_DEFAULT = 1_024;
export const GATEWAY_CACHE_BYTES_MAX = 64 * MIB;
/** A cached value was the key's value at most this long ago. */
export const GATEWAY_CACHE_AGE_MS_MAX = 3_000;

/** Requests of one transaction; the same bound holds for its checks. */
export const TRANSACTION_REQUESTS_MAX = 1_000;
/** Bytes of the values that a transaction's requests write, one after the other. */
export const TRANSACTION_BYTES_MAX = 16 * MIB;
/** Bytes of a transaction's replies on the wire. */
export const TRANSACTION_REPLY_BYTES_MAX = 12 * MIB;
/** Ranges that are read as of one moment: how many, entries of all of them, and bytes of their keys and values. */
export const RANGES_MAX = 100;
export const RANGES_ENTRIES_MAX = 2_000;
export const RANGES_BYTES_MAX = 8 * MIB;
/** So many more rows than entries are read of a range at first, because some are of deleted keys. */
export const RANGES_SPARE_ROWS = 32;
/** Writes that belong together and go to a replica in one frame. */
export const GROUP_WIRE_BYTES_MAX = 12 * MIB;
/** Groups of up to this size are not measured, because JSON makes at most six bytes of one. */
export const GROUP_BYTES_SURE = 2 * MIB;
// Transactions over several partitions: docs/transactions.md.

/** Keys of one transaction, and bytes of its keys, values and checks together. */
export const PARTS_KEYS_MAX = 1_000;
export const PARTS_BYTES_MAX = 4 * MIB;
/** Bytes of what one partition's part would write: values may grow by it. */
export const PART_WRITTEN_BYTES_MAX = 4 * MIB;
/** Transactions that a partition leads at a time, those that wait for others included. */
export const LED_TRANSACTIONS_MAX = 1_024;
/** Decisions of transactions that have ended, of one partition, that are deleted as one group. */
export const DECISIONS_DELETED_MAX = 1_000;
/** A participant that has not answered within this time makes the attempt end: the others' keys must not wait. */
export const PREPARE_MS = 2_000;
/** How long the leader waits for its own keys while the participants hold theirs. */
export const LEADER_WAIT_MS = 300;
/** From this attempt on, partitions are prepared one after the other, and wait for their keys. */
export const ORDERED_FROM_ATTEMPT = 3;
/** Comparisons of two readings, before keys are held for reading. */
export const READ_COMPARISONS_MAX = 3;
/** The pause before another attempt, growing from the first to the second. */
export const ATTEMPT_PAUSE_MS_MIN = 5;
export const ATTEMPT_PAUSE_MS_MAX = 100;
/** An intent is asked about when it is this old, or, if somebody waits for it, this old, ... */
export const INTENT_QUIET_MS = 1_000;
export const INTENT_WANTED_MS = 250;
/** ... and again after this time; at most this many of a partition at a time. */
export const STATUS_REPEAT_MS = 500;
export const STATUS_QUESTIONS_MAX = 64;
/** How long one message about the end of an attempt is tried before it is sent anew. */
export const FINISH_MS = 2_000;
/** After this time without an end, transactions that share a key with one that has happened do not wait any more. */
export const FOLLOW_MS = 1_000;
/** Characters of an attempt's name. */
export const ATTEMPT_CHARACTERS_MAX = 64;
/** Bytes of a decision for each participant, at most: a key and a number. */
export const DECISION_PART_BYTES = 2 * KIB;

/** Requests of one batch, and how many of them are under way at a time. */
export const BATCH_REQUESTS_MAX = 10_000;
export const BATCH_REQUESTS_AT_ONCE = 32;
/** Bytes of a batch's replies, beyond which no more requests begin; and of the first reply, if it alone is larger. */
export const BATCH_REPLY_BYTES_MAX = 8 * MIB;
export const BATCH_FIRST_REPLY_BYTES_MAX = 11 * MIB;

/**
 * Client sessions that the partitions of a node remember together. Each partition has its share; when it is
 * full, the session with the oldest last request is evicted. They take
 *   bytes of a partition <= its share * CLIENT_SESSION_BYTES, or one entry if that is longer
 *     (1 MiB with 256 partitions; an ordinary session takes 150 bytes)
 * on each replica, and about 150 bytes each in the memory of the primary.
 */
export const CLIENT_SESSIONS_MAX = 262_144;
/** What a client session's entry may take, on average. */
export const CLIENT_SESSION_BYTES = 1 * KIB;
/** How often a client asks again if its session was evicted each time before the request came. */
export const CLIENT_SESSION_ATTEMPTS_MAX = 16;
/** The longest answer that a client session remembers, as JSON; of a longer one it remembers only the outcome. */
export const CLIENT_SESSION_REPLY_CHARACTERS_MAX = 16 * KIB;
/** Characters of a client session's name. */
export const CLIENT_SESSION_CHARACTERS_MAX = 64;

invariant(6 * GROUP_BYTES_SURE <= GROUP_WIRE_BYTES_MAX, "what is not measured fits");
invariant(
  READ_ATTEMPT_TIMEOUT_MS < REQUEST_TIMEOUT_MS,
  "a read has time for a second attempt",
);

// Metrics.

/** Upper bounds of the latency buckets of requests, in seconds: 0.1 ms to 10 s. */
export const REQUEST_SECONDS_BUCKETS: readonly number[] = [
  0.0001,
  0.00025,
  0.0005,
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  0.5,
  1,
  2.5,
  5,
  10,
];
/** The same for a batch that goes to disk, and for how late the event loop is. */
export const DISK_SECONDS_BUCKETS: readonly number[] = REQUEST_SECONDS_BUCKETS.slice(1);
/** Writes in one batch. */
export const BATCH_WRITES_BUCKETS: readonly number[] = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1_000,
  2_000,
  5_000,
];
/** How often it is measured how late timers fire. */
export const LOOP_SAMPLE_MS = 100;
/** Requests that have ended in one turn and are counted together; with more, they are counted at once. */
export const ENDED_PER_TURN_MAX = 4_096;
/** Writes of a partition whose copies have spans at a time, of a process that traces requests. */
export const TRACED_WRITES_MAX = 256;
/** Operations of one front end that are counted by name; all others as one. Their names come from tables. */
export const COUNTED_OPERATIONS_MAX = 512;
/** A request that takes longer is kept in the list of slow ones. It may be set for each process. */
export const SLOW_REQUEST_MS = 100;
/** So many slow requests are kept, the newest. */
export const SLOW_REQUESTS_MAX = 128;
/** So much of a slow request's key is kept. */
export const SLOW_KEY_CHARACTERS_MAX = 256;
invariant(ATTEMPT_PAUSE_MS_MIN < ATTEMPT_PAUSE_MS_MAX, "attempts are further and further apart");
invariant(INTENT_WANTED_MS <= INTENT_QUIET_MS, "who waits does not wait longer");
invariant(
  INTENT_QUIET_MS + STATUS_REPEAT_MS < REQUEST_TIMEOUT_MS / 4,
  "who meets an intent that nobody ends is served before the deadline",
);
/** What is read of another process's metrics: samples of one metric, and bounds of a histogram. */
export const SAMPLES_READ_MAX = 10_000;
export const BOUNDS_READ_MAX = 256;
