/**
 * Every message of the JSON wire, in one append-only table: name, fields, direction, and the protocol
 * version in which it appeared. The types that the code uses are derived from the table, and so are the
 * checks of received objects. Unknown fields are ignored; a field is never renamed or reused.
 *
 * @module
 */
import type { ClusterMap, ClusterMapDelta, PartitionConfig } from "../cluster/cluster_map.ts";
import {
  array,
  type Field,
  field,
  flag,
  number,
  oneOf,
  optional,
  positiveDuration,
  text,
  uint,
} from "../schema/fields.ts";
import { operationMessages, type OperationName } from "../operations/table.ts";
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
import {
  isClusterMap,
  isClusterMapDelta,
  isObject,
  isPartition,
  isPartitionConfig,
  isTerm,
  isTextList,
  isUint,
} from "../cluster/map_shape.ts";

export type { Direction, Reply, ReplyTo, WireEntry };

/** The version of the wire that this code speaks. */
export const PROTOCOL_VERSION = 1;

const texts = field<readonly string[]>("an array of strings", isTextList);
const from1 = field<number>("a whole number from 1", (v) => isUint(v) && v > 0);
const partition = field<number>("the number of a partition", isPartition);
const term = field<number>("a term", isTerm);
const partitionConfig = field<PartitionConfig>("a partition's configuration", isPartitionConfig);
const clusterMap = field<ClusterMap>("a cluster map", isClusterMap);

/** An array of arrays, each beginning with a partition and continuing with values that pass the checks. */
const tuples = <T>(requires: string, ...checks: ((value: unknown) => boolean)[]) =>
  field<readonly T[]>(
    `an array of ${requires}`,
    (value) =>
      Array.isArray(value) &&
      value.every((item) =>
        Array.isArray(item) && isPartition(item[0]) && checks.every((is, i) => is(item[i + 1]))
      ),
  );
/** A right on the keys of a database that begin with a prefix; see shared/security/rights.ts. */
export interface WireGrant {
  readonly database: string;
  readonly prefix: string;
  readonly right: "read" | "write" | "admin";
}

const GRANT_TEXTS = ["database", "prefix", "right"];
const grants = field<readonly WireGrant[]>(
  "an array of {database, prefix, right}",
  (value) =>
    Array.isArray(value) &&
    value.every((grant: unknown) =>
      isObject(grant) && GRANT_TEXTS.every((name) => typeof grant[name] === "string")
    ),
);

/** How a write is acknowledged: by all in-sync replicas, or by the primary's own disk alone. */
export type Acks = "all" | "primary";
/** How fresh a read is: `strong` is linearizable; the others are defined in docs/replication.md. */
export type Consistency = "strong" | "replica" | "cached";

/** What a node's disk holds of one partition: partition, term, last seq, and 1 if it is damaged. */
export type HeldPartition = readonly [
  partition: number,
  term: number,
  lastSeq: number,
  damaged: 0 | 1,
];

const key = { key: text };
/** A selection of keys: those that begin with `prefix`, from `start`, inclusive, to `end`, exclusive. */
const bounds = { prefix: optional(text), start: optional(text), end: optional(text) };

