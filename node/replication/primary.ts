/**
 * The primary's half of a partition's state machine: takes requests, orders writes, commits what
 * every replica that must have it has on disk, answers reads from committed state. Messages and time in,
 * calls on its ports out; no await, no clock, no I/O of its own. The argument why this is safe is
 * docs/replication.md.
 *
 * Invariants: seqs are given without a gap; an entry is committed only when it is on this node's disk
 * and acknowledged by every replica that must acknowledge (in sync, or reported as caught up); writes
 * commit in the order of their seqs; nothing is answered from an entry that is not committed.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { failureOf, invariant, isDamage } from "../../shared/base/errors.ts";
import { HANDOVER_TIMEOUT_MS, READ_FAILURES_MAX } from "../../shared/limits/replication.ts";
import { VALUE_BYTES_MAX } from "../../shared/limits/wire.ts";
import type {
  KeyRequest,
  Message,
  Reply,
  ReplyTo,
  RoutedRequest,
} from "../../shared/wire/messages.ts";
import { errorReply } from "../../shared/operations/operation.ts";
import { OPERATIONS } from "../../shared/operations/table.ts";
import { CopySpans } from "../../shared/tracing/copy_spans.ts";
import { FollowerSet } from "./follower_set.ts";
import type { FollowerStream, StreamOwner } from "./follower_stream.ts";
import { ClientSessionTable } from "../requests/client_session_table.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts } from "./replica_ports.ts";
import { RequestExecutor } from "../requests/request_executor.ts";
import { SelfCheck, VERIFY } from "./self_check.ts";
import { UnconfirmedReads } from "../requests/unconfirmed_reads.ts";
import { type Timed, type Waiting, WaitingRequests } from "../requests/waiting_requests.ts";
import { RangeReader } from "../requests/range_reader.ts";
import { WriteProposer } from "../requests/write_proposer.ts";
import { type CommitObserver, WriteQueue } from "../requests/write_queue.ts";
import type { IntentTable } from "../transactions/intent_table.ts";
import { KeyQueue } from "../transactions/key_queue.ts";
import { PartitionTransactions } from "../transactions/partition_transactions.ts";

/**
 * `resyncing`: made primary, the others are not yet equal to it; `serving`; `draining`: asked to hand
 * over, finishes what is in flight; `drained`: has said so; `stopped`: its data is damaged, or it is
 * not primary any more. Requests wait in all but `serving`.
 */
export type Phase = "resyncing" | "serving" | "draining" | "drained" | "stopped";

/** Its name among what is tried again. */
const LOAD_SESSIONS = "look for client sessions";

/** A partition, at its primary. */
export class Primary implements StreamOwner {
  readonly partition: number;
  readonly store: PartitionStore;
  readonly recent: RecentWrites;
  readonly ports: ReplicaPorts;
  config: PartitionConfig;
  epoch: number;
  phase: Phase = "resyncing";
  /** After a drain, or while damaged: the lease does not count until the term has changed. */
  leaseBarred = false;
  /** The answer to everybody since the configuration names another primary; undefined before. */
  notPrimary: Reply | undefined;
  /** Set by the owner: a read of this node's data failed. True if it is damaged and others take over. */
  onReadFailed: (what: string, error: unknown) => boolean = () => false;
  /** Told of what is committed from now on, if somebody watches the partition. */
  observer: CommitObserver | undefined;
  /** What a value may grow to. */
  valueBytesMax = VALUE_BYTES_MAX;
  /** Which client sessions the partition remembers. */
  readonly clientSessions: ClientSessionTable;
  /** How often a replica was found to differ. */
  divergences = 0;
  readonly followers: FollowerSet = new FollowerSet(this);
  readonly #selfCheck: SelfCheck;
  readonly #writes: WriteQueue;
  readonly #proposer: WriteProposer;
  readonly #executor: RequestExecutor;
  readonly #ranges: RangeReader;
  /** What it does for transactions over several partitions. */
  readonly transactions: PartitionTransactions;
  readonly #intents: IntentTable;
  /** Requests that came while not serving. */
  readonly #waiting: WaitingRequests;
  readonly #unconfirmed: UnconfirmedReads;
  readonly #copies: CopySpans | undefined;
  #durableSeq = 0;
  /** What was here when it became primary, and its term, are on disk. */
  #startedOnDisk = false;
  #drainBeganMs = 0;
  #loadingSessions = false;
  /** How often in a row the client sessions could not be read. */
  #loadFailures = 0;
  /** Requests that have waited go on, one after the other. */
  #releasing = false;

