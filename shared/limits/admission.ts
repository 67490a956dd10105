/**
 * Connections, requests and replies that a process takes on at a time.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { MIB } from "../base/units.ts";

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
/**
 * Replies that a client has not read: above the first bound, reading its requests pauses; at the second it is
 * disconnected. The second is far higher, because most of the requests under way may be answered in one turn
 * of the event loop, in which no client can read: as many replies as may be under way, of 64 KiB each. A
 * client that reads too slowly meets WRITE_STALL_TIMEOUT_MS.
 */
export const REPLY_BYTES_PAUSE = 1 * MIB;
export const REPLY_BYTES_MAX = 256 * MIB;
/** A client that takes none of its replies for this long is disconnected. */
export const WRITE_STALL_TIMEOUT_MS = 30_000;

invariant(
  LEAVING_CONNECTIONS_MAX <= FILE_DESCRIPTORS / 4,
  "connections that leave do not take the descriptors of files",
);
invariant(
  DESCRIPTORS_COUNTED > 2 * (FILE_DESCRIPTORS + PEER_DESCRIPTORS_MAX),
  "a count finds places beyond those that are kept",
);
