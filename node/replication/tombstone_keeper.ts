/**
 * Decides how long one replica of a partition keeps its tombstones, and drops them (rule D1 of
 * docs/replication.md). A tombstone serves a replica that was away and lacks the deletion: it can then be
 * sent the difference. Without it that replica is sent everything, since its commit seq is below the tombstone watermark.
 * So it is never wrong to drop one that is committed; it is a waste while somebody may come back.
 *
 * Invariant: the tombstone watermark is at least the seq of each tombstone that was dropped, in the same batch.
 *
 * @module
 */
import type { PartitionConfig } from "../../shared/cluster/cluster_map.ts";
import { isTombstone } from "../../shared/base/entry.ts";
import { TOMBSTONE_SETTLE_MS, TOMBSTONES_PER_TURN } from "../../shared/limits/replication.ts";
import type { PartitionStore } from "../storage/partition_store.ts";

/** See the module. */
export class TombstoneKeeper {
  readonly #store: PartitionStore;
  readonly #max: number;
  #settledSeq = 0;
  /** What is going to be that. */
  #mark: { readonly seq: number; readonly nowMs: number } | undefined;
  dropped = 0;

  /** @param max beyond this number the oldest are dropped, even if a replica is away */
  constructor(store: PartitionStore, max: number) {
    this.#store = store;
    this.#max = max;
  }

  /** Up to here every replica has had all writes for TOMBSTONE_SETTLE_MS: nobody lacks a deletion. */
  get settledSeq(): number {
    return this.#settledSeq;
  }

  /**
   * Time passes.
   *
   * @param replicas how many replicas the partition is to have, if there are as many nodes
   */
  tick(nowMs: number, config: PartitionConfig, replicas: number): void {
    const { commitSeq } = this.#store.state;
    if (replicas === 1 && config.inSync.length === 1) this.#settledSeq = Infinity;
    else if (this.#settledSeq === Infinity) this.#settledSeq = 0;
    if (config.inSync.length < replicas || config.learners.length > 0) this.#mark = undefined;
    else if (this.#mark === undefined) this.#mark = { seq: commitSeq, nowMs };
    else if (nowMs - this.#mark.nowMs >= TOMBSTONE_SETTLE_MS) {
      if (this.#mark.seq > this.#settledSeq) this.#settledSeq = this.#mark.seq;
      this.#mark = { seq: commitSeq, nowMs };
    }
  }

  /**
   * Drops some of those that nobody needs, if there are any. Called when the replica is settled.
   *
   * @throws {KvError} `corrupt`, `storage_failed`, `unavailable`: as reading and writing a key
   */
  drop(): void {
    const { tombstones } = this.#store;
    for (let left = TOMBSTONES_PER_TURN; left > 0; left--) {
      const { first } = tombstones;
      if (first === undefined || first.seq > this.#store.state.commitSeq) return;
      if (first.seq > this.#settledSeq && tombstones.size <= this.#max) return;
      // One that cannot be read now is left to the scrubber.
      tombstones.shift();
      const entry = this.#store.get(first.key);
      if (entry !== undefined && isTombstone(entry) && entry.seq === first.seq) {
        this.#store.remove(first.key);
        const { watermark } = this.#store.state;
        if (first.seq > watermark) this.#store.setState({ watermark: first.seq });
        this.dropped++;
      }
    }
  }
}
