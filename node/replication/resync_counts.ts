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
  /** How many of them were sent what the journal tells, so that their partition was not read through. */
  journal: number;
  /** How many were sent the rest of a transfer that had been broken off. */
  resumed: number;
}

/**
 * How a primary knows what a replica lacks: from its latest writes, its journal, reading through the partition; or not at all,
 * so that it sends everything, or the rest of that.
 */
export type ResyncSource = "recent" | "journal" | "data" | "everything" | "rest";

/** See the top of this file. */
export class ResyncCounts {
  /** Since the start. */
  readonly total: Resynced = noneResynced();
  readonly #unreported = new Map<NodeId, Resynced>();

  /** A replica is level. */
  note(node: NodeId, entries: number, source: ResyncSource): void {
    const tally = this.#unreported.get(node) ?? noneResynced();
    this.#unreported.set(node, tally);
    for (const sum of [this.total, tally]) {
      sum.replicas++;
      sum.entries += entries;
      if (source === "everything") sum.full++;
      if (source === "journal") sum.journal++;
      if (source === "rest") sum.resumed++;
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

function noneResynced(): Resynced {
  return { replicas: 0, entries: 0, full: 0, journal: 0, resumed: 0 };
}
