/**
 * Every message of the JSON wire, in one append-only table: name, fields, direction, and the protocol
 * version in which it appeared. The types that the code uses are derived from the table, and so are the
 * checks of received objects. Unknown fields are ignored; a field is never renamed or reused.
 *
 * @module
 */
import { texts } from "../schema/cluster_fields.ts";
import { array, flag, keyText, oneOf, optional, text, uint } from "../schema/fields.ts";
import { COORDINATOR_MESSAGES } from "../schema/coordinator_messages.ts";
import { type HeldPartition, MEMBER_MESSAGES } from "../schema/member_messages.ts";
import { PEER_MESSAGES } from "../schema/peer_messages.ts";
import {
  CERTIFICATE_MESSAGES,
  JOIN_MESSAGES,
  SECURITY_MESSAGES,
  type WireGrant,
} from "../schema/security_messages.ts";
import { WATCH_MESSAGES } from "../schema/watch_messages.ts";
import { PART_MESSAGES, type PartMessageName } from "../operations/part_messages.ts";
import {
  operationMessages,
  type OperationName,
  type PlainOperationName,
} from "../operations/table.ts";
import {
  type Direction,
  message,
  type MessageOf,
  type MessageSpec,
  type Reply,
  REPLY_MESSAGES,
  type ReplyTo,
  type WireEntry,
} from "../schema/reply_messages.ts";

export type { Direction, HeldPartition, Reply, ReplyTo, WireEntry, WireGrant };

/** The version of the wire that this code speaks. */
export const PROTOCOL_VERSION = 1;

/** How a write is acknowledged: by all in-sync replicas, or by the primary's own disk alone. */
export type Acks = "all" | "primary";
/** How fresh a read is: `strong` is linearizable; the others are defined in docs/replication.md. */
export type Consistency = "strong" | "replica" | "cached";

const key = { key: keyText };
/** A selection of keys: those that begin with `prefix`, from `start`, inclusive, to `end`, exclusive. */
const bounds = { prefix: optional(keyText), start: optional(keyText), end: optional(keyText) };
/** Its name; default: `default`. */
const database = { database: optional(text) };

/** The table. Add at the end of a group; never remove. */
export const MESSAGES = {
  // Any peer, first.
  hello: message(1, "request", {
    protocol: uint,
    /** What the connection is for: see `shared/server/handshake.ts`. */
    role: oneOf("client", "node", "gateway", "coordinator", "peer", "member"),
    node: optional(text),
    cluster_id: optional(text),
    /** A client's password if `user` is given, else its token. */
    secret: optional(text),
    user: optional(text),
    /** To a node: the node that the caller expects. Another node may have its address by now. */
    to: optional(text),
    /** Of a node to another, for replication: the newest version of binary frames that it knows (`binary_frames.ts`). */
    frames: optional(uint),
  }),
  ping: message(1, "request", {}),

  // Operations on keys: see operations/table.ts.
  ...operationMessages(),

  // Directory.
  get_map: message(1, "request", { epoch: optional(uint) }),
  list_nodes: message(1, "request", {}),
  get_nodes_for_key: message(1, "request", { ...key, ...database }),
  stats: message(1, "request", {}),
  /**
   * What the sender is about to do by requests for single keys, for the audit log of a secured process. Answered
   * by `ack`.
   */
  announce: message(1, "request", { what: oneOf("restore", "flush_all") }),

  /**
   * A page of a snapshot of one partition, as of one seq, for backups. Sent to its primary, or, with
   * `snapshot` (the last page's `next`), to the same node again. Answered by `entries` with `seq` and `term`.
   */
  backup_partition: message(1, "request", {
    partition: uint,
    snapshot: optional(text),
    timeout_ms: optional(uint),
  }),

  /** A page of the keys of the whole cluster, in order. Answered by `entries`. */
  scan: message(1, "request", {
    ...bounds,
    ...database,
    after: optional(keyText),
    limit: optional(uint),
    reverse: optional(flag),
    values: optional(flag),
    timeout_ms: optional(uint),
  }),
  /** How many keys of the whole cluster there are between the bounds. Answered by `result`. */
  count: message(1, "request", { ...bounds, ...database, timeout_ms: optional(uint) }),
  /**
   * Deletes every key between the bounds, each by itself. At least one bound must be given (`prefix: ""`
   * means all keys). Answered by `result`: how many were `deleted`, and, if the time was nearly over,
   * `next`, to be given as `after`.
   */
  delete_matching: message(1, "request", {
    ...bounds,
    ...database,
    after: optional(keyText),
    timeout_ms: optional(uint),
  }),
  /** As `scan`, but only of the partitions of which the node is primary. */
  scan_node: message(1, "request", {
    ...bounds,
    /** A selection of partitions: see `partition_set.ts`. Default: all. */
    partitions: optional(text),
    after: optional(keyText),
    limit: optional(uint),
    reverse: optional(flag),
    values: optional(flag),
    timeout_ms: optional(uint),
    /** The node that the request is meant for and that the sender cannot reach: pass it on to that node, once. */
    of: optional(text),
  }),
  /**
   * As `count`, but only of the partitions of which the node is primary, as far as it gets. Answered by
   * `result`: `count`, the `partitions` that were counted completely, and where it stopped: in the
   * partition `at`, after the key `after`.
   */
  count_node: message(1, "request", {
    ...bounds,
    partitions: optional(text),
    /** The partition to begin with, after the key `after`. */
    at: optional(uint),
    after: optional(keyText),
    timeout_ms: optional(uint),
    of: optional(text),
  }),
  /**
   * Between nodes: a message for the subscribers of the asked node, or a question about them. Answered by `result`:
   * `receivers`, `channels`, `subscribers` (of each channel that was asked about) and `patterns`.
   */
  pubsub: message(1, "request", {
    op: oneOf("publish", "channels", "numsub"),
    /** Of shard channels, which patterns do not match. */
    shard: optional(flag),
    channels: optional(texts),
    pattern: optional(text),
    value: optional(text),
    value64: optional(text),
  }),
  /** Independent requests, each handled by itself, in no order. */
  batch: message(1, "request", { requests: array<object>(), timeout_ms: optional(uint) }),
  /** The numbers of one process. Answered by `result`: see `metrics/metric_document.ts`. */
  metrics: message(1, "request", {}),
  /** The newest slow requests of one process, the newest first. Answered by `result`. */
  slow_requests: message(1, "request", { limit: optional(uint) }),

  // Parts of transactions over several partitions, between nodes: see operations/part_messages.ts.
  ...PART_MESSAGES,

  // Replies: see reply_messages.ts.
  ...REPLY_MESSAGES,

  // Between nodes: see peer_messages.ts. Between a node and the coordinator: see member_messages.ts.
  ...PEER_MESSAGES,
  ...MEMBER_MESSAGES,

  // Orders of an administrator: see security_messages.ts.
  ...SECURITY_MESSAGES,
  ...CERTIFICATE_MESSAGES,
  ...JOIN_MESSAGES,
  // Between coordinators, and about them: see coordinator_messages.ts.
  ...COORDINATOR_MESSAGES,

  // Watches: see watch_messages.ts.
  ...WATCH_MESSAGES,

  // To every peer that has said hello: this process stops. It answers what was asked; ask nothing more.
  closing: message(1, "push", {}),
} as const satisfies Record<string, MessageSpec>;

