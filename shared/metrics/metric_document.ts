/**
 * A {@linkcode MetricSet} as a document of the wire, and read again: what a process answers to `metrics`. Bounds of
 * histograms stand in it once, so that a reader of another version reads them right.
 *
 * @module
 */
import { isObject } from "../cluster/map_shape.ts";
import { BOUNDS_READ_MAX, SAMPLES_READ_MAX } from "../limits/requests.ts";
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

/**
 * What another process has sent, as far as it is a document: of metrics that the table has, with labels that are texts and
 * numbers that are. What is not is left out, and nothing that a process can send makes a reader fail.
 */
export function readMetricDocument(value: unknown): MetricDocument | undefined {
  if (!isObject(value)) return undefined;
  const document: Record<string, MetricFamily> = {};
  for (const [name, spec] of METRIC_ROWS) {
    const family = value[name];
    if (!isObject(family) || !Array.isArray(family.samples)) continue;
    const bounds = numbersOf(family.bounds);
    if ((bounds === undefined) === (spec.type === "histogram")) continue;
    const samples: MetricFamily["samples"][number][] = [];
    for (const sample of family.samples.slice(0, SAMPLES_READ_MAX)) {
      const read = readSample(sample, spec.labels.length, bounds);
      if (read !== undefined) samples.push(read);
    }
    document[name] = { labels: spec.labels, ...(bounds === undefined ? {} : { bounds }), samples };
  }
  return document;
}

function readSample(
  sample: unknown,
  labelCount: number,
  bounds: readonly number[] | undefined,
): MetricFamily["samples"][number] | undefined {
  if (!Array.isArray(sample)) return undefined;
  const [labels, value, given]: unknown[] = sample;
  if (!Array.isArray(labels) || labels.length !== labelCount) return undefined;
  if (typeof value !== "number" || !labels.every((label) => typeof label === "string")) {
    return undefined;
  }
  if (bounds === undefined) return [labels, value];
  const counts = numbersOf(given);
  return counts?.length === bounds.length + 1 ? [labels, value, counts] : undefined;
}

function numbersOf(value: unknown): readonly number[] | undefined {
  if (!Array.isArray(value) || value.length > BOUNDS_READ_MAX) return undefined;
  return value.every((one) => typeof one === "number") ? value : undefined;
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
