/**
 * How many keys each named database has in one partition, and how many bytes their rows have. The numbers follow each
 * change. They are known once the rows of named databases have been read through, or from the start if the partition
 * was empty when it was opened.
 *
 * @module
 */
import { type Entry, isTombstone, TOMBSTONE } from "../../shared/base/entry.ts";
import { compareKeys } from "../../shared/base/key_order.ts";
import { databaseNumberOf, isNamedKey } from "../../shared/cluster/databases.ts";
import type { Counted } from "./record.ts";

/** What one database has of a partition. */
export interface DatabaseTally {
  readonly keys: number;
  readonly bytes: number;
  /** How many of the keys expire. */
  readonly expiring: number;
}

const NOTHING: DatabaseTally = { keys: 0, bytes: 0, expiring: 0 };

/** A row that is added or taken away. */
interface Change {
  readonly key: string;
  readonly bytes: number;
  readonly expires: boolean;
  readonly sign: 1 | -1;
}

/** A page of rows, as `PartitionStore.scan` gives it. */
interface Page {
  readonly entries: readonly Entry[];
  readonly next: string | undefined;
}

/** The numbers of one partition. */
export class DatabaseTallies {
  #tallies = new Map<number, DatabaseTally>();
  #known: boolean;
  /** What has been written since the page that a pass waits for was taken; undefined: no pass runs. */
  #journal: Change[] | undefined;
  #counting: Promise<void> | undefined;

  /** @param empty there are no rows yet */
  constructor(empty: boolean) {
    this.#known = empty;
  }

  /** Whether the numbers are those of all rows. */
  get known(): boolean {
    return this.#known;
  }

  /** What a database has here, expired keys that are not removed yet included. Only if they are {@linkcode known}. */
  of(number: number): DatabaseTally {
    return this.#tallies.get(number) ?? NOTHING;
  }

  /** All databases that have something. */
  get all(): ReadonlyMap<number, DatabaseTally> {
    return this.#tallies;
  }

  /** The keys of all named databases. */
  get keys(): number {
    let keys = 0;
    for (const tally of this.#tallies.values()) keys += tally.keys;
    return keys;
  }

  /** A row of a named database is added or taken away. */
  change(key: string, { flags, bytes, expires }: Counted, sign: 1 | -1): void {
    if ((flags & TOMBSTONE) !== 0) return;
    const change = { key, bytes: key.length + bytes, expires, sign };
    if (this.#known) this.#add(this.#tallies, change);
    this.#journal?.push(change);
  }

  clear(): void {
    this.#tallies = new Map();
    this.#known = true;
  }

  /**
   * Reads the rows of named databases through. If a pass is running already, its promise is returned.
   *
   * @param scan a page of them after a key
   * @param rowBytes the bytes of an entry's row, without the row's key
   * @throws what `scan` throws
   */
  count(
    scan: (after: string | undefined) => Promise<Page>,
    rowBytes: (entry: Entry) => number,
  ): Promise<void> {
    return this.#counting ??= this.#count(scan, rowBytes).finally(() => {
      this.#counting = undefined;
      this.#journal = undefined;
    });
  }

  async #count(
    scan: (after: string | undefined) => Promise<Page>,
    rowBytes: (entry: Entry) => number,
  ): Promise<void> {
    const counted = new Map<number, DatabaseTally>();
    let after: string | undefined;
    do {
      const journal: Change[] = [];
      this.#journal = journal;
      const page = await scan(after);
      after = page.next;
      for (const entry of page.entries) {
        if (isTombstone(entry) || !isNamedKey(entry.key)) continue;
        const { key, expiresAtMs } = entry;
        const bytes = key.length + rowBytes(entry);
        this.#add(counted, { key, bytes, expires: expiresAtMs !== 0, sign: 1 });
      }
      // What was written while the page was being read is not in it. Later pages show what concerns later keys.
      for (const change of journal) {
        if (after === undefined || compareKeys(change.key, after) <= 0) this.#add(counted, change);
      }
    } while (after !== undefined);
    this.#tallies = counted;
    this.#known = true;
  }

  #add(tallies: Map<number, DatabaseTally>, { key, bytes, expires, sign }: Change): void {
    const number = databaseNumberOf(key);
    if (number === undefined) return;
    const before = tallies.get(number) ?? NOTHING;
    const tally = {
      keys: before.keys + sign,
      bytes: before.bytes + sign * bytes,
      expiring: before.expiring + (expires ? sign : 0),
    };
    if (tally.keys === 0) tallies.delete(number);
    else tallies.set(number, tally);
  }
}
