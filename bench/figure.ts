/**
 * What a measurement returns, and how one of our own code, without a network, is made: a warm-up, then several
 * rounds, of which the median counts.
 *
 * @module
 */

/** The figures of one workload. */
export interface Figure {
  readonly group: string;
  readonly name: string;
  readonly unit: "ns/op" | "requests/s" | "connections/s" | "bytes";
  /** Of the rounds. */
  readonly median: number;
  readonly rounds: readonly number[];
  /** Of a server: from sending a request to reading its reply, over all rounds. */
  readonly latencyMs?: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Of all server processes together, median of the rounds; absent without /proc. */
  readonly serverCpuUsPerRequest?: number;
  /** Replies that were errors, over all rounds, and the first of them. */
  readonly errors?: number;
  readonly firstError?: string;
}

/** How long and how often to measure. */
export interface Effort {
  readonly rounds: number;
  readonly roundMs: number;
}

/** Called with each figure as soon as it is there. */
export type Report = (figure: Figure) => void;

/** The middle one, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}

/**
 * Something whose time is measured: it does its work `times` times and returns anything that depends on the
 * work, so that the compiler cannot leave it out.
 */
export type Work = (times: number) => unknown | Promise<unknown>;

/** Short measurements take at most this part of a round of the servers'. */
const MICRO_ROUND_PART = 0.1;
const WARM_UP_MS = 50;

/** Results end up here, so that no work is without effect. */
let sink: unknown;

/** Measures one workload. */
export async function measure(
  group: string,
  name: string,
  effort: Effort,
  work: Work,
  operationsPerTime = 1,
): Promise<Figure> {
  let times = 1;
  for (;;) {
    if (await timeMs(work, times) >= WARM_UP_MS) break;
    times *= 2;
  }
  const roundTimes = Math.max(
    1,
    Math.round(times * effort.roundMs * MICRO_ROUND_PART / WARM_UP_MS),
  );
  const rounds: number[] = [];
  for (let i = 0; i < effort.rounds; i++) {
    const elapsedMs = await timeMs(work, roundTimes);
    rounds.push(elapsedMs * 1e6 / (roundTimes * operationsPerTime));
  }
  return { group, name, unit: "ns/op", median: median(rounds), rounds };
}

async function timeMs(work: Work, times: number): Promise<number> {
  const begin = performance.now();
  const result = work(times);
  sink = result instanceof Promise ? await result : result;
  return performance.now() - begin;
}

/** Only so that `sink` is read. */
export function lastResult(): unknown {
  return sink;
}
