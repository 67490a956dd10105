/**
 * What of a journal counts, when it is opened: which frames are applied, in which order, and whether anything that was
 * synced is missing. A pure function of what is on disk.
 *
 * Segments have an index, which grows with each that is created, and the number of the last batch before them. So a
 * segment says where the one before it ends: later frames in that are void. They are what a torn write has left, or a
 * batch whose sync failed and which was written again.
 *
 * Numbers of batches have no gaps. If one is missing while later frames are there, these tell what has happened. If a
 * later segment restates it, nothing is missing: its sync had failed, and it was written again. If a later frame knows that the missing batch had been synced, data was damaged: everything that is whole
 * is applied, and the gap is told. Otherwise power was lost before the batch was synced, and the disk had written
 * later pages before earlier ones: the journal ends before the gap. If nothing follows, the end is torn, as after any
 * crash in mid-write; whether it had been synced cannot be known here (the coordinator knows the last number that had
 * been, rule C8 of docs/replication.md).
 *
 * @module
 */
import { type FoundFrame, framesOf, RESTATEMENT } from "./frame.ts";

/** The name of a segment's file, taken apart. */
export interface SegmentName {
  readonly name: string;
  readonly index: number;
  /** The number of the last batch before it. */
  readonly number: number;
  readonly salt: number;
}

/** A segment's file as it was read. */
export interface Segment extends SegmentName {
  readonly bytes: Uint8Array;
}

/** A frame that counts. */
export interface ReplayedFrame extends FoundFrame {
  readonly bytes: Uint8Array;
}

/** What counts. */
export interface ReplayPlan {
  readonly frames: readonly ReplayedFrame[];
  /** The number of the last batch. */
  readonly last: number;
  /** Synced batches are missing. */
  readonly gap?: {
    readonly why: string;
    /** Only what these first frames say may be older than what is missing. */
    readonly framesBefore: number;
  };
}

const NAME = /^([0-9a-f]{8})-([0-9a-f]{14})-([0-9a-f]{8})\.log$/;

export function segmentName(index: number, number: number, salt: number): SegmentName {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
  return { name: `${hex(index, 8)}-${hex(number, 14)}-${hex(salt, 8)}.log`, index, number, salt };
}

/** The segments among the names of files, in their order. */
export function segmentsAmong(names: Iterable<string>): SegmentName[] {
  const found: SegmentName[] = [];
  for (const name of names) {
    const [, index = "", number = "", salt = ""] = NAME.exec(name) ?? [];
    if (index === "") continue;
    found.push({
      name,
      index: parseInt(index, 16),
      number: parseInt(number, 16),
      salt: parseInt(salt, 16),
    });
  }
  return found.sort((a, b) => a.index - b.index);
}

/** The last batch of which these segments say that it and all before it are safe in the table. */
export function checkpointOf(segments: readonly Segment[]): number {
  let checkpoint = 0;
  for (const { bytes, salt } of segments) {
    for (const frame of framesOf(bytes, salt)) checkpoint = Math.max(checkpoint, frame.checkpoint);
  }
  return checkpoint;
}

/** Whether it begins with control rows. If the first that is needed does not, the one before it may. */
export function beginsWell(segment: Segment | undefined): boolean {
  return segment !== undefined &&
    framesOf(segment.bytes, segment.salt).at(0)?.kind === RESTATEMENT;
}

/** From which of the segments on the journal must be read, if the table has everything up to `upto`. */
export function firstNeeded(segments: readonly SegmentName[], upto: number): number {
  const at = segments.findLastIndex(({ number }) => number <= upto);
  return Math.max(at, 0);
}

/**
 * @param segments in their order
 * @param tableHas the table certainly has everything up to this batch: as far as both the checkpoint and the table say
 * @param known a batch that is known to have been synced; 0 if none is
 */
export function planReplay(
  segments: readonly Segment[],
  tableHas: number,
  known: number,
): ReplayPlan {
  const all: ReplayedFrame[] = [];
  for (const [i, { bytes, salt }] of segments.entries()) {
    const end = segments.slice(i + 1).reduce((min, { number }) => Math.min(min, number), Infinity);
    for (const frame of framesOf(bytes, salt)) {
      if (frame.number <= end) all.push({ ...frame, bytes });
    }
  }
  const syncedLater = all.map(({ upto }) => upto);
  for (let i = all.length - 2; i >= 0; i--) {
    syncedLater[i] = Math.max(syncedLater[i] ?? 0, syncedLater[i + 1] ?? 0);
  }
  const frames: ReplayedFrame[] = [];
  let gap: ReplayPlan["gap"];
  let last = tableHas;
  let skippedTo = 0;
  for (const [i, frame] of all.entries()) {
    if (i < skippedTo) continue;
    const restates = frame.kind === RESTATEMENT;
    const needs = restates ? frame.upto : frame.number - 1;
    if (frames.length === 0) {
      // Control rows are in the journal alone, so it has to begin with all of them.
      if (!restates || needs > tableHas) gap = gapAfter(tableHas, 0);
    } else if (needs > last) {
      const covers = ({ kind, upto }: FoundFrame) => kind === RESTATEMENT && upto <= last;
      skippedTo = all.findIndex((later, at) => at > i && covers(later));
      if (skippedTo > i) continue;
      if ((syncedLater[i] ?? 0) <= last) break;
      gap = gapAfter(last, frames.length);
    }
    frames.push(frame);
    last = frame.number;
  }
  if (last < known) {
    const why = `the journal ends with batch ${last}, and batch ${known} had been written`;
    gap = { why, framesBefore: frames.length };
  }
  return gap === undefined ? { frames, last } : { frames, last, gap };
}

function gapAfter(number: number, framesBefore: number): ReplayPlan["gap"] {
  return { why: `what followed batch ${number} is missing from the journal`, framesBefore };
}
