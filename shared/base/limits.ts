/**
 * Every bound of the system, with its unit, and the relations between the bounds, asserted on import.
 * The values that an operator may change are defaults here, and settings in `config`.
 *
 * @module
 */
import { invariant } from "./errors.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const DAY_MS = 86_400_000;

/** Sizes of what a client may send. */
export const KEY_BYTES_MAX = 1 * KIB;
export const VALUE_BYTES_MAX = 8 * MIB;
/** Longest media type that is kept with a value. */
export const CONTENT_TYPE_CHARACTERS_MAX = 255;
/** A frame holds one value, as base64 or as an escaped string of at most that length, and its envelope. */
export const FRAME_BYTES_MAX = 16 * MIB;
export const DATAGRAM_BYTES_MAX = 1_200;
/**
 * How deep arrays and objects may nest in anything that somebody sends. Our deepest message, a transaction
 * in a batch, nests 5; fields that carry any JSON (details of errors, statistics) nest a few more.
 */
export const JSON_DEPTH_MAX = 32;

/**
 * Heavy work of a process keeps the event loop for at most this long at a time; then sockets and timers have
 * their turn. A turn makes the loop wait for about 2 ms, so slices of 10 ms lose a fifth at most. People
 * notice 50 ms, so a delay of 10 ms is not noticed.
 */
export const WORK_SLICE_MS = 10;
/** Steps of a slice, at most: also when the clock does not move, as in the simulation. */
export const WORK_SLICE_STEPS = 256;
/** A reply that is longer takes a turn of its own, and so do the next requests of its connection. */
export const LONG_REPLY_BYTES = 64 * KIB;
/** After this many short replies in a row its requests go to other nodes on the common connection again. */
export const HEAVY_REPLIES_REMEMBERED = 16;
/** Requests for long replies that are under way at a time: a node makes this many in about half a second. */
export const HEAVY_REQUESTS_IN_FLIGHT_MAX = 4;

/**
 * What comes from outside, over all front ends of a process together; enforced by `shared/admission/`. A
 * connection is a newcomer until its first complete message, then a client or a peer (a node, the
 * coordinator).
 *
 * descriptors that are free at the start = FILE_DESCRIPTORS + peers' share + clients
 *   peers' share = a quarter of what files leave, within PEER_DESCRIPTORS_MIN and _MAX; half of it for
 *                  the connections of peers, half for those that this process opens to them
 *   clients      = the rest, at most CONNECTIONS_MAX (with 235 free descriptors: 129)
 * connections    <= clients + peers' half; newcomers use what is free of both, and make room
 *
 * memory of what is not complete, under way or not sent
 *   <= UNFINISHED_BYTES_MAX + REQUEST_BYTES_MAX + QUEUED_BYTES_MAX, for newcomers, clients and peers
 *   each; of one connection
 *   <= one frame (FRAME_BYTES_MAX) or command (RESP_COMMAND_BYTES_MAX) + REQUEST_BYTES_PER_CONNECTION_MAX
 *   + REPLY_BYTES_MAX
 * requests under way <= REQUEST_BYTES_MAX / REQUEST_OVERHEAD_BYTES; of one connection
 *   <= REQUESTS_PER_CONNECTION_MAX, RESP_PENDING_MAX, or one of HTTP/1.1
 * depth          <= JSON_DEPTH_MAX
 */
