/**
 * One partition on one node: holds its store, and is its primary, a replica that follows, or neither,
 * as the newest map says that the coordinator has sent.
 *
 * Invariants: configurations are adopted in the order of (term, epoch), never back, and from the map
 * alone. What a peer says of one is compared with it: a peer that is ahead of the map is answered when
 * the map says the same, and any other is refused. So nobody takes a partition by saying so. Until the first
 * map has come, the one that an earlier process has kept takes its place for that, and for nothing else.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { isTombstone } from "../../shared/base/entry.ts";
import { failureOf, invariant, isDamage, KvError } from "../../shared/base/errors.ts";
import {
  READ_FAILURE_MS_MAX,
  READ_FAILURES_MAX,
  TOMBSTONES_MAX,
} from "../../shared/limits/replication.ts";
import { EPOCH_JUMP_MAX, TERM_JUMP_MAX } from "../../shared/limits/membership.ts";
import { partitionShare } from "../../shared/limits/storage.ts";
import {
  isPartRequest,
  type KeyRequest,
  type Message,
  type Reply,
  type ReplyTo,
  type RoutedRequest,
} from "../../shared/wire/messages.ts";
import { Follower } from "./follower.ts";
import { liveEntry, type ReadOperation } from "../../shared/operations/operation.ts";
import { operationOf } from "../../shared/arguments/request_words.ts";
import type { PartitionSnapshot } from "../storage/partition_snapshot.ts";
import { ColdQueue } from "../requests/cold_queue.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import { clientSessionKey } from "../requests/request_dedup.ts";
import { Primary } from "./primary.ts";
import { RecentWrites } from "./recent_writes.ts";
import type { ReplicaPorts, Upstream } from "./replica_ports.ts";
import { TombstoneKeeper } from "./tombstone_keeper.ts";
import { deadlineOf, type Timed, withTimeLeft } from "../requests/waiting_requests.ts";
import { IntentTable } from "../transactions/intent_table.ts";

/** What a node adds to the ports of its replicas. */
export interface ReplicaOwner extends ReplicaPorts {
  /** The reply that sends a client to the right node. */
  notPrimary(partition: number): Reply;
  /** How many of a partition's latest writes are remembered for replicas that lack them. */
  readonly recentWritesMax: number;
  /** How many replicas a partition is to have, if there are as many nodes. */
  replicas(): number;
}

/** A peer says that it is the primary, in a configuration that this node does not know yet: that waits for the map. */
interface Claim {
  readonly type: "resync_query" | "new_term";
  readonly term: number;
  readonly epoch: number;
  readonly stream: number;
  readonly upstream: Upstream;
}

/** A partition on this node. */
export class Replica {
  readonly partition: number;
  readonly store: PartitionStore;
  config: PartitionConfig | undefined;
  epoch = 0;
  primary: Primary | undefined;
  readonly follower: Follower;
  readonly tombstones: TombstoneKeeper;
  /** Which keys transactions over several partitions hold. */
  readonly intents: IntentTable;
  readonly #owner: ReplicaOwner;
  readonly #recent: RecentWrites;
  readonly #cold: ColdQueue;
  /** The latest that came. Whoever sent it asks again in time. */
  #claim: Claim | undefined;
  /** The configuration is that of a kept map: it may be an old one. */
  #vouched = false;
  /** At the last failure of a read the disk refused writes. */
  #diskFailed = false;

