/**
 * An ordered map as an AVL tree (Adelson-Velsky and Landis, 1962): a binary search tree in which the
 * heights of a node's two subtrees differ by at most one. The hash ring is built on it.
 *
 * If order does not matter, use `Map` instead.
 *
 * | operation | time |
 * |---|---|
 * | insert, remove, get, has, successor, ceiling, predecessor, floor, min, max | O(log n) |
 * | iteration, whole or from a key | O(log n) to begin, O(1) a step on average |
 *
 * Invariants, checked by {@linkcode AvlTree.checkInvariants}: keys ascend from left to right; a
 * node's height is one more than its higher subtree's; the two differ by at most one; `size` is the
 * number of nodes.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";

/** A key and its value, as the tree holds them. Valid until the tree is changed. */
export interface AvlEntry<K, V> {
  readonly key: K;
  readonly value: V;
}

interface TreeNode<K, V> {
  key: K;
  value: V;
  height: number;
  left: TreeNode<K, V> | undefined;
  right: TreeNode<K, V> | undefined;
}

/** An ordered map. Not to be changed while it is being iterated. */
export class AvlTree<K, V> {
  readonly #compare: (a: K, b: K) => number;
  #root: TreeNode<K, V> | undefined;
  #size = 0;

  /** @param compare negative if `a` comes before `b`, positive if after, 0 if they are the same key */
  constructor(compare: (a: K, b: K) => number) {
    this.#compare = compare;
  }

  /** The number of keys. */
  get size(): number {
    return this.#size;
  }

  /** Sets the value of a key, replacing an earlier one. Returns whether the key is new. */
  insert(key: K, value: V): boolean {
    const before = this.#size;
    this.#root = this.#insertInto(this.#root, key, value);
    return this.#size > before;
  }

  /** Removes a key. Returns whether it was there. */
  remove(key: K): boolean {
    const before = this.#size;
    this.#root = this.#removeFrom(this.#root, key);
    return this.#size < before;
  }

  /** Removes everything. */
  clear(): void {
    this.#root = undefined;
    this.#size = 0;
  }

  get(key: K): V | undefined {
    return this.#find(key)?.value;
  }

  has(key: K): boolean {
    return this.#find(key) !== undefined;
  }

  /** The entry with the smallest key. */
  min(): AvlEntry<K, V> | undefined {
    return this.#root === undefined ? undefined : leftmost(this.#root);
  }

  /** The entry with the greatest key. */
  max(): AvlEntry<K, V> | undefined {
    let node = this.#root;
    while (node?.right !== undefined) node = node.right;
    return node;
  }

  /** The entry with the smallest key that is greater than `key`. */
  successor(key: K): AvlEntry<K, V> | undefined {
    return this.#above(key, false);
  }

  /** The entry with the smallest key that is `key` or greater. */
  ceiling(key: K): AvlEntry<K, V> | undefined {
    return this.#above(key, true);
  }

  /** The entry with the greatest key that is less than `key`. */
  predecessor(key: K): AvlEntry<K, V> | undefined {
    return this.#below(key, false);
  }

  /** The entry with the greatest key that is `key` or less. */
  floor(key: K): AvlEntry<K, V> | undefined {
    return this.#below(key, true);
  }

