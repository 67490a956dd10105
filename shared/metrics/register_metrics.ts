/** What the coordinators' register costs: changes of its document, and writes of this coordinator's record. @module */
import { DISK_SECONDS_BUCKETS } from "../limits/requests.ts";
import { Histogram } from "./histogram.ts";
import type { MetricSet } from "./metric_set.ts";

/** How a change may end, in the words of `coordinator/register/register.ts`. */
export type ChangeOutcome = "chosen" | "changed" | "lost";

/** Counts them. */
export class RegisterMetrics {
  readonly #writes = new Histogram(DISK_SECONDS_BUCKETS);
  readonly #changes = new Histogram(DISK_SECONDS_BUCKETS);
  readonly #outcomes: { [T in ChangeOutcome]: number } = { chosen: 0, changed: 0, lost: 0 };

  /** The record was written and synced. */
  noteWrite(elapsedMs: number): void {
    this.#writes.observe(elapsedMs / 1_000);
  }

  /** How a change that was asked for here has ended. */
  noteChange(outcome: ChangeOutcome, elapsedMs: number): void {
    this.#outcomes[outcome]++;
    if (outcome === "chosen") this.#changes.observe(elapsedMs / 1_000);
  }

  collect(set: MetricSet): void {
    set.histogram("kv_register_write_seconds", this.#writes.state());
    set.histogram("kv_register_change_seconds", this.#changes.state());
    for (const [outcome, count] of Object.entries(this.#outcomes)) {
      set.set("kv_register_changes_total", count, outcome);
    }
  }
}
