/**
 * How many of the peers' replicas were made level, and how much that took: since the start, and for one line of the log for
 * each peer once nothing more is under way there.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";

/** Replicas that were made level. */
export interface Resynced {
  replicas: number;
  /** Entries that were sent to them. */
  entries: number;
  /** How many of these replicas were sent everything. */
  full: number;
}

/** See the top of this file. */
export class ResyncCounts {
  /** Since the start. */
  readonly total: Resynced = { replicas: 0, entries: 0, full: 0 };
  readonly #unreported = new Map<NodeId, Resynced>();

  /** A replica is level. */
  note(node: NodeId, entries: number, full: boolean): void {
    const tally = this.#unreported.get(node) ?? { replicas: 0, entries: 0, full: 0 };
    this.#unreported.set(node, tally);
    for (const sum of [this.total, tally]) {
      sum.replicas++;
      sum.entries += entries;
      if (full) sum.full++;
    }
  }

  /** Returns the sums for each peer at which nothing is under way. */
  report(
    isFilling: (node: NodeId) => boolean,
    give: (node: NodeId, tally: Resynced) => void,
  ): void {
    for (const [node, tally] of this.#unreported) {
      if (isFilling(node)) continue;
      this.#unreported.delete(node);
      give(node, tally);
    }
  }
}
