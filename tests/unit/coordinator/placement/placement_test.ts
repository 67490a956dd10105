import { assert, assertEquals, assertGreater, assertLess, assertThrows } from "@std/assert";
import { place, type PlacementNode } from "../../../../coordinator/placement/placement.ts";
import { InvariantError } from "../../../../shared/base/errors.ts";
import { BALANCE_BOUND } from "../../../../shared/limits/cluster.ts";
import { randomBelow, randomId, SeededRandom } from "../../../../shared/platform/random.ts";

const PARTITIONS = 256;

/** Nodes of weight 1, each on a host of its own. */
function nodesOf(count: number, seed: number): PlacementNode[] {
  const random = new SeededRandom(seed);
  return Array.from({ length: count }, () => {
    const id = randomId(random);
    return { id, weight: 1, zone: `host-${id}` };
  });
}

function countBy(names: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return counts;
}

function primariesOf(table: string[][]): string[] {
  return table.map((holders) => holders[0] ?? "");
}

/** The part of the replicas that is not where it was: what must be sent over the network. */
function movedPart(before: string[][], after: string[][]): number {
  const replicas = after.flatMap((holders, partition) =>
    holders.map((holder) => before[partition]?.includes(holder) ?? false)
  );
  return replicas.filter((stayed) => !stayed).length / replicas.length;
}

/** What holds for any input: number of replicas, no node twice, replicas spread over zones. */
function checkTable(table: string[][], nodes: PlacementNode[], replicationFactor: number) {
  const zoneOf = new Map(nodes.map((node) => [node.id, node.zone]));
  const zoneSizes = countBy(nodes.map((node) => node.zone));
  for (const holders of table) {
    assertEquals(holders.length, Math.min(replicationFactor, nodes.length));
    assertEquals(new Set(holders).size, holders.length);
    const perZone = countBy(holders.map((holder) => zoneOf.get(holder) ?? "unknown"));
    const most = Math.max(0, ...perZone.values());
    for (const [zone, size] of zoneSizes) {
      const held = perZone.get(zone) ?? 0;
      assert(held >= Math.min(size, most - 1), `a zone has ${held} replicas and another ${most}`);
    }
  }
}

Deno.test("place: every node has at most 1.15 times the average, rounded up, of replicas and primaries", () => {
  for (let count = 1; count <= 20; count++) {
    for (const replicationFactor of [1, 2, 3]) {
      const nodes = nodesOf(count, count);
      const table = place(nodes, PARTITIONS, replicationFactor);
      checkTable(table, nodes, replicationFactor);
      const replicasMax = Math.ceil(
        BALANCE_BOUND * PARTITIONS * Math.min(replicationFactor, count) / count - 1e-9,
      );
      const primariesMax = Math.ceil(BALANCE_BOUND * PARTITIONS / count - 1e-9);
      for (const held of countBy(table.flat()).values()) assert(held <= replicasMax);
      for (const held of countBy(primariesOf(table)).values()) assert(held <= primariesMax);
      assertEquals(countBy(primariesOf(table)).size, count);
    }
  }
});

Deno.test("place: one node more or less, of N from 3 to 20, moves about 1/N of the replicas", () => {
  for (let count = 3; count <= 20; count++) {
    let added = 0;
    let removed = 0;
    let primariesChanged = 0;
    const rounds = 4;
    for (let seed = 0; seed < rounds; seed++) {
      const nodes = nodesOf(count + 1, 1_000 * seed + count);
      const smaller = place(nodes.slice(1), PARTITIONS, 3);
      const larger = place(nodes, PARTITIONS, 3);
      added += movedPart(smaller, larger) / rounds;
      removed += movedPart(larger, smaller) / rounds;
      const before = primariesOf(smaller);
      primariesChanged += primariesOf(larger).filter((id, p) => id !== before[p]).length / rounds;
    }
    const ideal = 1 / (count + 1);
    for (const moved of [added, removed]) {
      assertGreater(moved, 0.8 * ideal);
      assertLess(moved, 1.25 * ideal);
    }
    assertLess(primariesChanged / PARTITIONS, 1.6 * ideal);
  }
});

