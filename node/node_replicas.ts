/**
 * The replicas of one node. They are opened when the map makes the node a member of a partition, or when a peer asks for
 * which the kept map vouches; they get each newer configuration; and they are deleted when the node has not been a member
 * for a while. What a replica does is in `replication/replica.ts`.
 *
 * Invariants: a partition is opened once, and not while the rest of its replica is being deleted. Nothing is deleted
 * without a lease, nor while no node is primary of the partition.
 *
 * @module
 */
import type { ClusterMap, NodeId, PartitionConfig } from "../shared/cluster/cluster_map.ts";
import { failureOf, invariant } from "../shared/base/errors.ts";
import { SURPLUS_KEEP_MS } from "../shared/limits/replication.ts";
import { EXPIRY_INDEX_MAX, partitionShare } from "../shared/limits/storage.ts";
import type { HeldPartition } from "../shared/wire/messages.ts";
import type { ToReplica } from "./peers/peer_dispatch.ts";
import { CLEAR, noteClearFailure } from "./replication/follower.ts";
import type { Primary } from "./replication/primary.ts";
import { Replica, type ReplicaOwner } from "./replication/replica.ts";
import {
  type GroupCommit,
  NO_STATE,
  type OpenedPartitions,
  PartitionStore,
} from "./storage/partition_store.ts";

/** What replicas need of their node. */
export interface NodeReplicasOwner {
  /** What each of them may call. */
  readonly ports: ReplicaOwner;
  readonly queue: GroupCommit;
  /** What the disk held when it was opened, for partitions that are not opened yet. */
  readonly opened: OpenedPartitions;
  /** The newest map that an earlier process has kept. */
  readonly keptMap: ClusterMap | undefined;
  map(): ClusterMap | undefined;
  hasLease(): boolean;
  /** Whether this node's disk accepts writes. */
  isDiskWell(): boolean;
  /** A partition has a configuration of this term. */
  onTerm(partition: number, term: number): void;
  /** This node has stopped being the primary of a partition. */
  onPrimaryLost(partition: number): void;
  /** The rest of a replica has been deleted; it may have been opened again since. */
  onCleared(): void;
}

/** The replicas by partition. */
export class NodeReplicas {
  readonly #owner: NodeReplicasOwner;
  readonly #replicas = new Map<number, Replica>();
  /** Since when a replica here has not been a member. */
  readonly #surplusSinceMs = new Map<number, number>();
  readonly #clearing = new Set<number>();
  /** What could not be deleted, and must be when it is due. */
  readonly #clearAgain: (() => void)[] = [];

  constructor(owner: NodeReplicasOwner) {
    this.#owner = owner;
  }

  /** The replica of a partition; undefined if there is none here. */
  get(partition: number): Replica | undefined {
    return this.#replicas.get(partition);
  }

  values(): IterableIterator<Replica> {
    return this.#replicas.values();
  }

  /** Whether a partition that has a replica here lacks another one, which may come back. */
  get someAway(): boolean {
    const replicas = this.#owner.ports.replicas();
    for (const { config } of this.#replicas.values()) {
      if (config !== undefined && config.inSync.length < replicas) return true;
    }
    return false;
  }

