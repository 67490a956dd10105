/**
 * Streams and connections of one process: buffers, deadlines, reconnection, and how a process stops.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";
import { REPLY_BYTES_PAUSE } from "./admission.ts";

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
/**
 * What a process repeats by itself until it succeeds is in its log from this failure in a row on, and at each doubling of
 * their number; work on replicas is in `health` and `stats` as well.
 */
export const RETRIES_SILENT_MAX = 3;
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

/** A process that stops gives its clients this long to end their connections between two requests, ... */
export const RETIRE_MS = 1_000;
/** ... and answers what they have asked for this long, counted from the same moment. */
export const STOP_GRACE_MS = 4_000;

invariant(RPC_SILENCE_MS_MAX > 2 * RPC_PING_MS, "a pinged connection has time to answer");
invariant(STREAM_LOW_WATER_BYTES < STREAM_HIGH_WATER_BYTES, "a stream drains before it fills");
