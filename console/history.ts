/** What the charts show: the snapshots since the page was opened, up to a bound. @module */
import type { ConsoleSnapshot, NodeView } from "../shared/console/snapshot.ts";

/** Ten minutes of snapshots. */
const POINTS_MAX = 300;

/** Snapshots in order. */
export class History {
  readonly points: ConsoleSnapshot[] = [];

  /** One that is not newer than the last is passed over. */
  add(snapshot: ConsoleSnapshot): void {
    const last = this.points.at(-1);
    if (last !== undefined && snapshot.atMs <= last.atMs) return;
    this.points.push(snapshot);
    if (this.points.length > POINTS_MAX) this.points.shift();
  }

  /** Times in seconds, as the charts want them. */
  times(): number[] {
    return this.points.map(({ atMs }) => atMs / 1000);
  }

  /** A value of one node at each point; null if it is not known. */
  of(node: string, value: (node: NodeView) => number | undefined): (number | null)[] {
    return this.points.map(({ nodes }) => {
      const found = nodes.find(({ id }) => id === node);
      return (found && value(found)) ?? null;
    });
  }

  /** The sum over all nodes, and all coordinators, at each point. */
  sum(value: (figures: NonNullable<NodeView["figures"]>) => number | undefined): (number | null)[] {
    return this.points.map(({ nodes, coordinators }) => {
      let sum: number | null = null;
      for (const { figures } of [...nodes, ...coordinators?.list ?? []]) {
        const one = figures && value(figures);
        if (one !== undefined) sum = (sum ?? 0) + one;
      }
      return sum;
    });
  }
}
