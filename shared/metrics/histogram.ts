/**
 * A distribution as Prometheus has it: how many values were at most this much, for a few bounds, with their number and
 * sum. The memory that it takes does not grow.
 *
 * @module
 */

/** What a histogram holds at a moment; `counts` has one more than `bounds`, for what is beyond all of them. */
export interface HistogramState {
  readonly bounds: readonly number[];
  /** Each bucket by itself, not added up. */
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Counts values. */
export class Histogram {
  readonly bounds: readonly number[];
  readonly #counts: Float64Array;
  #sum = 0;

  /** @param bounds in growing order */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.#counts = new Float64Array(bounds.length + 1);
  }

  /** Most values are small: the first bounds are looked at first. */
  observe(value: number): void {
    const { bounds } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? Infinity)) bucket++;
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    this.#sum += value;
  }

  state(): HistogramState {
    return { bounds: this.bounds, counts: [...this.#counts], sum: this.#sum };
  }
}

/** How many values there are. */
export function countOf({ counts }: HistogramState): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** The sum of several, which must have the same bounds; undefined if there is none. */
export function addedUp(states: Iterable<HistogramState>): HistogramState | undefined {
  let total: HistogramState | undefined;
  for (const state of states) {
    const before = total;
    total = before === undefined ? state : {
      bounds: before.bounds,
      counts: before.counts.map((count, i) => count + (state.counts[i] ?? 0)),
      sum: before.sum + state.sum,
    };
  }
  return total;
}

/** What came since an earlier state of the same histogram; all of it if the process has started again meanwhile. */
export function since(now: HistogramState, before: HistogramState | undefined): HistogramState {
  if (before === undefined || countOf(before) > countOf(now)) return now;
  return {
    bounds: now.bounds,
    counts: now.counts.map((count, i) => count - (before.counts[i] ?? 0)),
    sum: now.sum - before.sum,
  };
}

/**
 * A quantile, as Prometheus' `histogram_quantile` finds it: evenly spread inside of a bucket. Beyond the last bound it is
 * that bound. Undefined if there are no values.
 *
 * @param q from 0 to 1
 */
export function quantileOf(state: HistogramState, q: number): number | undefined {
  const { bounds, counts } = state;
  const total = countOf(state);
  if (total === 0) return undefined;
  const rank = q * total;
  let below = 0;
  for (const [i, bound] of bounds.entries()) {
    const count = counts[i] ?? 0;
    if (count > 0 && below + count >= rank) {
      const low = i === 0 ? 0 : bounds[i - 1] ?? 0;
      return low + (bound - low) * Math.max(0, (rank - below) / count);
    }
    below += count;
  }
  return bounds.at(-1);
}