export const CONNECTIONS_MAX = 10_000;
/** Kept for the database's files (LevelDB maps tables and keeps few open), sockets, and other files. */
export const FILE_DESCRIPTORS = 64;
/** Connections that we ended and that wait for the other side to end; any more are closed at once. */
export const LEAVING_CONNECTIONS_MAX = 16;
/** The part of the remaining descriptors that is kept for peers: three each way for a node, and a few to reconnect. */
export const PEER_DESCRIPTORS_PART = 0.25;
export const PEER_DESCRIPTORS_MIN = 16;
export const PEER_DESCRIPTORS_MAX = 512;
/** One peer's connections to a process. */
export const CONNECTIONS_PER_PEER_MAX = 8;
/** Descriptors that are counted at a time, which takes 25 ms. */
export const DESCRIPTORS_COUNTED = 2_048;
/** Bytes of messages that have begun and are not complete. Newcomers, who have sent no message yet, share the least. */
export const UNFINISHED_BYTES_MAX = { newcomer: 64 * MIB, client: 128 * MIB, peer: 128 * MIB };
/** Bytes of replies that were written and have not left. Newcomers get only refusals. */
export const QUEUED_BYTES_MAX = { newcomer: 16 * MIB, client: 512 * MIB, peer: 512 * MIB };
/** What a connection sends at once is read within this time, even by a busy process. */
export const NEWCOMER_GRACE_MS = 1_000;
/** A connection's first byte must come within this time, ... */
export const FIRST_BYTE_TIMEOUT_MS = 30_000;
/** ... and its first complete message within this time. */
export const FIRST_MESSAGE_TIMEOUT_MS = 60_000;
/** How often those deadlines are checked. */
export const ADMISSION_SWEEP_MS = 5_000;
/** Refusals, and connections that cannot be accepted, are logged once in this time. */
export const ADMISSION_LOG_MS = 10_000;
/** The pause after an accept that failed for want of descriptors or memory. */
export const ACCEPT_PAUSE_MS = 50;
/** Requests of one connection that were read and not yet answered; at this number reading pauses. */
export const REQUESTS_PER_CONNECTION_MAX = 4_096;
/** Bytes of such requests of one connection; beyond it reading pauses, ... */
export const REQUEST_BYTES_PER_CONNECTION_MAX = 64 * MIB;
/** ... and of all connections of a process; beyond it a request is refused as `overloaded`. */
export const REQUEST_BYTES_MAX = 256 * MIB;
/** What a request takes beside its key and value, about. */
export const REQUEST_OVERHEAD_BYTES = 512;
/** HTTP: if no port is asked for, it is the TCP port plus this. */
export const HTTP_PORT_OFFSET = 1_000;
/** Longest address of a request: a prefix, a start, an end and a cursor, all percent-encoded. */
export const HTTP_TARGET_CHARACTERS_MAX = 16 * KIB;
/** A body must be complete within this time. */
export const HTTP_BODY_TIMEOUT_MS = 30_000;
/** A response longer than this goes out in pieces, and counts until it is sent. */
export const HTTP_RESPONSE_COUNTED_BYTES = 64 * KIB;
/** Keys on one page of a listing, by default and at most. */
export const HTTP_PAGE_KEYS_DEFAULT = 100;
export const HTTP_PAGE_KEYS_MAX = 1_000;
/** How often a conditional write is tried if others keep changing its key. */
export const HTTP_CONDITION_ATTEMPTS_MAX = 8;
/** Longest id of a request. */
export const ID_CHARACTERS_MAX = 1_024;
/** From a message longer than this, unknown fields are removed before it is kept. */
export const UNKNOWN_FIELDS_CHARACTERS_MAX = 1 * KIB;
/**
 * Replies that a client has not read: above the first bound, reading its requests pauses; at the second it is
 * disconnected. The second is far higher, because most of the requests under way may be answered in one turn
 * of the event loop, in which no client can read: as many replies as may be under way, of 64 KiB each. A
 * client that reads too slowly meets WRITE_STALL_TIMEOUT_MS.
 */
export const REPLY_BYTES_PAUSE = 1 * MIB;
export const REPLY_BYTES_MAX = 256 * MIB;
/** A frame that has begun must be complete within this time. */
export const FRAME_TIMEOUT_MS = 30_000;
/** A client that takes none of its replies for this long is disconnected. */
export const WRITE_STALL_TIMEOUT_MS = 30_000;
/** A stream tells its owner to go on once its queue has fallen from above the first to the second. */
export const STREAM_HIGH_WATER_BYTES = REPLY_BYTES_PAUSE;
export const STREAM_LOW_WATER_BYTES = 256 * KIB;
/** Streams join small writes into one of about this many bytes. */
export const WRITE_JOIN_BYTES = 256 * KIB;
export const READ_BUFFER_BYTES_MIN = 4 * KIB;
export const READ_BUFFER_BYTES_MAX = 64 * KIB;
/** After this many bytes of one stream the others get their turn. */
export const READ_TURN_BYTES = 512 * KIB;
/** A stream that is closed with a flush has this long to send what is queued, ... */
export const CLOSE_FLUSH_TIMEOUT_MS = 10_000;
/** ... and then this long to see the other side's end, so that a last error reply is not lost. */
export const CLOSE_LINGER_MS = 1_000;
export const CONNECT_TIMEOUT_MS = 1_000;
/** A server that took the connection must answer `hello` within this long. */
export const HELLO_TIMEOUT_MS = 2_000;
/** The same if it logs in: the server computes a hash, after those that wait for theirs. */
export const LOGIN_TIMEOUT_MS = 10_000;
/** Pauses between attempts to connect, doubling from the first to the second. */
export const RECONNECT_MS_MIN = 50;
export const RECONNECT_MS_MAX = 1_000;
/** How often the deadlines of requests in flight are checked. */
export const DEADLINE_SCAN_MS = 25;
/** Requests that wait for one connection to be opened. */
export const CONNECTING_REQUESTS_MAX = 16_384;
/** Bytes of requests that a connection has not taken yet; beyond it a request is refused as `overloaded`. */
export const REQUEST_QUEUE_BYTES_MAX = 64 * MIB;
/** A connection that owes replies and is silent for this long is pinged, ... */
export const RPC_PING_MS = 1_000;
/** ... and taken for dead after this long. */
export const RPC_SILENCE_MS_MAX = 5_000;
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

