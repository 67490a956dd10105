/**
 * The messages between nodes, for replication, as rows of the table of messages (`wire/messages.ts`). `p` is a
 * partition, `stream` one unbroken run of messages; see docs/replication.md.
 *
 * @module
 */
import { isPartition, isTerm, isUint } from "../cluster/map_shape.ts";
import { partition, partitionConfig, term, texts } from "./cluster_fields.ts";
import { array, field, flag, optional, text, uint } from "./fields.ts";
import { message, type MessageSpec, type WireEntry } from "./reply_messages.ts";

const from1 = field<number>("a whole number from 1", (v) => isUint(v) && v > 0);

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

/** The rows: `downstream` from a primary to a follower, `upstream` back. Add at the end; never remove. */
export const PEER_MESSAGES = {
  /** Asks a follower where it stands; carries the configuration, which the follower adopts if it is newer. */
  resync_query: message(1, "downstream", {
    p: partition,
    config: partitionConfig,
    epoch: uint,
    stream: uint,
  }),
  resync_info: message(1, "upstream", {
    p: partition,
    term,
    stream: uint,
    last_term: term,
    commit: uint,
    last: uint,
    /** Keys written beyond `commit`; absent if there are too many to list, which asks for everything. */
    unacknowledged: optional(texts),
    /**
     * A transfer of everything was not ended: `last_term`, `commit` and `unacknowledged` are about the keys up to this one,
     * inclusive, and nothing is said of the others.
     */
    filled: optional(text),
  }),
  /** Opens the stream: live writes from `next` on follow in it. */
  resync_begin: message(1, "downstream", {
    p: partition,
    term,
    stream: uint,
    next: from1,
    full: flag,
    /** What the follower has of the keys up to this one, inclusive, is kept: it said so itself (`filled`). */
    after: optional(text),
  }),
  /**
   * A piece of the partition. With `full`, it holds everything between `after` (exclusive; absent: the
   * beginning) and `upto` (inclusive; absent: the end), as of `seq`; otherwise only these entries.
   */
  resync_chunk: message(1, "downstream", {
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
    /** With this piece the follower has, of all keys up to `upto`, every write up to this one, which is committed ... */
    commit: optional(uint),
    /** ... but for tombstones up to this one, which may have been dropped. */
    watermark: optional(uint),
  }),
  resync_end: message(1, "downstream", {
    p: partition,
    term,
    stream: uint,
    last: uint,
    commit: uint,
    watermark: uint,
  }),
  /** A new configuration of the same primary, for a follower whose stream goes on. */
  new_term: message(1, "downstream", {
    p: partition,
    config: partitionConfig,
    epoch: uint,
    stream: uint,
  }),
  /** Live writes: several partitions in one frame. */
  append: message(1, "downstream", {
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
  appended: message(1, "upstream", {
    acks: tuples<readonly [partition: number, term: number, stream: number, seq: number]>(
      "[partition, term, stream, seq]",
      isTerm,
      isUint,
      isUint,
    ),
  }),
  /** The follower cannot follow this stream (gap, other term); the primary asks again where it stands. */
  stream_refused: message(1, "upstream", {
    p: partition,
    term,
    stream: uint,
    reason: text,
    /** Asking again will not help while the replica is in sync; it must be filled as a learner. */
    hopeless: optional(flag),
  }),
  /** A read without a lease: do you still know me as primary of these terms? */
  confirm: message(1, "downstream", {
    round: uint,
    parts: tuples<readonly [partition: number, term: number]>("[partition, term]", isTerm),
  }),
  confirmed: message(1, "upstream", {
    round: uint,
    refused: field<readonly number[]>(
      "an array of partitions",
      (value) => Array.isArray(value) && value.every(isPartition),
    ),
  }),
  /** Same seq, same content? Sent when nothing is in flight. */
  digest: message(1, "downstream", {
    p: partition,
    term,
    stream: uint,
    seq: uint,
    count: uint,
    digest: uint,
  }),
  /** The follower has written this many chunks of the stream; the primary may send more. */
  resync_progress: message(1, "upstream", { p: partition, term, stream: uint, chunks: uint }),
  digest_differs: message(1, "upstream", {
    p: partition,
    term,
    stream: uint,
    count: uint,
    digest: uint,
  }),
} as const satisfies Record<string, MessageSpec>;
