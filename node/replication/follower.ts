/**
 * The other half of a partition's state machine: a replica that follows a primary, in sync or being
 * filled. It says where it stands, lets itself be made equal, then takes writes in order and
 * acknowledges what is on its disk.
 *
 * Invariants: writes of a stream are taken without a gap or not at all; nothing is acknowledged that
 * is not on disk, nor before the replica is level; an entry that it holds is dropped only when the
 * primary's truth for its key is at hand. Until a replica is level its state record keeps the commit seq
 * that it had before, so that an interrupted resync is begun again from there.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { failureOf, isDamage, KvError } from "../../shared/base/errors.ts";
import {
  READ_FAILURE_MS_MAX,
  READ_FAILURES_MAX,
  RESYNC_CHUNK_BYTES,
  RESYNC_CHUNK_ROWS,
  RESYNC_HELD_BYTES_MAX,
  RESYNC_UNACKNOWLEDGED_MAX,
} from "../../shared/base/limits.ts";
import type { Message, WireEntry } from "../../shared/wire/messages.ts";
import { fromWireEntry } from "../../shared/schema/value_codec.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts, Upstream } from "./replica_ports.ts";
import { SelfCheck, VERIFY } from "./self_check.ts";

/** What it does that may fail and is tried again: their names among these. */
const SEARCH = "look for unacknowledged keys";
const FOLLOW = "take what the primary sends";
export const CLEAR = "delete a replica that is to be filled anew";

/** A stream from the primary. */
interface Stream {
  readonly upstream: Upstream;
  readonly id: number;
  state: "asked" | "resyncing" | "level";
  /** The term in which it was opened: entries of that term or later came from this primary. */
  readonly beganTerm: number;
  term: number;
  nextSeq: number;
  full: boolean;
  /** Keys whose entry here may never have been acknowledged, and is not replaced yet. */
  readonly unacknowledged: Set<string>;
  /** Pieces and the end, in order; they wait while an earlier one reads this replica's rows. */
  readonly work: (Message<"resync_chunk"> | Message<"resync_end">)[];
  working: boolean;
  chunksDone: number;
  toldChunks: number;
  /** Everything that made it level is on disk: from now on it acknowledges. */
  durable: boolean;
  /** The replica was in sync when the stream began. */
  readonly inSync: boolean;
  /**
   * What an in-sync replica was sent, to be taken in one turn when it is complete: it may be made primary
   * at any moment, and writes that belong together must never be there in part.
   */
  held: (Message<"resync_chunk"> | readonly Entry[])[] | undefined;
  heldBytes: number;
}

/** A search for the keys that this replica has to doubt; undefined where they are too many. */
interface UnacknowledgedSearch {
  ended: boolean;
  keys: readonly string[] | undefined;
}

/**
 * What the replica knows of its own data, and so what it says when its primary asks where it stands:
 *
 *     unlisted ── all is known to be committed ──> listed
 *     listed ── a resync begins; it was primary ──> unlisted
 *     listed, unlisted ── in sync, and would be sent everything ──> lacks_all
 *     any ── its data is found damaged ──> damaged ── deleted ──> listed
 *     any ── a resync ends ──> unlisted, or listed at once
 */
type Knowledge =
  /** The writes that were taken and are not known to be committed, oldest first. */
  | {
    readonly kind: "listed";
    readonly uncommitted: { readonly seq: number; readonly key: string }[];
  }
  /** Only the disk knows: what is found there, which stays true until something changes. */
  | { readonly kind: "unlisted"; search: UnacknowledgedSearch | undefined }
  /** Its primary is to send everything once this replica is not in sync any more. */
  | { readonly kind: "lacks_all" }
  /** Nothing of it counts: it is deleted before it is filled. */
  | { readonly kind: "damaged" };

