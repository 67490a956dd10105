/**
 * A primary's view of one other replica of its partition. It asks where the replica stands, brings it level
 * (`resync.ts`), and from then on follows what it has on disk. One stream is one unbroken, ordered run of messages;
 * when it breaks, a new one begins with the question. It does not decide which replicas are in sync or when a write is
 * committed; `primary.ts` does.
 *
 *     down ── the node can be reached, and it is time ──> querying ── resync_info ──> resyncing ── appended ──> level
 *     querying, resyncing, level ── the connection breaks, or the replica refuses ──> down
 *     any ── it is asked again ──> querying, or down if the node cannot be reached
 *
 * Invariant: between `resync_begin` and the end of the stream, the replica is sent every live write, in order.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import type { DownstreamMessage, Message } from "../../shared/wire/messages.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { LiveWrites } from "../requests/live_writes.ts";
import type { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts } from "./replica_ports.ts";
import { mayTellSince, Resync, type ResyncStream } from "./resync.ts";
import { retryDelayMs } from "./retries.ts";

/** The state of the stream. */
type StreamState =
  | { readonly kind: "down" }
  | { readonly kind: "querying"; readonly id: number; readonly askedMs: number }
  | ResyncingState
  | LevelState;

/** A stream in which live writes are sent. */
interface OpenState {
  readonly id: number;
  /** What this stream has sent to bring the replica level. */
  readonly resync: Resync;
  lastSentSeq: number;
  /** The commit seq that the replica was told last. */
  sentCommitSeq: number;
}

interface ResyncingState extends OpenState {
  readonly kind: "resyncing";
}

interface LevelState extends OpenState {
  readonly kind: "level";
  /** Everything up to here is on the replica's disk. */
  ackedSeq: number;
}

/** The states of a stream. */
export type StreamKind = StreamState["kind"];

/**
 * What the replica is to those who wait:
 *
 *     learner ── it is level ──> promoting ── the configuration says so ──> in_sync
 *     in_sync, promoting ── the configuration says so ──> learner
 *
 * A learner that has been level stays in the set that commits wait for, until the configuration says what it is.
 */
export type Standing =
  | { readonly kind: "in_sync" }
  | { readonly kind: "learner" }
  /** `reportedTerm`: the last term in which it was reported as caught up. */
  | { readonly kind: "promoting"; reportedTerm: number | undefined };

/** The history of the streams since the replica was last level. */
interface Troubles {
  /** How many in a row have ended by a refusal or a failed read. */
  readonly failures: number;
  /**
   * One was refused. What the replica answers after that is no progress: it may do the same work again and again, and writes
   * would wait for it for ever. Rule C6.
   */
  readonly refused: boolean;
  /** It was found to differ: send everything, whatever it says of itself. */
  readonly differs: boolean;
  /** A difference could not be told, since a tombstone was gone: send everything, if it is below the watermark again. */
  readonly tombstoneGone: boolean;
}

const NO_TROUBLES: Troubles = { failures: 0, refused: false, differs: false, tombstoneGone: false };

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
export class FollowerStream implements ResyncStream {
  readonly node: NodeId;
  standing: Standing = { kind: "learner" };
  /** When the replica last showed a sign of progress, or had nothing to do; or will be given something to do. */
  progressMs: number;
  /** When the newest stream began, or would have if the node could be reached. */
  startedMs = 0;
  readonly #owner: StreamOwner;
  #state: StreamState = { kind: "down" };
  #troubles = NO_TROUBLES;

  constructor(owner: StreamOwner, node: NodeId) {
    this.#owner = owner;
    this.node = node;
    this.progressMs = owner.ports.nowMs();
  }

  get state(): StreamKind {
    return this.#state.kind;
  }

  /** The number of the stream that runs now; 0 if none does. */
  get stream(): number {
    return this.#state.kind === "down" ? 0 : this.#state.id;
  }

  /** Everything up to here is on the replica's disk, as far as the stream that runs now has told. */
  get ackedSeq(): number {
    return this.#state.kind === "level" ? this.#state.ackedSeq : 0;
  }

  /** Whether commits wait for this replica: it is in sync, or about to be. */
  get mustAck(): boolean {
    return this.standing.kind !== "learner";
  }