/** Cluster. */
export const PARTITIONS_DEFAULT = 256;
export const PARTITIONS_MAX = 65_536;
/** A partition's term is kept in four bytes; even after a report of the highest term there is room for more. */
export const TERM_MAX = 2 ** 32 - 2;
export const REPLICATION_FACTOR_DEFAULT = 3;
export const REPLICATION_FACTOR_MAX = 16;
export const NODES_MAX = 1_000;
/** The most bytes that a partition, each of its replicas, and a node take in a cluster map as JSON. */
export const MAP_PARTITION_BYTES = 90;
export const MAP_COPY_BYTES = 19;
export const MAP_NODE_BYTES = 1_730;
export const VNODES_DEFAULT = 150;
/** Relative capacity of a node: the range in which placement uses it. */
export const WEIGHT_DEFAULT = 1;
export const WEIGHT_MIN = 0.01;
export const WEIGHT_MAX = 100;
/** Longest host name, zone or instance that a coordinator accepts. */
export const NAME_CHARACTERS_MAX = 255;
/** A node's share of replicas is at most this times its weighted average, rounded up. */
export const BALANCE_BOUND = 1.15;

/** Membership. */
export const HEARTBEAT_INTERVAL_MS = 500;
/**
 * A live node hears from the coordinator: each heartbeat repeats what the node was told last. What it repeats
 * may be this many intervals old, since one heartbeat or its answer may be late; an older heartbeat does not
 * count. So a node that hears nobody is declared failed within this and FAILURE_TIMEOUT_MS.
 */
export const HEARD_INTERVALS_MAX = 2;
export const LEASE_MS = 1_500;
export const FAILURE_TIMEOUT_MS = 2_500;
/** After a failure, how long missing replicas wait for the node to come back before others get them. */
export const REPAIR_DELAY_MS = 5_000;
/** A replica that did not follow is filled again after this time, doubling from the first to the second. */
export const REPAIR_BACKOFF_MS = 1_000;
export const REPAIR_BACKOFF_MS_MAX = 30_000;
/** How many starts of the coordinator its document keeps the first epoch of. */
export const GENERATIONS_KEPT = 256;
/** If an operator accepts an old document, epochs and terms go on this far above all that were seen. */
export const ACCEPTED_EPOCH_LEAP = 1_000_000;
export const ACCEPTED_TERM_LEAP = 1_000;
/** A node that is down and holds nothing is removed from the list after this time. */
export const FORGET_DOWN_MS = 3_600_000;
/** How often the coordinator checks for what depends on time alone. */
export const COORDINATOR_TICK_MS = 50;
/** Before an operator's order chooses a replica, the nodes have this long to tell what they hold. */
export const FORCE_WAIT_MS = 1_000;
/** The gateway's cache of values: entries by default, and bytes. */
export const GATEWAY_CACHE_ENTRIES_DEFAULT = 1_024;
export const GATEWAY_CACHE_BYTES_MAX = 64 * MIB;
/** A cached value was the key's value at most this long ago. */
export const GATEWAY_CACHE_AGE_MS_MAX = 3_000;
/** Clocks of two processes drift apart by at most this fraction. */
export const CLOCK_DRIFT_MAX = 0.05;

