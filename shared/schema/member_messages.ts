/**
 * The messages between a node or an operator and the coordinator, and those of discovery, as rows of the table of
 * messages (`wire/messages.ts`).
 *
 * @module
 */
import type { ClusterMapDelta } from "../cluster/cluster_map.ts";
import { isClusterMapDelta } from "../cluster/map_shape.ts";
import { clusterMap, partition, term, texts } from "./cluster_fields.ts";
import {
  array,
  field,
  flag,
  number,
  object,
  optional,
  positiveUint,
  text,
  uint,
} from "./fields.ts";
import { message, type MessageSpec } from "./reply_messages.ts";

/** What a node's disk holds of one partition: partition, term, last seq, and 1 if it is damaged. */
export type HeldPartition = readonly [
  partition: number,
  term: number,
  lastSeq: number,
  damaged: 0 | 1,
];

/** The rows. Add at the end; never remove. */
export const MEMBER_MESSAGES = {
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
    /** Where other members reach it, in a secured cluster; absent: by `port`. */
    peer_port: optional(uint),
    /** Of the map that it has seen, in a secured cluster: the seal that it came with. */
    seen_seal: optional(text),
    /** By which version of users and roles it judges, in a secured cluster. */
    security_version: optional(uint),
  }),
  registered: message(1, "push", {
    map: clusterMap,
    heartbeat_port: uint,
    /** When it was sent, on the coordinator's clock; see `heartbeat`. */
    at: number,
    /** Of a secured cluster: the session's key, which heartbeats and their answers are sealed by. */
    heartbeat_key: optional(text),
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
   * What has come of `database_wanted`: the maps from this epoch on show it, or why nothing was done. A node may be some
   * maps behind, so what it knows itself says nothing of it.
   */
  database_decided: message(1, "push", {
    wish: uint,
    epoch: optional(uint),
    code: optional(text),
    message: optional(text),
  }),
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
  force: message(1, "request", { partition: optional(uint), node: optional(text) }),

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
  forget_node: message(1, "request", { node: text, force: optional(flag) }),

  /**
   * Orders about databases (`cluster/databases.ts`), for the active coordinator; a lone node carries them out itself.
   * Answered by `result`, the database as `databases` lists it, once the map that says so is durable.
   */
  database_create: message(1, "request", {
    database: text,
    together: optional(flag),
    max_keys: optional(positiveUint),
    max_bytes: optional(positiveUint),
    /** One that is there already, of whatever kind, will do. */
    if_absent: optional(flag),
    timeout_ms: optional(uint),
  }),
  /** Its keys are gone when this is answered; the space comes back in time. */
  database_drop: message(1, "request", { database: text, timeout_ms: optional(uint) }),
  /** The databases. Answered by `result`: an array of objects, `default` first. */
  databases: message(1, "request", {}),
  /**
   * What named databases have in the partitions that the node is primary of. Answered by `result`: `known`, whether all
   * of them have been counted; and `databases`, an array of [number, keys, bytes, keys that expire].
   */
  database_usage: message(1, "request", {}),
  /**
   * For a node's clients: make a database if it is not there; or drop the one with this number, if it is still there.
   * With number 0 nothing is dropped, and the answer says which map is the newest.
   * `wish` is the node's name for it; it is asked again until it is answered, by `database_decided`.
   */
  database_wanted: message(1, "member", {
    wish: uint,
    database: text,
    together: optional(flag),
    max_keys: optional(positiveUint),
    max_bytes: optional(positiveUint),
    drop: optional(uint),
  }),

  /**
   * Who may do what, in a secured cluster: users (passwords as hashes), roles, tokens (as hashes), revoked certificates,
   * authorities. Sent when a node's session begins, before anything else, and at each change.
   */
  security: message(1, "push", { document: object<object>() }),
  /** A node asks for its next certificate, with a key of its own choice; answered by `certificate`. */
  renew_certificate: message(1, "member", {
    certificate_request: text,
    hosts: texts,
    memory: optional(flag),
  }),
  certificate: message(1, "push", { certificate: text }),
} as const satisfies Record<string, MessageSpec>;