  /** All entries, keys ascending. */
  [Symbol.iterator](): IterableIterator<AvlEntry<K, V>> {
    const path: TreeNode<K, V>[] = [];
    pushLeftSpine(path, this.#root);
    return ascend(path);
  }

  /** The entries whose keys are `key` or greater, ascending. */
  from(key: K): IterableIterator<AvlEntry<K, V>> {
    const path: TreeNode<K, V>[] = [];
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
    const check = (node: TreeNode<K, V> | undefined): number => {
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
    let last: AvlEntry<K, V> | undefined;
    for (const entry of this) {
      invariant(
        last === undefined || this.#compare(last.key, entry.key) < 0,
        "keys ascend",
        { last: last?.key, key: entry.key },
      );
      last = entry;
    }
  }

  #find(key: K): TreeNode<K, V> | undefined {
    let node = this.#root;
    while (node !== undefined) {
      const order = this.#compare(key, node.key);
      if (order === 0) return node;
      node = order < 0 ? node.left : node.right;
    }
    return undefined;
  }

  #above(key: K, orEqual: boolean): TreeNode<K, V> | undefined {
    let node = this.#root;
    let best: TreeNode<K, V> | undefined;
    while (node !== undefined) {
      const order = this.#compare(node.key, key);
      if (order > 0 || (orEqual && order === 0)) {
        best = node;
        node = node.left;
      } else {
        node = node.right;
      }
    }
    return best;
  }

  #below(key: K, orEqual: boolean): TreeNode<K, V> | undefined {
    let node = this.#root;
    let best: TreeNode<K, V> | undefined;
    while (node !== undefined) {
      const order = this.#compare(node.key, key);
      if (order < 0 || (orEqual && order === 0)) {
        best = node;
        node = node.right;
      } else {
        node = node.left;
      }
    }
    return best;
  }

  #insertInto(node: TreeNode<K, V> | undefined, key: K, value: V): TreeNode<K, V> {
    if (node === undefined) {
      this.#size++;
      return { key, value, height: 1, left: undefined, right: undefined };
    }
    const order = this.#compare(key, node.key);
    if (order === 0) {
      node.value = value;
      return node;
    }
    if (order < 0) node.left = this.#insertInto(node.left, key, value);
    else node.right = this.#insertInto(node.right, key, value);
    return balanced(node);
  }

  #removeFrom(node: TreeNode<K, V> | undefined, key: K): TreeNode<K, V> | undefined {
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

function leftmost<K, V>(node: TreeNode<K, V>): TreeNode<K, V> {
  while (node.left !== undefined) node = node.left;
  return node;
}

function withoutLeftmost<K, V>(node: TreeNode<K, V>): TreeNode<K, V> | undefined {
  if (node.left === undefined) return node.right;
  node.left = withoutLeftmost(node.left);
  return balanced(node);
}

function heightOf<K, V>(node: TreeNode<K, V> | undefined): number {
  return node === undefined ? 0 : node.height;
}

function setHeight<K, V>(node: TreeNode<K, V>): void {
  node.height = 1 + Math.max(heightOf(node.left), heightOf(node.right));
}

/** How much higher the left subtree is. */
function lean<K, V>(node: TreeNode<K, V>): number {
  return heightOf(node.left) - heightOf(node.right);
}

/** The subtree with its height set, and rotated if one side had become too high. */
function balanced<K, V>(node: TreeNode<K, V>): TreeNode<K, V> {
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

function rotateRight<K, V>(node: TreeNode<K, V>): TreeNode<K, V> {
  const { left } = node;
  invariant(left !== undefined, "a node that is rotated right has a left child");
  node.left = left.right;
  left.right = node;
  setHeight(node);
  setHeight(left);
  return left;
}

function rotateLeft<K, V>(node: TreeNode<K, V>): TreeNode<K, V> {
  const { right } = node;
  invariant(right !== undefined, "a node that is rotated left has a right child");
  node.right = right.left;
  right.left = node;
  setHeight(node);
  setHeight(right);
  return right;
}

function pushLeftSpine<K, V>(path: TreeNode<K, V>[], node: TreeNode<K, V> | undefined): void {
  for (; node !== undefined; node = node.left) path.push(node);
}

/** `path` holds the nodes that are still to come and whose left subtrees are done; the last one is next. */
function* ascend<K, V>(path: TreeNode<K, V>[]): Generator<AvlEntry<K, V>> {
  for (let node = path.pop(); node !== undefined; node = path.pop()) {
    yield node;
    pushLeftSpine(path, node.right);
  }
}
