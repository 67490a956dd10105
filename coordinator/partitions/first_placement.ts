/**
 * The layout of a new cluster. All nodes that are live get replicas at once, since all of them are empty. It waits
 * until each known node is either live or down. A node that is down gets nothing: a partition that only it was to
 * hold would have no replica at all.
 *
 * @module
 */
import { whyNotLaidOut } from "../../shared/cluster/cluster_map.ts";
import { invariant } from "../../shared/base/errors.ts";
import type { ClusterState } from "../state/cluster_state.ts";
import type { Outbox } from "../state/ready.ts";
import type { Mover } from "./mover.ts";

/** Lays a new cluster out. */
export class FirstPlacement {
  readonly #state: ClusterState;
  readonly #mover: Mover;
  readonly #out: Outbox;
  readonly #expectNodes: number;
  #done: boolean;
  /** How many nodes were there when it was last said that more are waited for. */
  #awaitingLogged: number | undefined;

  /** @param expectNodes it waits for this many nodes, and for as many as a write needs */
  constructor(state: ClusterState, mover: Mover, out: Outbox, expectNodes: number) {
    this.#state = state;
    this.#mover = mover;
    this.#out = out;
    this.#expectNodes = Math.max(expectNodes, state.settings.minInSync);
    this.#done = state.table.toArray().some(({ term }) => term > 0);
  }

  /** How many nodes it waits for; 0 once it is done. */
  get awaitedNodes(): number {
    return this.#done ? 0 : this.#expectNodes;
  }

  /** Lays the cluster out, if that is still to be done and enough nodes are there. */
  placeIfReady(nowMs: number): void {
    if (this.#done) return;
    const { members, settings } = this.#state;
    let live = 0;
    for (const { presence, departure } of members.values()) {
      if (presence === "unknown" || (presence === "live" && departure === "stopping")) return;
      if (presence === "live" && departure === "none") live++;
    }
    if (live >= this.#expectNodes) {
      this.#place(live, nowMs);
      return;
    }
    if (live === this.#awaitingLogged) return;
    this.#awaitingLogged = live;
    const { minInSync } = settings;
    this.#out.info("a new cluster waits for its nodes before it is placed", {
      nodes: live,
      expected: this.#expectNodes,
      reason: whyNotLaidOut({ there: live, awaited: this.#expectNodes, minInSync }),
    });
  }

  #place(live: number, nowMs: number): void {
    this.#done = true;
    const { members, table, fresh, publisher } = this.#state;
    // As after a restart of the coordinator: a node that is down and holds nothing is not in the target until it comes.
    for (const member of members.values()) {
      if (member.presence === "down") member.downSinceMs = -Infinity;
    }
    this.#mover.updateTarget(nowMs);
    const epoch = publisher.decide();
    for (let partition = 0; partition < table.size; partition++) {
      const inSync = this.#mover.target.of(partition);
      const [primary] = inSync;
      invariant(primary !== undefined, "every partition is placed", { partition });
      fresh.set(partition, epoch);
      this.#state.reconfigure(partition, { primary, inSync, learners: [] });
    }
    this.#out.info("a new cluster is placed", { nodes: live, partitions: table.size });
  }
}
