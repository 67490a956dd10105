/**
 * Writes the content of a backup into a cluster with any number of partitions. Keys that share a partition
 * in the backup and in the cluster are written in the order of their versions: in transactions, one after
 * the other. It reads no file; `backup_reader.ts` does.
 *
 * Invariants: it holds at most `RESTORE_SLICE_BYTES` of entries of one partition of the backup (or one entry).
 * If two keys share a partition in both the backup and the cluster, the order of their versions is kept. To
 * write again what was already written does no harm, except to values that are newer.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import { type Entry, isLive } from "../../shared/base/entry.ts";
import {
  RESTORE_PARTITIONS_AT_ONCE,
  RESTORE_SLICE_BYTES,
  RESTORE_WRITE_BYTES,
  RESTORE_WRITE_ENTRIES,
} from "../../shared/limits/backup.ts";
import { RETRY_MS_MAX, RETRY_MS_MIN } from "../../shared/limits/requests.ts";
import { inParallel } from "../../shared/scheduling/in_parallel.ts";
import { repeatedly } from "../calls/repeatedly.ts";
import type { Backup } from "./backup_reader.ts";

const AT_ONCE = { atOnce: RESTORE_PARTITIONS_AT_ONCE };

/** What accepts the entries. */
export interface RestoreTarget {
  /**
   * Of which group a key is: its keys have one database and one partition. Undefined: it is not restored, since its
   * database had been dropped.
   */
  groupOf(key: string): string | undefined;
  /**
   * Writes values of keys of one group, in this order, all of them or none. @throws {KvError}
   */
  putInOrder(entries: readonly Entry[]): Promise<void>;
}

/** Options of a restore. */
export interface RestoreOptions {
  /** How long one write is tried. */
  readonly giveUpAfterMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Default 64 MiB. */
  readonly sliceBytes?: number;
  readonly onProgress?: ((summary: Readonly<RestoreSummary>) => void) | undefined;
}

/** The result. */
export interface RestoreSummary {
  written: number;
  /** Bytes of the keys and values that were written. */
  bytes: number;
  /** Entries that have expired since the backup. */
  expired: number;
  retries: number;
}

/** Writes all of a backup. @throws {KvError} the error of a write that did not succeed in time */
export async function runRestore(
  backup: Backup,
  target: RestoreTarget,
  { clock }: { clock: Clock },
  options: RestoreOptions,
): Promise<RestoreSummary> {
  const run = new Restore(backup, target, clock, options);
  await inParallel(backup.sections.keys(), AT_ONCE, (partition) => run.partition(partition));
  return run.summary;
}

class Restore {
  readonly summary: RestoreSummary = { written: 0, bytes: 0, expired: 0, retries: 0 };
  readonly #backup: Backup;
  readonly #target: RestoreTarget;
  readonly #clock: Clock;
  readonly #options: RestoreOptions;

  constructor(backup: Backup, target: RestoreTarget, clock: Clock, options: RestoreOptions) {
    this.#backup = backup;
    this.#target = target;
    this.#clock = clock;
    this.#options = options;
  }

  async partition(partition: number): Promise<void> {
    const bytesMax = this.#options.sliceBytes ?? RESTORE_SLICE_BYTES;
    const whole = (this.#backup.sections[partition]?.bytes ?? 0) <= bytesMax;
    const ends = whole ? [Infinity] : await this.#sliceEnds(partition, bytesMax);
    let from = 0;
    for (const end of ends) {
      await this.#slice(partition, from, end);
      from = end;
    }
  }

  /**
   * Where to cut a partition that is too large to be sorted in memory: seqs between which there is about as
   * much as may be held. The file is in key order, and is read once for each slice.
   */
  async #sliceEnds(partition: number, bytesMax: number): Promise<number[]> {
    const sizes: { seq: number; bytes: number }[] = [];
    for await (const entries of this.#backup.read(partition)) {
      for (const entry of entries) sizes.push({ seq: entry.seq, bytes: sizeOf(entry) });
    }
    sizes.sort((a, b) => a.seq - b.seq);
    const ends: number[] = [];
    let sum = 0;
    for (const { seq, bytes } of sizes) {
      if (sum > 0 && sum + bytes > bytesMax) {
        ends.push(seq);
        sum = 0;
      }
      sum += bytes;
    }
    return [...ends, Infinity];
  }

  /** Entries with a seq from `from` to before `end`, in the order of their seqs. */
  async #slice(partition: number, from: number, end: number): Promise<void> {
    const found: Entry[] = [];
    for await (const entries of this.#backup.read(partition)) {
      for (const entry of entries) {
        if (entry.seq < from || entry.seq >= end) continue;
        // Its bytes are a part of a chunk that may be much larger.
        found.push(end === Infinity && from === 0 ? entry : copyOf(entry));
      }
    }
    found.sort((a, b) => a.seq - b.seq);
    const groups = new Map<string, Entry[]>();
    for (const entry of found) {
      const home = this.#target.groupOf(entry.key);
      if (home === undefined) continue;
      const group = groups.get(home);
      if (group === undefined) groups.set(home, [entry]);
      else group.push(entry);
    }
    await inParallel(groups.values(), AT_ONCE, (group) => this.#group(group));
  }

  /** Entries that go to one partition, in their order. */
  async #group(entries: readonly Entry[]): Promise<void> {
    for (let at = 0; at < entries.length;) {
      const write: Entry[] = [];
      for (let bytes = 0; at < entries.length; at++) {
        const entry = entries[at];
        if (entry === undefined) break;
        bytes += sizeOf(entry);
        if (write.length === RESTORE_WRITE_ENTRIES) break;
        if (write.length > 0 && bytes > RESTORE_WRITE_BYTES) break;
        write.push(entry);
      }
      await this.#write(write);
    }
  }

  async #write(all: readonly Entry[]): Promise<void> {
    const { giveUpAfterMs, signal, onProgress } = this.#options;
    const { summary } = this;
    const clock = this.#clock;
    const endMs = clock.monotonicMs() + giveUpAfterMs;
    await repeatedly({
      clock,
      repeat: "bulk",
      pauseMsMin: RETRY_MS_MIN,
      pauseMsMax: RETRY_MS_MAX,
      untilMs: () => endMs,
      signal,
      onRetry: () => summary.retries++,
    }, async () => {
      const nowMs = clock.wallMs();
      const live = all.filter((entry) => isLive(entry, nowMs));
      if (live.length > 0) await this.#target.putInOrder(live);
      summary.written += live.length;
      summary.expired += all.length - live.length;
      for (const entry of live) summary.bytes += entry.key.length + entry.value.length;
    });
    onProgress?.(summary);
  }
}

function sizeOf({ key, value }: Entry): number {
  return key.length + value.length;
}

function copyOf(entry: Entry): Entry {
  return { ...entry, value: entry.value.slice() };
}
