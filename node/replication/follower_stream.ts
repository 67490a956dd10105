/**
 * A primary's view of one other replica of its partition: asks where the replica stands, brings it level,
 * and from then on follows what it has on disk. One stream is one unbroken, ordered run of messages;
 * when it breaks, a new one begins with the question. It does not decide who is in sync or when a
 * write is committed: `primary.ts` does.
 *
 * Invariant: between `resync_begin` and the end of the stream, the replica is sent every live write,
 * in order, and its pieces of the partition are newer than every live write sent before them.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { failureOf, isDamage, KvError } from "../../shared/base/errors.ts";
import { RESYNC_CHUNK_BYTES, RESYNC_CHUNK_ROWS } from "../../shared/base/limits.ts";
import type { Message, PeerMessage } from "../../shared/wire/messages.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts } from "./replica_ports.ts";
import { retryDelayMs } from "./retries.ts";

/** Pieces that may be under way to a replica that writes wait for; to another, one. */
const CHUNKS_UNDER_WAY_MAX = 4;

/** Where the stream stands. */
export type StreamState = "down" | "querying" | "resyncing" | "level";

/** What a primary tells its streams. */
export interface StreamOwner {
  readonly partition: number;
  readonly config: PartitionConfig;
  readonly epoch: number;
  readonly store: PartitionStore;
  readonly recent: RecentWrites;
  readonly ports: ReplicaPorts;
  /** The replica acknowledged more, or has become level. */
  onStreamAdvanced(stream: FollowerStream): void;
  /** The replica can only be filled as a learner. */
  onHopeless(stream: FollowerStream): void;
  /** A read of this node's own data failed; true if the data is damaged and others take over. */
  onReadFailed(what: string, error: unknown): boolean;
}

/** One other replica, as its primary sees it. */
export class FollowerStream {
  readonly node: NodeId;
  state: StreamState = "down";
  /** Everything up to here is on the replica's disk. */
  ackedSeq = 0;
  /** Commits wait for this replica: it is in sync, or about to be. */
  mustAck = false;
  /** A learner that has been level: it stays in the set that commits wait for. */
  promoting = false;
  /** The last term in which it was reported as caught up. */
  reportedTerm = 0;
  /** Send everything, whatever the replica says of itself. */
  forceFull = false;
  sentCommitSeq = 0;
  /** When the replica last showed a sign of progress, or had nothing to do. */
  progressMs: number;
  /** When the stream that runs now began. */
  startedMs = 0;
  #owner: StreamOwner;
  #stream = 0;
  /** When the question was asked; nothing is forgiven here, since this is measured. */
  #askedMs = 0;
  #lastSentSeq = 0;
  #chunksSent = 0;
  #chunksDone = 0;
  /** When the newest piece was sent. */
  #chunkSentMs = 0;
  #entriesSent = 0;
  #full = false;
  /** What the replica said that it has, up to this seq; undefined where it has nothing. */
  #followerCommitSeq: number | undefined;
  /**
   * It refused a stream, and has not been level since. What it answers then is no progress: it may do the
   * same work again and again, and writes would wait for it for ever. Rule C6.
   */
  #refused = false;
  /** How often in a row the stream has ended by a refusal or a failed read, without being level. */
  #failures = 0;
  #resume: (() => void) | undefined;

  constructor(owner: StreamOwner, node: NodeId) {
    this.#owner = owner;
    this.node = node;
    this.progressMs = owner.ports.nowMs();
  }

  /** The number of the stream that runs now. */
  get stream(): number {
    return this.#stream;
  }

  /** Whether it has been sent writes that it has not acknowledged. */
  get behind(): boolean {
    return this.state !== "level" || this.ackedSeq < this.#lastSentSeq;
  }

  /** Begins anew, with the question where the replica stands. */
  start(): void {
    const { ports, partition, config, epoch } = this.#owner;
    if (!this.behind) this.progressMs = ports.nowMs();
    this.startedMs = this.#askedMs = ports.nowMs();
    this.#stream = ports.nextStream();
    this.#resume = undefined;
    this.ackedSeq = 0;
    this.#lastSentSeq = 0;
    if (!ports.downstream.isUp(this.node)) {
      this.state = "down";
      return;
    }
    this.state = "querying";
    this.#send({ req_type: "resync_query", p: partition, config, epoch, stream: this.#stream });
  }

  /** The connection is gone, or the stream cannot go on. */
  stop(): void {
    if (!this.behind) this.progressMs = this.#owner.ports.nowMs();
    this.state = "down";
    this.#resume = undefined;
    this.ackedSeq = 0;
  }

  /** This node fills the replica no more. */
  end(): void {
    this.stop();
    this.#owner.ports.retries.ended(this.#filling, this.#owner.partition);
  }

  /** A new term of the same primary. A stream that stands goes on; a question is asked again. Rule T3. */
  onNewTerm(): void {
    const { partition, config, epoch } = this.#owner;
    if (this.state === "querying" || this.state === "down") this.start();
    else {
      this.#send({ req_type: "new_term", p: partition, config, epoch, stream: this.#stream });
    }
  }

