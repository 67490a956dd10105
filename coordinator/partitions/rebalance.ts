/**
 * The way from who holds a partition now to who should: the next step for one partition, as a pure
 * function. When steps are taken, and how many at a time, is `mover.ts`; the target assignment is `placement.ts`.
 *
 * The order of steps keeps the number of good replicas: first missing replicas are filled, then the
 * primary moves to the first of the target assignment, and only when all of the target assignment is in sync and the primary is
 * among it are the others dropped. Nothing is done while the partition has no live primary: that is
 * `failover.ts`.
 *
 * @module
 */
import type { NodeId, PartitionConfig } from "../../shared/cluster/cluster_map.ts";

/** What the next step depends on besides configuration and target assignment. */
export interface Readiness {
  /** Its node is live and its role counts. */
  isServing(id: NodeId): boolean;
  /** May be filled now: its node is live and can be told, and it has not just failed to follow. */
  mayLearn(id: NodeId): boolean;
  /** May become primary: serving, can be told, and not about to go. */
  mayLead(id: NodeId): boolean;
  /**
   * It should not be primary for as long as another may: its process ends soon and leaves its replicas where
   * they are, or its disk takes no writes.
   */
  mustHandOver(id: NodeId): boolean;
}

/** What to do next with a partition. */
export type Step =
  | { readonly kind: "none" }
  /** Replicas that are being filled and are not in the target any more. */
  | { readonly kind: "drop_learners"; readonly nodes: readonly NodeId[] }
  /** `urgent` if fewer replicas are in sync than the target has. */
  | { readonly kind: "fill"; readonly nodes: readonly NodeId[]; readonly urgent: boolean }
  | { readonly kind: "hand_over"; readonly to: NodeId }
  | { readonly kind: "drop_surplus"; readonly nodes: readonly NodeId[] };

const NONE: Step = { kind: "none" };

/** The next step towards the target assignment. */
export function nextStep(
  config: PartitionConfig,
  target: readonly NodeId[],
  ready: Readiness,
): Step {
  const { primary, inSync, learners } = config;
  if (primary === undefined || !ready.isServing(primary)) return NONE;
  if (ready.mustHandOver(primary)) {
    const to = inSync.find((id) => ready.mayLead(id));
    if (to !== undefined) return { kind: "hand_over", to };
  }
  if (target.length === 0) return NONE;

  const unwanted = learners.filter((id) => !target.includes(id));
  if (unwanted.length > 0) return { kind: "drop_learners", nodes: unwanted };

  const absent = target.filter((id) => !inSync.includes(id) && !learners.includes(id));
  const fill = absent.filter((id) => ready.mayLearn(id));
  if (fill.length > 0) return { kind: "fill", nodes: fill, urgent: inSync.length < target.length };
  // A change of primary would begin the filling anew.
  if (learners.length > 0) return NONE;

  const to = nextPrimary(primary, inSync, target, ready);
  if (to !== primary) return { kind: "hand_over", to };
  if (absent.length > 0 || !target.includes(primary) || !target.every(ready.isServing)) return NONE;
  const surplus = inSync.filter((id) => !target.includes(id));
  return surplus.length > 0 ? { kind: "drop_surplus", nodes: surplus } : NONE;
}

/** The first of the target assignment, or, for a primary that is not in the target assignment at all, any of that assignment. */
function nextPrimary(
  primary: NodeId,
  inSync: readonly NodeId[],
  target: readonly NodeId[],
  ready: Readiness,
): NodeId {
  for (const id of target) {
    if (id === primary) return primary;
    if (inSync.includes(id) && ready.mayLead(id)) return id;
    if (target.includes(primary)) return primary;
  }
  return primary;
}

/** Replicas in ring order, the primary first, those that are not in the target last. */
export function orderReplicas(
  replicas: readonly NodeId[],
  target: readonly NodeId[],
  primary: NodeId | undefined,
): NodeId[] {
  const rest = replicas.filter((id) => id !== primary);
  return [
    ...replicas.filter((id) => id === primary),
    ...target.filter((id) => rest.includes(id)),
    ...rest.filter((id) => !target.includes(id)),
  ];
}
