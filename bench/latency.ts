/**
 * Latencies as counts in classes whose width grows with the latency: a thousand or a hundred million
 * of them take the same space, and a percentile is right to some four parts in a hundred.
 *
 * @module
 */

/** From a microsecond up. */
const CLASSES_PER_DOUBLING = 16;
const DOUBLINGS = 32;
const CLASSES = DOUBLINGS * CLASSES_PER_DOUBLING;

/** Counts of latencies. */
export class LatencyCounts {
  readonly counts: Uint32Array<ArrayBufferLike>;

  constructor(counts: Uint32Array<ArrayBufferLike> = new Uint32Array(CLASSES)) {
    this.counts = counts;
  }

  add(latencyMs: number, times: number): void {
    const index = Math.floor(Math.log2(Math.max(1, latencyMs * 1_000)) * CLASSES_PER_DOUBLING);
    const bounded = Math.min(CLASSES - 1, index);
    this.counts[bounded] = (this.counts[bounded] ?? 0) + times;
  }

  addAll(other: LatencyCounts): void {
    other.counts.forEach((times, i) => this.counts[i] = (this.counts[i] ?? 0) + times);
  }

  /** The latency, in ms, that this part (0 to 1) of all operations did not exceed. */
  percentileMs(part: number): number {
    const total = this.counts.reduce((sum, times) => sum + times, 0);
    let seen = 0;
    for (let i = 0; i < CLASSES; i++) {
      seen += this.counts[i] ?? 0;
      if (seen > 0 && seen >= total * part) return 2 ** ((i + 1) / CLASSES_PER_DOUBLING) / 1_000;
    }
    return 0;
  }
}