Deno.test("place: when a node goes, most of its partitions pass to the next holder", () => {
  const nodes = nodesOf(6, 4);
  const before = place(nodes, PARTITIONS, 3);
  const gone = nodes[0]?.id ?? "";
  const after = place(nodes.slice(1), PARTITIONS, 3);
  const orphans = before.flatMap((holders, p) => holders[0] === gone ? [p] : []);
  const inherited = orphans.filter((p) => after[p]?.[0] === before[p]?.[1]);
  assertGreater(inherited.length, 0.7 * orphans.length);
  const alreadyHeld = orphans.filter((p) => before[p]?.includes(after[p]?.[0] ?? ""));
  assertGreater(alreadyHeld.length, 0.9 * orphans.length);
});

Deno.test("place: replicas share no zone while another zone is free", () => {
  const zoned = (...sizes: number[]) => {
    const zones = sizes.flatMap((size, zone) => new Array<string>(size).fill(`zone${zone}`));
    return nodesOf(zones.length, 9).map((node, i) => ({ ...node, zone: zones[i] ?? "" }));
  };
  const cases: [sizes: number[], replicationFactor: number][] = [
    [[2, 2, 2], 3],
    [[1, 1, 4], 3],
    [[5, 1], 2],
    [[3, 3], 3],
    [[3, 3], 4],
    [[1, 6], 4],
    [[4], 3],
    [[1, 2, 3, 4, 5], 3],
  ];
  for (const [sizes, replicationFactor] of cases) {
    const nodes = zoned(...sizes);
    checkTable(place(nodes, PARTITIONS, replicationFactor), nodes, replicationFactor);
  }
});

Deno.test("place: is balanced as well as unequal zones allow", () => {
  const ids = nodesOf(4, 2);
  const nodes = ids.map((node, i) => ({ ...node, zone: i === 0 ? "small" : "large" }));
  const table = place(nodes, PARTITIONS, 2);
  const held = countBy(table.flat());
  // The only node of its zone must hold everything; the others share the second replicas.
  assertEquals(held.get(nodes[0]?.id ?? ""), PARTITIONS);
  for (const node of nodes.slice(1)) {
    assert((held.get(node.id) ?? 0) <= Math.ceil(BALANCE_BOUND * PARTITIONS / 3));
  }
  // But it need not be the primary of everything.
  for (const primaries of countBy(primariesOf(table)).values()) {
    assert(primaries <= Math.ceil(BALANCE_BOUND * PARTITIONS / 4));
  }
});

Deno.test("place: a node's part follows its weight", () => {
  const [a, b, ...rest] = nodesOf(8, 3);
  assert(a !== undefined && b !== undefined);
  const nodes = [{ ...a, weight: 2 }, { ...b, weight: 0.5 }, ...rest];
  const table = place(nodes, 1_024, 3);
  const held = countBy(table.flat());
  const perWeight = 3 * 1_024 / 8.5;
  for (const node of nodes) {
    const fair = perWeight * node.weight;
    assertGreater(held.get(node.id) ?? 0, 0.7 * fair);
    assert((held.get(node.id) ?? 0) <= Math.ceil(BALANCE_BOUND * fair));
  }
});

Deno.test("place: a weight beyond what a node can hold leaves the rest to the others", () => {
  const nodes = nodesOf(3, 5).map((node, i) => ({ ...node, weight: i === 0 ? 10 : 1 }));
  const held = countBy(place(nodes, PARTITIONS, 2).flat());
  const heavy = held.get(nodes[0]?.id ?? "") ?? 0;
  assert(heavy > 0.85 * PARTITIONS && heavy <= PARTITIONS);
  for (const node of nodes.slice(1)) {
    assert((held.get(node.id) ?? 0) <= Math.ceil(BALANCE_BOUND * PARTITIONS / 2));
  }
});

Deno.test("place: takes any number as a weight", () => {
  for (const weight of [0, -1, Number.NaN, Infinity, 1e300, 1e-300]) {
    const nodes = nodesOf(4, 6).map((node, i) => i === 0 ? { ...node, weight } : node);
    checkTable(place(nodes, PARTITIONS, 3), nodes, 3);
  }
});