/** The table. Add at the end of a group; never remove. */
export const MESSAGES = {
  // Any peer, first.
  hello: message(1, "request", {
    protocol: uint,
    role: oneOf("client", "node", "gateway", "coordinator"),
    node: optional(text),
    cluster_id: optional(text),
    /** A client's password if `user` is given, else its token. */
    secret: optional(text),
    user: optional(text),
    /** To a node: the node that the caller expects. Another node may have its address by now. */
    to: optional(text),
  }),
  ping: message(1, "request", {}),

  // Operations on keys: see operations/table.ts.
  ...operationMessages(),

  // Directory.
  get_map: message(1, "request", { epoch: optional(uint) }),
  list_nodes: message(1, "request", {}),
  get_nodes_for_key: message(1, "request", key),
  stats: message(1, "request", {}),

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
    after: optional(text),
    limit: optional(uint),
    reverse: optional(flag),
    values: optional(flag),
    timeout_ms: optional(uint),
  }),
  /** How many keys of the whole cluster there are between the bounds. Answered by `result`. */
  count: message(1, "request", { ...bounds, timeout_ms: optional(uint) }),
  /**
   * Deletes every key between the bounds, each by itself. At least one bound must be given (`prefix: ""`
   * means all keys). Answered by `result`: how many were `deleted`, and, if the time was nearly over,
   * `next`, to be given as `after`.
   */
  delete_matching: message(1, "request", {
    ...bounds,
    after: optional(text),
    timeout_ms: optional(uint),
  }),
  /** As `scan`, but only of the partitions of which the node is primary. */
  scan_node: message(1, "request", {
    ...bounds,
    /** A selection of partitions: see `partition_set.ts`. Default: all. */
    partitions: optional(text),
    after: optional(text),
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
    after: optional(text),
    timeout_ms: optional(uint),
    of: optional(text),
  }),
  /** Independent requests, each handled by itself, in no order. */
  batch: message(1, "request", { requests: array<object>(), timeout_ms: optional(uint) }),

  // Replies: see reply_messages.ts.
  ...REPLY_MESSAGES,

  // Between nodes: replication. `p` is a partition; see docs/replication.md.
  /** Asks a follower where it stands; carries the configuration, which the follower adopts if it is newer. */
  resync_query: message(1, "peer", {
    p: partition,
    config: partitionConfig,
    epoch: uint,
    stream: uint,
  }),
  resync_info: message(1, "peer", {
    p: partition,
    term,
    stream: uint,
    last_term: term,
    commit: uint,
    last: uint,
    /** Keys written beyond `commit`; absent if there are too many to list, which asks for everything. */
    unacknowledged: optional(texts),
  }),
  /** Opens the stream: live writes from `next` on follow in it. */
  resync_begin: message(1, "peer", { p: partition, term, stream: uint, next: from1, full: flag }),
  /**
   * A piece of the partition. With `full`, it holds everything between `after` (exclusive; absent: the
   * beginning) and `upto` (inclusive; absent: the end), as of `seq`; otherwise only these entries.
   */
  resync_chunk: message(1, "peer", {
    p: partition,
    term,
    stream: uint,
    seq: uint,
    after: optional(text),
    upto: optional(text),
    full: flag,
    entries: array<WireEntry>(),
    /** Keys that the primary does not have. */
    absent: optional(texts),
  }),
  resync_end: message(1, "peer", {
    p: partition,
    term,
    stream: uint,
    last: uint,
    commit: uint,
    watermark: uint,
  }),
  /** A new configuration of the same primary, for a follower whose stream goes on. */
  new_term: message(1, "peer", {
    p: partition,
    config: partitionConfig,
    epoch: uint,
    stream: uint,
  }),
  /** Live writes: several partitions in one frame. */
  append: message(1, "peer", {
    // Each entry is checked by the code that takes it over.
    parts: tuples<
      readonly [
        partition: number,
        term: number,
        stream: number,
        commit: number,
        entries: readonly WireEntry[],
      ]
    >("[partition, term, stream, commit, entries]", isTerm, isUint, isUint, Array.isArray),
  }),
  /** On disk at the follower, up to seq. */
  appended: message(1, "peer", {
    acks: tuples<readonly [partition: number, term: number, stream: number, seq: number]>(
      "[partition, term, stream, seq]",
      isTerm,
      isUint,
      isUint,
    ),
  }),
  /** The follower cannot follow this stream (gap, other term); the primary asks again where it stands. */
  stream_refused: message(1, "peer", {
    p: partition,
    term,
    stream: uint,
    reason: text,
    /** Asking again will not help while the replica is in sync; it must be filled as a learner. */
    hopeless: optional(flag),
  }),
  /** A read without a lease: do you still know me as primary of these terms? */
  confirm: message(1, "peer", {
    round: uint,
    parts: tuples<readonly [partition: number, term: number]>("[partition, term]", isTerm),
  }),
  confirmed: message(1, "peer", {
    round: uint,
    refused: field<readonly number[]>(
      "an array of partitions",
      (value) => Array.isArray(value) && value.every(isPartition),
    ),
  }),
  /** Same seq, same content? Sent when nothing is in flight. */
  digest: message(1, "peer", {
    p: partition,
    term,
    stream: uint,
    seq: uint,
    count: uint,
    digest: uint,
  }),
  /** The follower has written this many chunks of the stream; the primary may send more. */
  resync_progress: message(1, "peer", { p: partition, term, stream: uint, chunks: uint }),
  digest_differs: message(1, "peer", {
    p: partition,
    term,
    stream: uint,
    count: uint,
    digest: uint,
  }),

  // Between a node and the coordinator.
  register: message(1, "member", {
    node: text,
    /** Random per process; distinguishes two processes that use one folder. */
    instance: text,
    incarnation: uint,
    host: text,
    port: uint,
    http_port: uint,
    zone: text,
    weight: number,
    /** Absent for a folder that belongs to no cluster yet. */
    cluster_id: optional(text),
    memory: optional(flag),
    /** The only cluster that such a folder may join; absent: any. */
    cluster_name: optional(text),
    held: array<HeldPartition>(),
    /** The newest map that this process has seen. */
    seen_epoch: optional(uint),
    seen_generation: optional(text),
    /** How far its database had got when this process opened it; see `batch` of `heartbeat`. */
    batch: optional(uint),
  }),
  registered: message(1, "member", {
    map: clusterMap,
    heartbeat_port: uint,
    /** When it was sent, on the coordinator's clock; see `heartbeat`. */
    at: number,
  }),
  map_delta: message(1, "push", {
    delta: field<ClusterMapDelta>("a change of a cluster map", isClusterMapDelta),
  }),
  caught_up: message(1, "member", { p: partition, term, node: text }),
  lagging: message(1, "member", { p: partition, term, node: text, reason: text }),
  /** The replica found its own data damaged: remove it from the in-sync set and fill it again. */
  damaged: message(1, "member", { p: partition, term }),
  handover: message(1, "push", { p: partition, term, to: text }),
  drained: message(1, "member", { p: partition, term }),
  /**
   * The primary drained, heard nothing, and serves again; it asks its followers for each read. The
   * coordinator answers with a new term for the same primary, after which its lease counts again.
   */
  resumed: message(1, "member", { p: partition, term }),
  /** The node wants to leave: move its primaries and replicas away. Answered by `left` when it holds none that matter. */
  leave: message(1, "member", {
    /**
     * The process ends but will come back to its data: hand over only its primaries, leave its replicas
     * where they are, and keep it in the node list. `left` follows when it is primary of nothing that
     * another in-sync replica could take over. If it registers again, this ends.
     */
    stopping: optional(flag),
  }),
  left: message(1, "push", {}),
  /**
   * Register again: the coordinator does not know this node as a live member, or wants to know what it
   * holds by now.
   */
  register_again: message(1, "push", {}),
  /**
   * An operator's order to the coordinator: make a replica primary although it may lack acknowledged
   * writes. It applies to every partition that no node can serve, or to one; to the named node's replica,
   * or to the best one. Answered by `result` with a list of `{partition, node, term, last_seq}`; the last
   * two are what the chosen replica's node has reported.
   */
  force: message(1, "member", { partition: optional(uint), node: optional(text) }),

  // Datagrams; the first two also travel over the TCP session, each time.
  heartbeat: message(1, "datagram", {
    node: text,
    incarnation: uint,
    instance: text,
    sent: number,
    /** The newest map whose primaries, as far as they concern this node, are noted on its disk. */
    epoch: uint,
    /** The newest map that it follows. */
    map: uint,
    /** `at` of what it heard last over the current session; absent if it heard nothing. */
    heard: optional(number),
    /** The number of partitions of which the map makes it primary and that it cannot serve now. */
    unserved: uint,
    /** The number of the last batch that is certainly in the node's database; it never goes back. */
    batch: optional(uint),
  }),
  heartbeat_ack: message(1, "datagram", {
    node: text,
    instance: text,
    sent: number,
    epoch: uint,
    /** When it was sent, on the coordinator's clock. */
    at: number,
    /** Whether it grants a lease: not before the node is known to hear. */
    lease: flag,
  }),
  /** `cluster` is an id, `name` a cluster's name; `pad` makes it as long as any possible answer. */
  discover: message(1, "datagram", {
    cluster: optional(text),
    nonce: text,
    name: optional(text),
    pad: optional(text),
  }),
  /** `host` is empty if the coordinator can be reached at the address that this datagram comes from. */
  discovered: message(1, "datagram", {
    cluster: text,
    host: text,
    port: uint,
    nonce: text,
    name: text,
    instance: text,
  }),

  /** A node, about its disk: it accepts writes again, or refuses them. If it refuses, sent after each registration. */
  disk: message(1, "member", { writable: flag }),

  /**
   * An operator's order to the coordinator: a node that is down will not come back; remove it from the list.
   * Refused while the node is up, and if a partition has no other replica with all acknowledged writes, unless
   * `force` gives such writes up. Answered by `result`, `{node, forced}`; `forced` is as the answer to `force`.
   */
  forget_node: message(1, "member", { node: text, force: optional(flag) }),

  // Orders of an administrator to the coordinator of a secured cluster, about users, roles and tokens; see
  // shared/security/. Each is answered by `result`, and, if it changes something, when that is on disk.
  /** Without a password it logs in by token or certificate only. */
  user_add: message(1, "member", {
    user: text,
    password: optional(text),
    roles: optional(texts),
  }),
  /** A new password, other roles, or both; what is absent stays as it is. */
  user_change: message(1, "member", {
    user: text,
    password: optional(text),
    roles: optional(texts),
  }),
  user_remove: message(1, "member", { user: text }),
  user_list: message(1, "member", {}),
  /** Makes a role, or gives one that is there these grants in place of its own. */
  role_set: message(1, "member", { role: text, grants }),
  role_remove: message(1, "member", { role: text }),
  role_list: message(1, "member", {}),
  /** Either `join`, as what a member may join with it, or `user`, as whom it logs in. */
  token_create: message(1, "member", {
    join: optional(oneOf("node", "coordinator")),
    user: optional(text),
    ttl_ms: optional(positiveDuration),
  }),
  token_list: message(1, "member", {}),
  /** `token` is its id, as `token_list` shows it. */
  token_revoke: message(1, "member", { token: text }),

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

