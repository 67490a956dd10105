/**
 * Two stores doing the same work, in turn: A B A B …, so that it is fair to both if the machine is sometimes
 * busy with something else. The ratio of a round is that of its two halves, which ran one after the other. The
 * median of these counts, and their range shows how reliable it is.
 *
 * @module
 */
import { median } from "../figure.ts";
import type { CpuTimes } from "./process_stats.ts";

/** Times from the beginning to the end of an operation. */
export interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly p999?: number;
  readonly max: number;
}

/** One round of one store. */
export interface Sample {
  readonly perSecond: number;
  readonly latencyMs: Latency;
  /** For each operation, by process. */
  readonly serverCpuUs: CpuTimes;
  readonly clientCpuUs?: number;
  /** Processors that were busy with neither the servers nor the client, on average. */
  readonly otherProcessors?: number;
  readonly errors: number;
  readonly firstError?: string;
}

/** A store that is ready to be measured. */
export interface Contestant {
  readonly store: string;
  /** The load generator for it. */
  readonly client: string;
  measure(roundMs: number): Promise<Sample>;
}

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly title: string;
  /** Least ratio to reach; absent: only reported. */
  readonly aim?: number;
  readonly ours: Contestant;
  readonly theirs?: Contestant;
}

/** Rounds of one store. */
export interface Side {
  readonly store: string;
  readonly client: string;
  readonly median: number;
  /** Processor time of an operation, all servers and the client together; median of the rounds. */
  readonly cpuUs: number;
  readonly samples: readonly Sample[];
}

/** What a row gave. */
export interface RowResult {
  readonly name: string;
  readonly title: string;
  readonly aim?: number;
  readonly ours: Side;
  readonly theirs?: Side;
  /** Ours / theirs. */
  readonly ratio?: { readonly median: number; readonly min: number; readonly max: number };
}

/** How long and how often. */
export interface Effort {
  readonly rounds: number;
  readonly roundMs: number;
}

/** Measures a row: a warm-up of half a round each, then the rounds. */
export async function compare(row: Row, { rounds, roundMs }: Effort): Promise<RowResult> {
  const { name, title, ours, theirs, aim } = row;
  await ours.measure(roundMs / 2);
  await theirs?.measure(roundMs / 2);
  const ourSamples: Sample[] = [];
  const theirSamples: Sample[] = [];
  for (let i = 0; i < rounds; i++) {
    ourSamples.push(await ours.measure(roundMs));
    if (theirs !== undefined) theirSamples.push(await theirs.measure(roundMs));
  }
  const ratio = ratioOf(ourSamples, theirSamples);
  return {
    name,
    title,
    ours: side(ours, ourSamples),
    ...(aim === undefined ? {} : { aim }),
    ...(theirs === undefined ? {} : { theirs: side(theirs, theirSamples) }),
    ...(ratio === undefined ? {} : { ratio }),
  };
}

/** Of rounds that ran side by side. */
export function ratioOf(
  ours: readonly Pick<Sample, "perSecond">[],
  theirs: readonly Pick<Sample, "perSecond">[],
): RowResult["ratio"] {
  const ratios = ours.flatMap(({ perSecond }, i) => {
    const other = theirs[i]?.perSecond ?? 0;
    return other > 0 ? [perSecond / other] : [];
  });
  if (ratios.length === 0) return undefined;
  return { median: median(ratios), min: Math.min(...ratios), max: Math.max(...ratios) };
}

function side({ store, client }: Contestant, samples: readonly Sample[]): Side {
  return {
    store,
    client,
    median: median(samples.map(({ perSecond }) => perSecond)),
    cpuUs: median(
      samples.map(({ serverCpuUs, clientCpuUs = Number.NaN }) =>
        Object.values(serverCpuUs).reduce((sum, us) => sum + us, clientCpuUs)
      ),
    ),
    samples,
  };
}
