import { assert, assertEquals, assertThrows } from "@std/assert";
import { InvariantError } from "../../../../shared/base/errors.ts";
import { HashRing, virtualNodePosition } from "../../../../shared/ring/hash_ring.ts";
import { positionByDigest, RING_SIZE } from "../../../../shared/cluster/position.ts";
import { randomBelow, randomId, SeededRandom } from "../../../../shared/platform/random.ts";

/** A ring as an unsorted list of virtual nodes. */
type NaiveRing = { position: number; node: string }[];

function naiveAdd(ring: NaiveRing, node: string, virtualNodes: number) {
  for (let i = 0; i < virtualNodes; i++) {
    ring.push({ position: positionByDigest(`${node}#${i}`), node });
  }
}

function naiveWalk(ring: NaiveRing, from: number): string[] {
  const distance = (position: number) => (position - from + RING_SIZE) % RING_SIZE;
  const sorted = ring.toSorted((a, b) =>
    distance(a.position) - distance(b.position) || (a.node < b.node ? -1 : 1)
  );
  return [...new Set(sorted.map(({ node }) => node))];
}

Deno.test("HashRing: an empty one has nobody", () => {
  const ring = new HashRing();
  assertEquals([...ring.walk(5)], []);
  assertEquals(ring.first(5), undefined);
  assertEquals(ring.remove("a"), false);
  ring.checkInvariants();
});

Deno.test("HashRing: stands where MD5 of node#i says", () => {
  const ring = new HashRing();
  ring.add("n", 3);
  const positions = [0, 1, 2].map((i) => positionByDigest(`n#${i}`)).sort((a, b) => a - b);
  assertEquals([...ring].map(({ position }) => position), positions);
  assertEquals(virtualNodePosition("n", 1), positionByDigest("n#1"));
});

Deno.test("HashRing.walk: begins with the node at the very position, and goes round the end", () => {
  const ring = new HashRing();
  ring.add("a", 1);
  ring.add("b", 1);
  const [low, high] = [...ring];
  assert(low !== undefined && high !== undefined);
  assertEquals([...ring.walk(low.position)], [low.node, high.node]);
  assertEquals([...ring.walk(low.position + 1)], [high.node, low.node]);
  assertEquals([...ring.walk(high.position)], [high.node, low.node]);
  assertEquals([...ring.walk(high.position + 1)], [low.node, high.node]);
  assertEquals(ring.first(high.position + 1), low.node);
});

Deno.test("HashRing: two nodes at one position stand there in the order of their ids", () => {
  const [first, second] = collidingNodes();
  for (const order of [[first, second], [second, first]]) {
    const ring = new HashRing();
    for (const node of order) ring.add(node, 1);
    assertEquals([...ring].length, 2);
    assertEquals([...ring.walk(virtualNodePosition(first, 0))], [first, second]);
    ring.remove(first);
    assertEquals([...ring.walk(0)], [second]);
    ring.checkInvariants();
  }
});

/** Two nodes whose first virtual nodes coincide; among this many names there are some. */
function collidingNodes(): [string, string] {
  const seen = new Map<number, string>();
  for (let i = 0; i < 400_000; i++) {
    const node = `node${i}`;
    const position = virtualNodePosition(node, 0);
    const other = seen.get(position);
    if (other !== undefined) return other < node ? [other, node] : [node, other];
    seen.set(position, node);
  }
  throw new Error("expected two names with one position");
}

Deno.test("HashRing.add: refuses a node that is there, and a count below 1", () => {
  const ring = new HashRing();
  ring.add("a", 1);
  assertThrows(() => ring.add("a", 1), InvariantError, "once");
  assertThrows(() => ring.add("b", 0), InvariantError, "at least one");
});

Deno.test("HashRing: does as a list does, under random changes", () => {
  for (const seed of [1, 2, 3]) {
    const random = new SeededRandom(seed);
    const ring = new HashRing();
    let model: NaiveRing = [];
    const nodes: string[] = [];
    for (let step = 0; step < 120; step++) {
      if (nodes.length === 0 || randomBelow(random, 100) < 60) {
        const node = randomId(random);
        const virtualNodes = 1 + randomBelow(random, 20);
        ring.add(node, virtualNodes);
        naiveAdd(model, node, virtualNodes);
        nodes.push(node);
      } else {
        const [node] = nodes.splice(randomBelow(random, nodes.length), 1);
        assert(node !== undefined && ring.remove(node));
        model = model.filter((virtual) => virtual.node !== node);
      }
      const from = random.uint32();
      assertEquals([...ring.walk(from)], naiveWalk(model, from));
      assertEquals(ring.first(from), naiveWalk(model, from)[0]);
      assertEquals(ring.size, nodes.length);
      assertEquals([...ring].length, model.length);
      ring.checkInvariants();
    }
  }
});

Deno.test("HashRing: does not depend on the order in which nodes came", () => {
  const nodes = ["a", "b", "c", "d"];
  const ring = new HashRing();
  for (const node of nodes) ring.add(node, 10);
  const other = new HashRing();
  for (const node of ["x", ...nodes.toReversed()]) other.add(node, 10);
  other.remove("x");
  assertEquals([...ring], [...other]);
});