/** If the date runs ahead of the monotonic clock by this much at once, the machine was suspended. */
export const SUSPENSION_MS_MIN = 100;

/** Replication. */
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
/** Resyncs into one node at a time. */
export const MOVES_PER_NODE_MAX = 8;
/** How many recent writes a primary keeps the keys of, so that a short difference needs no scan. */
export const RECENT_WRITES_MAX = 1_024;
export const HANDOVER_TIMEOUT_MS = 2_000;
/** How long a node that is told to stop tries to hand its primaries over. */
export const DRAIN_TIMEOUT_MS = 10_000;
/** A process that stops gives its clients this long to end their connections between two requests, ... */
export const RETIRE_MS = 1_000;
/** ... and answers what they have asked for this long, counted from the same moment. */
export const STOP_GRACE_MS = 4_000;
/** Its HTTP front end sends clients elsewhere until none has come for this long, or RETIRE_MS have passed. */
export const HTTP_QUIET_MS = 200;

/** A node's session with the coordinator: delays between attempts, and when an attempt is given up. */
export const SESSION_BACKOFF_MS = 100;
export const SESSION_BACKOFF_MS_MAX = 2_000;
/** The answer to `register` or `get_map` takes at most this long. */
export const SESSION_REPLY_TIMEOUT_MS = 5_000;
/** A session over which nothing came for this long is pinged, even if heartbeats go by UDP, ... */
export const SESSION_PING_MS = 1_000;
/** ... and taken for dead after this long. */
export const SESSION_SILENCE_MS = 5_000;
/** A node writes the newest map to its disk no sooner than this long after the last one, ... */
export const KEEP_MAP_MS_MIN = 1_000;
/** ... and no sooner than this many times what that took, so a large map takes a small share of the time. */
export const KEEP_MAP_REST = 20;
/** Heartbeats whose acknowledgement is still recognised. */
export const HEARTBEATS_REMEMBERED = 32;

/** Discovery: how long a question waits for answers, and after how much of that it is asked again. */
export const DISCOVERY_WAIT_MS = 600;
export const DISCOVERY_REPEAT_MS = 200;
/** After the first answer, further ones are waited for this long. */
export const DISCOVERY_SETTLE_MS = 150;
/** How many coordinators a question keeps the answers of, and how many addresses of each. */
export const DISCOVERY_ANSWERS_MAX = 64;
/** A secret has at least this many characters, because whoever hears a datagram can try guesses at it. */
export const DISCOVERY_SECRET_CHARACTERS_MIN = 16;
export const NONCE_CHARACTERS_MAX = 64;
/** Answers of a coordinator per second, to one host and to all. */
export const DISCOVERY_HOST_RATE = 32;
export const DISCOVERY_RATE = 1_024;
/** Hosts for which a coordinator remembers how much it answered lately. */
export const DISCOVERY_HOSTS_MAX = 1_024;
/** How often a coordinator looks for networks that were added later. */
export const DISCOVERY_JOIN_MS = 15_000;

/** The question whether a node is still primary is asked again after this time. */
export const CONFIRM_TIMEOUT_MS = 1_000;
/** Bytes of live writes in one frame to a peer, approximately. */
export const PEER_FRAME_BYTES = 1 * MIB;
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
/** From this attempt on, a repeated failure is logged, and shown in `health` and `stats`. */
export const FOLLOWER_RETRIES_SILENT_MAX = 3;
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
/** Rows and bytes of one page of a scan that a client asked for. */
export const SCAN_ROWS_MAX = 1_000;
export const SCAN_BYTES_MAX = 1 * MIB;
/** Keys of one page of the whole cluster, at most and by default. */
export const SCAN_KEYS_MAX = 10_000;
export const SCAN_KEYS_DEFAULT = 1_000;
/** Rows that a node reads for one page or one piece of a count; then it answers, even with less than was asked for. */
export const SCAN_LOOKED_ROWS_MAX = 50_000;
export const SCAN_LOOKED_BYTES_MAX = 32 * MIB;
/** After the first rows of each partition a page may look at this many times as much again, whatever those took. */
export const SCAN_AGAIN_PART = 3;
/**
 * What a page has read beyond its end is kept for the next page of its scan: for at most this many scans, this
 * many entries of each, without their values, and for this long. If there are more entries, their values are
 * short, and they are soon read again.
 */
