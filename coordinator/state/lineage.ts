/**
 * Which maps a document follows from. Each start of a coordinator begins a *generation*, with a random id; the
 * document keeps the latest of them, each with its first epoch. So of a map that somebody has seen it can be told whether it
 * was a predecessor of the document, also after an old copy of the document has been put back and its epochs have grown
 * past those of the lost one. Pure.
 *
 * Invariant: a generation's epochs are those from its own first one up to the next generation's first one.
 *
 * Not the agreement of several coordinators: one document, and one process that may write it.
 *
 * @module
 */
import { GENERATIONS_KEPT } from "../../shared/limits/membership.ts";

/** One start of a coordinator. */
export interface CoordinatorStart {
  readonly id: string;
  /** The first epoch that it could give. */
  readonly from: number;
}

/** A map that somebody has seen. */
export interface SeenMap {
  readonly epoch: number;
  /** Undefined for a map from before there was any. */
  readonly generation: string | undefined;
}

/** The lineage with a new generation, which gives the epochs behind `epoch`. */
export function beginGeneration(
  lineage: readonly CoordinatorStart[],
  id: string,
  epoch: number,
): CoordinatorStart[] {
  return [...lineage, { id, from: epoch + 1 }].slice(-GENERATIONS_KEPT);
}

/**
 * Whether the map is the document's own or a predecessor of it.
 *
 * @param epoch of the document's newest map
 */
export function follows(
  lineage: readonly CoordinatorStart[],
  epoch: number,
  seen: SeenMap,
): boolean {
  if (seen.epoch > epoch) return false;
  const at = lineage.findIndex(({ id }) => id === seen.generation);
  // A generation that is not known is older than those that are kept, or belongs to a document that is not this one's past.
  if (at < 0) return seen.generation === undefined || seen.epoch < (lineage[0]?.from ?? 0);
  const next = lineage[at + 1];
  return next === undefined || seen.epoch < next.from;
}

/**
 * The lineage after an operator has given up what followed in the generation that was seen: all of that generation
 * counts as a predecessor of the last one, which goes on from `from`.
 */
export function forgive(
  lineage: readonly CoordinatorStart[],
  seen: SeenMap,
  from: number,
): CoordinatorStart[] {
  const current = lineage.at(-1);
  if (current === undefined) return [];
  const others = lineage.filter(({ id }) => id !== seen.generation && id !== current.id);
  const given = seen.generation === undefined || seen.generation === current.id
    ? []
    : [{ id: seen.generation, from: seen.epoch }];
  return [...others, ...given, { id: current.id, from }].slice(-GENERATIONS_KEPT);
}
