/**
 * The partitions' configurations as last decided (the published map may be a moment behind), with an
 * index from node to partitions, so that a change of one node touches only what it holds.
 *
 * Invariants: what `cluster_map.ts` demands of a configuration; a term grows with every change but
 * the mere addition of a learner, and never otherwise.
 *
 * @module
 */
import { type NodeId, type PartitionConfig, sameConfig } from "../../shared/cluster/cluster_map.ts";
import { invariant } from "../../shared/base/errors.ts";

/** A configuration without its term. */
export type Replicas = Pick<PartitionConfig, "primary" | "inSync" | "learners">;

/** A change of one partition. */
export interface Change {
  readonly partition: number;
  readonly before: PartitionConfig;
  readonly after: PartitionConfig;
}

/** How a change is to be made. */
export interface ReconfigureOptions {
  /** The new term, if there is one, is higher than this one too. */
  readonly termFloor?: number;
  /** Take a new term even if nothing else changes. */
  readonly newTerm?: boolean;
  /** Take a new term, and what was before it is not the past of this configuration. */
  readonly forced?: boolean;
}

const NOTHING: ReadonlySet<number> = new Set();

/** All configurations. */
export class PartitionTable {
  readonly #configs: PartitionConfig[];
  readonly #held = new Map<NodeId, Set<number>>();
  readonly #learning = new Map<NodeId, Set<number>>();

  constructor(configs: readonly PartitionConfig[]) {
    this.#configs = configs.slice();
    configs.forEach((config, partition) => this.#index(partition, config));
  }

  get size(): number {
    return this.#configs.length;
  }

  /** @throws {InvariantError} for a number outside the table */
  get(partition: number): PartitionConfig {
    const config = this.#configs[partition];
    invariant(config !== undefined, "a partition is within the table", { partition });
    return config;
  }

  /** Partitions whose configuration names the node. */
  heldBy(id: NodeId): ReadonlySet<number> {
    return this.#held.get(id) ?? NOTHING;
  }

  /** Partitions that have the node as a learner. */
  learnedBy(id: NodeId): ReadonlySet<number> {
    return this.#learning.get(id) ?? NOTHING;
  }

  /** How many replicas are being filled. */
  get learnerCount(): number {
    let count = 0;
    for (const partitions of this.#learning.values()) count += partitions.size;
    return count;
  }

  /** The configurations, for a map. */
  toArray(): PartitionConfig[] {
    return this.#configs.slice();
  }

  /** Changes who holds a partition. @returns the change; undefined if there is nothing new */
  reconfigure(
    partition: number,
    replicas: Replicas,
    options: ReconfigureOptions = {},
  ): Change | undefined {
    const before = this.get(partition);
    // Rule C4.
    const { newTerm = false, forced = false } = options;
    const raise = newTerm || forced || needsTerm(before, replicas);
    const { primary, inSync, learners } = replicas;
    const term = raise ? Math.max(before.term, options.termFloor ?? 0) + 1 : before.term;
    const forcedTerm = forced ? term : before.forcedTerm;
    const after: PartitionConfig = {
      term,
      primary,
      inSync,
      learners,
      ...(forcedTerm === undefined ? {} : { forcedTerm }),
    };
    if (sameConfig(before, after)) return undefined;
    checkReplicas(partition, after);
    this.#unindex(partition, before);
    this.#configs[partition] = after;
    this.#index(partition, after);
    return { partition, before, after };
  }

  #index(partition: number, { inSync, learners }: PartitionConfig): void {
    for (const id of inSync) addTo(this.#held, id, partition);
    for (const id of learners) {
      addTo(this.#held, id, partition);
      addTo(this.#learning, id, partition);
    }
  }

  #unindex(partition: number, { inSync, learners }: PartitionConfig): void {
    for (const id of inSync) removeFrom(this.#held, id, partition);
    for (const id of learners) {
      removeFrom(this.#held, id, partition);
      removeFrom(this.#learning, id, partition);
    }
  }
}

/**
 * A new learner does not touch what the others may do. A learner that goes does: a report that it has
 * caught up may be under way, and must not be believed of a later attempt to fill it.
 */
function needsTerm(before: PartitionConfig, after: Replicas): boolean {
  return before.primary !== after.primary ||
    before.inSync.length !== after.inSync.length ||
    before.inSync.some((id, i) => id !== after.inSync[i]) ||
    before.learners.some((id) => !after.learners.includes(id));
}

function checkReplicas(partition: number, config: PartitionConfig): void {
  const { primary, inSync, learners } = config;
  const where = { partition, config };
  invariant(primary === undefined || inSync.includes(primary), "a primary is in sync", where);
  const members = [...inSync, ...learners];
  invariant(new Set(members).size === members.length, "a node holds one replica", where);
}

function addTo(index: Map<NodeId, Set<number>>, id: NodeId, partition: number): void {
  const partitions = index.get(id);
  if (partitions === undefined) index.set(id, new Set([partition]));
  else partitions.add(partition);
}

function removeFrom(index: Map<NodeId, Set<number>>, id: NodeId, partition: number): void {
  const partitions = index.get(id);
  partitions?.delete(partition);
  if (partitions?.size === 0) index.delete(id);
}
