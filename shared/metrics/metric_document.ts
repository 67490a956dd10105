/**
 * A {@linkcode MetricSet} as a document of the wire, and read again: what a process answers to `metrics`. Bounds of
 * histograms stand in it once, so that a reader of another version reads them right.
 *
 * @module
 */
import type { HistogramState } from "./histogram.ts";
import type { MetricSet, Sample } from "./metric_set.ts";
import { METRIC_ROWS, type MetricName } from "./metric_table.ts";

/** By name: rows of label values with a number, or with a histogram's counts and sum. */
export type MetricDocument = { readonly [name: string]: MetricFamily };

/** The samples of one metric. */
export interface MetricFamily {
  readonly labels: readonly string[];
  readonly bounds?: readonly number[];
  readonly samples: readonly (readonly [
    labels: readonly string[],
    value: number,
    counts?: readonly number[],
  ])[];
}

/** The document of a set. */
export function metricDocument(set: MetricSet): MetricDocument {
  const document: Record<string, MetricFamily> = {};
  for (const [name, { labels, bounds }] of METRIC_ROWS) {
    const samples = set.samples(name);
    if (samples.length === 0) continue;
    document[name] = {
      labels,
      ...(bounds === undefined ? {} : { bounds }),
      samples: samples.map(({ labels, value }) =>
        typeof value === "number" ? [labels, value] : [labels, value.sum, value.counts]
      ),
    };
  }
  return document;
}

/** The samples of a metric in a document, each as labels by name and number or histogram. */
export function samplesOf(document: MetricDocument, name: MetricName): readonly Sample[] {
  const family = document[name];
  if (family === undefined) return [];
  const { bounds } = family;
  return family.samples.map(([labels, value, counts]) => ({
    labels,
    value: bounds === undefined || counts === undefined ? value : { bounds, counts, sum: value },
  }));
}

/** The sum of a counter or gauge over the series whose labels begin with these; undefined if there is none. */
export function valueOf(
  document: MetricDocument,
  name: MetricName,
  ...labels: string[]
): number | undefined {
  let sum: number | undefined;
  for (const sample of samplesOf(document, name)) {
    if (typeof sample.value !== "number") continue;
    if (labels.every((label, i) => sample.labels[i] === label)) sum = (sum ?? 0) + sample.value;
  }
  return sum;
}

/** The histograms of a metric whose labels pass. */
export function histogramsOf(
  document: MetricDocument,
  name: MetricName,
  passes: (labels: readonly string[]) => boolean = () => true,
): HistogramState[] {
  return samplesOf(document, name).flatMap(({ labels, value }) =>
    typeof value !== "number" && passes(labels) ? [value] : []
  );
}