  /** @param damaged whether the store was found damaged when it was opened */
  constructor(owner: ReplicaOwner, store: PartitionStore, damaged: boolean) {
    this.partition = store.partition;
    this.store = store;
    this.#owner = owner;
    this.#cold = new ColdQueue(store);
    this.intents = new IntentTable(store);
    if (store.state.count === 0) this.intents.beginEmpty();
    const share = partitionShare(TOMBSTONES_MAX, owner.partitionCount());
    this.tombstones = new TombstoneKeeper(store, share);
    this.#recent = new RecentWrites(store.state.lastSeq, owner.recentWritesMax);
    const { lastSeq, commitSeq, filled } = store.state;
    const clean = lastSeq === commitSeq && filled === undefined;
    this.follower = new Follower(owner, store, this.#recent, clean);
    this.follower.onReadFailed = (what, error) => this.onReadFailed(what, error);
    this.follower.onCleared = () => this.#takeRole();
    if (damaged) this.follower.markDamaged();
  }

  /** Whether this node found its data of the partition damaged, until it is filled anew. */
  get damaged(): boolean {
    return this.follower.damaged;
  }

  /** Whether the newest configuration names this node. */
  get isMember(): boolean {
    const { self } = this.#owner;
    return this.config !== undefined &&
      (this.config.inSync.includes(self) || this.config.learners.includes(self));
  }

  /** Whether nothing is being done to the replica as a whole: it serves, or follows and is level. */
  get isSettled(): boolean {
    if (this.damaged) return false;
    return this.primary === undefined
      ? this.isMember && this.follower.level
      : this.primary.phase === "serving";
  }

  /** Whether this node holds every acknowledged write of the partition. */
  get isInSync(): boolean {
    return this.config?.inSync.includes(this.#owner.self) ?? false;
  }

  /** The configuration that an earlier process went by, in which another node is the primary. */
  vouch(config: PartitionConfig, epoch: number): void {
    const { self } = this.#owner;
    invariant(
      this.config === undefined && config.primary !== self,
      "a kept configuration makes nobody primary",
      { config },
    );
    this.config = config;
    this.epoch = epoch;
    this.#vouched = true;
  }

  /** A configuration of the map. Older ones are ignored. Rule T1. */
  onConfig(config: PartitionConfig, epoch: number): void {
    this.#vouched = false;
    this.#adopt(config, epoch);
    const claim = this.#claim;
    this.#claim = undefined;
    if (claim !== undefined) this.#onClaim(claim);
  }

  #adopt(config: PartitionConfig, epoch: number): void {
    const before = this.config;
    if (before !== undefined) {
      if (config.term < before.term) return;
      if (config.term === before.term && epoch <= this.epoch) return;
    } else if (config.term < this.store.state.term) {
      // After a restart only the disk remembers: a primary of an earlier term is not to be followed.
      return;
    }
    this.config = config;
    this.epoch = epoch;
    const { self } = this.#owner;
    if (config.primary === self) {
      if (this.primary === undefined) this.#takeRole();
      else {
        this.primary.onConfig(config, epoch);
        if (this.damaged && config.term !== before?.term) this.#onStillDamaged(this.primary);
      }
      return;
    }
    const stepping = this.primary;
    if (stepping !== undefined) {
      this.primary = undefined;
      stepping.stepDown(this.#owner.notPrimary(this.partition));
      this.#owner.retries.forget(this.partition);
      this.follower.afterPrimary();
    }
    if (this.follower.primary !== undefined && this.follower.primary !== config.primary) {
      this.follower.leaveStream("this replica knows another primary");
    }
    if (this.damaged && this.isInSync && config.term !== before?.term) this.#reportDamaged();
    if (!this.isMember) this.#owner.retries.forget(this.partition);
  }

  /** Becomes the primary, if the configuration says so and the replica is in a state for it. */
  #takeRole(): void {
    const { config, epoch } = this;
    if (config?.primary !== this.#owner.self || this.primary !== undefined) return;
    this.follower.leaveStream("this replica is the primary now");
    // Rule D2.
    // An operator may have forced it. What is half deleted is nobody's truth: with nothing, then, once
    // that is done.
    if (this.store.isClearing) {
      this.follower.beginWithNothing();
      return;
    }
    // The last replica serves what can be read of it, and says `corrupt` of the rest.
    if (this.damaged && config.inSync.length > 1) {
      this.#reportDamaged();
      return;
    }
    this.#owner.log.debug("primary of a partition", {
      partition: this.partition,
      term: config.term,
    });
    const { lastSeq } = this.store.state;
    if (!this.follower.isWhole || this.#recent.lastSeq !== lastSeq) this.#recent.reset(lastSeq);
    this.#owner.retries.forget(this.partition);
    const primary = new Primary(
      this.#owner,
      this.store,
      this.#recent,
      config,
      epoch,
      this.intents,
    );
    primary.onReadFailed = (what, error) => this.onReadFailed(what, error);
    this.primary = primary;
  }

  /** A request for a key of this partition. While the disk is slow, it waits for a thread to read what it needs. */
  execute(request: RoutedRequest, reply: ReplyTo): void {
    if (this.#cold.calm) {
      this.#execute(request, reply);
      return;
    }
    const deadlineMs = deadlineOf(request, this.#owner.nowMs());
    this.#cold.whenRead(neededFor(request), () => {
      this.#execute(withTimeLeft(request, deadlineMs, this.#owner.nowMs()), reply);
    });
  }