/** The name of a message. */
export type MessageType = keyof typeof MESSAGES;

/** A message of one type, as an object of the wire. */
export type Message<M extends MessageType = MessageType> = M extends MessageType
  ? MessageOf<M, (typeof MESSAGES)[M]>
  : never;

/** Names of the messages with a given direction. */
type TypesOf<D extends Direction> = {
  [M in MessageType]: (typeof MESSAGES)[M]["direction"] extends D ? M : never;
}[MessageType];

/** What a client may ask. */
export type Request = Message<TypesOf<"request">>;

/** A read or write of one key, or a transaction. */
export type KeyRequest = Message<OperationName>;

/** What a transaction's leader asks of its participants, and they of it. */
export type PartRequest = Message<PartMessageName>;

/** What is sent to the primary of a key. */
export type RoutedRequest = KeyRequest | PartRequest;

/** Whether a message is about a part of a transaction. */
export function isPartRequest(message: Message): message is PartRequest {
  return Object.hasOwn(PART_MESSAGES, message.req_type);
}

/** What may be inside a transaction. */
export type PlainRequest = Message<PlainOperationName>;

/** An administrator's order about users, roles and tokens. */
export type SecurityOrder = Message<keyof typeof SECURITY_MESSAGES>;

/** Whether a message is such an order. */
export function isSecurityOrder(message: Message): message is SecurityOrder {
  return Object.hasOwn(SECURITY_MESSAGES, message.req_type);
}

/** An administrator's order about members' certificates. */
export type CertificateOrder = Message<keyof typeof CERTIFICATE_MESSAGES>;

/** Whether a message is such an order. */
export function isCertificateOrder(message: Message): message is CertificateOrder {
  return Object.hasOwn(CERTIFICATE_MESSAGES, message.req_type);
}

/** Whether only the active coordinator can carry a request out; the others pass it on to that one. */
export function isForActive(message: Message): boolean {
  const { req_type: type } = message;
  return isSecurityOrder(message) || isCertificateOrder(message) || type === "join" ||
    type === "force" || type === "forget_node" || type === "coordinators" ||
    type === "coordinators_change" || type === "database_create" || type === "database_drop";
}

/** What a primary sends to a node that follows it. */
export type DownstreamMessage = Message<TypesOf<"downstream">>;

/** What a node sends back to a primary that it follows. */
export type UpstreamMessage = Message<TypesOf<"upstream">>;

/** What a node says in its session with the coordinator. */
export type MemberMessage = Message<TypesOf<"member"> | "heartbeat" | "get_map">;

/** What one coordinator sends to another. */
export type AgreementMessage = Message<TypesOf<"agreement">>;

/** Whether the table says that a message goes in this direction. */
export function goes<D extends Direction>(
  message: Message,
  direction: D,
): message is Message<TypesOf<D>> {
  return MESSAGES[message.req_type].direction === direction;
}
