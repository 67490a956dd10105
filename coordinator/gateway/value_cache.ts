/**
 * The gateway's cache of values, for reads that ask for one by `consistency: "cached"`. Pure: times come
 * in as arguments.
 *
 * Invariants: a value that is given was the key's value at some moment of the last
 * GATEWAY_CACHE_AGE_MS_MAX; and a read that begins after a write through this gateway has been answered
 * never finds what was there before that write.
 *
 * Not a promise that a write by another way shows at once: nobody tells the gateway of one.
 *
 * @module
 */
import { LRUCache } from "lru-cache";
import { GATEWAY_CACHE_AGE_MS_MAX } from "../../shared/limits/requests.ts";
import type { Message } from "../../shared/wire/messages.ts";

/** A value as it is answered. */
export type CachedReply = Omit<Message<"data">, "id">;

/** A read under way that may put its value in. */
export interface FillingRead {
  readonly key: string;
  /** When it was begun: its value is no older than that. */
  readonly sinceMs: number;
}

interface Cached {
  readonly reply: CachedReply;
  /** When the key expires; undefined for never. The primary says how long it has left, which no date here can. */
  readonly expiresMs: number | undefined;
  /** The value is good before: then it has expired, or is too old. */
  readonly untilMs: number;
}

/** What an entry costs besides its text. */
const ENTRY_BYTES = 200;

/** Values that were read a moment ago. */
export class ValueCache {
  readonly #capacity: number;
  /** Undefined if nothing is to be kept. */
  readonly #values: LRUCache<string, Cached> | undefined;
  /** Of each key the read that was begun last; there are as many as requests are under way at the most. */
  readonly #reads = new Map<string, FillingRead>();
  #hits = 0;
  #misses = 0;

  /** @param entriesMax 0 for no cache at all */
  constructor(entriesMax: number, bytesMax: number) {
    this.#capacity = entriesMax;
    this.#values = entriesMax === 0 ? undefined : new LRUCache({
      max: entriesMax,
      maxSize: bytesMax,
      sizeCalculation: bytesOf,
    });
  }

  /** Counts, for `stats`. */
  stats(): { entries: number; capacity: number; hits: number; misses: number } {
    return {
      entries: this.#values?.size ?? 0,
      capacity: this.#capacity,
      hits: this.#hits,
      misses: this.#misses,
    };
  }

  /** The answer, if it is here and good. @param nowMs monotonic */
  get(key: string, nowMs: number): CachedReply | undefined {
    const cached = this.#values?.get(key);
    if (cached === undefined || nowMs >= cached.untilMs) {
      this.#misses++;
      return undefined;
    }
    this.#hits++;
    const { reply, expiresMs } = cached;
    if (expiresMs === undefined) return reply;
    return { ...reply, ttl_ms: Math.ceil(expiresMs - nowMs) };
  }

  /** A read of the newest value is about to be sent. */
  beginRead(key: string, nowMs: number): FillingRead {
    const read = { key, sinceMs: nowMs };
    this.#reads.set(key, read);
    return read;
  }

  /**
   * It has been answered. Its value is kept unless the key was written through this gateway meanwhile, or a
   * later read of the key was begun, which will put in a newer one.
   *
   * @param reply undefined if there is nothing to keep
   */
  endRead(read: FillingRead, reply: CachedReply | undefined): void {
    const { key, sinceMs } = read;
    if (this.#reads.get(key) !== read) return;
    this.#reads.delete(key);
    if (reply === undefined) return;
    const expiresMs = reply.ttl_ms === undefined ? undefined : sinceMs + reply.ttl_ms;
    const untilMs = Math.min(sinceMs + GATEWAY_CACHE_AGE_MS_MAX, expiresMs ?? Infinity);
    this.#values?.set(key, { reply, expiresMs, untilMs });
  }

  /** The key is about to be written through this gateway, or has just been. */
  invalidate(key: string): void {
    this.#values?.delete(key);
    this.#reads.delete(key);
  }

  /** Nothing that was read so far counts any more. */
  clear(): void {
    this.#values?.clear();
    this.#reads.clear();
  }
}

function bytesOf({ reply }: Cached, key: string): number {
  const text = (reply.message?.length ?? 0) + (reply.value64?.length ?? 0) +
    (reply.bytes?.length ?? 0) + key.length;
  return 2 * text + ENTRY_BYTES;
}
