/**
 * Prometheus' text format, version 0.0.4, which every scraper reads. See decision 0033 for why no library does it.
 *
 * @module
 */
import type { HistogramState } from "./histogram.ts";
import type { MetricSet } from "./metric_set.ts";
import { METRIC_ROWS } from "./metric_table.ts";

/** The media type of the text. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** The text. Metrics without a sample are left out. */
export function expositionOf(set: MetricSet): string {
  const lines: string[] = [];
  for (const [name, { type, help, labels: names }] of METRIC_ROWS) {
    const samples = set.samples(name);
    if (samples.length === 0) continue;
    lines.push(`# HELP ${name} ${escapedHelp(help)}`, `# TYPE ${name} ${type}`);
    for (const { labels, value } of samples) {
      const pairs = names.map((label, i) => `${label}="${escapedLabel(labels[i] ?? "")}"`);
      if (typeof value === "number") lines.push(`${name}${braced(pairs)} ${numberText(value)}`);
      else histogramLines(name, pairs, value, lines);
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
