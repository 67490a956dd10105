/**
 * Prometheus' text format, version 0.0.4, which every scraper reads. See decision 0033 for why no library does it.
 *
 * @module
 */
import type { HistogramState } from "./histogram.ts";
import type { MetricSet, Sample } from "./metric_set.ts";
import { METRIC_ROWS, type MetricName } from "./metric_table.ts";

/** The media type of the text. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The numbers of one worker of a machine. */
export interface WorkerSamples {
  readonly worker: number;
  samples(name: MetricName): readonly Sample[];
}

/** The text. Metrics without a sample are left out. */
export function expositionOf(set: MetricSet): string {
  return expositionOfEach([{ pairs: [], samples: (name) => set.samples(name) }]);
}

/** The text of several workers: each series has its worker as one label more. */
export function expositionOfWorkers(workers: readonly WorkerSamples[]): string {
  return expositionOfEach(workers.map((one) => ({
    pairs: [`worker="${one.worker}"`],
    samples: (name) => one.samples(name),
  })));
}

/** The numbers of one process. */
interface Source {
  /** Labels that all its series have, as they stand in the text. */
  readonly pairs: readonly string[];
  samples(name: MetricName): readonly Sample[];
}

function expositionOfEach(sources: readonly Source[]): string {
  const lines: string[] = [];
  for (const [name, { type, help, labels: names }] of METRIC_ROWS) {
    let isFirst = true;
    for (const source of sources) {
      for (const { labels, value } of source.samples(name)) {
        if (isFirst) lines.push(`# HELP ${name} ${escapedHelp(help)}`, `# TYPE ${name} ${type}`);
        isFirst = false;
        const own = names.map((label, i) => `${label}="${escapedLabel(labels[i] ?? "")}"`);
        const pairs = [...source.pairs, ...own];
        if (typeof value === "number") lines.push(`${name}${braced(pairs)} ${numberText(value)}`);
        else histogramLines(name, pairs, value, lines);
      }
    }
  }
  return lines.length === 0 ? "" : lines.join("\n") + "\n";
}

function histogramLines(
  name: string,
  pairs: readonly string[],
  { bounds, counts, sum }: HistogramState,
  lines: string[],
): void {
  let total = 0;
  for (const [i, bound] of [...bounds, Infinity].entries()) {
    total += counts[i] ?? 0;
    lines.push(`${name}_bucket${braced([...pairs, `le="${numberText(bound)}"`])} ${total}`);
  }
  lines.push(
    `${name}_sum${braced(pairs)} ${numberText(sum)}`,
    `${name}_count${braced(pairs)} ${total}`,
  );
}

function braced(pairs: readonly string[]): string {
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function numberText(value: number): string {
  if (value === Infinity) return "+Inf";
  if (value === -Infinity) return "-Inf";
  return String(value);
}

function escapedHelp(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n");
}

function escapedLabel(text: string): string {
  return text.replace(/\\/g, "\\\\").replace(/\n/g, "\\n").replace(/"/g, '\\"');
}
