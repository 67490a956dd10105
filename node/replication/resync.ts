/**
 * One resync of one replica: the pieces of the partition that it lacks, sent as fast as it takes them. What it
 * lacks follows from what it said of itself: the keys of the last writes and those that it doubts, or all that is
 * beyond its commit seq, or everything; or, of a part that an earlier transfer has filled, what is beyond that, and
 * then everything of the rest. When the resync begins and what comes of it is for `follower_stream.ts`.
 *
 * Invariants: every piece is newer than all live writes that were sent before it; no piece is sent once the
 * stream is another one; a bounded number of pieces is under way, and one at a time to a replica that no
 * write waits for.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { failureOf, isDamage } from "../../shared/base/errors.ts";
import { compareKeys } from "../../shared/base/key_order.ts";
import { RESYNC_CHUNK_BYTES } from "../../shared/limits/replication.ts";
import type { DownstreamMessage, Message } from "../../shared/wire/messages.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts } from "./replica_ports.ts";
import type { ResyncSource } from "./resync_counts.ts";

/** Pieces that may be under way to a replica that writes wait for; to another, one. */
const CHUNKS_UNDER_WAY_MAX = 4;

/** What a resync needs of the stream that it is a part of. */
export interface ResyncStream {
  readonly node: NodeId;
  /** Writes wait for the replica, so it is brought level without a pause. */
  readonly mustAck: boolean;
  /** Whether the stream still stands, and this resync is not done. */
  isRunning(resync: Resync): boolean;
  send(message: DownstreamMessage): void;
  /** The replica was given something to do, or this node will give it something at a time in the future. */
  onWork(atMs: number): void;
  /** Everything that the replica lacks has been sent. */
  onAllSent(resync: Resync): void;
  /** Whether a tombstone may be gone that a replica needs which has what is committed up to this seq. */
  lacksTombstone(commitSeq: number): boolean;
  /** One may have been dropped before its key was reached. */
  onTombstoneMissed(resync: Resync): void;
  /** A read of this node's own data failed, and the resync was not ended before. */
  onReadFailed(error: unknown): void;
  /** A read of this node's own data shows damage, after the resync was ended. */
  onDamageFound(error: unknown): void;
}

/** What is sent, and from what. */
export interface ResyncOf {
  readonly partition: number;
  readonly term: () => number;
  readonly stream: number;
  readonly store: PartitionStore;
  readonly recent: RecentWrites;
  readonly ports: ReplicaPorts;
}

/** A way through the partition, or through a part of it. */
interface Pass {
  /** The replica has nothing of it but what is sent, so each piece says how far it is filled. */
  readonly fills: boolean;
  /** Only entries beyond this seq; 0: all. */
  readonly beyondSeq: number;
  /** The last key of it; undefined: to the end. */
  readonly upto: string | undefined;
  readonly then: () => void;
}

/** One piece of the partition. */
interface Piece {
  readonly entries: readonly Entry[];
  readonly absent: readonly string[];
  readonly full: boolean;
  readonly asOfSeq: number;
  readonly after?: string | undefined;
  readonly upto?: string | undefined;
  readonly fills?: boolean;
}

/** Brings one replica level. */
export class Resync {
  /** The replica is sent everything, or everything after `filled`. */
  readonly full: boolean;
  /**
   * Of the keys up to this one the replica has what it said, and is sent the difference; undefined: of all keys, or of none
   * if it is sent everything.
   */
  readonly filled: string | undefined;
  /** What the replica said that it has, up to this seq; undefined if it has nothing, or nothing that counts. */
  readonly #followerCommitSeq: number | undefined;
  readonly #to: ResyncStream;
  readonly #of: ResyncOf;
  #chunksSent = 0;
  #chunksDone = 0;
  /** When the newest piece was sent. */
  #chunkSentMs = 0;
  #entriesSent = 0;
  /** From where it knows the keys of all that the replica lacks; undefined: it does not. */
  #keysFrom: "recent" | "journal" | undefined;
  /** What goes on when fewer pieces are under way. */
  #resume: (() => void) | undefined;

  constructor(
    to: ResyncStream,
    of: ResyncOf,
    what: { full: boolean; filled?: string | undefined; followerCommitSeq: number | undefined },
  ) {
    this.#to = to;
    this.#of = of;
    this.full = what.full;
    this.filled = what.filled;
    this.#followerCommitSeq = what.followerCommitSeq;
  }

  /** How it knows what the replica lacks. */
  get source(): ResyncSource {
    if (!this.full) return this.#keysFrom ?? "data";
    return this.filled === undefined ? "everything" : "rest";
  }

