/** What a node's group commits cost. @module */
import { BATCH_WRITES_BUCKETS, DISK_SECONDS_BUCKETS } from "../limits/requests.ts";
import { Histogram } from "./histogram.ts";
import type { MetricSet } from "./metric_set.ts";

/** Counts batches. */
export class CommitMetrics {
  readonly #seconds = new Histogram(DISK_SECONDS_BUCKETS);
  readonly #writes = new Histogram(BATCH_WRITES_BUCKETS);
  #bytes = 0;

  /** A batch is on disk. */
  note(writes: number, bytes: number, elapsedMs: number): void {
    this.#seconds.observe(elapsedMs / 1_000);
    this.#writes.observe(writes);
    this.#bytes += bytes;
  }

  collect(set: MetricSet): void {
    set.histogram("kv_commit_seconds", this.#seconds.state());
    set.histogram("kv_commit_writes", this.#writes.state());
    set.set("kv_commit_bytes_total", this.#bytes);
  }
}
