/**
 * Gives back the space of replaced and deleted data. LevelDB does so in its own time; if everything is
 * deleted and nothing more is written, it never does. Here each partition's space on disk is compared with
 * the size of its rows, and if it takes far more, its files are rewritten: one partition at a time, with
 * rests in between, and not while the disk refuses writes.
 *
 * What holds: a partition that has been read through takes at most twice the bytes of its rows and its share
 * of COMPACTION_WASTE_MAX, after as many rests as there are partitions. What an open backup shows stays
 * until more was written after the backup's end.
 *
 * @module
 */
import { failureOf } from "../../shared/base/errors.ts";
import {
  COMPACTION_INTERVAL_MS,
  COMPACTION_LOOKS_PER_TURN,
  COMPACTION_REST_FACTOR,
  COMPACTION_WASTE_MAX,
  COMPACTION_WASTE_MIN,
} from "../../shared/limits/storage.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { Retries } from "../replication/retries.ts";
import { PAST_ALL_ROWS, rowsEnd, rowsFrom } from "../storage/record.ts";
import type { Storage } from "../storage/storage.ts";

/** Its name in the list of retries. */
const COMPACT = "give space back";
const DATABASE_FROM = new Uint8Array();

/** What it needs. */
export interface CompactionPorts {
  readonly storage: Pick<Storage, "sizeOf" | "compact">;
  readonly retries: Retries;
  readonly log: Logger;
  nowMs(): number;
  isDiskWell(): boolean;
  /** 0 while this is not known. */
  partitionCount(): number;
  /** Bytes of a partition's rows; undefined if they are not known, or the partition must be left alone now. */
  liveBytes(partition: number): number | undefined;
}

/** The compaction of one node's database. */
export class Compaction {
  readonly #ports: CompactionPorts;
  #running = false;
  #stopped = false;
  #notBeforeMs = -Infinity;
  #cursor = 0;
  /** How many were looked at one after the other without finding a wasteful one. */
  #inVain = 0;
  #compacted = 0;
  #reclaimedBytes = 0;
  #databaseBytes: number | undefined;
  #untold = { partitions: 0, bytes: 0 };

  constructor(ports: CompactionPorts) {
    this.#ports = ports;
  }

  /** Time passes. What it begins goes on after the call. */
  tick(nowMs: number): void {
    const { storage, isDiskWell } = this.#ports;
    if (storage.sizeOf === undefined || storage.compact === undefined) return;
    if (this.#running || this.#stopped || nowMs < this.#notBeforeMs || !isDiskWell()) return;
    this.#running = true;
    // Only a defect makes it fail, which is an unhandled rejection and ends the process.
    void this.#turn(storage as Required<typeof storage>).finally(() => this.#running = false);
  }

  /** Begins nothing more. When the storage is closed, it waits for what is running. */
  stop(): void {
    this.#stopped = true;
  }

  /** What `stats` shows. */
  stats(): Record<string, number | undefined> {
    return {
      database_bytes: this.#databaseBytes,
      compacted: this.#compacted,
      reclaimed_bytes: this.#reclaimedBytes,
    };
  }

  async #turn(storage: Required<CompactionPorts["storage"]>): Promise<void> {
    const count = this.#ports.partitionCount();
    for (let looked = 0; looked < Math.min(COMPACTION_LOOKS_PER_TURN, count); looked++) {
      const partition = this.#cursor % count;
      this.#cursor = (partition + 1) % count;
      try {
        if (await this.#look(storage, partition, count)) return;
      } catch (error) {
        const failure = failureOf(error);
        // If it is stopped, it finds its database closed.
        if (this.#stopped) return;
        this.#ports.retries.failed(COMPACT, partition, failure);
      }
    }
  }

  /** @returns whether a rest follows */
  async #look(
    storage: Required<CompactionPorts["storage"]>,
    partition: number,
    count: number,
  ): Promise<boolean> {
    const { nowMs, liveBytes, retries } = this.#ports;
    const live = liveBytes(partition);
    if (live !== undefined && retries.isDue(COMPACT, partition)) {
      const [from, to] = [rowsFrom(partition, undefined), rowsEnd(partition, undefined)];
      const wasteful = await storage.sizeOf(from, to) > 2 * live + compactionWaste(count);
      if (this.#stopped) return true;
      if (wasteful) {
        this.#inVain = 0;
        const beganMs = nowMs();
        try {
          await this.#compact(storage, partition, from, to);
        } finally {
          this.#notBeforeMs = nowMs() + COMPACTION_REST_FACTOR * (nowMs() - beganMs);
        }
        return true;
      }
      retries.ended(COMPACT, partition);
    }
    if (++this.#inVain < count) return false;
    this.#inVain = 0;
    this.#notBeforeMs = nowMs() + COMPACTION_INTERVAL_MS;
    this.#databaseBytes = await storage.sizeOf(DATABASE_FROM, PAST_ALL_ROWS);
    this.#tell();
    return true;
  }

  async #compact(
    storage: Required<CompactionPorts["storage"]>,
    partition: number,
    from: Uint8Array,
    to: Uint8Array,
  ): Promise<void> {
    const before = await storage.sizeOf(DATABASE_FROM, PAST_ALL_ROWS);
    await storage.compact(from, to);
    const after = await storage.sizeOf(DATABASE_FROM, PAST_ALL_ROWS);
    this.#ports.retries.ended(COMPACT, partition);
    this.#compacted++;
    this.#untold.partitions++;
    // More may have come out of the write buffer meanwhile than was given back.
    const reclaimed = Math.max(0, before - after);
    this.#reclaimedBytes += reclaimed;
    this.#untold.bytes += reclaimed;
    this.#databaseBytes = after;
  }

  /** One line for everything that was done in a round. */
  #tell(): void {
    const { partitions, bytes } = this.#untold;
    if (partitions === 0) return;
    this.#ports.log.info("space given back", {
      partitions,
      bytes,
      database_bytes: this.#databaseBytes,
    });
    this.#untold = { partitions: 0, bytes: 0 };
  }
}

/** The bytes on disk that a partition may take besides twice those of its rows, if there are this many partitions. */
export function compactionWaste(partitions: number): number {
  return Math.max(COMPACTION_WASTE_MIN, Math.floor(COMPACTION_WASTE_MAX / partitions));
}
