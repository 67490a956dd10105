/**
 * The hash ring (Karger et al., 1997): each node has many positions (virtual nodes), and a clockwise
 * walk from any position meets the nodes in some order. If one node comes or goes, the order of the
 * others stays. The ring knows nothing of partitions, zones or load; the coordinator's placement does.
 *
 * Invariant: what the ring holds depends only on the nodes in it, not on the order in which they came.
 * Two virtual nodes at one position are ordered by node id.
 *
 * @module
 */
import { AvlTree } from "./avl_tree.ts";
import type { NodeId } from "../cluster/cluster_map.ts";
import { invariant } from "../base/errors.ts";
import { textPosition } from "../cluster/position.ts";

/** One of a node's positions on the ring. */
export interface VirtualNode {
  /** 0 to 2^32-1. */
  readonly position: number;
  readonly node: NodeId;
}

/** Ring order: by position, ties by node id (as UTF-16 code units, so alike on every machine). */
function compareVirtualNodes(a: VirtualNode, b: VirtualNode): number {
  if (a.position !== b.position) return a.position - b.position;
  return a.node < b.node ? -1 : a.node > b.node ? 1 : 0;
}

/** The position of a node's `index`-th virtual node. */
export function virtualNodePosition(node: NodeId, index: number): number {
  return textPosition(`${node}#${index}`);
}

/** Nodes on a ring. Not to be changed while it is being walked. */
export class HashRing {
  readonly #tree = new AvlTree<VirtualNode>(compareVirtualNodes);
  /** How many virtual nodes each node was added with. */
  readonly #counts = new Map<NodeId, number>();

  /** The number of nodes. */
  get size(): number {
    return this.#counts.size;
  }

  /** Adds a node that is not there yet, at `virtualNodes` (at least 1) positions. O(v log(nv)). */
  add(node: NodeId, virtualNodes: number): void {
    invariant(!this.#counts.has(node), "a node is added to the ring once", { node });
    invariant(
      Number.isInteger(virtualNodes) && virtualNodes >= 1,
      "a node has at least one virtual node",
      { node, virtualNodes },
    );
    this.#counts.set(node, virtualNodes);
    for (let i = 0; i < virtualNodes; i++) {
      this.#tree.insert({ position: virtualNodePosition(node, i), node });
    }
  }

  /** Removes a node. Returns whether it was there. */
  remove(node: NodeId): boolean {
    const virtualNodes = this.#counts.get(node);
    if (virtualNodes === undefined) return false;
    this.#counts.delete(node);
    for (let i = 0; i < virtualNodes; i++) {
      this.#tree.remove({ position: virtualNodePosition(node, i), node });
    }
    return true;
  }

  /** The first node at or after a position, clockwise. O(log nv). */
  first(position: number): NodeId | undefined {
    return (this.#tree.ceiling({ position, node: "" }) ?? this.#tree.min())?.node;
  }

  /** All nodes, each once, in the order in which a walk clockwise from a position meets them. */
  *walk(position: number): Generator<NodeId> {
    const met = new Set<NodeId>();
    // "" comes before every node id.
    const start = { position, node: "" };
    for (const key of this.#tree.from(start)) {
      if (met.has(key.node)) continue;
      met.add(key.node);
      yield key.node;
      if (met.size === this.#counts.size) return;
    }
    for (const key of this.#tree) {
      if (met.size === this.#counts.size || compareVirtualNodes(key, start) >= 0) return;
      if (met.has(key.node)) continue;
      met.add(key.node);
      yield key.node;
    }
  }

  /** All virtual nodes, in ring order from position 0. */
  [Symbol.iterator](): IterableIterator<VirtualNode> {
    return this.#tree[Symbol.iterator]();
  }

  /** Checks the tree, and that every node has its positions. @throws {InvariantError} */
  checkInvariants(): void {
    this.#tree.checkInvariants();
    const expected = new Set<string>();
    for (const [node, virtualNodes] of this.#counts) {
      for (let i = 0; i < virtualNodes; i++) {
        const position = virtualNodePosition(node, i);
        expected.add(`${position} ${node}`);
        invariant(this.#tree.has({ position, node }), "a virtual node is on the ring", {
          node,
          i,
        });
      }
    }
    invariant(expected.size === this.#tree.size, "only the nodes' own positions are taken");
  }
}