  #execute(request: RoutedRequest, reply: ReplyTo): void {
    if (this.primary !== undefined) {
      this.primary.execute(request, reply);
      return;
    }
    if (isPartRequest(request)) {
      reply(this.#owner.notPrimary(this.partition));
      return;
    }
    const operation = operationOf(request.req_type);
    const mayBeOld = "consistency" in request && request.consistency === "replica";
    if (operation.kind === "read" && mayBeOld) this.#readReplica(request, operation, reply);
    else reply(this.#owner.notPrimary(this.partition));
  }

  /** A read that may be a moment old, from this replica; passed on to the primary if this replica cannot tell. Rule R4. */
  #readReplica(
    request: KeyRequest,
    operation: ReadOperation,
    reply: ReplyTo,
  ): void {
    const mayRead = this.isInSync && this.follower.level && !this.damaged;
    if (mayRead && this.#owner.hasLease() && this.#isFree(request.key)) {
      try {
        const entry = this.store.get(request.key);
        const wallMs = this.#owner.wallMs();
        const live = liveEntry(entry, wallMs);
        // Whether a key has expired is for the primary to decide.
        const expired = entry !== undefined && live === undefined && !isTombstone(entry);
        if (!expired && (entry?.seq ?? 0) <= this.store.state.commitSeq) {
          reply(operation.read(request, live, wallMs));
          return;
        }
      } catch (error) {
        // Passed on; damage besides is seen to.
        if (isDamage(error)) this.onReadFailed(request.req_type, error);
        else failureOf(error);
      }
    }
    reply(this.#owner.notPrimary(this.partition));
  }

  /** Whether no transaction holds a key; false if that is not known yet. Rule X3. */
  #isFree(key: string): boolean {
    const { intents } = this;
    if (intents.known) return !intents.isHeld(key);
    intents.load().catch((error) => {
      if (isDamage(error)) this.onReadFailed("look for transactions", error);
      else failureOf(error);
    });
    return false;
  }

