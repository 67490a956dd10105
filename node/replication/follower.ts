/**
 * The other half of a partition's state machine: a replica that follows a primary, in sync or being
 * filled. It tells the primary where it stands, takes what it lacks, then takes writes in order and
 * acknowledges what is on its disk.
 *
 * Invariants: writes of a stream are taken without a gap or not at all; nothing is acknowledged that
 * is not on disk, nor before the replica is level; an entry that it holds is dropped only when the
 * primary's truth for its key is at hand. Until a replica is level its state record keeps the commit seq
 * that it had before, so that an interrupted resync is begun again from there; of a transfer of everything it says
 * besides how far that has come, so that it goes on from there.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { failureOf, isDamage, KvError } from "../../shared/base/errors.ts";
import { keyLength } from "../../shared/base/key_text.ts";
import {
  READ_FAILURE_MS_MAX,
  READ_FAILURES_MAX,
  RESYNC_CHUNK_BYTES,
  RESYNC_CHUNK_ROWS,
} from "../../shared/limits/replication.ts";
import { STORED_KEY_BYTES_MAX } from "../../shared/limits/wire.ts";
import type { Message, WireEntry } from "../../shared/wire/messages.ts";
import { fromWireEntry } from "../../shared/schema/value_codec.ts";
import { ColdQueue } from "../requests/cold_queue.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { EncodedRecord } from "../storage/record.ts";
import type { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts, Upstream } from "./replica_ports.ts";
import { HeldResync } from "./held_resync.ts";
import { SelfCheck, VERIFY } from "./self_check.ts";
import { UnacknowledgedKeys } from "./unacknowledged_keys.ts";

/** What it does that may fail and is tried again: their names among these. */
const SEARCH = "look for unacknowledged keys";
const FOLLOW = "take what the primary sends";
export const CLEAR = "delete a replica that is to be filled anew";

/**
 * A stream from the primary:
 *
 *     asked ── resync_begin, to a learner ──> filling ──> level
 *     asked ── resync_begin, to a replica in sync ──> holding ──> level
 *     asked, filling, holding, level ── refused, closed, or asked anew ──> none
 */
type Stream = Asked | Filling | Holding | Level;

interface StreamBase {
  readonly upstream: Upstream;
  readonly id: number;
  /** The term in which it was opened: entries of that term or later came from this primary. */
  readonly beganTerm: number;
  term: number;
}

/** The primary has asked where this replica stands. */
interface Asked extends StreamBase {
  readonly kind: "asked";
  /** The replica was in sync when it was asked. */
  readonly inSync: boolean;
  /** Keys whose entry here may never have been acknowledged, as the primary was told. */
  readonly unacknowledged: Set<string>;
}

/** Live writes come, from `nextSeq` on. */
interface OpenBase extends StreamBase {
  /** The seq that is due. */
  nextSeq: number;
  /** Pieces of the partition that were taken, and as how many of them the primary knows. */
  chunksDone: number;
  toldChunks: number;
}

/** Pieces of the partition are taken as they come. */
interface Filling extends OpenBase {
  readonly kind: "filling";
  /** Keys whose entry here may never have been acknowledged, and is not replaced yet. */
  readonly unacknowledged: Set<string>;
  /** Pieces and the end, in order; they wait while an earlier one reads this replica's rows. */
  readonly work: ResyncWork[];
  working: boolean;
}

/** All that comes is held back until it is complete, and taken in one turn. */
interface Holding extends OpenBase {
  readonly kind: "holding";
  readonly unacknowledged: ReadonlySet<string>;
  readonly held: HeldResync;
}

/** It holds all that its primary has sent. */
interface Level extends OpenBase {
  readonly kind: "level";
  /** Everything that made it level is on disk: from now on it acknowledges. */
  durable: boolean;
}

/** Live writes that came as rows. */
export interface ReceivedRows {
  readonly stream: number;
  readonly commitSeq: number;
  readonly entries: readonly Entry[];
  /** Those of the entries, as they are to be stored. */
  readonly rows: readonly EncodedRecord[];
}

/** A piece of the partition, or the end of them. */
type ResyncWork = Message<"resync_chunk"> | Message<"resync_end">;

