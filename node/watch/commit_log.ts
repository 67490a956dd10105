/**
 * The newest committed writes of one partition, for whoever watches it. Memory only, bounded; what it does not have any
 * more it says. Pure.
 *
 * Invariants: it has every committed write with a seq in (floor, last]; what was written together is cut nowhere but
 * at its end.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import { invariant } from "../../shared/base/errors.ts";
import { REQUEST_OVERHEAD_BYTES } from "../../shared/limits/admission.ts";
import type { WatchMatcher } from "../../shared/watch/watch_selection.ts";

/** A write, and whether it is the last of those that belong together. */
interface Logged {
  readonly entry: Entry;
  readonly ends: boolean;
}

/** What one answer may still hold. */
export interface Room {
  entries: number;
  bytes: number;
}

/** What a watcher is told of a partition. */
export interface Told {
  readonly entries: readonly Entry[];
  /** Everything up to here is told. */
  readonly seq: number;
}

/** See the top of this file. */
export class CommitLog {
  readonly #entriesMax: number;
  readonly #bytesMax: number;
  #logged: (Logged | undefined)[] = [];
  /** How many at the beginning are given up, until they are cut off. */
  #dropped = 0;
  #bytes = 0;
  #floor: number;
  #last: number;

  /** @param seq everything up to here was committed before, and is not in the log */
  constructor(seq: number, entriesMax: number, bytesMax: number) {
    this.#floor = this.#last = seq;
    this.#entriesMax = entriesMax;
    this.#bytesMax = bytesMax;
  }

  /** The seq of the last write that was committed. */
  get last(): number {
    return this.#last;
  }

  /** What it takes of memory, about. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether it has everything beyond a seq. */
  covers(seq: number): boolean {
    return seq >= this.#floor && seq <= this.#last;
  }

  /** Notes the write that follows the last one. */
  push(entry: Entry, ends: boolean): void {
    const last = this.#last;
    invariant(entry.seq === last + 1, "a partition's seqs have no gaps", { seq: entry.seq, last });
    this.#last = entry.seq;
    this.#logged.push({ entry, ends });
    this.#bytes += bytesOf(entry);
  }

  /** The keys of the writes beyond `seq`. */
  keysSince(seq: number): string[] {
    return this.#logged.slice(this.#after(seq)).flatMap((logged) => logged?.entry.key ?? []);
  }

  /**
   * What has been committed beyond `seq`, as far as there is room, in the order of seqs. `newest`: of each key only its
   * newest write. Rules V2 and V4.
   */
  since(seq: number, matches: WatchMatcher, room: Room, newest: boolean): Told {
    const entries: Entry[] = [];
    const last = newest ? this.#newestOf(seq) : undefined;
    for (let i = this.#after(seq); i < this.#logged.length; i++) {
      const logged = this.#logged[i];
      if (logged === undefined) continue;
      const { entry, ends } = logged;
      if (matches(entry.key) && (last === undefined || last.get(entry.key) === entry.seq)) {
        entries.push(entry);
        room.entries--;
        room.bytes -= bytesOf(entry);
      }
      // Rule V6.
      if (ends && isFull(room)) return { entries, seq: entry.seq };
    }
    return { entries, seq: this.#last };
  }

  /** Gives up the oldest writes until the rest is within the bounds; the last ones that belong together stay. */
  trim(): void {
    const logged = this.#logged;
    while (
      logged.length - this.#dropped > this.#entriesMax || this.#bytes > this.#bytesMax
    ) {
      const end = this.#endOfGroup(this.#dropped);
      if (end >= logged.length) break;
      for (; this.#dropped < end; this.#dropped++) {
        const dropped = logged[this.#dropped];
        if (dropped === undefined) continue;
        this.#bytes -= bytesOf(dropped.entry);
        this.#floor = dropped.entry.seq;
        // Its value may be long.
        logged[this.#dropped] = undefined;
      }
    }
    // Cut off now and then, and not each time, which would cost as much as the whole log.
    if (this.#dropped > this.#entriesMax || this.#dropped === logged.length) {
      this.#logged = logged.slice(this.#dropped);
      this.#dropped = 0;
    }
  }

  /** Behind the last of the writes that belong to the one at `at`. */
  #endOfGroup(at: number): number {
    let end = at;
    while (end < this.#logged.length && this.#logged[end]?.ends === false) end++;
    return end + 1;
  }

  #newestOf(seq: number): Map<string, number> {
    const newest = new Map<string, number>();
    for (let i = this.#after(seq); i < this.#logged.length; i++) {
      const entry = this.#logged[i]?.entry;
      if (entry !== undefined) newest.set(entry.key, entry.seq);
    }
    return newest;
  }

  /** Where the writes beyond `seq` begin: seqs have no gaps. */
  #after(seq: number): number {
    return Math.max(this.#dropped, this.#logged.length - (this.#last - seq));
  }
}

/** Whether an answer holds enough. */
export function isFull({ entries, bytes }: Room): boolean {
  return entries <= 0 || bytes <= 0;
}

/** What an entry takes in a log or an answer, about. */
export function bytesOf({ key, value }: Entry): number {
  return key.length + value.length + REQUEST_OVERHEAD_BYTES;
}
