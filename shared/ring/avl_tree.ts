/**
 * An ordered set as an AVL tree (Adelson-Velsky and Landis, 1962): a binary search tree in which the
 * heights of a node's two subtrees differ by at most one. The hash ring is built on it.
 *
 * If order does not matter, use `Set` instead.
 *
 * | operation | time |
 * |---|---|
 * | insert, remove, has, min, ceiling | O(log n) |
 * | iteration, whole or from a key | O(log n) to begin, O(1) a step on average |
 *
 * Invariants, checked by {@linkcode AvlTree.checkInvariants}: keys ascend from left to right; a
 * node's height is one more than its higher subtree's; the two differ by at most one; `size` is the
 * number of nodes.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";

interface TreeNode<K> {
  key: K;
  height: number;
  left: TreeNode<K> | undefined;
  right: TreeNode<K> | undefined;
}

/** An ordered set. Not to be changed while it is being iterated. */
export class AvlTree<K> {
  readonly #compare: (a: K, b: K) => number;
  #root: TreeNode<K> | undefined;
  #size = 0;

  /** @param compare negative if `a` comes before `b`, positive if after, 0 if they are the same key */
  constructor(compare: (a: K, b: K) => number) {
    this.#compare = compare;
  }

  /** The number of keys. */
  get size(): number {
    return this.#size;
  }

  /** Adds a key. Returns whether it is new. */
  insert(key: K): boolean {
    const before = this.#size;
    this.#root = this.#insertInto(this.#root, key);
    return this.#size > before;
  }

  /** Removes a key. Returns whether it was there. */
  remove(key: K): boolean {
    const before = this.#size;
    this.#root = this.#removeFrom(this.#root, key);
    return this.#size < before;
  }

  has(key: K): boolean {
    const found = this.#ceiling(key);
    return found !== undefined && this.#compare(found.key, key) === 0;
  }

  /** The smallest key. */
  min(): K | undefined {
    return this.#root === undefined ? undefined : leftmost(this.#root).key;
  }

  /** The smallest key that is `key` or greater. */
  ceiling(key: K): K | undefined {
    return this.#ceiling(key)?.key;
  }

  /** All keys, ascending. */
  [Symbol.iterator](): IterableIterator<K> {
    const path: TreeNode<K>[] = [];
    pushLeftSpine(path, this.#root);
    return ascend(path);
  }

  /** The keys that are `key` or greater, ascending. */
  from(key: K): IterableIterator<K> {
    const path: TreeNode<K>[] = [];
    let node = this.#root;
    while (node !== undefined) {
      if (this.#compare(node.key, key) < 0) {
        node = node.right;
      } else {
        path.push(node);
        node = node.left;
      }
    }
    return ascend(path);
  }

  /** Checks the invariants at the head of this file. @throws {InvariantError} */
  checkInvariants(): void {
    let count = 0;
    const check = (node: TreeNode<K> | undefined): number => {
      if (node === undefined) return 0;
      count++;
      const left = check(node.left);
      const right = check(node.right);
      invariant(Math.abs(left - right) <= 1, "subtrees are of about one height", { left, right });
      invariant(node.height === 1 + Math.max(left, right), "a node knows its height");
      return node.height;
    };
    check(this.#root);
    invariant(count === this.#size, "size is the number of nodes", { count, size: this.#size });
    let last: { readonly key: K } | undefined;
    for (const key of this) {
      invariant(
        last === undefined || this.#compare(last.key, key) < 0,
        "keys ascend",
        { last: last?.key, key },
      );
      last = { key };
    }
  }

  #ceiling(key: K): TreeNode<K> | undefined {
    let node = this.#root;
    let best: TreeNode<K> | undefined;
    while (node !== undefined) {
      if (this.#compare(node.key, key) >= 0) {
        best = node;
        node = node.left;
      } else {
        node = node.right;
      }
    }
    return best;
  }

  #insertInto(node: TreeNode<K> | undefined, key: K): TreeNode<K> {
    if (node === undefined) {
      this.#size++;
      return { key, height: 1, left: undefined, right: undefined };
    }
    const order = this.#compare(key, node.key);
    if (order === 0) return node;
    if (order < 0) node.left = this.#insertInto(node.left, key);
    else node.right = this.#insertInto(node.right, key);
    return balanced(node);
  }

  #removeFrom(node: TreeNode<K> | undefined, key: K): TreeNode<K> | undefined {
    if (node === undefined) return undefined;
    const order = this.#compare(key, node.key);
    if (order < 0) {
      node.left = this.#removeFrom(node.left, key);
    } else if (order > 0) {
      node.right = this.#removeFrom(node.right, key);
    } else {
      this.#size--;
      if (node.left === undefined) return node.right;
      if (node.right === undefined) return node.left;
      // The next greater node replaces the removed one, so the order is kept.
      const heir = leftmost(node.right);
      heir.right = withoutLeftmost(node.right);
      heir.left = node.left;
      return balanced(heir);
    }
    return balanced(node);
  }
}

function leftmost<K>(node: TreeNode<K>): TreeNode<K> {
  while (node.left !== undefined) node = node.left;
  return node;
}

function withoutLeftmost<K>(node: TreeNode<K>): TreeNode<K> | undefined {
  if (node.left === undefined) return node.right;
  node.left = withoutLeftmost(node.left);
  return balanced(node);
}

function heightOf<K>(node: TreeNode<K> | undefined): number {
  return node === undefined ? 0 : node.height;
}

function setHeight<K>(node: TreeNode<K>): void {
  node.height = 1 + Math.max(heightOf(node.left), heightOf(node.right));
}

/** How much higher the left subtree is. */
function lean<K>(node: TreeNode<K>): number {
  return heightOf(node.left) - heightOf(node.right);
}

/** The subtree with its height set, and rotated if one side had become too high. */
function balanced<K>(node: TreeNode<K>): TreeNode<K> {
  const { left, right } = node;
  const difference = heightOf(left) - heightOf(right);
  if (difference > 1 && left !== undefined) {
    if (lean(left) < 0) node.left = rotateLeft(left);
    return rotateRight(node);
  }
  if (difference < -1 && right !== undefined) {
    if (lean(right) > 0) node.right = rotateRight(right);
    return rotateLeft(node);
  }
  setHeight(node);
  return node;
}

function rotateRight<K>(node: TreeNode<K>): TreeNode<K> {
  const { left } = node;
  invariant(left !== undefined, "a node that is rotated right has a left child");
  node.left = left.right;
  left.right = node;
  setHeight(node);
  setHeight(left);
  return left;
}

function rotateLeft<K>(node: TreeNode<K>): TreeNode<K> {
  const { right } = node;
  invariant(right !== undefined, "a node that is rotated left has a right child");
  node.right = right.left;
  right.left = node;
  setHeight(node);
  setHeight(right);
  return right;
}

function pushLeftSpine<K>(path: TreeNode<K>[], node: TreeNode<K> | undefined): void {
  for (; node !== undefined; node = node.left) path.push(node);
}

/** `path` holds the nodes that are still to come and whose left subtrees are done; the last one is next. */
function* ascend<K>(path: TreeNode<K>[]): Generator<K> {
  for (let node = path.pop(); node !== undefined; node = path.pop()) {
    yield node.key;
    pushLeftSpine(path, node.right);
  }
}
