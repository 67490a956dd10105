/** What the journal and the feeding of its table cost. @module */
import { DISK_SECONDS_BUCKETS } from "../../../shared/limits/requests.ts";
import { Histogram } from "../../../shared/metrics/histogram.ts";
import type { MetricSet } from "../../../shared/metrics/metric_set.ts";

/** How the storage stands when it is asked. */
export interface JournalFacts {
  readonly segments: number;
  /** What the table is not known to have. */
  readonly unfedBatches: number;
  readonly unfedBytes: number;
  /** Of rows that are in memory because the table lacks them. */
  readonly memoryBytes: number;
  readonly tableRefuses: boolean;
}

/** Counts syncs and feedings. */
export class JournalMetrics {
  readonly #syncs = new Histogram(DISK_SECONDS_BUCKETS);
  readonly #feeds = new Histogram(DISK_SECONDS_BUCKETS);

  /** A batch was appended and synced. */
  noteSync(elapsedMs: number): void {
    this.#syncs.observe(elapsedMs / 1_000);
  }

  /** The table has what it was fed. */
  noteFeed(elapsedMs: number): void {
    this.#feeds.observe(elapsedMs / 1_000);
  }

  collect(set: MetricSet, facts: JournalFacts): void {
    set.histogram("kv_journal_sync_seconds", this.#syncs.state());
    set.set("kv_journal_segments", facts.segments);
    set.set("kv_journal_unfed_batches", facts.unfedBatches);
    set.set("kv_journal_unfed_bytes", facts.unfedBytes);
    set.set("kv_journal_memory_bytes", facts.memoryBytes);
    set.histogram("kv_table_feed_seconds", this.#feeds.state());
    set.set("kv_table_refuses", facts.tableRefuses);
  }
}
