/**
 * The gateway's cache of values: which values it holds, under which connection each was promised to
 * be invalidated, and which of the reads under way may still put theirs in. Pure.
 *
 * Invariants: a value is put in only if, since its read was begun, no invalidation of its key came,
 * the connection to its node did not end, and its partition's term did not change. It is dropped at
 * the first of these, and when it expires.
 *
 * @module
 */
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Message } from "../../shared/wire/messages.ts";
import { LruCache } from "../../shared/base/lru_cache.ts";

/** A value as it is answered. */
export type CachedReply = Omit<Message<"data">, "id">;

/** A read under way. */
export interface WatchedRead {
  readonly key: string;
  readonly partition: number;
  readonly node: NodeId;
  /** When it was begun. */
  readonly nowMs: number;
  /** What it reads may be old already. */
  overtaken: boolean;
}

interface Cached {
  readonly reply: CachedReply;
  readonly partition: number;
  readonly node: NodeId;
  /** When it expires, by this process's own clock. */
  readonly untilMs: number;
  readonly bytes: number;
}

/** What an entry costs besides its text. */
const ENTRY_BYTES = 200;

/** Values that their primaries have promised to invalidate. */
export class ValueCache {
  readonly #entriesMax: number;
  readonly #values: LruCache<string, Cached>;
  readonly #reads = new Map<string, Set<WatchedRead>>();
  #hits = 0;
  #misses = 0;

  /** @param entriesMax 0 for no cache at all */
  constructor(entriesMax: number, bytesMax: number) {
    this.#entriesMax = entriesMax;
    // Bounded by bytes, and by counting each entry as its part of them at least.
    const part = entriesMax === 0 ? 0 : bytesMax / entriesMax;
    this.#values = new LruCache(
      entriesMax === 0 ? 0 : bytesMax,
      ({ bytes }) => Math.max(bytes, part),
    );
  }

  get enabled(): boolean {
    return this.#entriesMax > 0;
  }

  /** Counts, for `stats`. */
  stats(): { entries: number; capacity: number; hits: number; misses: number } {
    return {
      entries: this.#values.size,
      capacity: this.#entriesMax,
      hits: this.#hits,
      misses: this.#misses,
    };
  }

  /**
   * The answer, if it is here and has not expired.
   *
   * @param nowMs monotonic: how long a value lives was said by the node that decides it
   * @param trusts whether a node's invalidations are known to have come, as far as they matter
   */
  get(
    key: string,
    nowMs: number,
    trusts: (node: NodeId) => boolean = () => true,
  ): CachedReply | undefined {
    const cached = this.#values.get(key);
    // It stays: once the node is heard again, so are its invalidations, and before that.
    if (cached !== undefined && !trusts(cached.node)) {
      this.#misses++;
      return undefined;
    }
    if (cached !== undefined && cached.untilMs > nowMs) {
      this.#hits++;
      const { reply, untilMs } = cached;
      return reply.ttl_ms === undefined ? reply : { ...reply, ttl_ms: Math.ceil(untilMs - nowMs) };
    }
    if (cached !== undefined) this.#values.delete(key);
    this.#misses++;
    return undefined;
  }

  /** A read is about to be sent. */
  beginRead(key: string, partition: number, node: NodeId, nowMs: number): WatchedRead {
    const read = { key, partition, node, nowMs, overtaken: false };
    const reads = this.#reads.get(key);
    if (reads === undefined) this.#reads.set(key, new Set([read]));
    else reads.add(read);
    return read;
  }

  /** It has been answered; `reply` is undefined where there is nothing to keep. */
  endRead(read: WatchedRead, reply: CachedReply | undefined): void {
    const reads = this.#reads.get(read.key);
    reads?.delete(read);
    if (reads?.size === 0) this.#reads.delete(read.key);
    if (reply === undefined || read.overtaken) return;
    const { key, partition, node } = read;
    const untilMs = read.nowMs + (reply.ttl_ms ?? Infinity);
    const text = (reply.message?.length ?? 0) + (reply.value64?.length ?? 0) +
      (reply.bytes?.length ?? 0) + key.length;
    this.#values.set(key, { reply, partition, node, untilMs, bytes: 2 * text + ENTRY_BYTES });
  }

  /** A key has changed, or is about to. */
  invalidate(key: string): void {
    this.#values.delete(key);
    for (const read of this.#reads.get(key) ?? []) read.overtaken = true;
  }

  /** The connection to a node has ended, and with it what the node had promised. */
  dropNode(node: NodeId): void {
    this.#dropWhere((cached) => cached.node === node);
  }

  /** A new map: what a former primary promised does not hold. */
  adoptMap(before: ClusterMap | undefined, map: ClusterMap): void {
    if (before === undefined) return;
    const moved = new Set<NodeId>();
    for (const node of before.nodes) {
      const now = map.nodes.find(({ id }) => id === node.id);
      const stays = now !== undefined && now.state !== "down" && now.host === node.host &&
        now.port === node.port && now.incarnation === node.incarnation;
      if (!stays) moved.add(node.id);
    }
    this.#dropWhere(({ node, partition }) =>
      moved.has(node) || before.partitions[partition]?.term !== map.partitions[partition]?.term
    );
  }

  #dropWhere(isLost: (of: { node: NodeId; partition: number }) => boolean): void {
    // Oldest first, since looking counts as a use: so the order stays as it is.
    for (const key of [...this.#values.keys()].reverse()) {
      const cached = this.#values.get(key);
      if (cached !== undefined && isLost(cached)) this.#values.delete(key);
    }
    for (const reads of this.#reads.values()) {
      for (const read of reads) if (isLost(read)) read.overtaken = true;
    }
  }
}