export const SCANS_READ_AHEAD_MAX = 8;
export const SCAN_READ_AHEAD_ENTRIES_MAX = 4_096;
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

/** Requests of one transaction; the same bound holds for its checks. */
export const TRANSACTION_REQUESTS_MAX = 1_000;
/** Bytes of the values that a transaction's requests write, one after the other. */
export const TRANSACTION_BYTES_MAX = 16 * MIB;
/** Bytes of a transaction's replies on the wire. */
export const TRANSACTION_REPLY_BYTES_MAX = 12 * MIB;
/** Writes that belong together and go to a replica in one frame. */
export const GROUP_WIRE_BYTES_MAX = 12 * MIB;
/** Groups of up to this size are not measured, because JSON makes at most six bytes of one. */
export const GROUP_BYTES_SURE = 2 * MIB;
/** Requests of one batch, and how many of them are under way at a time. */
export const BATCH_REQUESTS_MAX = 10_000;
export const BATCH_REQUESTS_AT_ONCE = 32;
/** Bytes of a batch's replies, beyond which no more requests begin; and of the first reply, if it alone is larger. */
export const BATCH_REPLY_BYTES_MAX = 8 * MIB;
export const BATCH_FIRST_REPLY_BYTES_MAX = 11 * MIB;

/** Snapshots of partitions that a node keeps for backups, ... */
export const BACKUP_SNAPSHOTS_MAX = 16;
/** ... each for this long after its last page was asked for, and never longer than the second. */
export const BACKUP_SNAPSHOT_IDLE_MS = 30_000;
export const BACKUP_SNAPSHOT_MS_MAX = 3_600_000;
/** The client's backup: partitions that are read at once. */
export const BACKUP_PARTITIONS_AT_ONCE = 4;
/** How long one partition is tried without progress. */
export const BACKUP_GIVE_UP_MS = 60_000;
/** A page of a backup is given up after this time, and its partition is begun again. */
export const BACKUP_PAGE_TIMEOUT_MS = 10_000;
/** Longest frame of a backup file, and longest text of a chunk. */
export const BACKUP_FRAME_BYTES_MAX = 64 * MIB;
/** The client's restore: partitions at once, entries kept in memory for each, and entries of one write. */
export const RESTORE_PARTITIONS_AT_ONCE = 4;
export const RESTORE_SLICE_BYTES = 64 * MIB;
export const RESTORE_WRITE_BYTES = 1 * MIB;
export const RESTORE_WRITE_ENTRIES = 256;

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

/** Storage. */
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
/** A commit seq that no write carries to disk is written after this time. */
export const STATE_WRITE_DELAY_MS = 1_000;
/** Among this many of the latest batches, the database can tell that one is missing. */
export const BATCH_MARKS = 4_096;
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

/** The client library's calls for many keys: keys under way at once, and the bytes of their values. */
export const MANY_AT_ONCE = 256;
export const MANY_BYTES_AT_ONCE = 32 * MIB;
/** The client's import: records in flight at once, and their bytes. */
export const IMPORT_IN_FLIGHT_MAX = 256;
export const IMPORT_BYTES_IN_FLIGHT_MAX = 32 * MIB;
/** Longest line (JSON lines) or record (CSV) of a file. */
export const IMPORT_RECORD_BYTES_MAX = 32 * MIB;
/** How long one record is tried before it counts as failed. */
export const IMPORT_GIVE_UP_MS = 60_000;
export const IMPORT_BACKOFF_MS = 50;
export const IMPORT_BACKOFF_MS_MAX = 1_000;
/** The summary lists this many rejected records, and this many repeated keys. */
export const IMPORT_LISTED_MAX = 1_000;
/** Distinct keys that an import can count (12 to 24 bytes of memory each). */
export const IMPORT_KEYS_COUNTED_MAX = 2 ** 24;
/** For a command on many keys, this many requests are under way at a time. */
export const CLIENT_REQUESTS_IN_FLIGHT_MAX = 64;
/** Keys that the shell offers at Tab: the ones that it was told last. */
export const RECENT_KEYS_MAX = 1_000;
/** Keys on each page that the client library reads for a scan. */
export const SCAN_LIBRARY_KEYS = 4_000;
/**
 * Deletions of keys that match something: how many are under way, how many begin in one step, and how many
 * keys are looked for at once (each look reads the first rows of all partitions).
 */
