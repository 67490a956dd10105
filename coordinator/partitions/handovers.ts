/**
 * Hand-overs that were ordered and not answered: an order to a primary to take no more writes, which it answers with
 * `drained` when the last one is everywhere. Bounded in number for each node, and given up after a while.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { MOVES_PER_NODE_MAX, REPAIR_BACKOFF_MS } from "../../shared/limits/membership.ts";
import { HANDOVER_TIMEOUT_MS } from "../../shared/limits/replication.ts";

/** An order. */
export interface Handover {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
}

/** All hand-overs under way. */
export class Handovers {
  readonly #orders = new Map<number, Handover & { readonly forgetAtMs: number }>();
  readonly #countFrom = new Map<NodeId, number>();

  get size(): number {
    return this.#orders.size;
  }

  get(partition: number): Handover | undefined {
    return this.#orders.get(partition);
  }

  /** Whether the node may be ordered to hand over one more. */
  hasRoom(from: NodeId): boolean {
    return (this.#countFrom.get(from) ?? 0) < MOVES_PER_NODE_MAX;
  }

  add(partition: number, order: Handover, nowMs: number): void {
    const forgetAtMs = nowMs + HANDOVER_TIMEOUT_MS + REPAIR_BACKOFF_MS;
    this.#orders.set(partition, { ...order, forgetAtMs });
    this.#countFrom.set(order.from, (this.#countFrom.get(order.from) ?? 0) + 1);
  }

  /** It was carried out, or its term is over. */
  forget(partition: number): void {
    const order = this.#orders.get(partition);
    if (order === undefined) return;
    this.#orders.delete(partition);
    const left = (this.#countFrom.get(order.from) ?? 1) - 1;
    if (left > 0) this.#countFrom.set(order.from, left);
    else this.#countFrom.delete(order.from);
  }

  /** Those that were not answered in time; they are forgotten. */
  takeOverdue(nowMs: number): [partition: number, order: Handover][] {
    const overdue = [...this.#orders].filter(([, { forgetAtMs }]) => nowMs >= forgetAtMs);
    for (const [partition] of overdue) this.forget(partition);
    return overdue;
  }
}
