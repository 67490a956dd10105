import { assertEquals } from "@std/assert";
import {
  addedUp,
  countOf,
  Histogram,
  quantileOf,
  since,
} from "../../../../shared/metrics/histogram.ts";

function histogramOf(...values: number[]) {
  const histogram = new Histogram([1, 2, 4]);
  for (const value of values) histogram.observe(value);
  return histogram.state();
}

Deno.test("Histogram: a value is in the first bucket whose bound it does not exceed", () => {
  const state = histogramOf(0, 1, 1.5, 2, 3, 4, 4.1, 1_000);
  assertEquals(state.counts, [2, 2, 2, 2]);
  assertEquals(state.sum, 0 + 1 + 1.5 + 2 + 3 + 4 + 4.1 + 1_000);
  assertEquals(countOf(state), 8);
});

Deno.test("quantileOf: as Prometheus interpolates; nothing of nothing, and the last bound beyond it", () => {
  assertEquals(quantileOf(histogramOf(), 0.5), undefined);
  const even = histogramOf(0.5, 0.5, 1.5, 1.5);
  for (const [q, wanted] of [[0.25, 0.5], [0.5, 1], [0.75, 1.5], [1, 2]] as const) {
    assertEquals(quantileOf(even, q), wanted, `${q}`);
  }
  assertEquals(quantileOf(histogramOf(100, 200), 0.5), 4);
});

Deno.test("since: what came between two states; all of it if the process began anew", () => {
  const before = histogramOf(1, 3);
  assertEquals(since(histogramOf(1, 3, 3, 9), before), {
    ...before,
    counts: [0, 0, 1, 1],
    sum: 12,
  });
  assertEquals(since(histogramOf(1), before), histogramOf(1));
  assertEquals(since(before, undefined), before);
});

Deno.test("addedUp: bucket by bucket", () => {
  assertEquals(addedUp([]), undefined);
  assertEquals(addedUp([histogramOf(1), histogramOf(1, 9)]), histogramOf(1, 1, 9));
});
