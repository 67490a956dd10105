/**
 * Reads every partition's snapshot at its primary and writes it to a backup file. A snapshot lives on one
 * node: if that node fails, the partition is begun again at its new primary.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import { findNode, whyNoPrimary } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import {
  BACKUP_GIVE_UP_MS,
  BACKUP_PAGE_TIMEOUT_MS,
  BACKUP_PARTITIONS_AT_ONCE,
} from "../../shared/limits/backup.ts";
import { RETRY_MS_MAX, RETRY_MS_MIN } from "../../shared/limits/requests.ts";
import type { Reply } from "../../shared/wire/messages.ts";
import { fromWireEntry } from "../../shared/schema/value_codec.ts";
import { inParallel } from "../../shared/scheduling/in_parallel.ts";
import { mayRepeat } from "../../shared/operations/repeat.ts";
import { VERSION } from "../../shared/base/version.ts";
import { repeatedly } from "../calls/repeatedly.ts";
import { BACKUP_FORMAT, BACKUP_FORMAT_NAMED } from "./backup_format.ts";
import { databaseListing } from "../../shared/cluster/databases.ts";
import { BackupWriter } from "./backup_writer.ts";
import { type KeyRouter, replyError, withSignal } from "../calls/call.ts";

/** What a backup needs. */
export interface BackupDeps {
  readonly clock: Clock;
  readonly router: KeyRouter;
}

/** Options of a backup. */
export interface BackupOptions {
  /** How long one partition is tried without progress. Default 60,000. */
  readonly giveUpAfterMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
}

/** How far it has got. */
export interface BackupProgress {
  /** Partitions that are complete. */
  readonly partitions: number;
  readonly of: number;
  readonly entries: number;
  /** Bytes of the file. */
  readonly bytes: number;
}

/** The result. */
export interface BackupSummary {
  readonly partitions: number;
  readonly entries: number;
  readonly bytes: number;
  /** How often partitions were begun again. */
  readonly restarts: number;
}

/**
 * Writes a backup of the whole cluster.
 *
 * @throws {KvError} `unavailable`, `timeout` if a partition cannot be read for too long
 */
export async function runBackup(
  deps: BackupDeps,
  write: (bytes: Uint8Array) => Promise<void>,
  options: BackupOptions = {},
): Promise<BackupSummary> {
  const { settings, databases } = await deps.router.refresh();
  const named = databaseListing(databases).slice(1);
  const { clusterId, clusterName, partitionCount } = settings;
  const writer = await BackupWriter.begin(write, {
    format: named.length === 0 ? BACKUP_FORMAT : BACKUP_FORMAT_NAMED,
    clusterId,
    clusterName,
    partitions: partitionCount,
    createdMs: deps.clock.wallMs(),
    program: VERSION,
    ...(named.length === 0 ? {} : { databases: named }),
  });
  const run = new BackupRun(deps, writer, partitionCount, options);
  await run.readAll();
  await writer.end();
  const { sections, entries, bytes } = writer;
  return { partitions: sections, entries, bytes, restarts: run.restarts };
}

class BackupRun {
  /** How often partitions were begun again. */
  restarts = 0;
  readonly #deps: BackupDeps;
  readonly #writer: BackupWriter;
  readonly #partitionCount: number;
  readonly #options: BackupOptions;
  /** A partition could not be read: the others end after their current page. */
  #failed = false;

  constructor(
    deps: BackupDeps,
    writer: BackupWriter,
    partitionCount: number,
    options: BackupOptions,
  ) {
    this.#deps = deps;
    this.#writer = writer;
    this.#partitionCount = partitionCount;
    this.#options = options;
  }

  async readAll(): Promise<void> {
    const partitions = Array(this.#partitionCount).keys();
    await inParallel(partitions, { atOnce: BACKUP_PARTITIONS_AT_ONCE }, async (partition) => {
      try {
        await this.#readPartition(partition);
        this.#tell();
      } catch (error) {
        this.#failed = true;
        throw error;
      }
    });
  }

  #tell(): void {
    const { sections, entries, bytes } = this.#writer;
    this.#options.onProgress?.({
      partitions: sections,
      of: this.#partitionCount,
      entries,
      bytes,
    });
  }

  async #readPartition(partition: number): Promise<void> {
    const { clock, router } = this.#deps;
    const giveUpAfterMs = this.#options.giveUpAfterMs ?? BACKUP_GIVE_UP_MS;
    let endMs = clock.monotonicMs() + giveUpAfterMs;
    let furthest = 0;
    const onPage = (page: number) => {
      // A new attempt counts as progress only when it is further than an earlier one.
      if (page <= furthest) return;
      furthest = page;
      endMs = clock.monotonicMs() + giveUpAfterMs;
    };
    let restarting = false;
    try {
      await repeatedly({
        clock,
        repeat: "harmless",
        pauseMsMin: RETRY_MS_MIN,
        pauseMsMax: RETRY_MS_MAX,
        untilMs: () => endMs,
        signal: this.#options.signal,
        onRetry: () => restarting = true,
      }, async () => {
        if (restarting) await router.refresh().catch(() => {});
        await this.#tryPartition(partition, onPage);
      });
    } catch (error) {
      if (!(error instanceof KvError) || !mayRepeat("harmless", error.code)) throw error;
      const text = `gave up reading partition ${partition} after ${giveUpAfterMs} ms without ` +
        `progress; last: ${error.message}`;
      throw new KvError("unavailable", text, { cause: error });
    }
  }

  /** Reads one snapshot from its beginning. @throws {KvError} why it is not complete */
  async #tryPartition(partition: number, onPage: (page: number) => void): Promise<void> {
    const { router } = this.#deps;
    const map = router.map();
    const primary = map && findNode(map, map.partitions[partition]?.primary);
    if (primary === undefined) {
      throw new KvError("unavailable", whyNoPrimary(map, partition));
    }
    let snapshot: string | undefined;
    let begun = false;
    for (let page = 1;; page++) {
      if (this.#failed) throw new KvError("internal", "another partition could not be read");
      const reply = await this.#ask(primary.id, partition, snapshot);
      if (reply.req_type === "error") {
        if (begun) this.restarts++;
        throw replyError(reply, "backup");
      }
      const { seq, term } = reply.req_type === "entries" ? reply : {};
      if (reply.req_type !== "entries" || seq === undefined || term === undefined) {
        throw new KvError("bad_request", `backup: ${primary.id} answered ${reply.req_type}`);
      }
      if (!begun) this.#writer.beginPartition(partition);
      begun = true;
      await this.#writer.chunk(partition, reply.entries.map(fromWireEntry));
      onPage(page);
      this.#tell();
      snapshot = reply.next ?? undefined;
      if (snapshot === undefined) {
        await this.#writer.endPartition(partition, { seq, term });
        return;
      }
    }
  }

  #ask(node: string, partition: number, snapshot: string | undefined): Promise<Reply> {
    return withSignal(this.#options.signal, (done) => {
      const request = {
        req_type: "backup_partition",
        partition,
        timeout_ms: BACKUP_PAGE_TIMEOUT_MS,
        ...(snapshot === undefined ? {} : { snapshot }),
      };
      this.#deps.router.request(node, request, BACKUP_PAGE_TIMEOUT_MS, done);
      return () => {};
    });
  }
}
