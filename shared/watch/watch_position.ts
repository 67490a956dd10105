/**
 * Where a watcher stands in a partition, and its form on the wire. Pure.
 *
 * A watcher has been told of every write up to `seq`, or of a later one of the same key (rule V1). While a partition
 * is read it may also have been told of writes beyond that: of none beyond `upto` (rule V4). Seqs mean something
 * only within a lineage: a primary that an operator forces begins another one (rule V5).
 *
 * @module
 */
import type { WirePosition } from "../schema/watch_fields.ts";

/** A partition that is being read, a page at a time. */
export interface Reading {
  /** The seq from which the watcher goes on when all is read. */
  readonly base: number;
  /** The pages up to this key are done; "" for none. */
  readonly after: string;
  /** All entries are read, in place of those beyond `seq`. */
  readonly whole: boolean;
}

/** A watcher's place. */
export interface WatchPosition {
  /** The partition's `forcedTerm`, 0 for none. */
  readonly lineage: number;
  readonly seq: number;
  /** At least `seq`. */
  readonly upto: number;
  readonly reading?: Reading | undefined;
}

/** The place of a watcher that wants to be told everything that is there; of no lineage yet. */
export const BEGINNING: WatchPosition = {
  lineage: 0,
  seq: 0,
  upto: 0,
  reading: { base: 0, after: "", whole: true },
};

/** Whether nothing has been read of a partition that is to be read as a whole: every lineage will do. */
export function isBeginning({ reading }: WatchPosition): boolean {
  return reading !== undefined && reading.whole && reading.after === "";
}

/** Whether two places are the same. */
export function isSamePosition(a: WatchPosition, b: WatchPosition): boolean {
  return a.lineage === b.lineage && a.seq === b.seq && a.upto === b.upto &&
    a.reading?.after === b.reading?.after && a.reading?.base === b.reading?.base;
}

/** @param position undefined for "from now on" */
export function toWirePosition(
  partition: number,
  position: WatchPosition | undefined,
): WirePosition {
  if (position === undefined) return [partition];
  const { lineage, seq, upto, reading } = position;
  if (reading !== undefined) {
    const { base, after, whole } = reading;
    return [partition, lineage, seq, upto, base, after, whole ? 1 : 0];
  }
  return upto > seq ? [partition, lineage, seq, upto] : [partition, lineage, seq];
}

/** @returns undefined for "from now on" */
export function fromWirePosition(wire: WirePosition): WatchPosition | undefined {
  const [, lineage, seq, upto, base, after, whole] = wire;
  if (lineage === undefined || seq === undefined) return undefined;
  const place = { lineage, seq, upto: Math.max(seq, upto ?? seq, base ?? seq) };
  return base === undefined || after === undefined
    ? place
    : { ...place, reading: { base, after, whole: whole === 1 } };
}