  /** Sends live writes that belong together, the last of which is `lastSeq`, if the stream is open. */
  append(lastSeq: number, json: string, commitSeq: number): void {
    if (this.state !== "resyncing" && this.state !== "level") return;
    const { ports, partition, config } = this.#owner;
    if (!this.behind) this.progressMs = ports.nowMs();
    this.#lastSentSeq = lastSeq;
    this.sentCommitSeq = commitSeq;
    ports.downstream.append(this.node, partition, config.term, this.#stream, commitSeq, json);
  }

  /** Tells the commit seq where no write carried it. */
  tellCommit(commitSeq: number): void {
    if (this.state !== "level" || this.sentCommitSeq >= commitSeq) return;
    this.sentCommitSeq = commitSeq;
    const { ports, partition, config } = this.#owner;
    ports.downstream.commit(this.node, partition, config.term, this.#stream, commitSeq);
  }

  /** The replica has everything up to `seq` on disk. */
  onAppended(stream: number, seq: number): void {
    if (stream !== this.#stream || (this.state !== "resyncing" && this.state !== "level")) return;
    this.progressMs = this.#owner.ports.nowMs();
    this.#refused = false;
    if (this.state !== "level") {
      this.state = "level";
      this.forceFull = false;
      this.#failures = 0;
      this.#owner.ports.retries.ended(this.#filling, this.#owner.partition);
      this.#owner.ports.resynced(this.node, this.#entriesSent, this.#full);
    }
    if (seq > this.ackedSeq) this.ackedSeq = seq;
    this.#owner.onStreamAdvanced(this);
  }

  /** The replica cannot follow. It is asked again with the next tick, not at once: it may refuse again. */
  onRefused(message: Message<"stream_refused">): void {
    if (message.stream !== this.#stream) return;
    this.stop();
    this.#refused = true;
    this.#failures++;
    const why = new KvError("unavailable", `refused: ${message.reason}`);
    this.#owner.ports.retries.failed(this.#filling, this.#owner.partition, why);
    if (message.hopeless === true) this.#owner.onHopeless(this);
  }

  onProgress(message: Message<"resync_progress">): void {
    if (message.stream !== this.#stream) return;
    if (!this.#refused) this.progressMs = this.#owner.ports.nowMs();
    this.#chunksDone = message.chunks;
    if (!this.mustAck && this.#chunksDone === this.#chunksSent) {
      const { nowMs, transfers } = this.#owner.ports;
      transfers.written(this.node, nowMs() - this.#chunkSentMs);
    }
    const resume = this.#resume;
    if (resume !== undefined && this.#windowOpen()) {
      this.#resume = undefined;
      resume();
    }
  }

  /** The replica's answer to the question: decides what it lacks, and opens the stream. */
  onInfo(info: Message<"resync_info">): void {
    if (info.stream !== this.#stream || this.state !== "querying") return;
    const { ports, partition, store, recent, config } = this.#owner;
    ports.transfers.answered(this.node, ports.nowMs() - this.#askedMs);
    const { lastSeq, watermark } = store.state;
    const empty = info.last_term === 0 && info.last === 0 && info.unacknowledged?.length === 0;
    const full = !empty &&
      (this.forceFull || info.unacknowledged === undefined || info.commit < watermark ||
        info.commit > lastSeq || info.last_term < (config.forcedTerm ?? 0));
    this.state = "resyncing";
    if (!this.#refused) this.progressMs = ports.nowMs();
    this.#lastSentSeq = lastSeq;
    this.#chunksSent = 0;
    this.#chunksDone = 0;
    this.#entriesSent = 0;
    this.#full = full;
    this.#followerCommitSeq = empty ? undefined : info.commit;
    this.sentCommitSeq = 0;
    this.#send({
      req_type: "resync_begin",
      p: partition,
      term: config.term,
      stream: this.#stream,
      next: lastSeq + 1,
      full,
    });
    if (full) {
      this.#paced(() => this.#sendFrom(undefined, 0, true));
      return;
    }
    const keys = recent.since(info.commit);
    const unacknowledged = info.unacknowledged ?? [];
    if (keys !== undefined) {
      for (const key of unacknowledged) keys.add(key);
      this.#whenRoom(() => this.#sendKeys([...keys], () => this.#end()));
    } else {
      this.#whenRoom(() =>
        this.#sendKeys(
          unacknowledged,
          () => this.#paced(() => this.#sendFrom(undefined, info.commit, false)),
        )
      );
    }
  }

  /**
   * What the replica lacks cannot be read now. Unless others take over, it is asked again with a later tick,
   * and sent then what can be read.
   */
  #onReadFailed(error: unknown): void {
    if (this.#owner.onReadFailed(this.#filling, error)) return;
    this.stop();
    this.#failures++;
  }

  /** Its name among what is tried again. */
  get #filling(): string {
    return `fill the replica on ${this.node}`;
  }

  /** Whether a stream that is down may begin again: at once at first, then less and less often. */
  isDue(nowMs: number): boolean {
    return nowMs - this.startedMs >= retryDelayMs(Math.max(this.#failures, 1));
  }

  /** Sends what this node has, or has not, of the given keys, piece by piece; then goes on. */
  #sendKeys(keys: readonly string[], then: () => void, from = 0): void {
    const { store } = this.#owner;
    const entries: Entry[] = [];
    const absent: string[] = [];
    let next = from;
    let bytes = 0;
    try {
      for (const key of keys.slice(from, from + RESYNC_CHUNK_ROWS)) {
        if (bytes >= RESYNC_CHUNK_BYTES) break;
        const entry = store.get(key);
        if (entry === undefined) absent.push(key);
        else entries.push(entry);
        bytes += key.length + (entry?.value.length ?? 0);
        next++;
      }
    } catch (error) {
      this.#onReadFailed(error);
      return;
    }
    if (next > from) {
      this.#sendChunk({ entries, absent, full: false, asOfSeq: store.state.lastSeq });
    }
    if (next < keys.length) this.#paced(() => this.#sendKeys(keys, then, next));
    else then();
  }

  /** Sends the partition in key order from `after` on: all of it, or what is beyond `seq`. */
  #sendFrom(after: string | undefined, beyondSeq: number, full: boolean): void {
    const stream = this.#stream;
    const { store } = this.#owner;
    const options = { rowsMax: RESYNC_CHUNK_ROWS, bytesMax: RESYNC_CHUNK_BYTES };
    store.scan(after, full ? options : { ...options, beyondSeq }).then(
      ({ entries, next, asOfSeq }) => {
        if (stream !== this.#stream || this.state !== "resyncing") return;
        if (!this.#refused) this.progressMs = this.#owner.ports.nowMs();
        if (full || entries.length > 0) {
          this.#sendChunk({ entries, absent: [], full, asOfSeq, after, upto: next });
        }
        if (next === undefined) this.#end();
        else this.#paced(() => this.#sendFrom(next, beyondSeq, full));
      },
      (error) => {
        if (stream === this.#stream && this.state === "resyncing") this.#onReadFailed(error);
        else if (isDamage(error)) this.#owner.onReadFailed(this.#filling, error);
        else failureOf(error);
      },
    );
  }

  /** Goes on when little is queued for the replica's node. */
  #whenRoom(then: () => void): void {
    const stream = this.#stream;
    this.#owner.ports.downstream.whenRoom(this.node, () => {
      if (stream === this.#stream && this.state === "resyncing") then();
    });
  }

  /**
   * Goes on when few enough pieces are under way, little is queued for the replica's node and, unless writes
   * wait for it, the pace allows.
   */
  #paced(then: () => void): void {
    const stream = this.#stream;
    const go = () => {
      if (stream === this.#stream && this.state === "resyncing") this.#whenRoom(then);
    };
    const whenWindowOpen = () => {
      if (this.mustAck) go();
      else {
        const atMs = this.#owner.ports.transfers.pace(go);
        // It is this node that rests; the replica is not to blame.
        if (!this.#refused) this.progressMs = Math.max(this.progressMs, atMs);
      }
    };
    if (this.#windowOpen()) whenWindowOpen();
    else this.#resume = whenWindowOpen;
  }

  #windowOpen(): boolean {
    const max = this.mustAck ? CHUNKS_UNDER_WAY_MAX : 1;
    return this.#chunksSent - this.#chunksDone < max;
  }

  #sendChunk(
    chunk: {
      entries: readonly Entry[];
      absent: readonly string[];
      full: boolean;
      asOfSeq: number;
      after?: string | undefined;
      upto?: string | undefined;
    },
  ): void {
    const { partition, config } = this.#owner;
    this.#chunksSent++;
    this.#chunkSentMs = this.#owner.ports.nowMs();
    this.#entriesSent += chunk.entries.length + chunk.absent.length;
    const message: Message<"resync_chunk"> = {
      req_type: "resync_chunk",
      p: partition,
      term: config.term,
      stream: this.#stream,
      seq: chunk.asOfSeq,
      full: chunk.full,
      entries: chunk.entries.map(toWireEntry),
    };
    if (chunk.absent.length > 0) message.absent = chunk.absent;
    if (chunk.after !== undefined) message.after = chunk.after;
    if (chunk.upto !== undefined) message.upto = chunk.upto;
    this.#send(message);
  }

  #end(): void {
    const { partition, config, store } = this.#owner;
    const { commitSeq, watermark } = store.state;
    if (
      !this.#full && this.#followerCommitSeq !== undefined && this.#followerCommitSeq < watermark
    ) {
      // A tombstone that the replica needs may have been dropped before it was come to: everything, then.
      this.start();
      return;
    }
    this.sentCommitSeq = commitSeq;
    this.#send({
      req_type: "resync_end",
      p: partition,
      term: config.term,
      stream: this.#stream,
      last: store.state.lastSeq,
      commit: commitSeq,
      watermark,
    });
  }

  #send(message: PeerMessage): void {
    this.#owner.ports.downstream.send(this.node, message);
  }
}