  /** How many entries, or keys that are not there, were sent. */
  get entriesSent(): number {
    return this.#entriesSent;
  }

  /** Sends what the replica lacks. Afterwards `onAllSent` is called. Rule W12. */
  begin(info: Message<"resync_info">): void {
    const { full, filled } = this;
    const allSent = () => this.#to.onAllSent(this);
    const theRest = () =>
      this.#pass(filled, { fills: true, beyondSeq: 0, upto: undefined, then: allSent });
    if (full && filled === undefined) theRest();
    else this.#sendDifference(info, full ? theRest : allSent);
  }

  #pass(after: string | undefined, pass: Pass): void {
    this.#paced(() => this.#sendFrom(after, pass));
  }

  /** Sends what is beyond the replica's commit seq, of all keys or of those up to `filled`; then goes on. */
  #sendDifference(
    { commit, unacknowledged = [] }: Message<"resync_info">,
    then: () => void,
  ): void {
    const keys = this.#of.recent.since(commit);
    if (keys !== undefined) this.#sendWritten("recent", keys, unacknowledged, then);
    // To a replica that has nothing, all is sent: in order, which takes less than looking for each key of the journal.
    else if (
      this.#followerCommitSeq === undefined || !this.#askJournal(commit, unacknowledged, then)
    ) this.#sendBeyond(commit, unacknowledged, then);
  }

  /**
   * Sends the keys that were written since the replica was level, and those that it doubts. It needs no tombstones: of a key
   * that was deleted since, it says that the key is not there.
   */
  #sendWritten(
    source: "recent" | "journal",
    written: ReadonlySet<string>,
    unacknowledged: readonly string[],
    then: () => void,
  ): void {
    this.#keysFrom = source;
    const { filled } = this;
    const keys = new Set<string>();
    for (const key of written) {
      if (filled === undefined || compareKeys(key, filled) <= 0) keys.add(key);
    }
    for (const key of unacknowledged) keys.add(key);
    this.#whenRoom(() => this.#sendKeys([...keys], then));
  }

  /** The same without knowing the keys: reads through the partition, or the part that is filled. */
  #sendBeyond(commit: number, unacknowledged: readonly string[], then: () => void): void {
    // What the partition has tells nothing of a tombstone that is gone. A replica that has nothing needs none.
    const has = this.#followerCommitSeq;
    const isMissed = () => has !== undefined && this.#to.lacksTombstone(has);
    if (isMissed()) return this.#to.onTombstoneMissed(this);
    const sent = () => isMissed() ? this.#to.onTombstoneMissed(this) : then();
    const pass = {
      fills: has === undefined,
      beyondSeq: commit,
      upto: this.filled,
      then: sent,
    };
    this.#whenRoom(() => this.#sendKeys(unacknowledged, () => this.#pass(undefined, pass)));
  }

  /** Looks for the keys in the journal, and then sends them. @returns false if they cannot be there */
  #askJournal(
    commit: number,
    unacknowledged: readonly string[],
    then: () => void,
  ): boolean {
    const { recent, store } = this.#of;
    if (!mayTellSince(commit, this.#of)) return false;
    const journal = store.writtenSince(commit);
    // What is not on disk yet is not in the journal either.
    const onTheWay = journal === undefined ? undefined : recent.since(journal.upto);
    if (journal === undefined || onTheWay === undefined) return false;
    void journal.keys.then((keys) => {
      if (!this.#to.isRunning(this)) return;
      this.#to.onWork(this.#of.ports.nowMs());
      if (keys === undefined) this.#sendBeyond(commit, unacknowledged, then);
      else this.#sendWritten("journal", onTheWay.union(keys), unacknowledged, then);
    });
    return true;
  }

  /** The replica has written this many pieces. */
  onProgress(chunks: number): void {
    this.#chunksDone = chunks;
    if (!this.#to.mustAck && this.#chunksDone === this.#chunksSent) {
      const { nowMs, transfers } = this.#of.ports;
      transfers.written(this.#to.node, nowMs() - this.#chunkSentMs);
    }
    const resume = this.#resume;
    if (resume === undefined || !this.#windowOpen()) return;
    this.#resume = undefined;
    resume();
  }

  /** Sends what this node has, or has not, of the given keys, piece by piece; then goes on. */
  #sendKeys(keys: readonly string[], then: () => void, from = 0): void {
    const { store, ports } = this.#of;
    if (!store.readsAreSlow) {
      this.#sendSomeKeys(keys, then, from);
      return;
    }
    void store.prefetch(keys.slice(from, from + ports.resyncRowsMax)).then(() => {
      if (this.#to.isRunning(this)) this.#sendSomeKeys(keys, then, from);
    });
  }

  #sendSomeKeys(keys: readonly string[], then: () => void, from: number): void {
    const { store } = this.#of;
    const entries: Entry[] = [];
    const absent: string[] = [];
    let next = from;
    let bytes = 0;
    try {
      for (const key of keys.slice(from, from + this.#of.ports.resyncRowsMax)) {
        if (bytes >= RESYNC_CHUNK_BYTES) break;
        const entry = store.get(key);
        if (entry === undefined) absent.push(key);
        else entries.push(entry);
        bytes += key.length + (entry?.value.length ?? 0);
        next++;
      }
    } catch (error) {
      this.#to.onReadFailed(error);
      return;
    }
    if (next > from) {
      this.#sendPiece({ entries, absent, full: false, asOfSeq: store.state.lastSeq });
    }
    if (next < keys.length) this.#paced(() => this.#sendKeys(keys, then, next));
    else then();
  }

  /** Sends what the pass is about in key order, from `after` on. */
  #sendFrom(after: string | undefined, pass: Pass): void {
    const { fills, beyondSeq, upto } = pass;
    const { store, ports } = this.#of;
    const full = this.full && fills;
    const options = { rowsMax: ports.resyncRowsMax, bytesMax: RESYNC_CHUNK_BYTES, beyondSeq };
    store.scan(after, upto === undefined ? options : { ...options, upto }).then(
      ({ entries, next, asOfSeq }) => {
        if (!this.#to.isRunning(this)) return;
        this.#to.onWork(ports.nowMs());
        if (full || entries.length > 0) {
          this.#sendPiece({ entries, absent: [], full, asOfSeq, after, upto: next, fills });
        }
        if (next === undefined) pass.then();
        else this.#pass(next, pass);
      },
      (error) => {
        if (this.#to.isRunning(this)) this.#to.onReadFailed(error);
        else if (isDamage(error)) this.#to.onDamageFound(error);
        else failureOf(error);
      },
    );
  }

  /** Goes on when little is queued for the replica's node. */
  #whenRoom(then: () => void): void {
    this.#of.ports.downstream.whenRoom(this.#to.node, () => {
      if (this.#to.isRunning(this)) then();
    });
  }

  /**
   * Goes on when few enough pieces are under way, little is queued for the replica's node and, unless writes
   * wait for it, the pace allows.
   */
  #paced(then: () => void): void {
    const go = () => {
      if (this.#to.isRunning(this)) this.#whenRoom(then);
    };
    const whenWindowOpen = () => {
      if (this.#to.mustAck) go();
      // It is this node that rests until then; the replica is not to blame.
      else this.#to.onWork(this.#of.ports.transfers.pace(go));
    };
    if (this.#windowOpen()) whenWindowOpen();
    else this.#resume = whenWindowOpen;
  }

  #windowOpen(): boolean {
    const max = this.#to.mustAck ? CHUNKS_UNDER_WAY_MAX : 1;
    return this.#chunksSent - this.#chunksDone < max;
  }

  #sendPiece(chunk: Piece): void {
    const { partition, term, stream, ports } = this.#of;
    this.#chunksSent++;
    this.#chunkSentMs = ports.nowMs();
    this.#entriesSent += chunk.entries.length + chunk.absent.length;
    const message: Message<"resync_chunk"> = {
      req_type: "resync_chunk",
      p: partition,
      term: term(),
      stream,
      seq: chunk.asOfSeq,
      full: chunk.full,
      entries: chunk.entries.map(toWireEntry),
    };
    if (chunk.absent.length > 0) message.absent = chunk.absent;
    if (chunk.after !== undefined) message.after = chunk.after;
    if (chunk.upto !== undefined) message.upto = chunk.upto;
    if (chunk.fills === true && chunk.upto !== undefined) {
      const { commitSeq, watermark } = this.#of.store.state;
      Object.assign(message, { commit: commitSeq, watermark });
    }
    this.#to.send(message);
  }
}

/**
 * Whether a primary may know the keys of all writes after a seq: from its list of recent writes, or from its journal. What was
 * written before the list began was not written there in order: another primary may have sent it in a resync. Rule D5.
 */
export function mayTellSince(
  seq: number,
  { recent, store }: { readonly recent: RecentWrites; readonly store: PartitionStore },
): boolean {
  return recent.reachesBackTo(seq) || (store.hasJournal && seq >= recent.base);
}