export const DELETES_IN_FLIGHT_MAX = 256;
export const DELETES_PER_STEP = 32;
export const DELETES_PAGE_KEYS = 4_000;
/** The client's export writes this much at a time. */
export const EXPORT_CHUNK_BYTES = 64 * KIB;

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
/** Cursors of SCAN that a node remembers. */
export const RESP_CURSORS_MAX = 16_384;
/** How often a command that reads before it writes is tried if others write meanwhile. */
export const RESP_ATTEMPTS_MAX = 16;
/** What KEYS may answer with. */
export const RESP_KEYS_BYTES_MAX = 16 * MIB;
/** Cells of the table that LCS fills (four bytes each). */
export const RESP_LCS_CELLS_MAX = 16 * MIB;
/** Keys that a page of SCAN looks at, whatever its COUNT: each page asks every partition. */
export const RESP_SCAN_KEYS_MIN = 256;

invariant(
  FRAME_BYTES_MAX > 2 * 6 * SCAN_BYTES_MAX + SCAN_ROWS_MAX * 1 * KIB,
  "a page of a scan fits in a frame, at twice its bytes and with six characters for each of them",
);
invariant(
  FRAME_BYTES_MAX > Math.ceil(VALUE_BYTES_MAX / 3) * 4 + 64 * KIB,
  "a frame holds a value as base64",
);
invariant(
  mapBytesMax(PARTITIONS_MAX, REPLICATION_FACTOR_DEFAULT) <= FRAME_BYTES_MAX,
  "a frame holds the map of as many partitions as there may be, with the usual replicas",
);
invariant(
  PARTITION_SHARE_MIN >= 4 && PARTITION_SHARE_MIN <= PARTITION_SHARE_MAX,
  "a partition's share has bounds",
);
invariant(
  TOMBSTONE_SETTLE_MS > 2 * (STATE_WRITE_DELAY_MS + NODE_TICK_MS),
  "every replica's disk tells that a write is committed before its tombstone may go",
);
invariant(EXPIRED_PER_WRITE > 1, "expired keys are deleted faster than such keys are written");
invariant(
  FIRST_MESSAGE_TIMEOUT_MS >= FIRST_BYTE_TIMEOUT_MS + FRAME_TIMEOUT_MS,
  "a first message has as much time as any other",
);
invariant(
  Math.min(...Object.values(UNFINISHED_BYTES_MAX)) >= RESP_COMMAND_BYTES_MAX,
  "one connection may send the longest command, first of all",
);
invariant(
  Math.min(QUEUED_BYTES_MAX.client, QUEUED_BYTES_MAX.peer) >= REPLY_BYTES_MAX + FRAME_BYTES_MAX,
  "one connection is cut off before all are",
);
invariant(
  LEAVING_CONNECTIONS_MAX <= FILE_DESCRIPTORS / 4,
  "connections that leave do not take the descriptors of files",
);
invariant(
  DESCRIPTORS_COUNTED > 2 * (FILE_DESCRIPTORS + PEER_DESCRIPTORS_MAX),
  "a count finds places beyond those that are kept",
);
invariant(LEASE_MS > 2 * HEARTBEAT_INTERVAL_MS, "a lease outlives one lost heartbeat");
invariant(
  HEARD_INTERVALS_MAX * HEARTBEAT_INTERVAL_MS < FAILURE_TIMEOUT_MS,
  "what a node heard before it counted as alive is not news any more when it counts as failed",
);
invariant(
  PARTITION_SHARE_MIN * CLIENT_SESSION_BYTES >
    3 * (CLIENT_SESSION_REPLY_CHARACTERS_MAX + CLIENT_SESSION_CHARACTERS_MAX) + 1 * KIB,
  "the entry of one client session does not take the place of all others",
);
invariant(
  LEASE_MS * (1 + CLOCK_DRIFT_MAX) < FAILURE_TIMEOUT_MS * (1 - CLOCK_DRIFT_MAX),
  "a lease has run out before its node is declared failed, for any allowed drift",
);
invariant(
  REQUEST_TIMEOUT_MS > FAILURE_TIMEOUT_MS + REPLICA_ACK_TIMEOUT_MS,
  "a request outlives a failover",
);
invariant(
  STOP_GRACE_MS > RETIRE_MS + FAILURE_TIMEOUT_MS,
  "a process that stops answers what had to wait for a failover",
);
invariant(
  DISK_HANDOVER_MS > DISK_FAILED_MS + HANDOVER_TIMEOUT_MS &&
    REQUEST_TIMEOUT_MS > 2 * DISK_HANDOVER_MS,
  "a write that meets a full disk waits for another replica to take over, and its client for that",
);
invariant(
  SESSION_SILENCE_MS > FAILURE_TIMEOUT_MS,
  "a session outlives what the coordinator may be silent for before it declares a failure",
);
invariant(
  DISCOVERY_REPEAT_MS + DISCOVERY_SETTLE_MS < DISCOVERY_WAIT_MS,
  "a question that was lost is asked again in time",
);
invariant(SESSION_SILENCE_MS > 2 * SESSION_PING_MS, "a pinged session has time to answer");
invariant(
  REPLY_BYTES_MAX > 2 * FRAME_BYTES_MAX,
  "a client that reads one large reply is not cut off",
);
invariant(FOLLOWER_RETRY_MS_MIN < FOLLOWER_RETRY_MS_MAX, "retries slow down");
invariant(
  READ_FAILURES_MAX > FOLLOWER_RETRIES_SILENT_MAX &&
    READ_FAILURE_MS_MAX > READ_FAILURES_MAX / 2 * REPLICA_ACK_TIMEOUT_MS,
  "a replica that cannot be read is in the log before it is given up",
);
invariant(6 * GROUP_BYTES_SURE <= GROUP_WIRE_BYTES_MAX, "what is not measured fits");
invariant(
  GROUP_WIRE_BYTES_MAX + 3 * PEER_FRAME_BYTES + 64 * KIB < FRAME_BYTES_MAX,
  "a frame to a replica holds a group behind others",
);
invariant(
  TRANSACTION_REPLY_BYTES_MAX > Math.ceil(VALUE_BYTES_MAX / 3) * 4 &&
    TRANSACTION_REPLY_BYTES_MAX + 64 * KIB < FRAME_BYTES_MAX,
  "a transaction answers with any value, and a frame holds its answer",
);
invariant(
  BATCH_FIRST_REPLY_BYTES_MAX > Math.ceil(VALUE_BYTES_MAX / 3) * 4,
  "a batch answers with any value",
);
invariant(
  Math.max(BATCH_REPLY_BYTES_MAX, BATCH_FIRST_REPLY_BYTES_MAX) + BATCH_REQUESTS_MAX * 512 <=
    FRAME_BYTES_MAX,
  "a frame holds a batch's replies, small ones included",
);
invariant(VNODES_DEFAULT * WEIGHT_MIN >= 1, "the lightest node has a virtual node");
invariant(
  REPLY_BYTES_PAUSE >= STREAM_HIGH_WATER_BYTES,
  "a server that paused for unread replies hears when they are read",
);
invariant(
  REQUEST_BYTES_PER_CONNECTION_MAX >= FRAME_BYTES_MAX && IN_FLIGHT_BYTES_MAX >= FRAME_BYTES_MAX,
  "any request may be under way",
);
invariant(
  REQUEST_BYTES_MAX > REQUEST_BYTES_PER_CONNECTION_MAX + FRAME_BYTES_MAX,
  "one connection alone does not keep the others from asking",
);
invariant(RPC_SILENCE_MS_MAX > 2 * RPC_PING_MS, "a pinged connection has time to answer");
invariant(
  REQUEST_QUEUE_BYTES_MAX > 2 * FRAME_BYTES_MAX,
  "a queue of requests holds a large frame",
);
invariant(STREAM_LOW_WATER_BYTES < STREAM_HIGH_WATER_BYTES, "a stream drains before it fills");
invariant(
  READ_ATTEMPT_TIMEOUT_MS < REQUEST_TIMEOUT_MS,
  "a read has time for a second attempt",
);
invariant(
  PEER_QUEUE_BYTES_MAX > 4 / 3 * IN_FLIGHT_BYTES_MAX + PEER_QUEUE_BYTES_PAUSE + 2 * FRAME_BYTES_MAX,
  "a peer's queue holds all writes that may be under way, as base64, behind a resync and a large frame",
);
invariant(
  PEER_QUEUE_BYTES_PAUSE > PEER_FRAME_BYTES + WRITE_JOIN_BYTES + STREAM_HIGH_WATER_BYTES,
  "if a resync waits for room, so much is in the stream that it will tell when that has left",
);
invariant(
  SCAN_ANSWER_PART < SCAN_OVERDUE_PART && SCAN_OVERDUE_PART < 1,
  "a scan that is late still has time to read of each partition what it must, and to answer",
);
invariant(
  DELETES_PAGE_KEYS >= DELETES_IN_FLIGHT_MAX && DELETES_PAGE_KEYS <= SCAN_KEYS_MAX,
  "a page is enough for the deletions that are under way",
);
invariant(BATCH_MARKS <= 65_536, "a batch mark's slot is two bytes", { BATCH_MARKS });
invariant(
  RESP_COMMAND_BYTES_MAX > VALUE_BYTES_MAX + KEY_BYTES_MAX &&
    RESP_ARGUMENTS_MAX * RESP_ARGUMENT_OVERHEAD_BYTES < RESP_COMMAND_BYTES_MAX,
  "a command holds a value, or as many arguments as it may have",
);