/** What a replica does with what its primary sends. */
export class Follower {
  readonly partition: number;
  readonly #ports: ReplicaPorts;
  readonly #store: PartitionStore;
  readonly #recent: RecentWrites;
  #stream: Stream | undefined;
  #knowledge: Knowledge;
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
    this.#selfCheck = new SelfCheck(store, ports.retries);
    this.#knowledge = clean
      ? { kind: "listed", uncommitted: [] }
      : { kind: "unlisted", search: undefined };
  }

  /** Whether the data is damaged, until it is filled anew. */
  get damaged(): boolean {
    return this.#knowledge.kind === "damaged";
  }

  /** The data was found damaged: everything must be sent. */
  markDamaged(): void {
    this.#knowledge = { kind: "damaged" };
  }

  /** Whether it holds all that its primary has sent. */
  get level(): boolean {
    return this.#stream?.state === "level";
  }

  /** Whether the list of recent writes tells what the data is; not in the middle of a resync. */
  get isWhole(): boolean {
    return this.#whole;
  }

  /** What `stats` shows of it. */
  get state(): "idle" | "asked" | "resyncing" | "level" {
    return this.#stream?.state ?? "idle";
  }

  /** Another stream begins, or nobody is there to be told: the connection is gone, or this was refused. */
  #breakStream(): void {
    this.#stream = undefined;
  }

  /**
   * It follows its primary no more. That one is told: where it missed a map, it may be primary again
   * without having heard that it was not, and would go on with the stream as if somebody listened. Rule W2.
   */
  leaveStream(reason: string): void {
    if (this.#stream !== undefined) this.#sendRefusal(this.#stream, reason);
    this.#breakStream();
  }

  /** This node was the primary until now: what it had not committed is unacknowledged. */
  afterPrimary(): void {
    this.#unlist();
    this.#forgetCommitted();
  }

  /** From here on only the disk knows what is not committed. What is worse than that stays. */
  #unlist(): void {
    const { kind } = this.#knowledge;
    if (kind === "listed" || kind === "unlisted") {
      this.#knowledge = { kind: "unlisted", search: undefined };
    }
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
    const stream: Stream = {
      upstream,
      id,
      state: "asked",
      beganTerm: term,
      term,
      nextSeq: 0,
      full: false,
      unacknowledged: new Set(),
      work: [],
      working: false,
      chunksDone: 0,
      toldChunks: 0,
      durable: false,
      inSync,
      held: undefined,
      heldBytes: 0,
    };
    this.#stream = stream;
    switch (this.#knowledge.kind) {
      case "damaged":
        // A member of the set keeps what it has until it is out of it; then it begins with nothing.
        if (!inSync) this.beginWithNothing();
        return;
      case "lacks_all":
        this.#sayInfo(stream, undefined);
        return;
      case "listed": {
        const keys = new Set(this.#knowledge.uncommitted.map(({ key }) => key));
        this.#sayInfo(stream, keys.size > RESYNC_UNACKNOWLEDGED_MAX ? undefined : [...keys]);
        return;
      }
      case "unlisted":
        this.#searchUnacknowledged(stream, this.#knowledge);
    }
  }

  /**
   * Goes through the data for what was written beyond the commit seq. That may take longer than a primary
   * waits for its answer: it is done once, for all that ask before anything changes here.
   */
  #searchUnacknowledged(stream: Stream, unlisted: Knowledge & { kind: "unlisted" }): void {
    const known = unlisted.search;
    if (known !== undefined) {
      if (known.ended) this.#sayInfo(stream, known.keys);
      return;
    }
    const search: UnacknowledgedSearch = { ended: false, keys: undefined };
    unlisted.search = search;
    this.#store.keysBeyond(this.#store.state.commitSeq, RESYNC_UNACKNOWLEDGED_MAX).then(
      (keys) => {
        // Something has changed meanwhile, and what was found tells nothing of now.
        if (this.#knowledge !== unlisted) return;
        this.#ports.retries.ended(SEARCH, this.partition);
        search.ended = true;
        search.keys = keys;
        if (this.#stream?.state === "asked") this.#sayInfo(this.#stream, keys);
      },
      (error) => {
        unlisted.search = undefined;
        this.#fail(SEARCH, error);
      },
    );
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
        this.#knowledge = { kind: "listed", uncommitted: [] };
        this.#recent.reset(0);
        if (this.#stream?.state === "asked") this.#sayInfo(this.#stream, []);
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

  #sayInfo(stream: Stream, unacknowledged: readonly string[] | undefined): void {
    const { term, commitSeq, lastSeq } = this.#store.state;
    const info: Message<"resync_info"> = {
      req_type: "resync_info",
      p: this.partition,
      term: stream.term,
      stream: stream.id,
      last_term: term,
      commit: commitSeq,
      last: lastSeq,
    };
    if (unacknowledged !== undefined) {
      for (const key of unacknowledged) stream.unacknowledged.add(key);
      info.unacknowledged = unacknowledged;
    }
    stream.upstream.send(info);
  }

  onBegin(message: Message<"resync_begin">, upstream: Upstream): void {
    const stream = this.#current(upstream, message.stream);
    if (stream === undefined || stream.state !== "asked") return;
    if (stream.inSync && message.full) {
      // It cannot be taken in one turn, and this replica may be made primary in between.
      if (!this.damaged) this.#knowledge = { kind: "lacks_all" };
      this.#refuse(stream, "an in-sync replica is not sent everything, piece by piece", true);
      return;
    }
    stream.state = "resyncing";
    stream.nextSeq = message.next;
    stream.full = message.full;
    if (stream.inSync) stream.held = [];
    this.#unlist();
    this.#whole = false;
  }

  /** A later term of the same primary. */
  onNewTerm(id: number, term: number, upstream: Upstream): void {
    const stream = this.#current(upstream, id);
    if (stream === undefined) return;
    stream.term = term;
    if (stream.state === "level") this.#store.setState({ term: stream.term });
  }

  /** Live writes. */
  onAppend(
    streamId: number,
    commitSeq: number,
    entries: readonly WireEntry[],
    upstream: Upstream,
  ): void {
    const stream = this.#current(upstream, streamId);
    if (stream === undefined || stream.state === "asked") return;
    try {
      // Rule W6.
      // Writes that belong together come in one frame: all of them are taken, or none.
      const taken = entries.map(fromWireEntry);
      for (const { seq } of taken) {
        // Rule W2.
        if (seq !== stream.nextSeq) {
          this.#refuse(stream, `seq ${seq} came where ${stream.nextSeq} was due`);
          return;
        }
        stream.nextSeq++;
      }
      if (stream.held === undefined) this.#takeWrites(stream, taken);
      else this.#hold(stream, taken, bytesOf(taken));
    } catch (error) {
      this.#fail(FOLLOW, error);
      return;
    }
    if (stream.state === "level") this.#committed(commitSeq);
  }

  #takeWrites(stream: Stream, entries: readonly Entry[]): void {
    this.#store.applyAll(entries);
    const level = stream.state === "level";
    for (const { key, seq } of entries) {
      stream.unacknowledged.delete(key);
      if (!level) continue;
      this.#recent.push(seq, key);
      if (this.#knowledge.kind === "listed") this.#knowledge.uncommitted.push({ seq, key });
    }
    const last = entries.at(-1);
    if (last === undefined) return;
    if (level || last.seq > this.#store.state.lastSeq) this.#store.setState({ lastSeq: last.seq });
  }

  #hold(stream: Stream, what: Message<"resync_chunk"> | readonly Entry[], bytes: number): void {
    stream.held?.push(what);
    stream.heldBytes += bytes;
    if (stream.heldBytes > RESYNC_HELD_BYTES_MAX) {
      this.#refuse(stream, "an in-sync replica lacks more than it can take at once", true);
    }
  }

  /** All that was held back: what each key comes to, taken at once or not at all. Rule W6. */
  #takeHeld(stream: Stream): void {
    const { held, unacknowledged } = stream;
    if (held === undefined) return;
    const outcome = new Map<string, Entry | undefined>();
    const here = (key: string) => outcome.has(key) ? outcome.get(key) : this.#store.get(key);
    for (const what of held) {
      if (!("req_type" in what)) {
        for (const entry of what) outcome.set(entry.key, entry);
        continue;
      }
      for (const wire of what.entries) {
        const entry = fromWireEntry(wire);
        const before = here(entry.key);
        const mayBeGone = unacknowledged.has(entry.key) && !outcome.has(entry.key);
        if (before === undefined || before.seq < entry.seq || mayBeGone) {
          outcome.set(entry.key, entry);
        }
      }
      for (const key of what.absent ?? []) {
        if (unacknowledged.has(key) && !outcome.has(key)) outcome.set(key, undefined);
      }
    }
    const entries = [...outcome.values()].filter((entry) => entry !== undefined);
    const removed = [...outcome.keys()].filter((key) => outcome.get(key) === undefined);
    this.#store.applyAll(entries, removed);
    const lastSeq = entries.reduce((max, { seq }) => Math.max(max, seq), 0);
    if (lastSeq > this.#store.state.lastSeq) this.#store.setState({ lastSeq });
    unacknowledged.clear();
    stream.held = undefined;
  }

  #committed(commitSeq: number): void {
    const { state } = this.#store;
    const upto = Math.min(commitSeq, state.lastSeq);
    if (upto <= state.commitSeq) return;
    this.#store.setState({ commitSeq: upto });
    this.#forgetCommitted();
  }

  /** Trims the list of writes that are not known to be committed; begins one when there are none. */
  #forgetCommitted(): void {
    const { commitSeq, lastSeq } = this.#store.state;
    if (this.#knowledge.kind === "unlisted" && commitSeq === lastSeq) {
      this.#knowledge = { kind: "listed", uncommitted: [] };
    }
    if (this.#knowledge.kind !== "listed") return;
    const { uncommitted } = this.#knowledge;
    let count = 0;
    for (const { seq } of uncommitted) {
      if (seq > commitSeq) break;
      count++;
    }
    uncommitted.splice(0, count);
  }

  /** A piece of the partition, or the end of them. */
  onResyncWork(
    message: Message<"resync_chunk"> | Message<"resync_end">,
    upstream: Upstream,
  ): void {
    const stream = this.#current(upstream, message.stream);
    if (stream === undefined || stream.state !== "resyncing") return;
    stream.work.push(message);
    this.#work(stream);
  }

  #work(stream: Stream): void {
    while (!stream.working && this.#stream === stream) {
      const message = stream.work.shift();
      if (message === undefined) return;
      try {
        if (message.req_type === "resync_end") this.#end(stream, message);
        else if (stream.held !== undefined) {
          this.#hold(stream, message, wireBytesOf(message.entries));
          this.#tellProgress(stream, stream.chunksDone + 1);
        } else if (message.full) this.#takeFullChunk(stream, message);
        else this.#takeChunk(stream, message);
      } catch (error) {
        this.#fail(FOLLOW, error);
        return;
      }
    }
  }

  /** Some entries, each newer than what is here or the truth about an unacknowledged key. */
  #takeChunk(stream: Stream, chunk: Message<"resync_chunk">): void {
    for (const wire of chunk.entries) {
      const entry = fromWireEntry(wire);
      const here = this.#store.get(entry.key);
      if (here === undefined || here.seq < entry.seq || stream.unacknowledged.has(entry.key)) {
        this.#take(entry);
      }
      stream.unacknowledged.delete(entry.key);
    }
    for (const key of chunk.absent ?? []) {
      if (stream.unacknowledged.delete(key)) this.#store.remove(key);
    }
    this.#chunkTaken(stream);
  }

  /** Everything of a range: what is here and not in it goes, unless this primary wrote it since. */
  #takeFullChunk(stream: Stream, chunk: Message<"resync_chunk">): void {
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
        this.#chunkTaken(stream);
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

  #chunkTaken(stream: Stream): void {
    stream.chunksDone++;
    this.#store.flush();
  }

  #end(stream: Stream, end: Message<"resync_end">): void {
    this.#takeHeld(stream);
    const lastSeq = stream.nextSeq - 1;
    const { commitSeq, watermark } = this.#store.state;
    stream.state = "level";
    this.#knowledge = { kind: "unlisted", search: undefined };
    this.#store.setState({
      term: stream.term,
      lastSeq,
      commitSeq: Math.min(Math.max(commitSeq, end.commit), lastSeq),
      // What the primary has dropped was not sent, and may be missed by somebody else.
      watermark: Math.max(watermark, end.watermark),
    });
    this.#recent.reset(lastSeq);
    this.#whole = true;
    this.#forgetCommitted();
    this.#ports.retries.ended(FOLLOW, this.partition);
    this.#store.flush();
    // Rule W3.
    this.#store.whenWritten(() => {
      stream.durable = true;
      if (this.#stream === stream) this.#ack(stream);
    });
  }

  /** This replica's disk has everything up to `lastSeq`. */
  onSynced(lastSeq: number): void {
    this.#syncedSeq = lastSeq;
    const stream = this.#stream;
    if (stream === undefined) return;
    if (stream.chunksDone > stream.toldChunks) this.#tellProgress(stream, stream.chunksDone);
    if (stream.durable) this.#ack(stream);
  }

  /** The primary may send more pieces. */
  #tellProgress(stream: Stream, chunks: number): void {
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

  #ack(stream: Stream): void {
    const seq = Math.min(this.#syncedSeq, stream.nextSeq - 1);
    stream.upstream.ack(this.partition, stream.term, stream.id, seq);
  }

  /** Same seq, same content? */
  onDigest(message: Message<"digest">, upstream: Upstream): void {
    const stream = this.#current(upstream, message.stream);
    const { state } = this.#store;
    if (stream?.state !== "level" || state.lastSeq !== message.seq) return;
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

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
}

function wireBytesOf(entries: readonly WireEntry[]): number {
  return entries.reduce(
    (sum, [key, , , , , , text, base64]) => sum + key.length + text.length + (base64?.length ?? 0),
    0,
  );
}