/** What may be inside a transaction. */
export type PlainRequest = Message<Exclude<OperationName, "transaction">>;

/** An administrator's order about users, roles and tokens. */
export type SecurityOrder = Message<
  | "user_add"
  | "user_change"
  | "user_remove"
  | "user_list"
  | "role_set"
  | "role_remove"
  | "role_list"
  | "token_create"
  | "token_list"
  | "token_revoke"
>;

/** Messages between nodes about one partition; so without `append` and others that are about several. */
export type PeerMessage = Extract<Message<TypesOf<"peer">>, { readonly p: number }>;

/**
 * Why an object is not a message of the table, as an English clause; undefined if it is one.
 * JSON null counts as absent only for an optional field.
 */
export function whyInvalid(message: Record<string, unknown>): string | undefined {
  const type = message.req_type;
  if (typeof type !== "string") return `"req_type" must be a string`;
  const spec: MessageSpec | undefined = Object.hasOwn(MESSAGES, type)
    ? MESSAGES[type as MessageType]
    : undefined;
  if (spec === undefined) return `unknown req_type ${JSON.stringify(type.slice(0, 64))}`;
  const { id } = message;
  if (id !== undefined && id !== null && typeof id !== "number" && typeof id !== "string") {
    return `${type}: "id" must be a number or a string`;
  }
  for (const name in spec.fields) {
    const wanted = spec.fields[name];
    const value = message[name];
    if (wanted === undefined || (wanted.optional && (value === undefined || value === null))) {
      continue;
    }
    if (!wanted.is(value)) {
      return value === undefined
        ? `${type}: "${name}" is missing; it must be ${wanted.requires}`
        : `${type}: "${name}" must be ${wanted.requires}`;
    }
  }
  return undefined;
}

/** The fields of a message by name, and how many of them must be there. */
interface FieldChecks {
  // A map: in an object, a peer's field name could match a property that every object has.
  readonly fields: ReadonlyMap<string, Field<unknown>>;
  readonly required: number;
}

const CHECKS: ReadonlyMap<string, FieldChecks> = new Map(
  Object.entries<MessageSpec>(MESSAGES).map(([type, { fields }]) => [type, {
    fields: new Map(Object.entries(fields)),
    required: Object.values(fields).filter(({ optional }) => !optional).length,
  }]),
);

/**
 * Whether an object is a message of the table that has only fields of the table (and perhaps an `id`),
 * none of them null. It looks at the fields that are there, not at the many that could be. Nearly every
 * message passes this; {@linkcode whyInvalid} judges the others.
 */
export function isExact(message: Record<string, unknown>): boolean {
  const checks = CHECKS.get(message.req_type as string);
  if (checks === undefined) return false;
  let missing = checks.required;
  for (const name in message) {
    if (name === "req_type" || name === "id") continue;
    const wanted = checks.fields.get(name);
    const value = message[name];
    if (wanted === undefined || value === null || !wanted.is(value)) return false;
    if (!wanted.optional) missing--;
  }
  return missing === 0;
}
