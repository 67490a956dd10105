/**
 * Partitions that wait for a node's turn, urgent ones first, otherwise in the order in which they
 * came. An entry is only a hint: when it is taken, the partition is looked at anew.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";

interface Queue {
  readonly urgent: Set<number>;
  readonly usual: Set<number>;
}

/** One queue per node. */
export class MoveQueue {
  readonly #queues = new Map<NodeId, Queue>();

  /** The nodes that something waits for, in order of their ids. */
  nodes(): NodeId[] {
    return [...this.#queues.keys()].sort();
  }

  /** How many entries wait. */
  get size(): number {
    let size = 0;
    for (const { urgent, usual } of this.#queues.values()) size += urgent.size + usual.size;
    return size;
  }

  add(id: NodeId, partition: number, urgent: boolean): void {
    let queue = this.#queues.get(id);
    if (queue === undefined) this.#queues.set(id, queue = { urgent: new Set(), usual: new Set() });
    if (urgent) {
      queue.usual.delete(partition);
      queue.urgent.add(partition);
    } else if (!queue.urgent.has(partition)) queue.usual.add(partition);
  }

  /** Takes the next one out. */
  take(id: NodeId): number | undefined {
    const queue = this.#queues.get(id);
    if (queue === undefined) return undefined;
    const from = queue.urgent.size > 0 ? queue.urgent : queue.usual;
    const { value } = from.values().next();
    if (value !== undefined) from.delete(value);
    if (queue.urgent.size + queue.usual.size === 0) this.#queues.delete(id);
    return value;
  }

  clear(): void {
    this.#queues.clear();
  }
}
