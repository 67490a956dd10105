import { assertEquals, assertThrows } from "@std/assert";
import { AvlTree } from "../../../../shared/ring/avl_tree.ts";
import { InvariantError } from "../../../../shared/base/errors.ts";
import { randomBelow, SeededRandom } from "../../../../shared/platform/random.ts";

const ascending = (a: number, b: number) => a - b;

function treeOf(...keys: number[]): AvlTree<number> {
  const tree = new AvlTree<number>(ascending);
  for (const key of keys) tree.insert(key);
  return tree;
}

Deno.test("AvlTree: an empty one has nothing", () => {
  const tree = treeOf();
  tree.checkInvariants();
  assertEquals(tree.size, 0);
  assertEquals([...tree], []);
  assertEquals([...tree.from(1)], []);
  assertEquals([tree.min(), tree.ceiling(1)], [undefined, undefined]);
  assertEquals(tree.remove(1), false);
});

Deno.test("AvlTree.ceiling: of keys that are there and keys that are not", () => {
  const tree = treeOf(10, 20, 30);
  const keys = [5, 10, 15, 20, 30, 35];
  assertEquals(keys.map((key) => tree.ceiling(key)), [10, 10, 20, 20, 30, undefined]);
});

Deno.test("AvlTree.insert: says whether the key is new", () => {
  const tree = treeOf();
  assertEquals(tree.insert(1), true);
  assertEquals(tree.insert(1), false);
  assertEquals(tree.size, 1);
});

Deno.test("AvlTree: stays balanced when keys come in order", () => {
  const tree = new AvlTree<number>(ascending);
  for (let i = 0; i < 1_000; i++) tree.insert(i);
  tree.checkInvariants();
  for (let i = 0; i < 1_000; i += 2) tree.remove(i);
  tree.checkInvariants();
  assertEquals(tree.size, 500);
});

Deno.test("AvlTree.checkInvariants: finds an order that is none", () => {
  const tree = new AvlTree<number>(() => 1);
  tree.insert(1);
  tree.insert(1);
  assertThrows(() => tree.checkInvariants(), InvariantError, "keys ascend");
});

Deno.test("AvlTree: does as a sorted array does, under random changes", () => {
  for (const seed of [1, 2, 3]) {
    const random = new SeededRandom(seed);
    const tree = new AvlTree<number>(ascending);
    const model = new Set<number>();
    for (let step = 0; step < 3_000; step++) {
      const key = randomBelow(random, 200);
      // It grows and shrinks in turn, so that both small and large trees are met.
      const grows = randomBelow(random, 10) < (step % 600 < 300 ? 7 : 3);
      if (grows) {
        assertEquals(tree.insert(key), !model.has(key));
        model.add(key);
      } else {
        assertEquals(tree.remove(key), model.delete(key));
      }
      checkAgainst(tree, model, randomBelow(random, 202) - 1);
      if (step % 50 === 0) tree.checkInvariants();
    }
    tree.checkInvariants();
  }
});

function checkAgainst(tree: AvlTree<number>, model: ReadonlySet<number>, probe: number) {
  const sorted = [...model].sort(ascending);
  assertEquals(tree.size, sorted.length);
  assertEquals(tree.has(probe), model.has(probe));
  assertEquals(tree.min(), sorted[0]);
  assertEquals(tree.ceiling(probe), sorted.find((key) => key >= probe));
  if (probe % 10 !== 0) return;
  assertEquals([...tree], sorted);
  assertEquals([...tree.from(probe)], sorted.filter((key) => key >= probe));
}
