/**
 * The numbers of one process at one moment. Whoever is asked for metrics makes one, and has it filled by those who know.
 *
 * Invariant: what is in it is in the table, with the labels that the table says.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { addedUp, type HistogramState } from "./histogram.ts";
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

/** One sample for each combination of labels, with the sum of those that have it. Histograms must have the same bounds. */
export function addedSamples(samples: Iterable<Sample>): Sample[] {
  const sums = new Map<string, Sample>();
  for (const sample of samples) {
    const key = JSON.stringify(sample.labels);
    const known = sums.get(key);
    sums.set(key, known === undefined ? sample : added(known, sample));
  }
  return [...sums.values()];
}

/** What is of another kind, or has other bounds, is of a process of another version: it does not count. */
function added(known: Sample, more: Sample): Sample {
  const { labels, value } = known;
  if (typeof value === "number") {
    return typeof more.value === "number" ? { labels, value: value + more.value } : known;
  }
  if (typeof more.value === "number" || more.value.counts.length !== value.counts.length) {
    return known;
  }
  return { labels, value: addedUp([value, more.value]) ?? value };
}