  /**
   * A snapshot of the partition, given to `then` when everything in it is committed: it stays true
   * then, whoever becomes primary. Whoever gets it closes it.
   */
  snapshot(
    request: Timed,
    page: { rowsMax: number; bytesMax: number },
    reply: ReplyTo,
    then: (snapshot: PartitionSnapshot) => void,
  ): void {
    const { primary } = this;
    if (primary === undefined) {
      reply(this.#owner.notPrimary(this.partition));
      return;
    }
    const deadlineMs = deadlineOf(request, this.#owner.nowMs());
    primary.whenStable(request, reply, () => {
      const snapshot = this.store.snapshot(page);
      const giveUp = (refusal: Reply) => {
        snapshot.close();
        reply(refusal);
      };
      // Writes that came while the others were waited for are in it too.
      const left = withTimeLeft(request, deadlineMs, this.#owner.nowMs());
      primary.whenStable(left, giveUp, () => then(snapshot));
    });
  }

  /**
   * A peer says that it is the primary: it asks where this replica stands, or goes on in a later term. Whoever
   * says so counts this node's acknowledgements by the configuration that comes along. If that does not name
   * the two as it should, the peer talks nonsense: perhaps it takes this node for one that had the address before.
   */
  onPrimaryClaim(message: Message<"resync_query" | "new_term">, upstream: Upstream): void {
    const { config, epoch, stream } = message;
    const claim = { type: message.req_type, term: config.term, epoch, stream, upstream };
    if (isOf(config, upstream.node, this.#owner.self)) this.#onClaim(claim);
    else this.#refuse(claim, "this replica knows another primary");
  }

  /**
   * If the map does not say yet that the peer is the primary, the claim waits for the map that may be on its way.
   * The map may also be ahead of the peer, of terms in which that peer was primary as well. Rule T1.
   */
  #onClaim(claim: Claim): void {
    const { type, term, epoch, stream, upstream } = claim;
    const mine = this.config;
    const follows = mine?.primary === upstream.node && this.isMember && this.primary === undefined;
    if (mine !== undefined && isLeap(claim, mine.term, this.epoch)) {
      this.#refuse(claim, "this replica knows another primary");
    } else if (
      mine === undefined || term > mine.term ||
      (!follows && term === mine.term && epoch > this.epoch)
    ) {
      this.#claim = claim;
    } else if (!follows) this.#refuse(claim, "this replica knows another primary");
    else if (term < this.store.state.term) {
      // It was primary itself in between, and never served. What it says on disk must not go back.
      this.#refuse(claim, "this replica was level in a later term; wait for the map");
    } else if (type === "resync_query") {
      // By the newest map it may be in sync, and so be made primary in the middle of a resync.
      // One that is not filled yet is in no set: it would have been level first.
      const inSync = this.isInSync || this.#vouched && this.store.state.filled === undefined;
      this.follower.onQuery(stream, term, inSync, upstream);
    } else this.follower.onNewTerm(stream, term, upstream);
  }

  #refuse({ stream, upstream }: Claim, reason: string): void {
    upstream.send({
      req_type: "stream_refused",
      p: this.partition,
      term: this.config?.term ?? 0,
      stream,
      reason,
    });
  }

  /** A connection over which a peer sent is gone. */
  onUpstreamClosed(upstream: Upstream): void {
    if (this.#claim?.upstream === upstream) this.#claim = undefined;
    this.follower.onUpstreamClosed(upstream);
  }

  /** Whether a node that asks is still the primary, as far as this replica knows. Rules T1 and R2. */
  confirms(node: NodeId, term: number): boolean {
    return this.config !== undefined && this.config.primary === node && this.config.term >= term;
  }

  /** A batch of this node's disk is written. */
  onSynced(lastSeq: number): void {
    if (this.primary !== undefined) this.primary.onSynced(lastSeq);
    else this.follower.onSynced(lastSeq);
    this.#dropTombstones();
  }

  /** Time passes. */
  tick(nowMs: number): void {
    this.primary?.tick(nowMs);
    if (this.config !== undefined) this.tombstones.tick(nowMs, this.config, this.#owner.replicas());
    this.#dropTombstones();
  }

  #dropTombstones(): void {
    if (this.store.tombstones.size === 0 || !this.isSettled) return;
    try {
      this.tombstones.drop();
    } catch (error) {
      failureOf(error);
      // What the disk does not take now is looked at again; the disk's queue tells of it.
      if (isDamage(error)) this.onReadFailed("tombstones", error);
    }
  }

  /**
   * A read of this replica's data failed. Only here is it decided whether that is damage, for which the replica
   * is given up, or something that may be over with the next attempt. Damage is `corrupt`, and what has failed in
   * each of many attempts over a long time. Rule D4.
   *
   * @param what was being done, and will be tried again
   * @returns true if the data is damaged and other replicas take over, so that requests should wait; false if
   * it is not, or if this replica is the last and goes on with what can be read
   */
  onReadFailed(what: string, error: unknown): boolean {
    const failure = failureOf(error);
    const isDamaged = isDamage(error);
    if (isDamaged && !this.#isLast) {
      this.#giveUp(failure);
      return true;
    }
    const diskFails = this.#owner.diskFailingMs() > 0;
    // What failed because writes did says nothing of what can be read.
    if (this.#diskFailed && !diskFails) this.#owner.retries.forget(this.partition);
    this.#diskFailed = diskFails;
    const { attempts, sinceMs } = this.#owner.retries.failed(what, this.partition, failure);
    if (isDamaged && attempts === 1) this.#logDamage(failure);
    const forMs = this.#owner.nowMs() - sinceMs;
    if (this.#isLast || diskFails) return false;
    if (attempts < READ_FAILURES_MAX || forMs < READ_FAILURE_MS_MAX) return false;
    this.#giveUp(
      new KvError(
        "corrupt",
        `it cannot be read: ${attempts} attempts in ${Math.round(forMs)} ms; ${failure.message}`,
        { cause: failure },
      ),
    );
    return true;
  }

  /** It is the primary, and no other replica has what it has. */
  get #isLast(): boolean {
    const others = this.config?.inSync.some((node) => node !== this.#owner.self) ?? false;
    return this.primary !== undefined && !others;
  }

  /** Its data is damaged, and others have all of it. */
  #giveUp(failure: KvError): void {
    if (!this.damaged) {
      this.#logDamage(failure);
      this.store.markDamaged();
    }
    this.follower.markDamaged();
    // Rule L2.
    // The coordinator makes another one primary as soon as it hears, and waits for no lease.
    if (this.primary !== undefined) this.primary.leaseBarred = true;
    if (this.isInSync) this.#reportDamaged();
  }

  #logDamage({ message }: KvError): void {
    const facts = { partition: this.partition, error: message };
    this.#owner.log.error("data of a partition is damaged", facts);
  }

  /** The term has changed for another reason, and this damaged replica is still the primary. Rule L2. */
  #onStillDamaged(primary: Primary): void {
    if ((this.config?.inSync.length ?? 0) > 1) {
      primary.leaseBarred = true;
      this.#reportDamaged();
    } else primary.goOn();
  }

  #reportDamaged(): void {
    const term = this.config?.term ?? 0;
    this.#owner.report({ req_type: "damaged", p: this.partition, term });
  }
}

/** Whether a claim is further ahead of the map than any map can be that is on its way. Rule C12. */
function isLeap(claim: Claim, term: number, epoch: number): boolean {
  return claim.term - term > TERM_JUMP_MAX || claim.epoch - epoch > EPOCH_JUMP_MAX;
}

/** Whether a configuration names the one node as primary and the other as its follower. */
function isOf(
  { primary, inSync, learners }: PartitionConfig,
  node: NodeId,
  replica: NodeId,
): boolean {
  return primary === node && inSync.includes(node) && node !== replica &&
    (inSync.includes(replica) || learners.includes(replica));
}

/** The keys whose rows a request may need. */
function neededFor(request: RoutedRequest): string[] {
  const keys = [request.key];
  if (isPartRequest(request)) return keys;
  if (request.req_type === "transaction") {
    for (const { key } of request.requests) keys.push(key);
    for (const [key] of request.checks ?? []) keys.push(key);
  }
  const session = clientSessionKey(request);
  if (session !== undefined) keys.push(session);
  return keys;
}
