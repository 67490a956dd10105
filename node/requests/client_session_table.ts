/**
 * Which client sessions a partition remembers, at its primary: in the order of their entries' seqs, so that it is known which
 * entry must go to make room for another. The entries themselves are in the store, like any others. This table is made from
 * them when a node becomes primary, and updated with what it writes. `request_dedup.ts` says what the entries are for; the
 * argument is rule W8 of docs/replication.md.
 *
 * Invariants
 * - Each entry of a session in the store is in the table, with its seq, and nothing else is. Only if the entries could not be
 *   read are the earlier ones missing; they count as evicted unless a request finds its own.
 * - `evictedSeq` is at least the seq of each session's entry that was ever evicted. The newest entry of a session contains it
 *   too, and is never evicted: so the next primary finds it with the entries.
 * - Only committed entries are evicted, so a client that knows the current commit seq knows enough.
 *
 * @module
 */
import { type Entry, isTombstone } from "../../shared/base/entry.ts";
import { CLIENT_SESSION_BYTES } from "../../shared/limits/requests.ts";
import { PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/limits/storage.ts";
import { prefixEnd } from "../../shared/base/key_order.ts";
import { CLIENT_SESSION_KEY_PREFIX } from "../../shared/cluster/system_keys.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import { evictedSeqOf } from "./request_dedup.ts";

/** What must go to make room for a session's entry. */
export interface Eviction {
  /** The keys of the entries that must go, oldest first. */
  readonly keys: readonly string[];
  /** The `evictedSeq` after that. */
  readonly evictedSeq: number;
}

/** Counts of a node's encounters with evicted sessions, since it started. */
export class ClientSessionCounts {
  evicted = 0;
  /** First attempts that were refused, and are sent again with a later `since`. */
  refused = 0;
  /** Repeated requests of which nothing can tell any more whether they have happened. */
  unknown = 0;
}

interface Session {
  readonly seq: number;
  readonly bytes: number;
}

/** See the top of this file. */
export class ClientSessionTable {
  readonly #max: number;
  readonly #bytesMax: number;
  /** By the key of its entry; oldest entry first. */
  #sessions = new Map<string, Session>();
  #bytes = 0;
  #evictedSeq = 0;
  #known: "no" | "all" | "none_before" = "no";
  readonly #counts: ClientSessionCounts;

  /** @param max how many sessions, of CLIENT_SESSION_BYTES on average, are remembered */
  constructor(max: number, counts: ClientSessionCounts) {
    this.#max = max;
    this.#counts = counts;
    this.#bytesMax = max * CLIENT_SESSION_BYTES;
  }

  /** Whether it has been made; until then no request may be judged by it. */
  get known(): boolean {
    return this.#known !== "no";
  }

  /** The number of sessions; undefined if only the store can tell. */
  get count(): number | undefined {
    return this.#known === "all" ? this.#sessions.size : undefined;
  }

  /** The greatest seq of an entry that was evicted, committed or not. */
  get evictedSeq(): number {
    return this.#evictedSeq;
  }

  /**
   * Makes the table from what the store holds. Nothing may be written to the store meanwhile.
   *
   * @throws {KvError} `corrupt`, `storage_failed`
   */
  async load(store: PartitionStore): Promise<void> {
    const range = {
      start: CLIENT_SESSION_KEY_PREFIX,
      end: prefixEnd(CLIENT_SESSION_KEY_PREFIX),
      rowsMax: PASS_PAGE_ROWS,
      bytesMax: PASS_PAGE_BYTES,
    };
    const found: { key: string; session: Session }[] = [];
    let newest: Entry | undefined;
    let after: string | undefined;
    do {
      const page = await store.scan(after, range);
      for (const entry of page.entries) {
        if (isTombstone(entry)) continue;
        found.push({ key: entry.key, session: sessionOf(entry) });
        if (newest === undefined || entry.seq > newest.seq) newest = entry;
      }
      after = page.next;
    } while (after !== undefined);
    found.sort((a, b) => a.session.seq - b.session.seq);
    this.#sessions = new Map(found.map(({ key, session }) => [key, session]));
    this.#bytes = found.reduce((sum, { session }) => sum + session.bytes, 0);
    this.#evictedSeq = newest === undefined ? 0 : evictedSeqOf(newest);
    this.#known = "all";
  }

  /** The store holds no entries at all. */
  beginEmpty(): void {
    this.#known = "all";
  }

  /** The entries cannot be read: any that there may have been up to `seq` count as evicted. */
  giveUp(seq: number): void {
    this.#evictedSeq = seq;
    this.#known = "none_before";
  }

  /**
   * What must go if a session's entry of this many bytes is written. Undefined if that is not committed yet: then there is no
   * room now.
   */
  evictionFor(key: string, bytes: number, commitSeq: number): Eviction | undefined {
    const before = this.#sessions.get(key);
    let count = this.#sessions.size + (before === undefined ? 1 : 0);
    let total = this.#bytes - (before?.bytes ?? 0) + bytes;
    let evictedSeq = this.#evictedSeq;
    const keys: string[] = [];
    const fits = () => count <= this.#max && total <= this.#bytesMax;
    if (fits()) return { keys, evictedSeq };
    for (const [oldest, session] of this.#sessions) {
      if (fits()) break;
      if (oldest === key) continue;
      if (session.seq > commitSeq) return undefined;
      keys.push(oldest);
      count--;
      total -= session.bytes;
      evictedSeq = Math.max(evictedSeq, session.seq);
    }
    return { keys, evictedSeq };
  }

  /** An entry of a session has been written; or a tombstone, if it was evicted. */
  note(entry: Entry): void {
    const before = this.#sessions.get(entry.key);
    if (before !== undefined) {
      this.#sessions.delete(entry.key);
      this.#bytes -= before.bytes;
    }
    if (isTombstone(entry)) {
      this.#evictedSeq = Math.max(this.#evictedSeq, before?.seq ?? 0);
      this.#counts.evicted++;
    } else {
      const session = sessionOf(entry);
      this.#sessions.set(entry.key, session);
      this.#bytes += session.bytes;
    }
  }
}

/** The bytes that an entry counts for. */
export function sessionBytes(key: string, value: Uint8Array): number {
  return key.length + value.length;
}

function sessionOf({ key, seq, value }: Entry): Session {
  return { seq, bytes: sessionBytes(key, value) };
}