/** What a replica does with what its primary sends. */
export class Follower {
  readonly partition: number;
  readonly #ports: ReplicaPorts;
  readonly #store: PartitionStore;
  readonly #recent: RecentWrites;
  #stream: Stream | undefined;
  readonly #keys: UnacknowledgedKeys;
  /** The last seq in the newest batch that is on disk. */
  #syncedSeq = 0;
  #clearing = false;
  /** No resync was begun and not ended: the recent writes are those of the data. */
  #whole = true;
  /** Told when a read of the replica's own data fails. */
  onReadFailed: (what: string, error: unknown) => void = () => {};
  /** Told when everything has been deleted. */
  onCleared: () => void = () => {};
  readonly #selfCheck: SelfCheck;
  readonly #cold: ColdQueue;

  /** @param clean whether everything in the store is committed (an empty one, or a former primary's) */
  constructor(
    ports: ReplicaPorts,
    store: PartitionStore,
    recent: RecentWrites,
    clean: boolean,
  ) {
    this.partition = store.partition;
    this.#ports = ports;
    this.#store = store;
    this.#recent = recent;
    this.#cold = new ColdQueue(store);
    this.#selfCheck = new SelfCheck(store, ports.retries);
    this.#keys = new UnacknowledgedKeys(store, clean, {
      onFound: (keys) => {
        ports.retries.ended(SEARCH, this.partition);
        if (this.#stream?.kind === "asked") this.#sayInfo(this.#stream, keys);
      },
      onFailed: (error) => this.#fail(SEARCH, error),
    });
  }

  /** Whether the data is damaged, until it is filled anew. */
  get damaged(): boolean {
    return this.#keys.damaged;
  }

  /** The data was found damaged: everything must be sent. */
  markDamaged(): void {
    this.#keys.markDamaged();
  }

  /** Whether it holds all that its primary has sent. */
  get level(): boolean {
    return this.#stream?.kind === "level";
  }

  /** Whether the list of recent writes tells what the data is; not in the middle of a resync. */
  get isWhole(): boolean {
    return this.#whole;
  }

  /** What `stats` shows of it. */
  get state(): "idle" | "asked" | "resyncing" | "level" {
    const stream = this.#stream;
    if (stream === undefined) return "idle";
    return stream.kind === "filling" || stream.kind === "holding" ? "resyncing" : stream.kind;
  }

  /** Another stream begins, or nobody is there to be told: the connection is gone, or this was refused. */
  #breakStream(): void {
    this.#stream = undefined;
  }

  /**
   * It follows its primary no more, and tells it. The primary may have missed a map and be primary again
   * without having heard that it was not; then it would go on with the stream as if a follower listened. Rule W2.
   */
  leaveStream(reason: string): void {
    if (this.#stream !== undefined) this.#sendRefusal(this.#stream, reason);
    this.#breakStream();
  }

  /** This node was the primary until now: what it had not committed is unacknowledged. */
  afterPrimary(): void {
    this.#keys.unlist();
    this.#keys.onCommitted();
  }

  onUpstreamClosed(upstream: Upstream): void {
    if (this.#stream?.upstream === upstream) this.#breakStream();
  }

  /** Who sends the stream that stands. */
  get primary(): NodeId | undefined {
    return this.#stream?.upstream.node;
  }

  /**
   * The primary's question.
   *
   * @param term in which it asks
   * @param inSync whether this replica is in sync, as the map says
   */
  onQuery(id: number, term: number, inSync: boolean, upstream: Upstream): void {
    this.#breakStream();
    const unacknowledged = new Set<string>();
    this.#stream = { kind: "asked", upstream, id, beganTerm: term, term, inSync, unacknowledged };
    if (!this.damaged) this.#keys.ask();
    // A damaged member of the set keeps what it has until it is out of it; then it begins with nothing.
    else if (!inSync) this.beginWithNothing();
  }

  /** Deletes everything, then answers whatever question stands. A deletion that failed goes on. Rule D2. */
  beginWithNothing(): void {
    if (this.#clearing) return;
    const { retries } = this.#ports;
    this.#clearing = true;
    this.#store.clear().then(
      () => {
        this.#clearing = false;
        retries.forget(this.partition);
        this.#keys.onCleared();
        this.#recent.reset(0);
        this.#whole = true;
        if (this.#stream?.kind === "asked") this.#sayInfo(this.#stream, []);
        this.onCleared();
      },
      (error) => {
        this.#clearing = false;
        const failure = failureOf(error);
        noteClearFailure(this.#ports, this.partition, failure);
        if (this.#stream !== undefined) this.#refuse(this.#stream, failure.message);
      },
    );
  }

  #sayInfo(stream: Asked, unacknowledged: readonly string[] | undefined): void {
    const { term, commitSeq, lastSeq, filled } = this.#store.state;
    const info: Message<"resync_info"> = {
      req_type: "resync_info",
      p: this.partition,
      term: stream.term,
      stream: stream.id,
      last_term: filled?.term ?? term,
      commit: filled?.commitSeq ?? commitSeq,
      last: lastSeq,
    };
    if (filled !== undefined) info.filled = filled.upto;
    if (unacknowledged !== undefined) {
      for (const key of unacknowledged) stream.unacknowledged.add(key);
      info.unacknowledged = unacknowledged;
    }
    stream.upstream.send(info);
  }

  // Messages of the stream. While the disk is slow, they wait in order for a thread to read what is here of their keys.

  onBegin(message: Message<"resync_begin">, upstream: Upstream): void {
    if (this.#cold.calm) this.#begin(message, upstream);
    else this.#cold.whenRead([], () => this.#begin(message, upstream));
  }

  #begin(message: Message<"resync_begin">, upstream: Upstream): void {
    const stream = this.#current(upstream, message.stream);
    if (stream?.kind !== "asked") return;
    const { inSync, unacknowledged, id, beganTerm, term } = stream;
    if (inSync && message.full) {
      // It cannot be taken in one turn, and this replica may be made primary in between.
      this.#keys.markLacking();
      this.#refuse(stream, "an in-sync replica is not sent everything, piece by piece", true);
      return;
    }
    const open = {
      ...{ upstream, id, beganTerm, term, unacknowledged },
      nextSeq: message.next,
      chunksDone: 0,
      toldChunks: 0,
    };
    this.#stream = inSync
      ? { kind: "holding", ...open, held: new HeldResync() }
      : { kind: "filling", ...open, work: [], working: false };
    this.#keys.unlist();
    this.#whole = false;
    const { filled } = this.#store.state;
    if (filled !== undefined && filled.upto !== message.after) {
      this.#store.setState({ filled: undefined });
    }
  }

  /** A later term of the same primary. */
  onNewTerm(id: number, term: number, upstream: Upstream): void {
    if (this.#cold.calm) this.#takeTerm(id, term, upstream);
    else this.#cold.whenRead([], () => this.#takeTerm(id, term, upstream));
  }

  #takeTerm(id: number, term: number, upstream: Upstream): void {
    const stream = this.#current(upstream, id);
    if (stream === undefined) return;
    stream.term = term;
    if (stream.kind === "level") this.#store.setState({ term: stream.term });
  }

  /** Live writes. */
  onAppend(
    streamId: number,
    commitSeq: number,
    entries: readonly WireEntry[],
    upstream: Upstream,
  ): void {
    if (this.#cold.calm) this.#append(streamId, commitSeq, entries, upstream);
    else {
      this.#cold.whenRead(
        keysIn(entries),
        () => this.#append(streamId, commitSeq, entries, upstream),
      );
    }
  }

  /** The same as rows that are to be stored as they are, which the caller has checked. */
  onRows({ stream, commitSeq, entries, rows }: ReceivedRows, upstream: Upstream): void {
    if (this.#cold.calm) this.#takeAppend(stream, commitSeq, entries, upstream, rows);
    else {
      this.#cold.whenRead(
        entries.map(({ key }) => key),
        () => this.#takeAppend(stream, commitSeq, entries, upstream, rows),
      );
    }
  }

  #append(
    streamId: number,
    commitSeq: number,
    entries: readonly WireEntry[],
    upstream: Upstream,
  ): void {
    let taken: readonly Entry[];
    try {
      taken = entries.map(fromWireEntry);
    } catch (error) {
      const stream = this.#current(upstream, streamId);
      if (stream !== undefined && stream.kind !== "asked") this.#fail(FOLLOW, error);
      return;
    }
    this.#takeAppend(streamId, commitSeq, taken, upstream, undefined);
  }

  #takeAppend(
    streamId: number,
    commitSeq: number,
    taken: readonly Entry[],
    upstream: Upstream,
    rows: readonly EncodedRecord[] | undefined,
  ): void {
    const stream = this.#current(upstream, streamId);
    if (stream === undefined || stream.kind === "asked") return;
    try {
      // Rule W6.
      // Writes that belong together come in one frame: all of them are taken, or none.
      for (const { seq } of taken) {
        // Rule W2.
        if (seq !== stream.nextSeq) {
          this.#refuse(stream, `seq ${seq} came where ${stream.nextSeq} was due`);
          return;
        }
        stream.nextSeq++;
      }
      if (stream.kind !== "holding") this.#takeWrites(stream, taken, rows);
      else {
        stream.held.pushWrites(taken);
        this.#refuseTooMuch(stream);
      }
    } catch (error) {
      this.#fail(FOLLOW, error);
      return;
    }
    if (stream.kind === "level") this.#committed(commitSeq);
  }

  #takeWrites(
    stream: Filling | Level,
    entries: readonly Entry[],
    rows: readonly EncodedRecord[] | undefined,
  ): void {
    this.#store.applyAll(entries, [], rows);
    const level = stream.kind === "level";
    for (const { key, seq } of entries) {
      if (!level) {
        stream.unacknowledged.delete(key);
        continue;
      }
      this.#recent.push(seq, key);
      this.#keys.onTaken(seq, key);
    }
    const last = entries.at(-1);
    if (last === undefined) return;
    if (level || last.seq > this.#store.state.lastSeq) this.#store.setState({ lastSeq: last.seq });
  }

  /** @returns true if the stream was refused */
  #refuseTooMuch(stream: Holding): boolean {
    if (!stream.held.isTooMuch) return false;
    this.#refuse(stream, "an in-sync replica lacks more than it can take at once", true);
    return true;
  }

  /** All that was held back: what each key comes to, taken at once or not at all. Rule W6. */
  #takeHeld({ held, unacknowledged }: Holding): void {
    const { entries, removed } = held.outcome((key) => this.#store.get(key), unacknowledged);
    this.#store.applyAll(entries, removed);
    const lastSeq = entries.reduce((max, { seq }) => Math.max(max, seq), 0);
    if (lastSeq > this.#store.state.lastSeq) this.#store.setState({ lastSeq });
  }

  #committed(commitSeq: number): void {
    const { state } = this.#store;
    const upto = Math.min(commitSeq, state.lastSeq);
    if (upto <= state.commitSeq) return;
    this.#store.setState({ commitSeq: upto });
    this.#keys.onCommitted();
  }

  /** A piece of the partition, or the end of them. */
  onResyncWork(message: ResyncWork, upstream: Upstream): void {
    if (this.#cold.calm) this.#takeResyncWork(message, upstream);
    else {
      const keys = message.req_type === "resync_end"
        ? []
        : [...keysIn(message.entries), ...message.absent ?? []];
      this.#cold.whenRead(keys, () => this.#takeResyncWork(message, upstream));
    }
  }

  #takeResyncWork(message: ResyncWork, upstream: Upstream): void {
    const stream = this.#current(upstream, message.stream);
    if (stream?.kind === "holding") this.#holdWork(stream, message);
    else if (stream?.kind === "filling") {
      stream.work.push(message);
      this.#work(stream);
    }
  }

  #holdWork(stream: Holding, message: ResyncWork): void {
    try {
      if (message.req_type === "resync_end") this.#end(stream, message);
      else {
        stream.held.pushChunk(message);
        if (!this.#refuseTooMuch(stream)) this.#tellProgress(stream, stream.chunksDone + 1);
      }
    } catch (error) {
      this.#fail(FOLLOW, error);
    }
  }

  #work(stream: Filling): void {
    while (!stream.working && this.#stream === stream) {
      const message = stream.work.shift();
      if (message === undefined) return;
      try {
        if (message.req_type === "resync_end") this.#end(stream, message);
        else if (message.full) this.#takeFullChunk(stream, message);
        else this.#takeChunk(stream, message);
      } catch (error) {
        this.#fail(FOLLOW, error);
        return;
      }
    }
  }

  /** Some entries, each newer than what is here or the truth about an unacknowledged key. */
  #takeChunk(stream: Filling, chunk: Message<"resync_chunk">): void {
    for (const wire of chunk.entries) {
      const entry = fromWireEntry(wire);
      const here = this.#store.get(entry.key);
      if (here === undefined || here.seq < entry.seq || stream.unacknowledged.has(entry.key)) {
        this.#take(entry);
      }
      stream.unacknowledged.delete(entry.key);
    }
    for (const key of chunk.absent ?? []) {
      const here = this.#store.get(key);
      const doubted = stream.unacknowledged.delete(key);
      if (here !== undefined && (doubted || here.seq <= chunk.seq)) this.#store.remove(key);
    }
    this.#chunkTaken(stream, chunk);
  }

  /** Everything of a range: what is here and not in it goes, unless this primary wrote it since. */
  #takeFullChunk(stream: Filling, chunk: Message<"resync_chunk">): void {
    const truth = new Set<string>();
    const writtenSince = (here: Entry, seq: number) =>
      here.term >= stream.beganTerm && here.seq > seq;
    for (const wire of chunk.entries) {
      const entry = fromWireEntry(wire);
      truth.add(entry.key);
      const here = this.#store.get(entry.key);
      if (here === undefined || !writtenSince(here, entry.seq - 1)) this.#take(entry);
    }
    stream.working = true;
    const sweep = (after: string | undefined) => {
      const options = { rowsMax: RESYNC_CHUNK_ROWS, bytesMax: RESYNC_CHUNK_BYTES };
      this.#store.scan(
        after,
        chunk.upto === undefined ? options : { ...options, upto: chunk.upto },
      ).then(({ entries, next }) => {
        if (this.#stream !== stream) return;
        for (const { key } of entries) {
          if (truth.has(key)) continue;
          const here = this.#store.get(key);
          if (here !== undefined && !writtenSince(here, chunk.seq)) this.#store.remove(key);
        }
        if (next !== undefined) {
          sweep(next);
          return;
        }
        stream.working = false;
        this.#chunkTaken(stream, chunk);
        this.#work(stream);
      }).catch((error) => this.#fail(FOLLOW, error));
    };
    sweep(chunk.after);
  }

  /** An entry of a resync. The last seq never falls below what is on disk: see docs/replication.md. */
  #take(entry: Entry): void {
    this.#store.apply(entry);
    if (entry.seq > this.#store.state.lastSeq) this.#store.setState({ lastSeq: entry.seq });
  }

  /** The state that says so goes to disk with the piece, or after it. Rule W12. */
  #chunkTaken(stream: Filling, { upto, commit, watermark = 0 }: Message<"resync_chunk">): void {
    stream.chunksDone++;
    if (commit !== undefined && upto !== undefined && keyLength(upto) <= STORED_KEY_BYTES_MAX) {
      const commitSeq = Math.min(commit, stream.nextSeq - 1);
      this.#store.setState({
        filled: { upto, commitSeq, term: stream.term },
        // What was dropped before it was sent may be missed by somebody else, whoever sends the rest.
        watermark: Math.max(this.#store.state.watermark, watermark),
      });
    }
    this.#store.flush();
  }

  #end(stream: Filling | Holding, end: Message<"resync_end">): void {
    if (stream.kind === "holding") this.#takeHeld(stream);
    const { upstream, id, beganTerm, term, nextSeq, chunksDone, toldChunks } = stream;
    const lastSeq = nextSeq - 1;
    const { commitSeq, watermark } = this.#store.state;
    const level: Level = {
      kind: "level",
      ...{ upstream, id, beganTerm, term, nextSeq, chunksDone, toldChunks },
      durable: false,
    };
    this.#stream = level;
    this.#store.setState({
      term,
      lastSeq,
      commitSeq: Math.min(Math.max(commitSeq, end.commit), lastSeq),
      // What the primary has dropped was not sent, and may be missed by somebody else.
      watermark: Math.max(watermark, end.watermark),
      filled: undefined,
    });
    this.#recent.reset(lastSeq);
    this.#whole = true;
    this.#keys.onResynced();
    this.#ports.retries.ended(FOLLOW, this.partition);
    this.#store.flush();
    // Rule W3.
    this.#store.whenWritten(() => {
      level.durable = true;
      if (this.#stream === level) this.#ack(level);
    });
  }

  /** This replica's disk has everything up to `lastSeq`. */
  onSynced(lastSeq: number): void {
    this.#syncedSeq = lastSeq;
    const stream = this.#stream;
    if (stream === undefined || stream.kind === "asked") return;
    if (stream.chunksDone > stream.toldChunks) this.#tellProgress(stream, stream.chunksDone);
    if (stream.kind === "level" && stream.durable) this.#ack(stream);
  }

  /** The primary may send more pieces. */
  #tellProgress(stream: Filling | Holding | Level, chunks: number): void {
    stream.chunksDone = chunks;
    stream.toldChunks = chunks;
    stream.upstream.send({
      req_type: "resync_progress",
      p: this.partition,
      term: stream.term,
      stream: stream.id,
      chunks,
    });
  }

  #ack(stream: Level): void {
    const seq = Math.min(this.#syncedSeq, stream.nextSeq - 1);
    stream.upstream.ack(this.partition, stream.term, stream.id, seq);
  }

  /** Same seq, same content? */
  onDigest(message: Message<"digest">, upstream: Upstream): void {
    if (this.#cold.calm) this.#compareDigest(message, upstream);
    else this.#cold.whenRead([], () => this.#compareDigest(message, upstream));
  }

  #compareDigest(message: Message<"digest">, upstream: Upstream): void {
    const stream = this.#current(upstream, message.stream);
    const { state } = this.#store;
    if (stream?.kind !== "level" || state.lastSeq !== message.seq) return;
    if (state.count === message.count && state.digest === message.digest) return;
    const { count, digest } = state;
    const { partition } = this;
    if (this.#selfCheck.isRunning) return;
    this.#ports.log.error("this replica differs from its primary", { partition, seq: message.seq });
    // Whose fault is it? A replica that does not agree with itself is filled anew; else the primary looks.
    this.#selfCheck.begin((fault) => {
      if (fault !== undefined) this.#fail(VERIFY, fault);
      else if (this.#stream === stream) {
        upstream.send({
          req_type: "digest_differs",
          p: partition,
          term: stream.term,
          stream: stream.id,
          count,
          digest,
        });
      }
    }, (error) => this.#fail(VERIFY, error));
  }

  #current(upstream: Upstream, id: number): Stream | undefined {
    const stream = this.#stream;
    return stream !== undefined && stream.upstream === upstream && stream.id === id
      ? stream
      : undefined;
  }

  #refuse(stream: Stream, reason: string, hopeless = false): void {
    this.#ports.log.warn("stream refused", { partition: this.partition, reason });
    this.#sendRefusal(stream, reason, hopeless);
    this.#breakStream();
  }

  #sendRefusal(stream: Stream, reason: string, hopeless = false): void {
    stream.upstream.send({
      req_type: "stream_refused",
      p: this.partition,
      term: stream.term,
      stream: stream.id,
      reason,
      ...(hopeless ? { hopeless } : {}),
    });
  }

  #fail(what: string, error: unknown): void {
    const failure = failureOf(error);
    this.onReadFailed(what, error);
    const stream = this.#stream;
    if (stream !== undefined) this.#refuse(stream, failure.message);
  }
}

/** The keys of entries, but for those that are not text: they are rare, and are read where they are needed. */
function keysIn(entries: readonly WireEntry[]): string[] {
  return entries.map(([key]) => key).filter((key) => typeof key === "string");
}

/**
 * A replica could not be deleted. That is tried again when its primary asks again; but what can never be read
 * is never deleted, unless the database is repaired.
 */
export function noteClearFailure(
  { retries, nowMs, needsRepair }: Pick<ReplicaPorts, "retries" | "nowMs" | "needsRepair">,
  partition: number,
  failure: KvError,
): void {
  const { attempts, sinceMs } = retries.failed(CLEAR, partition, failure);
  const lasts = attempts >= READ_FAILURES_MAX && nowMs() - sinceMs >= READ_FAILURE_MS_MAX;
  if (isDamage(failure) || lasts) needsRepair(failure);
}
