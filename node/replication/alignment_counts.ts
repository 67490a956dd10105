/**
 * How many copies of peers were made level, and what that took: since the start, and for one line of the log
 * for each peer once nothing more is under way there.
 *
 * @module
 */
import type { NodeId } from "../../shared/cluster/cluster_map.ts";

/** Copies that were made level. */
export interface Aligned {
  copies: number;
  /** Sent to them. */
  entries: number;
  /** Of the copies, those that were sent everything. */
  full: number;
}

/** See the module. */
export class AlignmentCounts {
  /** Since the start. */
  readonly total: Aligned = { copies: 0, entries: 0, full: 0 };
  readonly #unreported = new Map<NodeId, Aligned>();

  /** A copy is level. */
  note(node: NodeId, entries: number, full: boolean): void {
    const tally = this.#unreported.get(node) ?? { copies: 0, entries: 0, full: 0 };
    this.#unreported.set(node, tally);
    for (const sum of [this.total, tally]) {
      sum.copies++;
      sum.entries += entries;
      if (full) sum.full++;
    }
  }

  /** Gives what has come together of each peer on which nothing is under way. */
  report(isFilling: (node: NodeId) => boolean, give: (node: NodeId, tally: Aligned) => void): void {
    for (const [node, tally] of this.#unreported) {
      if (isFilling(node)) continue;
      this.#unreported.delete(node);
      give(node, tally);
    }
  }
}