/**
 * Identity and rights; enforced by `shared/security/`. A node makes itself a new certificate at each start.
 */
export const CERTIFICATE_LIFETIME_MS = 90 * DAY_MS;
export const AUTHORITY_LIFETIME_MS = 10 * 365 * DAY_MS;
/** A new certificate begins so much earlier, for clients whose clocks are behind. */
export const CERTIFICATE_BACKDATING_MS = 5 * 60_000;
/** One of P-256 with nothing in it has about 400. */
export const CERTIFICATE_REQUEST_CHARACTERS_MAX = 8_192;
/** A token is a user's login for a program. */
export const USER_TOKEN_LIFETIME_MS = 365 * DAY_MS;
/** Each has its bound, so that the document of users has one. */
export const USERS_MAX = 1_000;
export const ROLES_MAX = 1_000;
export const GRANTS_PER_ROLE_MAX = 100;
export const ROLES_PER_USER_MAX = 20;
export const TOKENS_MAX = 1_000;
export const PASSWORD_CHARACTERS_MIN = 8;
export const PASSWORD_BYTES_MAX = 1_024;
/** A user's name, a colon and a password, as base64. */
export const HTTP_AUTHORIZATION_CHARACTERS_MAX = 2_048;
/** Each takes 32 MiB and a processor for 0.1 s. */
export const LOGINS_AT_ONCE_MAX = 2;
/** Those that wait for it: at 0.2 s each, the last waits 6 s. */
export const LOGINS_WAITING_MAX = 64;
/** An address that fails more often for one user waits, 1 s, 2 s, 4 s and so on; ... */
export const LOGIN_FAILURES_FREE = 3;
/** ... for all users together it may fail more often, as many people may share it. */
export const LOGIN_FAILURES_FREE_OF_ADDRESS = 30;
export const LOGIN_WAIT_MS = 1_000;
export const LOGIN_WAIT_MS_MAX = 60_000;
/** Addresses, and addresses with users, whose failures are remembered: 1 MiB. */
export const LOGIN_FAILURES_REMEMBERED = 8_192;
invariant(
  HTTP_AUTHORIZATION_CHARACTERS_MAX >
    Math.ceil((64 + PASSWORD_BYTES_MAX) / 3) * 4 + "Basic ".length,
  "a header holds any password",
);
invariant(
  AUTHORITY_LIFETIME_MS > 4 * CERTIFICATE_LIFETIME_MS,
  "an authority outlives what it signs",
);

/**
 * The most bytes that a cluster map, or a change of all of it, takes in a frame. While replicas move, a
 * partition has up to twice as many as asked for: the old ones, and those that are being filled.
 */
export function mapBytesMax(partitionCount: number, replicationFactor: number): number {
  const partitionBytes = MAP_PARTITION_BYTES + 2 * replicationFactor * MAP_COPY_BYTES;
  return partitionCount * partitionBytes + NODES_MAX * MAP_NODE_BYTES;
}

/** What one partition gets of a bound of the whole node. */
export function partitionShare(ofNode: number, partitions: number): number {
  const share = Math.floor(ofNode / partitions);
  return Math.min(Math.max(share, PARTITION_SHARE_MIN), PARTITION_SHARE_MAX);
}
