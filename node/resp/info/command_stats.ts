/**
 * What the node's metrics say of the commands of Redis clients, in the words of INFO and LATENCY HISTOGRAM.
 *
 * @module
 */
import { countOf, type HistogramState, quantileOf } from "../../../shared/metrics/histogram.ts";
import type { MetricSet } from "../../../shared/metrics/metric_set.ts";

/** Of one command, as `client|list` for a subcommand. */
export interface CommandStats {
  readonly name: string;
  readonly calls: number;
  readonly failed: number;
  /** How long each took, from arrival to answer, in seconds. */
  readonly seconds: HistogramState;
}

/** Of each command that was called. */
export function commandStats(set: MetricSet): CommandStats[] {
  const calls = new Map<string, { all: number; failed: number }>();
  for (const { labels: [frontEnd, name = "", code], value } of set.samples("kv_requests_total")) {
    if (frontEnd !== "resp" || typeof value !== "number") continue;
    const known = calls.get(name) ?? { all: 0, failed: 0 };
    known.all += value;
    if (code !== "ok") known.failed += value;
    calls.set(name, known);
  }
  const found: CommandStats[] = [];
  for (const { labels: [frontEnd, name = ""], value } of set.samples("kv_request_seconds")) {
    const counts = calls.get(name);
    if (frontEnd !== "resp" || typeof value === "number" || counts === undefined) continue;
    found.push({ name, calls: counts.all, failed: counts.failed, seconds: value });
  }
  return found.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The facts of INFO's section `commandstats`. */
export function commandStatsFacts(set: MetricSet): Record<string, string> {
  return Object.fromEntries(
    commandStats(set).map(({ name, calls, failed, seconds: { sum } }) => {
      const usec = Math.round(1e6 * sum);
      const each = (usec / Math.max(calls, 1)).toFixed(2);
      return [
        `cmdstat_${name}`,
        `calls=${calls},usec=${usec},usec_per_call=${each},rejected_calls=0,failed_calls=${failed}`,
      ];
    }),
  );
}

/** The facts of INFO's section `latencystats`. */
export function latencyStatsFacts(set: MetricSet): Record<string, string> {
  const at = (seconds: HistogramState, q: number) =>
    (1e6 * (quantileOf(seconds, q) ?? 0)).toFixed(3);
  return Object.fromEntries(
    commandStats(set).filter(({ seconds }) => countOf(seconds) > 0).map(({ name, seconds }) => [
      `latency_percentiles_usec_${name}`,
      `p50=${at(seconds, 0.5)},p99=${at(seconds, 0.99)},p99.9=${at(seconds, 0.999)}`,
    ]),
  );
}

/**
 * A histogram as LATENCY HISTOGRAM has it: bounds in microseconds, and how many took at most that long, for the bounds
 * that have more than those before them.
 */
export function microsecondsOf(
  { bounds, counts }: HistogramState,
): [usec: number, count: number][] {
  const found: [number, number][] = [];
  let below = 0;
  for (const [i, count] of counts.entries()) {
    below += count;
    const bound = bounds[i] ?? 10 * (bounds.at(-1) ?? 1);
    if (count > 0) found.push([Math.round(1e6 * bound), below]);
  }
  return found;
}