  *primaries(): Generator<Primary, void, void> {
    for (const { primary } of this.#replicas.values()) if (primary !== undefined) yield primary;
  }

  /** Whether the rest of a partition's replica is being deleted. */
  isClearing(partition: number): boolean {
    return this.#clearing.has(partition);
  }

  /** Bytes of a partition's rows that count; undefined if they are not known. */
  liveBytes(partition: number): number | undefined {
    if (this.#clearing.has(partition)) return undefined;
    const replica = this.#replicas.get(partition);
    if (replica === undefined) return this.#owner.opened.has(partition) ? undefined : 0;
    return replica.isSettled ? replica.store.liveBytes : undefined;
  }

  /** What this node's disk holds, for registration. */
  held(): HeldPartition[] {
    const held: HeldPartition[] = [];
    const seen = new Set<number>();
    for (const { partition, store, damaged } of this.#replicas.values()) {
      seen.add(partition);
      const { term, lastSeq } = store.state;
      if (term > 0 || lastSeq > 0 || damaged) {
        held.push([partition, term, lastSeq, damaged ? 1 : 0]);
      }
    }
    for (const [partition, { term, lastSeq }] of this.#owner.opened) {
      if (seen.has(partition)) continue;
      held.push([partition, term, lastSeq, this.#owner.opened.damaged.has(partition) ? 1 : 0]);
    }
    return held;
  }

  /** A configuration from the map. */
  adopt(partition: number, config: PartitionConfig, epoch: number): void {
    const { self } = this.#owner.ports;
    this.#owner.onTerm(partition, config.term);
    if (this.#clearing.has(partition)) return;
    const member = config.inSync.includes(self) || config.learners.includes(self);
    const known = this.#replicas.get(partition);
    if (known === undefined && !member && !this.#owner.opened.has(partition)) return;
    const replica = known ?? this.#openReplica(partition);
    const wasPrimary = replica.primary !== undefined;
    replica.onConfig(config, epoch);
    if (wasPrimary && replica.primary === undefined) this.#owner.onPrimaryLost(partition);
    if (replica.isMember) this.#surplusSinceMs.delete(partition);
    else if (!this.#surplusSinceMs.has(partition)) {
      this.#surplusSinceMs.set(partition, this.#owner.ports.nowMs());
    }
  }

  /**
   * Before the first map has come, opens the replica that a primary asks for, if the kept map names that primary in the same
   * term, and if the replica is undamaged and was not level with a primary of a later term. Rule T1.
   */
  openVouched(message: ToReplica, from: NodeId): Replica | undefined {
    const { keptMap: kept, ports: { self } } = this.#owner;
    if (
      message.req_type !== "resync_query" || this.#owner.map() !== undefined || kept === undefined
    ) {
      return;
    }
    const { opened } = this.#owner;
    const { p, config: claimed } = message;
    const config = kept.partitions[p];
    const held = opened.get(p);
    if (config === undefined || held === undefined || opened.damaged.has(p)) return;
    if (config.primary !== from || config.term !== claimed.term || config.term < held.term) return;
    if (from === self || ![...config.inSync, ...config.learners].includes(self)) return;
    const replica = this.#openReplica(p);
    replica.vouch(config, kept.epoch);
    return replica;
  }

  #openReplica(partition: number): Replica {
    invariant(!this.#replicas.has(partition), "a partition is opened once", { partition });
    const { queue, opened } = this.#owner;
    const state = opened.get(partition) ?? NO_STATE;
    const store: PartitionStore = new PartitionStore(
      queue,
      partition,
      state,
      (lastSeq) => replica.onSynced(lastSeq),
      partitionShare(EXPIRY_INDEX_MAX, this.#owner.ports.partitionCount()),
    );
    const replica: Replica = new Replica(this.#owner.ports, store, opened.damaged.has(partition));
    opened.delete(partition);
    opened.damaged.delete(partition);
    this.#replicas.set(partition, replica);
    return replica;
  }

  /** Deletes replicas of partitions of which this node has not been a member for a while. */
  clearSurplus(): void {
    if (!this.#owner.hasLease()) return;
    const nowMs = this.#owner.ports.nowMs();
    for (const [partition, sinceMs] of this.#surplusSinceMs) {
      // The node lost its replicas because its disk refuses writes, and gets them back when the disk recovers.
      if (!this.#owner.isDiskWell()) {
        this.#surplusSinceMs.set(partition, nowMs);
        continue;
      }
      if (nowMs - sinceMs < SURPLUS_KEEP_MS) continue;
      // If the partition has no primary, this replica may be the best that an operator can fall back on.
      if (this.#owner.map()?.partitions[partition]?.primary === undefined) continue;
      this.#surplusSinceMs.delete(partition);
      const replica = this.#replicas.get(partition);
      if (replica === undefined || replica.isMember) continue;
      replica.follower.leaveStream("this node holds no replica");
      this.#replicas.delete(partition);
      this.#clearing.add(partition);
      const done = () => {
        this.#clearing.delete(partition);
        const map = this.#owner.map();
        const config = map?.partitions[partition];
        if (map !== undefined && config !== undefined) this.adopt(partition, config, map.epoch);
        this.#owner.onCleared();
      };
      this.#clearStore(replica.store, done);
    }
    for (const clear of this.#clearAgain.splice(0)) clear();
    // A replica that must be filled again is deleted too. If it has been named primary since, no peer asks it again, so
    // its deletion begins here.
    for (const { store, follower, partition } of this.#replicas.values()) {
      if (store.isClearing && this.#owner.ports.retries.isDue(CLEAR, partition)) {
        follower.beginWithNothing();
      }
    }
  }

  /** Deletes a replica; if that fails, again with a later call of `clearSurplus`. */
  #clearStore(store: PartitionStore, done: () => void): void {
    const { partition } = store;
    const again = () => {
      if (this.#owner.ports.retries.isDue(CLEAR, partition)) this.#clearStore(store, done);
      else this.#clearAgain.push(again);
    };
    store.clear().then(() => {
      this.#owner.ports.retries.forget(partition);
      done();
    }, (error) => {
      noteClearFailure(this.#owner.ports, partition, failureOf(error));
      this.#clearAgain.push(again);
    });
  }
}