Deno.test("place: degenerate sizes", () => {
  assertEquals(place([], 4, 3), [[], [], [], []]);
  assertEquals(place(nodesOf(3, 1), 4, 0), [[], [], [], []]);
  for (const [count, partitions, replicationFactor] of [[1, 1, 1], [2, 1, 3], [20, 2, 16]]) {
    const nodes = nodesOf(count ?? 0, 8);
    const table = place(nodes, partitions ?? 0, replicationFactor ?? 0);
    assertEquals(table.length, partitions);
    checkTable(table, nodes, replicationFactor ?? 0);
  }
});

Deno.test("place: refuses two nodes of one id", () => {
  const [node] = nodesOf(1, 1);
  assert(node !== undefined);
  assertThrows(() => place([node, node], 4, 2), InvariantError, "distinct");
});

Deno.test("place: does not depend on the order of the nodes, and changes none of its input", () => {
  const random = new SeededRandom(11);
  const nodes = nodesOf(9, 10).map((node, i) =>
    Object.freeze({ ...node, zone: `z${i % 4}`, weight: 1 + i % 3 })
  );
  const expected = place(nodes, PARTITIONS, 3);
  for (let i = 0; i < 5; i++) {
    const shuffled = nodes
      .map((node) => ({ node, order: random.uint32() }))
      .sort((a, b) => a.order - b.order)
      .map(({ node }) => node);
    assertEquals(place(Object.freeze(shuffled), PARTITIONS, 3), expected);
  }
});

Deno.test("place: keeps its promises for random nodes, weights, zones and sizes", () => {
  for (let seed = 0; seed < 150; seed++) {
    const random = new SeededRandom(seed);
    const count = 1 + randomBelow(random, 24);
    const zones = 1 + randomBelow(random, count);
    const partitions = 2 ** (3 + randomBelow(random, 7));
    const replicationFactor = 1 + randomBelow(random, 5);
    const equalZones = seed % 2 === 0;
    const nodes = nodesOf(count, seed).map((node) => ({
      id: node.id,
      weight: equalZones ? 1 : 0.5 * (1 + randomBelow(random, 8)),
      zone: equalZones ? node.zone : `zone${randomBelow(random, zones)}`,
    }));
    const table = place(nodes, partitions, replicationFactor);
    checkTable(table, nodes, replicationFactor);
    if (!equalZones) continue;
    const fair = partitions * Math.min(replicationFactor, count) / count;
    for (const held of countBy(table.flat()).values()) {
      assert(held <= Math.ceil(BALANCE_BOUND * fair - 1e-9), `seed ${seed}: ${held} of ${fair}`);
    }
  }
});

Deno.test("place: keeps to the bounds of replicas and primaries if there are few of them", () => {
  for (let seed = 0; seed < 3_000; seed++) {
    const random = new SeededRandom(seed);
    const count = 2 + randomBelow(random, 7);
    const partitions = 4 + randomBelow(random, 29);
    const replicationFactor = 2 + randomBelow(random, 2);
    const nodes = nodesOf(count, seed);
    const table = place(nodes, partitions, replicationFactor);
    checkTable(table, nodes, replicationFactor);
    const check = (held: Iterable<number>, fair: number) => {
      const most = Math.ceil(BALANCE_BOUND * fair - 1e-9);
      for (const is of held) assert(is <= most, `seed ${seed}: ${is} of ${fair}`);
    };
    check(countBy(table.flat()).values(), partitions * Math.min(replicationFactor, count) / count);
    check(countBy(primariesOf(table)).values(), partitions / count);
  }
});