  constructor(
    ports: ReplicaPorts,
    store: PartitionStore,
    recent: RecentWrites,
    config: PartitionConfig,
    epoch: number,
    intents: IntentTable,
  ) {
    invariant(config.primary === ports.self, "this node is the primary", { config });
    this.partition = store.partition;
    this.ports = ports;
    this.store = store;
    const nowMs = () => ports.nowMs();
    this.#selfCheck = new SelfCheck(store, ports.retries);
    this.clientSessions = new ClientSessionTable(
      ports.clientSessionsMax(),
      ports.clientSessionCounts,
    );
    this.#writes = new WriteQueue(ports.inFlight, nowMs);
    this.#proposer = new WriteProposer(this, this.#writes);
    this.#executor = new RequestExecutor(this, this.#writes, this.#proposer);
    this.#ranges = new RangeReader(this, this.#writes);
    this.#waiting = new WaitingRequests(nowMs);
    this.#unconfirmed = new UnconfirmedReads(nowMs, () => ports.confirmReads(this.partition));
    this.#intents = intents;
    this.#copies = ports.tracing === undefined ? undefined : new CopySpans(ports.tracing);
    this.transactions = this.#makeTransactions();
    this.recent = recent;
    this.config = config;
    this.epoch = epoch;
    store.setState({ term: config.term, filled: undefined });
    this.followers.update();
    store.flush();
    const { lastSeq, count } = store.state;
    if (count === 0) {
      this.clientSessions.beginEmpty();
      intents.beginEmpty();
    } else this.#loadSessions();
    store.whenWritten(() => {
      this.#startedOnDisk = true;
      this.#durableSeq = lastSeq;
      this.#advance();
    });
  }

