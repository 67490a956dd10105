/**
 * Relations between bounds of different subjects, asserted when a program starts. Those within one subject are
 * asserted in its own file.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB } from "../base/units.ts";
import {
  FIRST_BYTE_TIMEOUT_MS,
  FIRST_MESSAGE_TIMEOUT_MS,
  QUEUED_BYTES_MAX,
  REPLY_BYTES_MAX,
  REPLY_BYTES_PAUSE,
  REQUEST_BYTES_MAX,
  REQUEST_BYTES_PER_CONNECTION_MAX,
  UNFINISHED_BYTES_MAX,
} from "./admission.ts";
import {
  DATABASE_PREFIX_BYTES_MAX,
  DATABASES_MAX,
  MAP_DATABASE_BYTES,
  mapBytesMax,
  NODES_MAX,
  PARTITIONS_MAX,
  REPLICATION_FACTOR_DEFAULT,
} from "./cluster.ts";
import {
  REQUEST_QUEUE_BYTES_MAX,
  RETIRE_MS,
  STOP_GRACE_MS,
  STREAM_HIGH_WATER_BYTES,
  WRITE_JOIN_BYTES,
} from "./connections.ts";
import { FAILURE_TIMEOUT_MS } from "./membership.ts";
import {
  HANDOVER_TIMEOUT_MS,
  IN_FLIGHT_BYTES_MAX,
  NODE_TICK_MS,
  PEER_FRAME_BYTES,
  PEER_QUEUE_BYTES_MAX,
  PEER_QUEUE_BYTES_PAUSE,
  REPLICA_ACK_TIMEOUT_MS,
  TOMBSTONE_SETTLE_MS,
} from "./replication.ts";
import {
  BATCH_FIRST_REPLY_BYTES_MAX,
  BATCH_REPLY_BYTES_MAX,
  BATCH_REQUESTS_MAX,
  CLIENT_SESSION_BYTES,
  CLIENT_SESSION_CHARACTERS_MAX,
  CLIENT_SESSION_REPLY_CHARACTERS_MAX,
  GROUP_WIRE_BYTES_MAX,
  REQUEST_TIMEOUT_MS,
  TRANSACTION_REPLY_BYTES_MAX,
} from "./requests.ts";
import {
  RESP_ARGUMENT_OVERHEAD_BYTES,
  RESP_ARGUMENTS_MAX,
  RESP_COMMAND_BYTES_MAX,
} from "./resp.ts";
import { SCAN_BYTES_MAX, SCAN_ROWS_MAX } from "./scans.ts";
import {
  CERTIFICATES_MAX,
  CERTIFICATES_PER_MEMBER_MAX,
  JUDGED_CHARACTERS_MAX,
} from "./security.ts";
import {
  DISK_FAILED_MS,
  DISK_HANDOVER_MS,
  PARTITION_SHARE_MIN,
  STATE_WRITE_DELAY_MS,
} from "./storage.ts";
import {
  FRAME_BYTES_MAX,
  FRAME_TIMEOUT_MS,
  KEY_BYTES_MAX,
  STORED_KEY_BYTES_MAX,
  VALUE_BYTES_MAX,
} from "./wire.ts";

invariant(
  FRAME_BYTES_MAX > 2 * 6 * SCAN_BYTES_MAX + SCAN_ROWS_MAX * 1 * KIB,
  "a page of a scan fits in a frame, at twice its bytes and with six characters for each of them",
);
invariant(
  mapBytesMax(PARTITIONS_MAX, REPLICATION_FACTOR_DEFAULT) <= FRAME_BYTES_MAX,
  "a frame holds the map of as many partitions as there may be, with the usual replicas",
);
invariant(
  TOMBSTONE_SETTLE_MS > 2 * (STATE_WRITE_DELAY_MS + NODE_TICK_MS),
  "every replica's disk tells that a write is committed before its tombstone may go",
);
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
  PARTITION_SHARE_MIN * CLIENT_SESSION_BYTES >
    3 * (CLIENT_SESSION_REPLY_CHARACTERS_MAX + CLIENT_SESSION_CHARACTERS_MAX) + 1 * KIB,
  "the entry of one client session does not take the place of all others",
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
  REPLY_BYTES_MAX > 2 * FRAME_BYTES_MAX,
  "a client that reads one large reply is not cut off",
);
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
invariant(
  REQUEST_QUEUE_BYTES_MAX > 2 * FRAME_BYTES_MAX,
  "a queue of requests holds a large frame",
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
  RESP_COMMAND_BYTES_MAX > VALUE_BYTES_MAX + KEY_BYTES_MAX &&
    RESP_ARGUMENTS_MAX * RESP_ARGUMENT_OVERHEAD_BYTES < RESP_COMMAND_BYTES_MAX,
  "a command holds a value, or as many arguments as it may have",
);
invariant(
  CERTIFICATES_MAX >= NODES_MAX * CERTIFICATES_PER_MEMBER_MAX,
  "all nodes' certificates fit into the document",
);
invariant(
  3 * JUDGED_CHARACTERS_MAX < FRAME_BYTES_MAX,
  "a frame holds users, roles and tokens, whatever characters they have",
);
invariant(
  STORED_KEY_BYTES_MAX >= KEY_BYTES_MAX + DATABASE_PREFIX_BYTES_MAX,
  "a row has room for the longest key of a database",
);
invariant(
  mapBytesMax(PARTITIONS_MAX, REPLICATION_FACTOR_DEFAULT) + DATABASES_MAX * MAP_DATABASE_BYTES <=
    FRAME_BYTES_MAX,
  "a map with all databases fits into a frame",
);
