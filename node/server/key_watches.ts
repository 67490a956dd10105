/**
 * Which connections want to be told when a key changes: the gateways, of the keys that they cache.
 * A watch is made by a `watch_get` and used up by one `invalidate`. It holds no values, and does not
 * know whether the node is still a key's primary: whoever adopts a map says so by
 * {@linkcode Watchers.adoptMap}.
 *
 * Invariants: a connection that was answered the value of a key is sent an invalidation, behind that
 * answer, before the watch is forgotten for any reason; what is kept is bounded, per connection and
 * in total, and where a bound is reached the oldest watch is used up early.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import {
  INVALIDATE_KEYS_MAX,
  WATCHES_MAX,
  WATCHES_PER_CONNECTION_MAX,
} from "../../shared/base/limits.ts";

/** Where invalidations go. */
export interface WatchTarget {
  readonly closed: boolean;
  send(message: object): void;
}

/** One key that one connection wants to be told of. Made and changed by {@linkcode Watchers} alone. */
export interface Watch {
  readonly partition: number;
  readonly key: string;
  readonly watcher: Watcher;
  /** Reads under way: their answers may be older than a change that has been told already. */
  reads: number;
  /** The key has changed while a read was under way. */
  changed: boolean;
  /** An answer was given that somebody may have cached. */
  covers: boolean;
  /** It is not kept any more. */
  forgotten: boolean;
}

/** A connection and what it watches. */
export interface Watcher {
  readonly target: WatchTarget;
  /** By key, oldest first. */
  readonly watches: Map<string, Watch>;
  /** To be told at the end of this turn. */
  readonly changed: Set<string>;
}

/** How many watches are kept at most. */
export interface WatcherLimits {
  perConnection: number;
  inTotal: number;
}

/** All watches of a node. */
export class Watchers {
  #clock: Clock;
  #limits: WatcherLimits;
  #watchers = new Map<WatchTarget, Watcher>();
  #byPartition = new Map<number, Map<string, Watch[]>>();
  /** Every watch, oldest first. */
  #all = new Set<Watch>();
  #toTell = new Set<Watcher>();

  constructor(
    clock: Clock,
    limits: WatcherLimits = { perConnection: WATCHES_PER_CONNECTION_MAX, inTotal: WATCHES_MAX },
  ) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Watches kept now. */
  get size(): number {
    return this.#all.size;
  }

  /** Call before the read is carried out, and {@linkcode endRead} with what it gives afterwards. */
  beginRead(target: WatchTarget, partition: number, key: string): Watch {
    const watcher = this.#watcherOf(target);
    const known = watcher.watches.get(key);
    const watch = known ??
      { partition, key, watcher, reads: 0, changed: false, covers: false, forgotten: false };
    watch.reads++;
    this.#makeYoungest(watch, known === undefined);
    this.#keepWithinLimits(watcher);
    return watch;
  }

  /**
   * Call when the answer has been given to the connection.
   *
   * @param answered false where the answer was an error, which nobody caches
   */
  endRead(watch: Watch, answered: boolean): void {
    watch.reads--;
    watch.covers ||= answered;
    if (watch.forgotten) {
      // The change, or the want of room, was told before this answer: the answer is not covered.
      if (answered && !watch.watcher.target.closed) this.#tell(watch.watcher, watch.key);
    } else if (watch.reads === 0) {
      if (watch.changed) this.#useUp(watch);
      else if (!watch.covers) this.#remove(watch);
    }
  }

  /** A committed write has changed a key. */
  onCommitted(partition: number, key: string): void {
    const watches = this.#byPartition.get(partition)?.get(key);
    if (watches === undefined) return;
    for (const watch of watches.slice()) {
      if (watch.reads === 0) this.#useUp(watch);
      else {
        watch.changed = true;
        this.#tell(watch.watcher, key);
      }
    }
  }

  /** Uses up the watches of every partition of which `self` is not the primary any more. */
  adoptMap(map: ClusterMap, self: NodeId): void {
    for (const [partition, keys] of this.#byPartition) {
      if (map.partitions[partition]?.primary === self) continue;
      for (const watches of [...keys.values()]) {
        for (const watch of watches.slice()) this.#useUp(watch);
      }
    }
  }

  /** The connection is gone, and so is what its owner cached under it. */
  forget(target: WatchTarget): void {
    const watcher = this.#watchers.get(target);
    if (watcher === undefined) return;
    for (const watch of [...watcher.watches.values()]) this.#remove(watch);
    this.#watchers.delete(target);
    this.#toTell.delete(watcher);
  }

  #watcherOf(target: WatchTarget): Watcher {
    let watcher = this.#watchers.get(target);
    if (watcher === undefined) {
      watcher = { target, watches: new Map(), changed: new Set() };
      this.#watchers.set(target, watcher);
    }
    return watcher;
  }

  #makeYoungest(watch: Watch, isNew: boolean): void {
    const { watches } = watch.watcher;
    watches.delete(watch.key);
    watches.set(watch.key, watch);
    this.#all.delete(watch);
    this.#all.add(watch);
    if (!isNew) return;
    let keys = this.#byPartition.get(watch.partition);
    if (keys === undefined) this.#byPartition.set(watch.partition, keys = new Map());
    const sameKey = keys.get(watch.key);
    if (sameKey === undefined) keys.set(watch.key, [watch]);
    else sameKey.push(watch);
  }

  #keepWithinLimits(watcher: Watcher): void {
    if (watcher.watches.size > this.#limits.perConnection) {
      for (const watch of watcher.watches.values()) {
        this.#useUp(watch);
        break;
      }
    }
    if (this.#all.size > this.#limits.inTotal) {
      for (const watch of this.#all) {
        this.#useUp(watch);
        break;
      }
    }
  }

  #useUp(watch: Watch): void {
    this.#remove(watch);
    this.#tell(watch.watcher, watch.key);
  }

  #remove(watch: Watch): void {
    watch.forgotten = true;
    this.#all.delete(watch);
    watch.watcher.watches.delete(watch.key);
    const keys = this.#byPartition.get(watch.partition);
    const sameKey = keys?.get(watch.key);
    if (keys === undefined || sameKey === undefined) return;
    const at = sameKey.indexOf(watch);
    if (at >= 0) sameKey.splice(at, 1);
    if (sameKey.length === 0) keys.delete(watch.key);
    if (keys.size === 0) this.#byPartition.delete(watch.partition);
  }

  #tell(watcher: Watcher, key: string): void {
    watcher.changed.add(key);
    if (this.#toTell.size === 0) this.#clock.defer(() => this.#sendAll());
    this.#toTell.add(watcher);
  }

  #sendAll(): void {
    const watchers = [...this.#toTell];
    this.#toTell.clear();
    for (const watcher of watchers) {
      const keys = [...watcher.changed];
      watcher.changed.clear();
      if (watcher.target.closed) continue;
      for (let i = 0; i < keys.length; i += INVALIDATE_KEYS_MAX) {
        const some = keys.slice(i, i + INVALIDATE_KEYS_MAX);
        watcher.target.send({ req_type: "invalidate", keys: some });
      }
    }
  }
}
