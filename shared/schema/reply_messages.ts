/**
 * What a server answers: the rows of the table of messages (`wire/messages.ts`) that operations need,
 * and the type of a row. The table itself is in a layer above the operations, which are rows of it too.
 *
 * @module
 */
import { isClusterMap } from "../cluster/map_shape.ts";
import type { ClusterMap } from "../cluster/cluster_map.ts";
import {
  any,
  array,
  type Field,
  field,
  type FieldsObject,
  flag,
  keyText,
  localBytes,
  localEntries,
  object,
  optional,
  text,
  uint,
} from "./fields.ts";
import { positions } from "./watch_fields.ts";

/**
 * Who sends a message to whom: `request` and `reply` between anybody and a server; `downstream` from a primary to
 * a follower, `upstream` back; `member` from a node's session to the coordinator; `agreement` between coordinators; `push` from a server to who is
 * connected to it, unasked; `datagram` by UDP.
 */
export type Direction =
  | "request"
  | "reply"
  | "downstream"
  | "upstream"
  | "member"
  | "agreement"
  | "push"
  | "datagram";

/** A row of the table of messages. */
export interface MessageSpec {
  since: number;
  direction: Direction;
  fields: Record<string, Field<unknown>>;
}

/** Makes a row of the table of messages: the first protocol version that has it, direction, fields. */
export function message<const D extends Direction, F extends Record<string, Field<unknown>>>(
  since: number,
  direction: D,
  fields: F,
): { since: number; direction: D; fields: F } {
  return { since, direction, fields };
}

/** A message of type `M` with the fields of a row, as an object of the wire. */
export type MessageOf<M extends string, S extends MessageSpec> =
  & { req_type: M; id?: number | string | undefined }
  & FieldsObject<S["fields"]>;

/**
 * An entry on the wire: key, seq, term, flags, timestamp, expiry, and the value as text. A key that is not UTF-8
 * is an object, `{"key64": base64}`. If the value is
 * not valid UTF-8 (or is shorter as base64), the seventh place is "" and the eighth holds base64. A
 * content type is in the ninth place; the eighth is then null if the value is text. A version that is not the seq is
 * in the tenth; the ninth is then "" if there is no content type.
 */
export type WireEntry =
  | readonly [WireKey, number, number, number, number, number, string]
  | readonly [WireKey, number, number, number, number, number, string, string]
  | readonly [WireKey, number, number, number, number, number, string, string | null, string]
  | readonly [
    WireKey,
    number,
    number,
    number,
    number,
    number,
    string,
    string | null,
    string,
    number,
  ];

/** A key in a list: as text or, if it is not UTF-8, in base64. */
export type WireKey = string | { readonly key64: string };

/** The rows. `message` is ancestor A's name for the content of a reply. */
export const REPLY_MESSAGES = {
  ack: message(1, "reply", {
    message: optional(text),
    version: optional(uint),
    /** The previous value, if it was asked for and there was one. */
    previous: optional(text),
    previous64: optional(text),
    previous_bytes: localBytes,
    /** Whether the key is new, if that was asked for. */
    created: optional(flag),
    /** To a `hello` that has it: the version of binary frames that both sides speak from here on. */
    frames: optional(uint),
  }),
  data: message(1, "reply", {
    message: optional(text),
    value64: optional(text),
    bytes: localBytes,
    version: optional(uint),
    timestamp: optional(uint),
    expires_at: optional(uint),
    /** The time left until then, by the clock of the node that answered, which decides. */
    ttl_ms: optional(uint),
    content_type: optional(text),
  }),
  error: message(1, "reply", {
    code: text,
    message: text,
    detail: optional(object<unknown>()),
    /**
     * Every further attempt of the request would be answered the same. Of a refusal: the client session remembers
     * it, and no attempt has happened or is going to. Of `outcome_unknown`: nobody knows any more.
     */
    settled: optional(flag),
  }),
  /** A reply that is a document: list_nodes, stats, get_nodes_for_key. */
  result: message(1, "reply", {
    result: any,
    version: optional(uint),
    /** For a transaction: the date at its primary, from which a time to live is counted. */
    date: optional(uint),
  }),
  map: message(1, "reply", { map: field<ClusterMap>("a cluster map", isClusterMap) }),
  entries: message(1, "reply", {
    entries: array<WireEntry>(),
    /** In place of `entries`, which is empty then. */
    local_entries: localEntries,
    /** Absent when the end was reached; otherwise the value to pass as `after`. */
    next: optional(keyText),
    /** For `scan_node`: the partitions that the page covers. */
    partitions: optional(text),
    /** For `backup_partition`: the last write in the snapshot, and the partition's term then. */
    seq: optional(uint),
    term: optional(uint),
    /** For `read_ranges`: how many of the entries are of each range. */
    counts: optional(array<number>()),
  }),
  /** What a watcher is told: see watch_messages.ts. */
  changes: message(1, "reply", {
    /** Of each partition in the order of their seqs. */
    entries: array<WireEntry>(),
    /** In place of `entries`, which is empty then. */
    local_entries: localEntries,
    /** Where the watcher stands now; partitions in which nothing has changed are left out. */
    positions,
    /** The partitions that this node does not serve. */
    refused: optional(text),
    /** What lies between is not known any more: the watcher must be told everything anew. */
    reset: optional(flag),
    /** More was there when this was asked. */
    more: optional(flag),
  }),
} as const satisfies Record<string, MessageSpec>;

type ReplyType = keyof typeof REPLY_MESSAGES;

/** What a server answers a request with. */
export type Reply<M extends ReplyType = ReplyType> = M extends ReplyType
  ? MessageOf<M, (typeof REPLY_MESSAGES)[M]>
  : never;

/** Takes the one reply to a request. */
export type ReplyTo = (reply: Reply) => void;
