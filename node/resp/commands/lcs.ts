/**
 * The longest common subsequence of two values, as LCS answers it. O(n·m) time and memory, bounded. If there
 * are several, it finds the same one as Redis, because it walks back in the same way.
 *
 * @module
 */
import { RESP_LCS_CELLS_MAX } from "../../../shared/limits/resp.ts";
import type { RespWriter } from "../protocol/writer.ts";

/** The options of LCS. */
export interface LcsOptions {
  readonly length: boolean;
  readonly indexes: boolean;
  /** Shorter matches are left out of the indexes. */
  readonly minimum: number;
  readonly withLengths: boolean;
}

/** A piece that both values have: its first and last byte in each. */
interface Match {
  readonly a: readonly [number, number];
  readonly b: readonly [number, number];
}

/** The subsequence, and its pieces from the last to the first. */
export interface Common {
  readonly value: Uint8Array;
  readonly matches: readonly Match[];
}

/** The longest common subsequence; undefined if the values are too long. */
export function findCommon(a: Uint8Array, b: Uint8Array): Common | undefined {
  const width = b.length + 1;
  if ((a.length + 1) * width > RESP_LCS_CELLS_MAX) return undefined;
  const lengths = new Uint32Array((a.length + 1) * width);
  const at = (i: number, j: number) => lengths[i * width + j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      lengths[i * width + j] = a[i - 1] === b[j - 1]
        ? at(i - 1, j - 1) + 1
        : Math.max(at(i - 1, j), at(i, j - 1));
    }
  }
  const value = new Uint8Array(at(a.length, b.length));
  const matches: Match[] = [];
  let left = value.length;
  let run: { a: [number, number]; b: [number, number] } | undefined;
  let i = a.length;
  let j = b.length;
  while (i > 0 && j > 0) {
    if (a[i - 1] === b[j - 1]) {
      value[--left] = a[i - 1] ?? 0;
      if (run !== undefined && run.a[0] === i && run.b[0] === j) {
        run.a[0]--;
        run.b[0]--;
      } else {
        run = { a: [i - 1, i - 1], b: [j - 1, j - 1] };
        matches.push(run);
      }
      i--;
      j--;
    } else {
      run = undefined;
      if (at(i - 1, j) > at(i, j - 1)) i--;
      else j--;
    }
  }
  return { value, matches };
}

/** Writes what was asked for. */
export function writeLcs(out: RespWriter, { value, matches }: Common, options: LcsOptions): void {
  if (!options.indexes) {
    if (options.length) out.integer(value.length);
    else out.bulk(value);
    return;
  }
  const shown = matches.filter(({ a }) => a[1] - a[0] + 1 >= options.minimum);
  out.map(2);
  out.bulkText("matches");
  out.array(shown.length);
  for (const { a, b } of shown) {
    out.array(options.withLengths ? 3 : 2);
    for (const [from, to] of [a, b]) {
      out.array(2);
      out.integer(from);
      out.integer(to);
    }
    if (options.withLengths) out.integer(a[1] - a[0] + 1);
  }
  out.bulkText("len");
  out.integer(value.length);
}
