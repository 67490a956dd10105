/**
 * What a process uses of its machine: processor, memory, and how late its event loop is. The facts come from outside.
 *
 * @module
 */
import { DISK_SECONDS_BUCKETS, LOOP_SAMPLE_MS } from "../limits/requests.ts";
import { type Clock, setPeriodic, type Timer } from "../platform/clock.ts";
import { Histogram } from "./histogram.ts";
import type { MetricSet } from "./metric_set.ts";

/** What the platform says of the process. */
export interface ProcessFacts {
  readonly startedMs: number;
  /** The date. */
  wallMs(): number;
  cpuSeconds(): number;
  memory(): {
    readonly rss: number;
    readonly heapUsed: number;
    readonly heapTotal: number;
    readonly external: number;
  };
}

/** Measures one process. */
export class ProcessMetrics {
  readonly #facts: ProcessFacts;
  readonly #delay = new Histogram(DISK_SECONDS_BUCKETS);
  readonly #sampling: Timer;

  constructor(clock: Clock, facts: ProcessFacts) {
    this.#facts = facts;
    let lastMs = clock.monotonicMs();
    this.#sampling = setPeriodic(clock, LOOP_SAMPLE_MS, () => {
      const nowMs = clock.monotonicMs();
      this.#delay.observe(Math.max(0, nowMs - lastMs - LOOP_SAMPLE_MS) / 1_000);
      lastMs = nowMs;
    });
  }

  collect(set: MetricSet): void {
    const { startedMs } = this.#facts;
    const { rss, heapUsed, heapTotal, external } = this.#facts.memory();
    set.set("process_start_time_seconds", startedMs / 1_000);
    set.set("kv_date_seconds", this.#facts.wallMs() / 1_000);
    set.set("process_cpu_seconds_total", this.#facts.cpuSeconds());
    set.set("process_resident_memory_bytes", rss);
    set.set("kv_heap_bytes", heapUsed, "used");
    set.set("kv_heap_bytes", heapTotal, "committed");
    set.set("kv_heap_bytes", external, "external");
    set.histogram("kv_event_loop_delay_seconds", this.#delay.state());
  }

  close(): void {
    this.#sampling.cancel();
  }
}