  /** Whether it has been sent writes that it has not acknowledged. */
  get behind(): boolean {
    const state = this.#state;
    return state.kind !== "level" || state.ackedSeq < state.lastSentSeq;
  }

  /** Begins again, with the question where the replica stands. */
  start(): void {
    const { ports, partition, config, epoch } = this.#owner;
    const nowMs = ports.nowMs();
    if (!this.behind) this.progressMs = nowMs;
    this.startedMs = nowMs;
    const id = ports.nextStream();
    if (!ports.downstream.isUp(this.node)) {
      this.#state = { kind: "down" };
      return;
    }
    this.#state = { kind: "querying", id, askedMs: nowMs };
    this.send({ req_type: "resync_query", p: partition, config, epoch, stream: id });
  }

  /** It differs from this node's data, which is sound: it is sent everything. */
  startOver(): void {
    this.#troubles = { ...this.#troubles, differs: true };
    this.start();
  }

  /** The connection is gone, or the stream cannot go on. */
  stop(): void {
    if (!this.behind) this.progressMs = this.#owner.ports.nowMs();
    this.#state = { kind: "down" };
  }

  /** This node no longer fills the replica. */
  end(): void {
    this.stop();
    this.#owner.ports.retries.ended(this.#filling, this.#owner.partition);
  }

  /** A new term of the same primary. A stream that stands goes on; a question is asked again. Rule T3. */
  onNewTerm(): void {
    const { partition, config, epoch } = this.#owner;
    const state = this.#state;
    if (state.kind === "querying" || state.kind === "down") this.start();
    else this.send({ req_type: "new_term", p: partition, config, epoch, stream: state.id });
  }

  /** Sends live writes that belong together, the last of which is `lastSeq`, if the stream is open. */
  append(lastSeq: number, writes: LiveWrites, commitSeq: number): void {
    const state = this.#state;
    if (state.kind !== "resyncing" && state.kind !== "level") return;
    const { ports, partition, config } = this.#owner;
    if (!this.behind) this.progressMs = ports.nowMs();
    state.lastSentSeq = lastSeq;
    state.sentCommitSeq = commitSeq;
    ports.downstream.append(this.node, partition, config.term, state.id, commitSeq, writes);
  }

  /** Tells a replica that is level the commit seq, if no write has carried it. */
  tellCommit(commitSeq: number): void {
    const state = this.#state;
    if (state.kind !== "level" || state.sentCommitSeq >= commitSeq) return;
    state.sentCommitSeq = commitSeq;
    const { ports, partition, config } = this.#owner;
    ports.downstream.commit(this.node, partition, config.term, state.id, commitSeq);
  }