Deno.test("place: zones of unequal size keep to the bound by exchanging replicas", () => {
  // Without exchanges most of these go over the bound: the small zones are full at the end.
  const zones = [0, 1, 2, 2, 3, 3, 3, 3];
  // The large zone may not have two replicas of a partition, so the small ones share the two others.
  const fair = [0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25];
  for (let seed = 0; seed < 20; seed++) {
    const nodes = nodesOf(zones.length, seed).map((node, i) => ({ ...node, zone: `z${zones[i]}` }));
    const table = place(nodes, 512, 3);
    checkTable(table, nodes, 3);
    const held = countBy(table.flat());
    nodes.forEach((node, i) => {
      const most = Math.ceil(BALANCE_BOUND * 512 * (fair[i] ?? 0) - 1e-9);
      assert((held.get(node.id) ?? 0) <= most, `seed ${seed}: ${held.get(node.id)} of ${most}`);
    });
  }
});

/** Machines with several workers each; the zone of a machine by its number. */
function workersOf(
  machines: readonly number[],
  zoneOf: (machine: number) => string,
  seed: number,
): PlacementNode[] {
  const random = new SeededRandom(seed);
  return machines.flatMap((workers, machine) =>
    Array.from({ length: workers }, () => ({
      id: randomId(random),
      weight: 1,
      zone: zoneOf(machine),
      machine: `m${machine}`,
    }))
  );
}

Deno.test("place: no machine holds a partition twice while another one that may take it does not hold it", () => {
  const cases: [machines: number[], zoneOf: (machine: number) => string, replicas: number][] = [
    // The default: a machine is a zone.
    [[2, 2, 2], (machine) => `m${machine}`, 3],
    [[4, 4], (machine) => `m${machine}`, 2],
    // One rack, one zone of a cloud.
    [[2, 2, 2], () => "rack", 3],
    [[4, 4, 4, 4], () => "rack", 3],
    [[8, 1, 1], () => "rack", 3],
    [[3, 1, 2, 1], () => "rack", 2],
    // Fewer racks than replicas.
    [[2, 2, 2, 2], (machine) => `rack-${machine % 2}`, 3],
    [[4, 1, 4, 1], (machine) => `rack-${machine % 2}`, 3],
    [[1, 4, 2, 3, 1], (machine) => `rack-${machine % 2}`, 4],
  ];
  for (const [machines, zoneOf, replicas] of cases) {
    for (let seed = 0; seed < 5; seed++) {
      const nodes = workersOf(machines, zoneOf, seed);
      const table = place(nodes, PARTITIONS, replicas);
      const machineOf = new Map(nodes.map(({ id, machine }) => [id, machine]));
      for (const holders of table) {
        const held = holders.map((id) => machineOf.get(id));
        assertEquals(new Set(held).size, replicas, `${machines} for ${replicas}: ${held}`);
      }
      if (machines.length > 1 && zoneOf(0) !== zoneOf(1)) checkTable(table, nodes, replicas);
    }
  }
});

Deno.test("place: with more replicas than machines, a machine holds a partition twice only if all hold it", () => {
  for (const zoneOf of [() => "rack", (machine: number) => `m${machine}`]) {
    const nodes = workersOf([2, 2], zoneOf, 1);
    const machineOf = new Map(nodes.map(({ id, machine }) => [id, machine]));
    for (const holders of place(nodes, PARTITIONS, 3)) {
      assertEquals(new Set(holders.map((id) => machineOf.get(id))).size, 2);
      assertEquals(new Set(holders).size, 3);
    }
  }
});

Deno.test("place: workers of equal machines get equal shares, within the bound", () => {
  for (const zoneOf of [() => "rack", (machine: number) => `rack-${machine % 2}`]) {
    const nodes = workersOf([2, 2, 2, 2], zoneOf, 3);
    const table = place(nodes, PARTITIONS, 3);
    const most = Math.ceil(BALANCE_BOUND * PARTITIONS * 3 / nodes.length);
    for (const held of countBy(table.flat()).values()) assert(held <= most, String(held));
  }
});

Deno.test("place: nodes that all share one machine are placed as if it did not matter", () => {
  const nodes = workersOf([6], () => "rack", 4);
  const alone = nodes.map(({ id, weight, zone }) => ({ id, weight, zone }));
  assertEquals(place(nodes, PARTITIONS, 3), place(alone, PARTITIONS, 3));
});
