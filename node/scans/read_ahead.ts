/**
 * What scans have read of partitions beyond the ends of their pages, without the values, for the next page
 * of the same scan. If values are long, that is most of what a page reads: a page of 1 MiB has sixteen
 * values of 64 KiB, and reads a first row of each of 256 partitions.
 *
 * It is a help and no promise: what is not here is read again. What is here of a partition counts only while
 * the same primary has it and nothing of the partition has changed since.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import { SCAN_READ_AHEAD_MS, SCANS_READ_AHEAD_MAX } from "../../shared/limits/scans.ts";
import type { Primary } from "../replication/primary.ts";

/** An entry without its value. */
export interface AheadEntry extends Entry {
  readonly partition: number;
  readonly left: boolean;
  readonly valueBytes: number;
}

/** A partition, as far as it was read. */
export interface AheadRun {
  readonly partition: number;
  readonly primary: Primary;
  /** `changes` of the store before the first of it was read. */
  readonly changes: number;
  readonly items: readonly AheadEntry[];
  readonly readTo: string | undefined;
  readonly ended: boolean;
}

interface Scan {
  /** What is scanned, and in which direction. */
  readonly what: string;
  /** It was read from behind this key on; undefined: from the beginning. */
  readonly after: string | undefined;
  readonly runs: readonly AheadRun[];
  readonly keptMs: number;
}

/** Of one node. */
export class ReadAhead {
  /** The newest last. */
  #scans: Scan[] = [];

  /** How many scans there is something of. */
  get size(): number {
    return this.#scans.length;
  }

  /** Keeps what a page has read. */
  keep(what: string, after: string | undefined, runs: readonly AheadRun[], nowMs: number): void {
    const whole = runs.filter(({ primary, changes }) => primary.store.changes === changes);
    if (!whole.some(({ items }) => items.length > 0)) return;
    if (this.#scans.length >= SCANS_READ_AHEAD_MAX) this.#scans.shift();
    this.#scans.push({ what, after, runs: whole, keptMs: nowMs });
  }

  /**
   * Takes what there is of the partitions for a page that begins behind `after`, by partition. `order` is that
   * of the scan.
   */
  take(
    what: string,
    after: string | undefined,
    order: (a: string, b: string) => number,
  ): Map<number, AheadRun> {
    const found = new Map<number, AheadRun>();
    const at = this.#scans.findLastIndex((scan) =>
      scan.what === what && after !== undefined &&
      (scan.after === undefined || order(scan.after, after) < 0)
    );
    const [scan] = at < 0 ? [] : this.#scans.splice(at, 1);
    for (const run of scan?.runs ?? []) {
      const { primary, changes, readTo, ended, items } = run;
      if (after === undefined || primary.store.changes !== changes) continue;
      if (!ended && (readTo === undefined || order(readTo, after) < 0)) continue;
      const left = items.filter(({ key }) => order(key, after) > 0);
      found.set(run.partition, { ...run, items: left });
    }
    return found;
  }

  /** Time passes. */
  tick(nowMs: number): void {
    if (this.#scans.length === 0) return;
    this.#scans = this.#scans.filter(({ keptMs }) => nowMs - keptMs <= SCAN_READ_AHEAD_MS);
  }
}
