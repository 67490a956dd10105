/**
 * The numbers of one process at one moment. Whoever is asked for metrics makes one, and has it filled by those who know.
 *
 * Invariant: what is in it is in the table, with the labels that the table says.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import type { HistogramState } from "./histogram.ts";
import { type MetricName, METRICS, type MetricSpec } from "./metric_table.ts";

/** One series: values of the labels, in the table's order, and the number. */
export interface Sample<V = number | HistogramState> {
  readonly labels: readonly string[];
  readonly value: V;
}

/** Collects samples. */
export class MetricSet {
  readonly #samples = new Map<MetricName, Sample[]>();

  /** A counter or gauge. What is undefined is not known, and left out. */
  set(name: MetricName, value: number | boolean | undefined, ...labels: string[]): void {
    if (value === undefined || Number.isNaN(value)) return;
    this.#add(name, { labels, value: Number(value) });
  }

  histogram(name: MetricName, value: HistogramState, ...labels: string[]): void {
    this.#add(name, { labels, value });
  }

  /** All samples of a metric. */
  samples(name: MetricName): readonly Sample[] {
    return this.#samples.get(name) ?? [];
  }

  #add(name: MetricName, sample: Sample): void {
    const spec: MetricSpec = METRICS[name];
    const isHistogram = typeof sample.value !== "number";
    invariant(isHistogram === (spec.type === "histogram"), `metric ${name} is a ${spec.type}`);
    invariant(
      sample.labels.length === spec.labels.length,
      `metric ${name} has the labels ${spec.labels.join(", ")}`,
    );
    const samples = this.#samples.get(name);
    if (samples === undefined) this.#samples.set(name, [sample]);
    else samples.push(sample);
  }
}
