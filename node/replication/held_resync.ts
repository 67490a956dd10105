/**
 * What an in-sync replica was sent in a resync, held back until it is complete and then applied in one turn: the replica
 * may be made primary at any moment, and writes that belong together must never be there in part. It is bounded; a replica
 * that lacks more is filled as a learner. Rule W6.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import { RESYNC_HELD_BYTES_MAX } from "../../shared/limits/replication.ts";
import { fromWireEntry, wireEntryBytes } from "../../shared/schema/value_codec.ts";
import type { Message, WireEntry } from "../../shared/wire/messages.ts";

/** Pieces and live writes, in the order in which they came. */
export class HeldResync {
  readonly #held: (Message<"resync_chunk"> | readonly Entry[])[] = [];
  #bytes = 0;

  /** Whether it holds more than may be taken in one turn. */
  get isTooMuch(): boolean {
    return this.#bytes > RESYNC_HELD_BYTES_MAX;
  }

  pushWrites(entries: readonly Entry[]): void {
    this.#held.push(entries);
    this.#bytes += entries.reduce((sum, { key, value }) => sum + key.length + value.length, 0);
  }

  pushChunk(chunk: Message<"resync_chunk">): void {
    this.#held.push(chunk);
    this.#bytes += wireBytesOf(chunk.entries);
  }

  /**
   * The result of all of it: the entries to store, and the keys to remove.
   *
   * @param stored the entry of a key that the replica has now
   * @param unacknowledged keys whose entry there may never have been acknowledged
   */
  outcome(
    stored: (key: string) => Entry | undefined,
    unacknowledged: ReadonlySet<string>,
  ): { entries: Entry[]; removed: string[] } {
    const outcome = new Map<string, Entry | undefined>();
    const here = (key: string) => outcome.has(key) ? outcome.get(key) : stored(key);
    for (const what of this.#held) {
      if (!("req_type" in what)) {
        for (const entry of what) outcome.set(entry.key, entry);
        continue;
      }
      for (const wire of what.entries) {
        const entry = fromWireEntry(wire);
        const before = here(entry.key);
        const mayBeGone = unacknowledged.has(entry.key) && !outcome.has(entry.key);
        if (before === undefined || before.seq < entry.seq || mayBeGone) {
          outcome.set(entry.key, entry);
        }
      }
      for (const key of what.absent ?? []) {
        const before = here(key);
        if (before === undefined) continue;
        const mayBeGone = unacknowledged.has(key) && !outcome.has(key);
        if (mayBeGone || before.seq <= what.seq) outcome.set(key, undefined);
      }
    }
    return {
      entries: [...outcome.values()].filter((entry) => entry !== undefined),
      removed: [...outcome.keys()].filter((key) => outcome.get(key) === undefined),
    };
  }
}

function wireBytesOf(entries: readonly WireEntry[]): number {
  return entries.reduce((sum, entry) => sum + wireEntryBytes(entry), 0);
}
