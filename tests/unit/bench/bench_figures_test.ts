import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { median } from "../../../bench/figure.ts";
import { LatencyCounts } from "../../../bench/latency.ts";

Deno.test("median: of an odd and of an even number of rounds", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertEquals(median([7]), 7);
});

Deno.test("LatencyCounts: percentiles are right to a class's width, and never too low", () => {
  const latencies = new LatencyCounts();
  for (let ms = 1; ms <= 1_000; ms++) latencies.add(ms, 3);
  for (const part of [0.01, 0.5, 0.9, 0.99, 1]) {
    const exact = part * 1_000;
    const found = latencies.percentileMs(part);
    assert(found >= exact && found <= exact * 2 ** (1 / 16) + 1, `${part}: ${found}`);
  }
});

Deno.test("LatencyCounts: takes the shortest and the longest, and sums", () => {
  const a = new LatencyCounts();
  assertEquals(a.percentileMs(0.5), 0);
  a.add(0, 1);
  const b = new LatencyCounts();
  b.add(1e12, 1);
  a.addAll(b);
  assertAlmostEquals(a.percentileMs(0.5), 0.001, 1e-3);
  assert(a.percentileMs(1) > 1e6);
});
