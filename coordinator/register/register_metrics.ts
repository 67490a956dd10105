/** What the register costs: changes of its document, and writes of this coordinator's record. @module */
import { DISK_SECONDS_BUCKETS } from "../../shared/limits/requests.ts";
import { Histogram } from "../../shared/metrics/histogram.ts";
import type { MetricSet } from "../../shared/metrics/metric_set.ts";
import type { Outcome } from "./register.ts";

/** Counts them. */
export class RegisterMetrics {
  readonly #writes = new Histogram(DISK_SECONDS_BUCKETS);
  readonly #changes = new Histogram(DISK_SECONDS_BUCKETS);
  readonly #outcomes: { [T in Outcome["type"]]: number } = { chosen: 0, changed: 0, lost: 0 };

  /** The record was written and synced. */
  noteWrite(elapsedMs: number): void {
    this.#writes.observe(elapsedMs / 1_000);
  }

  /** How a change that was asked for here has ended. */
  noteChange({ type }: Outcome, elapsedMs: number): void {
    this.#outcomes[type]++;
    if (type === "chosen") this.#changes.observe(elapsedMs / 1_000);
  }

  collect(set: MetricSet): void {
    set.histogram("kv_register_write_seconds", this.#writes.state());
    set.histogram("kv_register_change_seconds", this.#changes.state());
    for (const [outcome, count] of Object.entries(this.#outcomes)) {
      set.set("kv_register_changes_total", count, outcome);
    }
  }
}
