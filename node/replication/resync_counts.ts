/**
 * How many replicas of peers were made level, and what that took: since the start, and for one line of the log
 * for each peer once nothing more is under way there.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";

/** Replicas that were made level. */
export interface Resynced {
  replicas: number;
  /** Sent to them. */
  entries: number;
  /** Of the replicas, those that were sent everything. */
  full: number;
}

/** See the module. */
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

  /** Gives what has come together of each peer on which nothing is under way. */
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
