/**
 * Generations and stamps. Each attempt of a coordinator to become active has a *generation* of its own, and
 * each document that it proposes has a *stamp*: the generation, and the document's revision. CASPaxos (Rystsov,
 * arXiv 1802.07000) calls a generation a ballot.
 *
 * Invariants: no two attempts have the same generation, since the run of a process has a random id, and a
 * process never uses a number twice; under one generation, each revision has one document. So one stamp names
 * one document.
 *
 * Not the generation of `state/lineage.ts`, which is a start of a coordinator as the nodes see it.
 *
 * @module
 */

/** One attempt to become active. */
export interface Generation {
  /** From 1 on. The higher one counts. */
  readonly number: number;
  /** The id of the coordinator whose attempt it is, for people. */
  readonly coordinator: string;
  /** The random id of that run of its process. It decides between two generations of one number. */
  readonly run: string;
}

/** What names a document. */
export interface Stamp {
  readonly generation: Generation;
  /** The number of changes up to this document. */
  readonly revision: number;
}

/** Negative, zero or positive, as for `sort`. Undefined is before every generation. */
export function compareGenerations(a: Generation | undefined, b: Generation | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return a.number - b.number || Number(a.run > b.run) - Number(a.run < b.run);
}

/** As {@linkcode compareGenerations}: the generation first, then the revision. */
export function compareStamps(a: Stamp | undefined, b: Stamp | undefined): number {
  if (a === undefined || b === undefined) return Number(a !== undefined) - Number(b !== undefined);
  return compareGenerations(a.generation, b.generation) || a.revision - b.revision;
}

/** `7.2@c1`: the second revision of the store, as number 7 of c1 wrote it. */
export function formatStamp(stamp: Stamp | undefined): string {
  if (stamp === undefined) return "nothing";
  return `${stamp.generation.number}.${stamp.revision}@${stamp.generation.coordinator}`;
}
