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
import { Buffer } from "node:buffer";
import {
  type NodeId,
  type PartitionConfig,
  whatWritesNeed,
} from "../../shared/cluster/cluster_map.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { isLive, isTombstone } from "../../shared/base/entry.ts";
import { failureOf, invariant, isDamage, KvError } from "../../shared/base/errors.ts";
import {
  DISK_HANDOVER_MS,
  EXPIRED_PER_WRITE,
  GROUP_BYTES_SURE,
  GROUP_WIRE_BYTES_MAX,
  HANDOVER_TIMEOUT_MS,
  IN_FLIGHT_ENTRIES_MAX,
  VALUE_BYTES_MAX,
} from "../../shared/base/limits.ts";
import type { KeyRequest, Message, Reply } from "../../shared/wire/messages.ts";
import {
  DELETION,
  errorReply,
  liveEntry,
  type ReadOperation,
  writeReply,
} from "../../shared/operations/operation.ts";
import { OPERATIONS } from "../../shared/operations/table.ts";
import { isRepeated, onlyReads } from "../../shared/operations/repeat.ts";
import { whyCrossing } from "../../shared/validation/transaction_checks.ts";
import { toWireEntry } from "../../shared/schema/value_codec.ts";
import { FollowerSet } from "./follower_set.ts";
import type { FollowerStream, StreamOwner } from "./follower_stream.ts";
import {
  type Change,
  clientSessionChange,
  clientSessionKey,
  rememberedReply,
  SessionAges,
  settled,
} from "../requests/request_dedup.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts } from "./replica_ports.ts";
import {
  evaluateTransaction,
  evaluateWrite,
  type Evaluation,
} from "../requests/request_evaluation.ts";
import { UnconfirmedReads } from "../requests/unconfirmed_reads.ts";
import {
  deadlineOf,
  type Timed,
  type Waiting,
  WaitingRequests,
} from "../requests/waiting_requests.ts";
import { type InFlight, inFlightBytes, type ReplyTo, WriteQueue } from "../requests/write_queue.ts";

/**
 * `resyncing`: made primary, the others are not yet equal to it; `serving`; `draining`: asked to hand
 * over, finishes what is in flight; `drained`: has said so; `stopped`: its data is damaged, or it is
 * not primary any more. Requests wait in all but `serving`.
 */
export type Phase = "resyncing" | "serving" | "draining" | "drained" | "stopped";

