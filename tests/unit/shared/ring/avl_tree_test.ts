import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { AvlTree } from "../../../../shared/ring/avl_tree.ts";
import { InvariantError } from "../../../../shared/base/errors.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const ascending = (a: number, b: number) => a - b;

function treeOf(...keys: number[]): AvlTree<number, string> {
  const tree = new AvlTree<number, string>(ascending);
  for (const key of keys) tree.insert(key, `v${key}`);
  return tree;
}

function keysOf(entries: Iterable<{ key: number }>): number[] {
  return Array.from(entries, (entry) => entry.key);
}

Deno.test("AvlTree: an empty one has nothing", () => {
  const tree = treeOf();
  tree.checkInvariants();
  assertEquals(tree.size, 0);
  assertEquals([...tree], []);
  assertEquals([...tree.from(1)], []);
  for (const found of [tree.min(), tree.max(), tree.successor(1), tree.floor(1), tree.get(1)]) {
    assertStrictEquals(found, undefined);
  }
  assertEquals(tree.remove(1), false);
});

Deno.test("AvlTree: neighbours of keys that are there and keys that are not", () => {
  const tree = treeOf(10, 20, 30);
  type Found = number | undefined;
  const cases: [key: number, below: Found, floor: Found, ceiling: Found, above: Found][] = [
    [5, undefined, undefined, 10, 10],
    [10, undefined, 10, 10, 20],
    [15, 10, 10, 20, 20],
    [20, 10, 20, 20, 30],
    [30, 20, 30, 30, undefined],
    [35, 30, 30, undefined, undefined],
  ];
  for (const [key, below, floor, ceiling, above] of cases) {
    assertEquals(tree.predecessor(key)?.key, below, `predecessor of ${key}`);
    assertEquals(tree.floor(key)?.key, floor, `floor of ${key}`);
    assertEquals(tree.ceiling(key)?.key, ceiling, `ceiling of ${key}`);
    assertEquals(tree.successor(key)?.key, above, `successor of ${key}`);
  }
});

Deno.test("AvlTree.insert: replaces a value and says whether the key is new", () => {
  const tree = treeOf();
  assertEquals(tree.insert(1, "a"), true);
  assertEquals(tree.insert(1, "b"), false);
  assertEquals(tree.get(1), "b");
  assertEquals(tree.size, 1);
});

Deno.test("AvlTree.insert: a value of undefined is there", () => {
  const tree = new AvlTree<number, undefined>(ascending);
  tree.insert(1, undefined);
  assertEquals(tree.has(1), true);
});

Deno.test("AvlTree: stays balanced when keys come in order", () => {
  const tree = new AvlTree<number, number>(ascending);
  for (let i = 0; i < 1_000; i++) tree.insert(i, i);
  tree.checkInvariants();
  for (let i = 0; i < 1_000; i += 2) tree.remove(i);
  tree.checkInvariants();
  assertEquals(tree.size, 500);
});

Deno.test("AvlTree.clear: takes everything out", () => {
  const tree = treeOf(1, 2, 3);
  tree.clear();
  tree.checkInvariants();
  assertEquals([...tree], []);
});

Deno.test("AvlTree.checkInvariants: finds an order that is none", () => {
  const tree = new AvlTree<number, number>(() => 1);
  tree.insert(1, 1);
  tree.insert(1, 1);
  assertThrows(() => tree.checkInvariants(), InvariantError, "keys ascend");
});

Deno.test("AvlTree: does as a sorted array does, under random changes", () => {
  for (const seed of [1, 2, 3]) {
    const random = new SeededRandom(seed);
    const tree = new AvlTree<number, number>(ascending);
    const model = new Map<number, number>();
    for (let step = 0; step < 3_000; step++) {
      const key = randomBelow(random, 200);
      // It grows and shrinks in turn, so that both small and large trees are met.
      const grows = randomBelow(random, 10) < (step % 600 < 300 ? 7 : 3);
      if (grows) {
        assertEquals(tree.insert(key, step), !model.has(key));
        model.set(key, step);
      } else {
        assertEquals(tree.remove(key), model.delete(key));
      }
      checkAgainst(tree, model, randomBelow(random, 202) - 1);
      if (step % 50 === 0) tree.checkInvariants();
    }
    tree.checkInvariants();
  }
});

function checkAgainst(tree: AvlTree<number, number>, model: Map<number, number>, probe: number) {
  const sorted = [...model.keys()].sort(ascending);
  assertEquals(tree.size, sorted.length);
  assertEquals(tree.get(probe), model.get(probe));
  assertEquals(tree.has(probe), model.has(probe));
  assertEquals(tree.min()?.key, sorted[0]);
  assertEquals(tree.max()?.key, sorted.at(-1));
  assertEquals(tree.successor(probe)?.key, sorted.find((key) => key > probe));
  assertEquals(tree.ceiling(probe)?.key, sorted.find((key) => key >= probe));
  assertEquals(tree.predecessor(probe)?.key, sorted.findLast((key) => key < probe));
  assertEquals(tree.floor(probe)?.key, sorted.findLast((key) => key <= probe));
  if (probe % 10 !== 0) return;
  assertEquals(keysOf(tree), sorted);
  assertEquals(keysOf(tree.from(probe)), sorted.filter((key) => key >= probe));
}