  #makeTransactions(): PartitionTransactions {
    const isServing = () => this.isServing;
    const valueBytesMax = () => this.valueBytesMax;
    return new PartitionTransactions(
      {
        partition: this.partition,
        ports: this.ports,
        store: this.store,
        executor: this.#executor,
        proposer: this.#proposer,
        intents: this.#intents,
        keyQueue: new KeyQueue(() => this.ports.nowMs(), (key) => this.isHeld(key)),
        get isServing() {
          return isServing();
        },
        get valueBytesMax() {
          return valueBytesMax();
        },
        execute: (request, reply) => this.execute(request, reply),
        fail: (error, request, reply) => this.fail(error, request, reply),
      },
      this.#writes,
      () => this.#release(),
    );
  }

  get isServing(): boolean {
    return this.phase === "serving";
  }

  /** Whether a transaction over several partitions holds a key. Rule X3. */
  isHeld(key: string): boolean {
    return this.#intents.isHeld(key);
  }

  /** Whether such a transaction holds a key that is wanted. */
  holdsAny(isWanted: (key: string) => boolean): boolean {
    return this.#intents.intentCount > 0 && this.#intents.heldKeys(isWanted).length > 0;
  }

  get inFlightCount(): number {
    return this.#writes.size;
  }

  get waitingCount(): number {
    return this.#waiting.size + this.#unconfirmed.size + this.#writes.waitingCount +
      this.transactions.waitingCount;
  }

  get streams(): readonly FollowerStream[] {
    return this.followers.streams;
  }

  /** A newer configuration with this node still primary. */
  onConfig(config: PartitionConfig, epoch: number): void {
    const newTerm = config.term > this.config.term;
    const before = this.config;
    this.config = config;
    this.epoch = epoch;
    if (newTerm) {
      this.store.setState({ term: config.term });
      this.leaseBarred = false;
      if (this.phase === "draining" || this.phase === "drained") this.#resumeServing();
    }
    this.followers.onConfig(before);
    this.#copies?.onLeft([this.ports.self, ...this.followers.mustAck()]);
    this.#advance();
  }

  /** The configuration names another primary, or none. Everything that waits is answered. Rule T4. */
  stepDown(notPrimary: Reply): void {
    this.phase = "stopped";
    this.notPrimary = notPrimary;
    this.followers.stop();
    this.#copies?.onLeft([]);
    this.transactions.stop(notPrimary);
    this.#writes.abandon(notPrimary);
    this.#waiting.failAll(notPrimary);
    this.#unconfirmed.failAll(notPrimary);
  }

  /** A request for a key of this partition. */
  execute(request: RoutedRequest, reply: ReplyTo): void {
    if (this.#mustWait(request)) this.#waitForService(request, reply);
    else this.#carryOut(request, reply);
  }

  /** It is not served now, or others of the same caller are before it. */
  #mustWait(request: Timed): boolean {
    return this.phase !== "serving" || this.#waiting.holdsUp(request);
  }

  /** A read that was about to be carried out waits if its key is held meanwhile. */
  holdsUp(request: KeyRequest, reply: ReplyTo): boolean {
    return this.transactions.waitsForHeld(request, reply);
  }

  #carryOut(request: RoutedRequest, reply: ReplyTo): void {
    if (this.transactions.take(request, reply)) return;
    if (request.req_type === "read_ranges") {
      this.#ranges.read(request, reply);
      return;
    }
    const operation = OPERATIONS[request.req_type];
    if (operation.kind !== "read") {
      this.#executor.change(request, reply);
      this.#commitAtOnce();
    } else if (this.#isReadable()) this.#executor.read(request, operation, reply);
    else {this.#unconfirmed.add(request, reply, (left) =>
        this.#executor.read(left, operation, reply));}
  }

  #waitForService(request: RoutedRequest, reply: ReplyTo): void {
    this.#waiting.add(request, reply, (left) => this.#carryOut(left, reply));
  }

  /**
   * Runs `then` with the partition readable and everything up to now committed; for scans.
   *
   * @param isWanted the keys that are read, by default all: others may be held by a transaction
   */
  whenStable(
    request: Timed,
    reply: ReplyTo,
    then: () => void,
    isWanted?: (key: string) => boolean,
  ): void {
    const now = (left: Timed) => {
      this.transactions.whenFree(left, reply, (free) => {
        this.whenReadable(free, reply, (readable) => {
          this.#writes.whenCommitted(this.#writes.last, readable, reply, then);
        });
      }, isWanted);
    };
    if (this.#mustWait(request)) this.#waiting.add(request, reply, now);
    else now(request);
  }

  /** This node's disk has everything up to `lastSeq`. */
  onSynced(lastSeq: number): void {
    // An earlier batch may tell of writes that this replica has had to give up since.
    if (!this.#startedOnDisk) return;
    if (lastSeq > this.#durableSeq) this.#durableSeq = lastSeq;
    this.#writes.onDurable(lastSeq);
    this.#copies?.onDisk(this.ports.self, lastSeq);
    this.#advance();
  }

  onProposed(request: KeyRequest, lastSeq: number): void {
    if (request.traceparent === undefined) return;
    const replicas = [this.ports.self, ...this.followers.mustAck()];
    this.#copies?.begin(request.traceparent, lastSeq, replicas);
  }

  onStreamAdvanced(stream: FollowerStream): void {
    this.#copies?.onDisk(stream.node, stream.ackedSeq);
    this.followers.promoteIfLevel(stream);
    this.#advance();
  }

  /**
   * What is in memory alone is where it goes as soon as it is written. If no other replica is to have it, it is committed
   * while it is still in the processor's caches; else at the end of the turn, with all that the turn writes. So it is if
   * somebody watches, who is then told once in a turn.
   */
  #commitAtOnce(): void {
    const alone = this.followers.isEmpty && this.observer === undefined;
    if (alone && this.store.isVolatile) this.onSynced(this.store.state.lastSeq);
  }

  /** Commits what may be committed. Rule W4. */
  #advance(): void {
    if (this.phase === "stopped" || !this.#startedOnDisk) return;
    const upto = this.followers.ackedUpto(this.#durableSeq);
    if (upto === undefined) return;
    const { state } = this.store;
    if (this.phase === "resyncing") {
      // Rule T2.
      // What a new primary found on its disk is committed as a whole, when all replicas are equal.
      if (upto < state.lastSeq || !this.#rowsKnown) return;
      this.store.setState({ commitSeq: state.lastSeq });
      this.ports.log.debug("partition served", {
        partition: this.partition,
        term: this.config.term,
      });
      this.#resumeServing();
      return;
    }
    if (upto <= state.commitSeq) return;
    this.store.setState({ commitSeq: upto });
    this.#writes.commit(upto, this.#proposer.whyNotSure(), this.observer);
    this.observer?.advanced();
    this.transactions.onCommitted();
    this.#release();
    if (this.phase === "draining" && this.#writes.size === 0) this.#reportDrained();
  }

  /** Rule X11. */
  get #rowsKnown(): boolean {
    return this.clientSessions.known && this.#intents.known;
  }

  /** Nothing is written before it serves, and it does not serve before it knows client sessions and transactions. */
  #loadSessions(): void {
    if (this.#loadingSessions) return;
    this.#loadingSessions = true;
    const { clientSessions, store } = this;
    Promise.all([clientSessions.load(store), this.#intents.load()]).then(() => {
      this.#loadingSessions = false;
      this.ports.retries.ended(LOAD_SESSIONS, this.partition);
      this.#advance();
    }, (error) => {
      this.#loadingSessions = false;
      if (this.phase === "stopped") {
        failureOf(error);
        return;
      }
      this.#loadFailures++;
      if (this.onReadFailed(LOAD_SESSIONS, error)) return;
      // The last replica goes on with what can be read; of the sessions, that is as if it were nothing.
      if (!isDamage(error) && this.#loadFailures < READ_FAILURES_MAX) return;
      clientSessions.giveUp(store.state.lastSeq);
      this.#loadingSessions = true;
      return this.#intents.salvage().then(() => {
        this.#loadingSessions = false;
        this.#advance();
      });
    });
  }

  // Reads.

  /**
   * Runs `then`, with what the request has of its time then, once this node is known to be the primary at
   * a time after the request came.
   */
  whenReadable<R extends Timed>(request: R, reply: ReplyTo, then: (request: R) => void): void {
    if (this.#isReadable()) then(request);
    else this.#unconfirmed.add(request, reply, then);
  }

  #isReadable(): boolean {
    // Rule R2.
    return (this.ports.hasLease() && !this.leaseBarred) || this.confirmTargets().length === 0;
  }

  /** Whose confirmation makes a read safe without a lease. */
  confirmTargets(): NodeId[] {
    return this.followers.mustAck();
  }

  /** A round of questions begins: it speaks for the reads that wait now. @returns false if none waits */
  beginConfirmation(): boolean {
    return this.#unconfirmed.begin();
  }

  /** All have confirmed (or somebody has not): the reads of the round go on, or to the next round. */
  endConfirmation(confirmed: boolean): void {
    this.#unconfirmed.end(confirmed && this.phase !== "stopped");
    this.#release();
  }

  // Requests that have waited.

  /**
   * Lets requests that have waited go on, one in each step of `ports.releases`: all at once, after a stall,
   * they would keep the event loop from everybody else. Whether one may go on is looked at when it does.
   */
  #release(): void {
    if (this.#releasing || this.waitingCount === 0) return;
    this.#releasing = true;
    this.ports.releases.add(() => {
      const next = this.#takeReleased();
      next?.run();
      this.#releasing = next !== undefined;
      return this.#releasing;
    });
  }

  #takeReleased(): Waiting | undefined {
    const committed = this.#writes.takeReleased();
    if (committed !== undefined) return committed;
    // Its data is not to be read any more: what is confirmed waits until it is, or until others take over.
    if (this.phase === "stopped") this.#unconfirmed.askAgain();
    const confirmed = this.#unconfirmed.takeConfirmed();
    if (confirmed !== undefined) return confirmed;
    const free = this.transactions.takeReleased();
    if (free !== undefined) return free;
    return this.phase === "serving" ? this.#waiting.takeNext() : undefined;
  }

  // Hand-over.

  /** The coordinator wants another primary: finish what is in flight, accept nothing new. */
  drain(term: number, to: NodeId): void {
    if (term !== this.config.term || this.phase !== "serving") return;
    if (this.stream(to)?.state !== "level") return;
    this.phase = "draining";
    this.#drainBeganMs = this.ports.nowMs();
    if (this.#isDrained()) this.#reportDrained();
  }

  /**
   * Nothing is in flight; or what is will not come to this disk, and its replicas decide what becomes of it:
   * the next primary commits what it has of it (T2). Rule C7.
   */
  #isDrained(): boolean {
    return this.#writes.size === 0 || this.ports.diskFailingMs() > 0;
  }

  #reportDrained(): void {
    this.phase = "drained";
    // Rule L2.
    this.leaseBarred = true;
    this.ports.report({ req_type: "drained", p: this.partition, term: this.config.term });
  }

  #resumeServing(): void {
    this.phase = "serving";
    this.#release();
  }

  /** It had stopped for damage, and nobody else is left: it goes on with what can be read. */
  goOn(): void {
    if (this.phase === "stopped") this.#resumeServing();
    this.#advance();
  }

  // Time.

  /** Looks after deadlines and silent replicas. Called every 100 ms or so. */
  tick(nowMs: number): void {
    this.#writes.expire(
      nowMs,
      this.ports.diskFailingMs() > 0
        ? "this node's disk refuses the write; it is tried again until the disk takes it"
        : "the deadline passed before all replicas had the write",
    );
    this.#waiting.expire(nowMs);
    this.transactions.tick(nowMs);
    if (this.phase === "draining" && this.#isDrained()) this.#reportDrained();
    if (!this.#rowsKnown && this.ports.retries.isDue(LOAD_SESSIONS, this.partition)) {
      this.#loadSessions();
    }
    if (
      (this.phase === "draining" || this.phase === "drained") &&
      nowMs - this.#drainBeganMs > HANDOVER_TIMEOUT_MS
    ) {
      if (this.phase === "drained") {
        this.ports.report({ req_type: "resumed", p: this.partition, term: this.config.term });
      }
      this.#resumeServing();
    }
    this.followers.tick(nowMs);
    this.#unconfirmed.tick(nowMs);
  }

  /** This process did not run for a while: nobody else is to blame for that time. */
  forgive(lostMs: number): void {
    this.followers.forgive(lostMs);
    this.#drainBeganMs += lostMs;
  }

  // Replicas.

  /** Whether an answer that carries this stream's number is of a stream that still stands. */
  stream(node: NodeId): FollowerStream | undefined {
    return this.followers.stream(node);
  }

  onPeerUp(node: NodeId): void {
    this.stream(node)?.start();
  }

  onPeerDown(node: NodeId): void {
    this.stream(node)?.stop();
  }

  onHopeless(stream: FollowerStream): void {
    this.followers.reportLagging(stream, "it lacks too much");
  }

  /** A replica says that its content differs at the same seq: it is sent everything. */
  onDigestDiffers(message: Message<"digest_differs">, from: NodeId): void {
    const stream = this.stream(from);
    if (stream === undefined || stream.stream !== message.stream) return;
    const { count, digest } = this.store.state;
    this.ports.log.error("replicas differ", {
      partition: this.partition,
      node: from,
      theirs: { count: message.count, digest: message.digest },
      ours: { count, digest },
    });
    this.divergences++;
    // If one runs already, this replica says that it differs again, with its next digest.
    this.#selfCheck.begin((fault) => {
      if (this.phase === "stopped") return;
      if (fault !== undefined) {
        this.onReadFailed(VERIFY, fault);
        return;
      }
      // It may have become another stream, or another replica's; what runs now is not broken off for it.
      const stands = this.stream(from) === stream && stream.stream === message.stream;
      if (!stands || stream.state !== "level") return;
      stream.startOver();
    }, (error) => this.onReadFailed(VERIFY, error));
  }

  // What has expired.

  /** See {@linkcode WriteProposer.expiredCount}. */
  expiredCount(wallMs: number): number | undefined {
    return this.#proposer.expiredCount(wallMs);
  }

  /** See {@linkcode WriteProposer.deleteExpired}. */
  deleteExpired(keys: readonly string[], wallMs: number): boolean {
    return this.#proposer.deleteExpired(keys, wallMs);
  }

  /** See {@linkcode WriteProposer.deleteDropped}. @throws {KvError} `corrupt`, `storage_failed` */
  deleteDropped(keys: readonly string[], wallMs: number): boolean {
    return this.#proposer.deleteDropped(keys, wallMs);
  }

  /** Asks level replicas to compare. */
  compareDigests(): void {
    if (this.phase === "serving") this.followers.compareDigests();
  }

  /** A request met this node's own data as it cannot be read: if it is damaged, others take over if there are any. */
  fail(error: unknown, request: KeyRequest, reply: ReplyTo): void {
    const failure = failureOf(error);
    if (isDamage(error) && this.onReadFailed(request.req_type, error)) {
      this.phase = "stopped";
      this.#waitForService(request, reply);
      return;
    }
    reply(errorReply(failure.code, `${request.req_type}: ${failure.message}`));
  }
}