/** Its name among what is tried again. */
const VERIFY = "compare the data with its digest";

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
  /** Set by the owner: a read of this node's data failed. True if it is damaged and others take over. */
  onReadFailed: (what: string, error: unknown) => boolean = () => false;
  /** What a value may grow to. */
  valueBytesMax = VALUE_BYTES_MAX;
  readonly sessions = new SessionAges();
  /** How often a replica was found to differ. */
  divergences = 0;
  /** This node's own data is being read through, since a replica differs from it. */
  #verifying = false;
  readonly #followers = new FollowerSet(this);
  readonly #writes: WriteQueue;
  /** Requests that came while not serving. */
  readonly #waiting: WaitingRequests;
  readonly #unconfirmed: UnconfirmedReads;
  #durableSeq = 0;
  /** What was here when it became primary, and its term, are on disk. */
  #startedOnDisk = false;
  #drainBeganMs = 0;
  /** Requests that have waited go on, one after the other. */
  #releasing = false;

  constructor(
    ports: ReplicaPorts,
    store: PartitionStore,
    recent: RecentWrites,
    config: PartitionConfig,
    epoch: number,
  ) {
    invariant(config.primary === ports.self, "this node is the primary", { config });
    this.partition = store.partition;
    this.ports = ports;
    this.store = store;
    const nowMs = () => ports.nowMs();
    this.#writes = new WriteQueue(ports.inFlight, nowMs);
    this.#waiting = new WaitingRequests(nowMs);
    this.#unconfirmed = new UnconfirmedReads(nowMs, () => ports.confirmReads(this.partition));
    this.recent = recent;
    this.config = config;
    this.epoch = epoch;
    store.setState({ term: config.term });
    this.#followers.update();
    store.flush();
    const { lastSeq } = store.state;
    store.whenWritten(() => {
      this.#startedOnDisk = true;
      this.#durableSeq = lastSeq;
      this.#advance();
    });
  }

  get inFlightCount(): number {
    return this.#writes.size;
  }

  get waitingCount(): number {
    return this.#waiting.size + this.#unconfirmed.size + this.#writes.waitingCount;
  }

  get streams(): readonly FollowerStream[] {
    return this.#followers.streams;
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
    this.#followers.onConfig(before);
    this.#advance();
  }

  /** The configuration names another primary, or none. Everything that waits is answered. Rule T4. */
  stepDown(notPrimary: Reply): void {
    this.phase = "stopped";
    this.#followers.stop();
    this.#writes.abandon(notPrimary);
    this.#waiting.failAll(notPrimary);
    this.#unconfirmed.failAll(notPrimary);
  }

  /** A request for a key of this partition. */
  execute(request: KeyRequest, reply: ReplyTo): void {
    if (this.#mustWait(request)) this.#waitForService(request, reply);
    else this.#carryOut(request, reply);
  }

  /** It is not served now, or others of the same caller are before it. */
  #mustWait(request: Timed): boolean {
    return this.phase !== "serving" || this.#waiting.holdsUp(request);
  }

  #carryOut(request: KeyRequest, reply: ReplyTo): void {
    const operation = OPERATIONS[request.req_type];
    if (operation.kind !== "read") this.#change(request, reply);
    else if (this.#isReadable()) this.#read(request, operation, reply);
    else this.#unconfirmed.add(request, reply, (left) => this.#read(left, operation, reply));
  }

  #waitForService(request: KeyRequest, reply: ReplyTo): void {
    this.#waiting.add(request, reply, (left) => this.#carryOut(left, reply));
  }

  /** Runs `then` with the partition readable and everything up to now committed; for scans. */
  whenStable(request: Timed, reply: ReplyTo, then: () => void): void {
    if (this.#mustWait(request)) {
      this.#waiting.add(request, reply, (left) => this.#whenStableNow(left, reply, then));
    } else this.#whenStableNow(request, reply, then);
  }

  #whenStableNow(request: Timed, reply: ReplyTo, then: () => void): void {
    this.#whenReadable(request, reply, (left) => {
      this.#writes.whenCommitted(this.#writes.last, left, reply, then);
    });
  }

  // Writes.

  /** A request that may change something; the answer of one that does not is as good as a read's. */
  #change(request: KeyRequest, reply: ReplyTo): void {
    const crossing = whyCrossing(request, this.ports.partitionCount());
    const refused = this.#whyNoWrite(request.req_type);
    if (crossing !== undefined) {
      reply(crossing);
      return;
    }
    if (refused !== undefined && !onlyReads(request)) {
      reply(refused);
      return;
    }
    const wallMs = this.ports.wallMs();
    const session = clientSessionKey(request);
    let evaluation: Evaluation;
    try {
      if (session !== undefined) {
        // Rule W8.
        const remembered = rememberedReply(request, this.store.get(session));
        if (remembered !== undefined) {
          // What keeps the answer back tells nothing of the attempt that it is the answer to.
          const fail = (why: Reply) => reply(stillUnknown(request, why));
          // As that attempt is told, where replicas leave the set before its write is committed.
          const tell = (answer: Reply) =>
            reply((onlyReads(request) ? undefined : this.#whyNotSure()) ?? answer);
          this.#answerAsOf([session], request, settled(request, remembered), tell, fail);
          return;
        }
      }
      evaluation = this.#evaluate(request, wallMs);
    } catch (error) {
      this.#readFailed(error, request, reply);
      return;
    }
    const { changes, writes, answer, keys } = evaluation;
    // An answer without a write tells what keys hold: it may leave when that is committed, and known
    // to be current. But an earlier attempt that is still under way must find this answer, not another
    // state of the keys.
    let proposes = writes;
    if (session !== undefined && refused === undefined && (writes || isRepeated(request))) {
      changes.push(clientSessionChange(session, request, answer));
      proposes = true;
    }
    if (proposes) {
      this.#propose(request, changes, wallMs, settled(request, answer), reply);
    } else if (changes.length > 0) {
      this.#proposeExpired(request, changes, wallMs, answer, reply);
    } else this.#answerAsOf(keys, request, answer, reply);
  }

  #evaluate(request: KeyRequest, wallMs: number): Evaluation {
    const { store, valueBytesMax } = this;
    const context = { wallMs, valueBytesMax };
    if (request.req_type === "transaction") {
      return evaluateTransaction(request, store, context);
    }
    const operation = OPERATIONS[request.req_type];
    invariant(operation.kind === "write", "reads go another way", { request });
    return evaluateWrite(request, operation, store, context);
  }

  /**
   * Answers with what the newest entries of keys say, when those are committed and current; `fail` is
   * told where that does not come about. Rule W5.
   */
  #answerAsOf(
    keys: readonly string[],
    request: KeyRequest,
    answer: Reply,
    reply: ReplyTo,
    fail: ReplyTo = reply,
  ): void {
    let newest: InFlight | undefined;
    for (const key of keys) {
      const write = this.#writes.newest(key);
      if (write === undefined) continue;
      if (newest === undefined || write.entry.seq > newest.entry.seq) newest = write;
    }
    this.#whenReadable(request, fail, (left) => {
      this.#writes.whenCommitted(newest, left, fail, () => reply(answer));
    });
  }

  #whyNoWrite(what: string): Reply | undefined {
    const { inSync } = this.config;
    const { minInSync } = this.ports;
    // Rule W4.
    if (inSync.length < minInSync) {
      return errorReply(
        "not_enough_replicas",
        `${what}: too few replicas are in sync (${inSync.length}): ${whatWritesNeed(minInSync)}`,
      );
    }
    return this.#whyFull(what);
  }

  #whyFull(what: string): Reply | undefined {
    if (this.#writes.size >= IN_FLIGHT_ENTRIES_MAX) {
      return errorReply("overloaded", `${what}: the partition's queue of writes is full`);
    }
    return undefined;
  }

  /**
   * Deletes what was found expired by a request that itself changes nothing, and answers when that is
   * committed. It takes no more replicas than there are, and the request waits as any read does. Rule W7.
   */
  #proposeExpired(
    request: KeyRequest,
    deletions: readonly Change[],
    wallMs: number,
    answer: Reply,
    reply: ReplyTo,
  ): void {
    const full = this.#whyFull(request.req_type);
    if (full !== undefined) {
      reply(full);
      return;
    }
    if (!this.#propose(request, deletions, wallMs, answer, reply)) return;
    const { last } = this.#writes;
    if (last === undefined) return;
    last.reply = undefined;
    this.#writes.whenCommitted(last, request, reply, () => reply(answer));
  }

  /**
   * Gives the changes their seqs and sends them on their way, all in one turn: they reach the disk in
   * one batch, and each replica in one frame, so that a replica holds all of them or none. False where they
   * cannot be made now; `reply` is told why. Rules W1 and W6.
   */
  #propose(
    request: KeyRequest,
    changes: readonly Change[],
    wallMs: number,
    answer: Reply,
    reply: ReplyTo,
  ): boolean {
    const { config, store, ports } = this;
    const { commitSeq, lastSeq } = store.state;
    const entries: Entry[] = [];
    let bytes = 0;
    for (const change of changes) {
      const entry = entryOf(change, lastSeq + 1 + entries.length, config.term, wallMs);
      entries.push(entry);
      bytes += inFlightBytes(entry);
    }
    const measured = entries.length > 1 && bytes > GROUP_BYTES_SURE;
    const text = measured || !this.#followers.isEmpty
      ? entries.map((entry) => JSON.stringify(toWireEntry(entry))).join(",")
      : "";
    if (measured && Buffer.byteLength(text) > GROUP_WIRE_BYTES_MAX) {
      this.#refuse(request, groupTooLarge(request), wallMs, reply);
      return false;
    }
    if (!ports.inFlight.take(bytes)) {
      reply(errorReply(
        "overloaded",
        `${request.req_type}: ${ports.inFlight.taken} bytes of writes wait for their replicas on this node`,
      ));
      return false;
    }
    const deadlineMs = deadlineOf(request, ports.nowMs());
    const early = "acks" in request && request.acks === "primary";
    try {
      const [only] = entries;
      if (only !== undefined && entries.length === 1) store.apply(only);
      else store.applyAll(entries);
    } catch (error) {
      ports.inFlight.give(bytes);
      if (this.#anotherMayWrite(error)) {
        const { message } = failureOf(error);
        reply(
          errorReply(
            "unavailable",
            `${request.req_type}: ${message}; another replica may take over`,
          ),
        );
      } else this.#readFailed(error, request, reply);
      return false;
    }
    const newLastSeq = lastSeq + entries.length;
    store.setState({ lastSeq: newLastSeq });
    for (const entry of entries) {
      this.recent.push(entry.seq, entry.key);
      this.#writes.push({
        entry,
        reply: entry.seq === newLastSeq ? reply : undefined,
        answer,
        early,
        deadlineMs,
        waiters: undefined,
        committed: false,
        next: undefined,
      });
    }
    this.#followers.append(newLastSeq, text, commitSeq);
    // Whoever makes keys that expire pays for those that have: so the expired cannot become more and more,
    // whatever the rate, nor how seldom the sweep has its turn.
    if (entries.some(({ expiresAtMs }) => expiresAtMs !== 0)) {
      const due = store.expiring.due(wallMs, EXPIRED_PER_WRITE);
      if (due.length > 0) this.deleteExpired(due.map(({ key }) => key), wallMs);
    }
    return true;
  }

  /** Refuses what cannot be written. An earlier attempt that is still under way must find the same. */
  #refuse(request: KeyRequest, answer: Reply, wallMs: number, reply: ReplyTo): void {
    const session = clientSessionKey(request);
    if (session === undefined || !isRepeated(request)) {
      reply(answer);
      return;
    }
    const remembered = clientSessionChange(session, request, answer);
    this.#propose(request, [remembered], wallMs, settled(request, answer), reply);
  }

  /** This node's disk has everything up to `lastSeq`. */
  onSynced(lastSeq: number): void {
    // Batches of before may tell of writes that this replica has been made to give up.
    if (!this.#startedOnDisk) return;
    if (lastSeq > this.#durableSeq) this.#durableSeq = lastSeq;
    this.#writes.onDurable(lastSeq);
    this.#advance();
  }

  onStreamAdvanced(stream: FollowerStream): void {
    this.#followers.promoteIfLevel(stream);
    this.#advance();
  }

  /** Commits what may be committed. Rule W4. */
  #advance(): void {
    if (this.phase === "stopped" || !this.#startedOnDisk) return;
    const upto = this.#followers.ackedUpto(this.#durableSeq);
    if (upto === undefined) return;
    const { state } = this.store;
    if (this.phase === "resyncing") {
      // Rule T2.
      // What a new primary found on its disk is committed as a whole, when all replicas are equal.
      if (upto < state.lastSeq) return;
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
    this.#writes.commit(upto, this.#onCommitted, this.#whyNotSure());
    this.#release();
    if (this.phase === "draining" && this.#writes.size === 0) this.#reportDrained();
  }

  /** Replicas may have left the set since the writes were taken. */
  #whyNotSure(): Reply | undefined {
    const { length } = this.config.inSync;
    const { minInSync } = this.ports;
    if (length >= minInSync) return undefined;
    return errorReply(
      "outcome_unknown",
      `the write is on ${length} of the ${minInSync} replicas that are required; it stays, unless these are lost`,
    );
  }

  readonly #onCommitted = (key: string): void => this.ports.committed(this.partition, key);

  // Reads.

  #read(request: KeyRequest, operation: ReadOperation, reply: ReplyTo): void {
    const { key } = request;
    const newest = this.#writes.newest(key);
    let entry: Entry | undefined;
    try {
      entry = newest?.entry ?? this.store.get(key);
    } catch (error) {
      this.#readFailed(error, request, reply);
      return;
    }
    // Most never expire, and nobody asks for the date.
    const wallMs = entry === undefined || entry.expiresAtMs === 0 ? 0 : this.ports.wallMs();
    const live = liveEntry(entry, wallMs);
    if (entry !== undefined && live === undefined && !isTombstone(entry)) {
      // Expired: decided once, for all replicas and later primaries, by deleting it.
      const gone = operation.read(request, undefined, wallMs);
      this.#proposeExpired(request, [{ key, write: DELETION }], wallMs, gone, reply);
    } else if (newest === undefined) reply(operation.read(request, live, wallMs));
    else {
      // Rule R1.
      this.#writes.whenCommitted(newest, request, reply, () => {
        reply(operation.read(request, live, wallMs));
      });
    }
  }

  /**
   * Runs `then`, with what the request has of its time then, once this node is known to be the primary at
   * a time after the request came.
   */
  #whenReadable<R extends Timed>(request: R, reply: ReplyTo, then: (request: R) => void): void {
    if (this.#isReadable()) then(request);
    else this.#unconfirmed.add(request, reply, then);
  }

  #isReadable(): boolean {
    // Rule R2.
    return (this.ports.hasLease() && !this.leaseBarred) || this.confirmTargets().length === 0;
  }

  /** Whose confirmation makes a read safe without a lease. */
  confirmTargets(): NodeId[] {
    return this.#followers.mustAck();
  }

  /** A round of questions begins: it speaks for the reads that wait now. False where none does. */
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
    return this.phase === "serving" ? this.#waiting.takeNext() : undefined;
  }

  // Hand-over.

  /** The coordinator target assignments another primary: finish what is in flight, take nothing new. */
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
    if (this.phase === "draining" && this.#isDrained()) this.#reportDrained();
    if (this.phase === "serving") this.sessions.tick(nowMs, this.store.state.lastSeq);
    if (
      (this.phase === "draining" || this.phase === "drained") &&
      nowMs - this.#drainBeganMs > HANDOVER_TIMEOUT_MS
    ) {
      if (this.phase === "drained") {
        this.ports.report({ req_type: "resumed", p: this.partition, term: this.config.term });
      }
      this.#resumeServing();
    }
    this.#followers.tick(nowMs);
    this.#unconfirmed.tick(nowMs);
  }

  /** This process did not run for a while: nobody else is to blame for that time. */
  forgive(lostMs: number): void {
    this.#followers.forgive(lostMs);
    this.#drainBeganMs += lostMs;
  }

  // Replicas.

  /** Whether an answer that carries this stream's number is of a stream that still stands. */
  stream(node: NodeId): FollowerStream | undefined {
    return this.#followers.stream(node);
  }

  onPeerUp(node: NodeId): void {
    this.stream(node)?.start();
  }

  onPeerDown(node: NodeId): void {
    this.stream(node)?.stop();
  }

  onHopeless(stream: FollowerStream): void {
    this.#followers.reportLagging(stream, "it lacks too much");
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
    // Another replica that differs meanwhile says so again with its next digest.
    if (this.#verifying) return;
    this.#verifying = true;
    this.store.verify().then((sound) => {
      this.#verifying = false;
      if (this.phase === "stopped") return;
      this.ports.retries.ended(VERIFY, this.partition);
      if (!sound) {
        this.onReadFailed(
          VERIFY,
          new KvError("corrupt", "the replica does not agree with its own digest"),
        );
        return;
      }
      // It may have become another stream, or another replica's; what runs now is not broken off for it.
      const stands = this.stream(from) === stream && stream.stream === message.stream;
      if (!stands || stream.state !== "level") return;
      stream.forceFull = true;
      stream.start();
    }, (error) => {
      this.#verifying = false;
      this.onReadFailed(VERIFY, error);
    });
  }

  /** How many of the entries that are not deleted have expired; undefined where only a pass can tell. */
  expiredCount(wallMs: number): number | undefined {
    const { expiring } = this.store;
    return expiring.completeMs > wallMs ? expiring.dueCount(wallMs) : undefined;
  }

  /**
   * Deletes those of the keys whose newest entry has expired, in one group.
   *
   * @returns false if that cannot be done now
   */
  deleteExpired(keys: readonly string[], wallMs: number): boolean {
    if (this.phase !== "serving" || this.#whyFull("expire") !== undefined) return false;
    const changes: Change[] = [];
    for (const key of keys) {
      try {
        const entry = this.store.get(key);
        if (entry !== undefined && !isTombstone(entry) && !isLive(entry, wallMs)) {
          changes.push({ key, write: DELETION });
        }
      } catch (error) {
        failureOf(error);
        if (!isDamage(error)) return false;
        // Whoever reads it is told; it is not to keep the others from being deleted.
        this.store.expiring.note(key, 0);
        this.onReadFailed("expire", error);
      }
    }
    return this.#deleteAll(changes, wallMs);
  }

  /** Deletes client sessions whose newest entry is not beyond a seq. @returns as {@linkcode deleteExpired} */
  deleteClientSessions(sessions: readonly Entry[], wallMs: number): boolean {
    if (this.phase !== "serving" || this.#whyFull("expire") !== undefined) return false;
    const same = sessions.filter(({ key, seq }) => this.store.get(key)?.seq === seq);
    return this.#deleteAll(same.map(({ key }) => ({ key, write: DELETION })), wallMs);
  }

  #deleteAll(changes: readonly Change[], wallMs: number): boolean {
    const [first] = changes;
    if (first === undefined) return true;
    const request = { req_type: "delete", key: first.key } as const;
    const proposed = this.#propose(request, changes, wallMs, writeReply(0), () => {});
    if (proposed) this.ports.expired(changes.length);
    return proposed;
  }

  /** Asks level replicas to compare. */
  compareDigests(): void {
    if (this.phase === "serving") this.#followers.compareDigests();
  }

  /** Whether a disk that refuses a write has done so only for as long as it takes to hand over. */
  #anotherMayWrite(error: unknown): boolean {
    return failureOf(error).code === "storage_failed" && this.config.inSync.length > 1 &&
      this.ports.diskFailingMs() < DISK_HANDOVER_MS;
  }

  /** A read of this node's own data failed: others take over where there are any. */
  #readFailed(error: unknown, request: KeyRequest, reply: ReplyTo): void {
    const failure = failureOf(error);
    if (isDamage(error) && this.onReadFailed(request.req_type, error)) {
      this.phase = "stopped";
      this.#waitForService(request, reply);
      return;
    }
    reply(errorReply(failure.code, `${request.req_type}: ${failure.message}`));
  }
}

function entryOf({ key, write }: Change, seq: number, term: number, timestampMs: number): Entry {
  const { flags, expiresAtMs, value, contentType } = write;
  const entry: Entry = { key, seq, term, flags, timestampMs, expiresAtMs, value };
  return contentType === undefined ? entry : { ...entry, contentType };
}

/** An earlier attempt of the request is known here, and what comes of it is not. */
function stillUnknown(request: KeyRequest, why: Reply): Reply {
  const message = why.req_type === "error" ? why.message : "";
  return errorReply(
    "outcome_unknown",
    `${request.req_type}: an earlier attempt may have happened; of this one: ${message}`,
  );
}

/** The changes that belong together do not fit into one frame to a replica. */
function groupTooLarge(request: KeyRequest): Reply {
  const what = request.req_type;
  if (what === "transaction") {
    return errorReply("transaction_too_large", `${what}: its writes do not fit into one message`);
  }
  return errorReply(
    "value_too_large",
    `${what}: the values before and after do not fit into one message; do not ask for "previous"`,
  );
}