  /** The replica has everything up to `seq` on disk. */
  onAppended(stream: number, seq: number): void {
    const state = this.#state;
    if (state.kind !== "resyncing" && state.kind !== "level" || stream !== state.id) return;
    // Rule W3.
    if (seq > state.lastSentSeq) {
      this.#fail(
        `it acknowledges seq ${seq}, and ${state.lastSentSeq} is the last that it was sent`,
      );
      return;
    }
    this.progressMs = this.#owner.ports.nowMs();
    if (state.kind === "resyncing") this.#becomeLevel(state, seq);
    else if (seq > state.ackedSeq) state.ackedSeq = seq;
    this.#owner.onStreamAdvanced(this);
  }

  #becomeLevel({ id, resync, lastSentSeq, sentCommitSeq }: ResyncingState, ackedSeq: number): void {
    const { ports, partition } = this.#owner;
    this.#state = { kind: "level", id, resync, lastSentSeq, sentCommitSeq, ackedSeq };
    this.#troubles = NO_TROUBLES;
    ports.retries.ended(this.#filling, partition);
    ports.resynced(this.node, resync.entriesSent, resync.source);
  }

  /** The replica cannot follow. It is asked again with the next tick, not at once: it may refuse again. */
  onRefused({ stream, reason, hopeless }: Message<"stream_refused">): void {
    if (this.#state.kind === "down" || stream !== this.#state.id) return;
    this.#fail(`refused: ${reason}`);
    if (hopeless === true) this.#owner.onHopeless(this);
  }

  #fail(reason: string): void {
    this.stop();
    this.#troubles = {
      ...this.#troubles,
      refused: true,
      failures: this.#troubles.failures + 1,
    };
    const why = new KvError("unavailable", reason);
    this.#owner.ports.retries.failed(this.#filling, this.#owner.partition, why);
  }

  /** The replica has written pieces. This may be reported after its first acknowledgement. */
  onProgress({ stream, chunks }: Message<"resync_progress">): void {
    const state = this.#state;
    if (state.kind !== "resyncing" && state.kind !== "level" || stream !== state.id) return;
    if (!this.#troubles.refused) this.progressMs = this.#owner.ports.nowMs();
    state.resync.onProgress(chunks);
  }

  /** The replica's answer to the question: decides what it lacks, and opens the stream. */
  onInfo(info: Message<"resync_info">): void {
    const state = this.#state;
    if (state.kind !== "querying" || info.stream !== state.id) return;
    const { id } = state;
    const { ports, partition, store, recent, config } = this.#owner;
    ports.transfers.answered(this.node, ports.nowMs() - state.askedMs);
    const { lastSeq } = store.state;
    const empty = info.last_term === 0 && info.last === 0 && info.unacknowledged?.length === 0;
    const tombstoneGone = this.lacksTombstone(info.commit) &&
      (this.#troubles.tombstoneGone || !mayTellSince(info.commit, { recent, store }));
    const nothingCounts = !empty &&
      (info.unacknowledged === undefined || tombstoneGone || info.commit > lastSeq ||
        info.last_term < (config.forcedTerm ?? 0));
    // What is filled already is from after a difference was found.
    const filled = nothingCounts || empty ? undefined : info.filled;
    const full = nothingCounts || filled !== undefined || !empty && this.#troubles.differs;
    const term = () => this.#owner.config.term;
    const resync = new Resync(this, { partition, term, stream: id, store, recent, ports }, {
      full,
      filled,
      followerCommitSeq: empty || full && filled === undefined ? undefined : info.commit,
    });
    this.#state = { kind: "resyncing", id, resync, lastSentSeq: lastSeq, sentCommitSeq: 0 };
    this.onWork(ports.nowMs());
    this.send({
      req_type: "resync_begin",
      p: partition,
      term: config.term,
      stream: id,
      next: lastSeq + 1,
      full,
      ...(filled === undefined ? {} : { after: filled }),
    });
    resync.begin(info);
  }

  // What its resync calls.

  isRunning(resync: Resync): boolean {
    return this.#state.kind === "resyncing" && this.#state.resync === resync;
  }

  send(message: DownstreamMessage): void {
    this.#owner.ports.downstream.send(this.node, message);
  }

  onWork(atMs: number): void {
    if (!this.#troubles.refused) this.progressMs = Math.max(this.progressMs, atMs);
  }

  onAllSent(resync: Resync): void {
    const state = this.#state;
    if (state.kind !== "resyncing" || state.resync !== resync) return;
    const { partition, config, store } = this.#owner;
    const { commitSeq, lastSeq, watermark } = store.state;
    state.sentCommitSeq = commitSeq;
    this.send({
      req_type: "resync_end",
      p: partition,
      term: config.term,
      stream: state.id,
      last: lastSeq,
      commit: commitSeq,
      watermark,
    });
  }

  lacksTombstone(commitSeq: number): boolean {
    return commitSeq < this.#owner.store.state.watermark;
  }

  /** The replica is asked again, and sent everything. */
  onTombstoneMissed(resync: Resync): void {
    if (!this.isRunning(resync)) return;
    this.#troubles = { ...this.#troubles, tombstoneGone: true };
    this.start();
  }

  /**
   * What the replica lacks cannot be read now. Unless others take over, it is asked again with a later tick, and then sent
   * what can be read.
   */
  onReadFailed(error: unknown): void {
    if (this.#owner.onReadFailed(this.#filling, error)) return;
    this.stop();
    this.#troubles = { ...this.#troubles, failures: this.#troubles.failures + 1 };
  }

  onDamageFound(error: unknown): void {
    this.#owner.onReadFailed(this.#filling, error);
  }

  /** Its name in the list of retries. */
  get #filling(): string {
    return `fill the replica on ${this.node}`;
  }

  /** Whether a stream that is down may begin again: at once at first, then less and less often. */
  isDue(nowMs: number): boolean {
    return nowMs - this.startedMs >= retryDelayMs(Math.max(this.#troubles.failures, 1));
  }
}
