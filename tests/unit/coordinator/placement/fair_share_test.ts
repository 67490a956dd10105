import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { fairShares } from "../../../../coordinator/placement/fair_share.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

function assertShares(actual: readonly number[], expected: number[]) {
  assertEquals(actual.length, expected.length);
  actual.forEach((share, i) => assertAlmostEquals(share, expected[i] ?? Number.NaN, 1e-9));
}

Deno.test("fairShares: by weight, if nothing is in the way", () => {
  const shares = fairShares({ weights: [1, 1, 2], zoneOf: [0, 1, 2], replicas: 2 });
  assertShares(shares.replicas, [0.5, 0.5, 1]);
  assertShares(shares.primaries, [0.25, 0.25, 0.5]);
  assertEquals(shares.perZoneMax, [1, 1]);
});

Deno.test("fairShares: a node holds a partition once, however heavy; the others share the rest", () => {
  const shares = fairShares({ weights: [10, 1, 3], zoneOf: [0, 1, 2], replicas: 2 });
  assertShares(shares.replicas, [1, 0.25, 0.75]);
});

Deno.test("fairShares: a zone holds one replica while another has none", () => {
  const shares = fairShares({ weights: [1, 1, 1, 1], zoneOf: [0, 1, 1, 1], replicas: 2 });
  assertShares(shares.replicas, [1, 1 / 3, 1 / 3, 1 / 3]);
  assertShares(shares.primaries, [0.25, 0.25, 0.25, 0.25]);
});

Deno.test("fairShares: with fewer zones than replicas, zones take second replicas", () => {
  const shares = fairShares({ weights: [1, 1, 1, 1, 1], zoneOf: [0, 0, 1, 1, 1], replicas: 4 });
  assertEquals(shares.perZoneMax, [1, 1, 2, 2]);
  assertShares(shares.replicas, [1, 1, 2 / 3, 2 / 3, 2 / 3]);
});

Deno.test("fairShares: a zone with too few nodes leaves its replicas to the others", () => {
  const shares = fairShares({ weights: [1, 1, 1, 1], zoneOf: [0, 1, 1, 1], replicas: 3 });
  assertEquals(shares.perZoneMax, [1, 1, 2]);
  assertShares(shares.replicas, [1, 2 / 3, 2 / 3, 2 / 3]);
});

Deno.test("fairShares: shares add up and keep to their limits, whatever is given", () => {
  for (let seed = 0; seed < 300; seed++) {
    const random = new SeededRandom(seed);
    const count = 1 + randomBelow(random, 20);
    const zones = 1 + randomBelow(random, count);
    const zoneOf = Array.from(
      { length: count },
      (_, i) => i < zones ? i : randomBelow(random, zones),
    );
    const weights = zoneOf.map(() => 0.01 * (1 + randomBelow(random, 10_000)));
    const replicas = 1 + randomBelow(random, Math.min(count, 16));
    const shares = fairShares({ weights, zoneOf, replicas });
    const sum = (parts: readonly number[]) => parts.reduce((a, b) => a + b, 0);
    assertAlmostEquals(sum(shares.replicas), replicas, 1e-6);
    assertAlmostEquals(sum(shares.primaries), 1, 1e-6);
    assertEquals(shares.perZoneMax.length, replicas);
    shares.replicas.forEach((share, node) => {
      assert(share >= 0 && share <= 1);
      assert((shares.primaries[node] ?? 0) <= share);
    });
  }
});
