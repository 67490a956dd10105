/**
 * Which node an attempt of a request goes to: the primary; for a read that any replica may answer, a replica that
 * was not tried; and, if a node cannot be reached from here, one that may reach it.
 *
 * @module
 */
import type { ClusterMap, NodeId, PartitionConfig } from "../cluster/cluster_map.ts";
import { type Random, randomBelow } from "../platform/random.ts";
import type { NodePool } from "./node_pool.ts";
import type { Task } from "./task.ts";

/** Chooses nodes. */
export class Targets {
  readonly #pool: NodePool;
  readonly #random: Random;
  readonly #self: NodeId | undefined;

  /** @param self the node in this process, if there is one: it is the nearest */
  constructor(pool: NodePool, random: Random, self: NodeId | undefined) {
    this.#pool = pool;
    this.#random = random;
    this.#self = self;
  }

  /** The node for the next attempt; undefined if the partition has none. Uses up the task's hint. */
  choose(task: Task, config: PartitionConfig | undefined): NodeId | undefined {
    if (config === undefined) return undefined;
    const { hint } = task;
    task.hint = undefined;
    if (hint !== undefined && this.#pool.node(hint) !== undefined) return hint;
    if (!(task.isRead && "consistency" in task.request && task.request.consistency === "replica")) {
      return config.primary;
    }
    const tried = task.tried ??= [];
    const replicas = this.#untried(config, tried);
    const self = this.#self;
    const chosen = self !== undefined && replicas.includes(self)
      ? self
      : replicas[randomBelow(this.#random, replicas.length)] ?? config.primary;
    if (chosen !== undefined) tried.push(chosen);
    return chosen;
  }

  /** Whether another replica may still answer, without a pause. */
  hasUntried({ tried }: Task, config: PartitionConfig | undefined): boolean {
    if (tried === undefined || config === undefined) return false;
    return this.#untried(config, tried).length > 0;
  }

  /** A node that may reach one that cannot be reached from here; undefined if it can be, or if there is none. */
  wayRound(
    map: ClusterMap | undefined,
    target: NodeId,
    config: PartitionConfig | undefined,
  ): NodeId | undefined {
    if (this.#pool.client(target)?.isDoubtful !== true) return undefined;
    const candidates = (map?.nodes ?? []).filter(({ id, state }) =>
      id !== target && id !== this.#self && state !== "down" &&
      this.#pool.client(id)?.isDoubtful !== true
    ).map(({ id }) => id);
    // A replica is connected with its primary.
    const replicas = candidates.filter((id) => config?.inSync.includes(id));
    const best = replicas.length > 0 ? replicas : candidates;
    return best.length === 0 ? undefined : best[randomBelow(this.#random, best.length)];
  }

  #untried({ inSync }: PartitionConfig, tried: readonly NodeId[]): NodeId[] {
    return inSync.filter((id) => !tried.includes(id) && this.#pool.node(id)?.state !== "down");
  }
}
