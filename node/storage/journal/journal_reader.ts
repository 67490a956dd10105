/**
 * Reads in a journal that is being written which keys of a partition were written since a seq, for a replica that was
 * away. It goes back from the newest segment until one begins with a state record of the partition that is not beyond that
 * seq. It gives keys and not rows: the journal also has what was replaced, and what another primary took back.
 *
 * Segments are read one at a time, each for all partitions: what was found in it is kept for a while, since replicas that
 * were away come back together.
 *
 * Invariant: it gives all of the keys or nothing. A segment counts only if each of its batches is there, whole, one after
 * the other.
 *
 * @module
 */
import type { Clock, Timer } from "../../../shared/platform/clock.ts";
import { failureOf } from "../../../shared/base/errors.ts";
import {
  JOURNAL_INDEX_BYTES_MAX,
  JOURNAL_INDEX_KEEP_MS,
  JOURNAL_READ_STEP_BYTES,
  MISSED_KEYS_MAX,
} from "../../../shared/limits/storage.ts";
import type { WorkScheduler } from "../../../shared/scheduling/work_scheduler.ts";
import { keyOfRecordKey, recordSeq } from "../record.ts";
import { decodeState, isControlKey } from "../state_record.ts";
import { forEachChange, frameAt, RESTATEMENT, valueOf } from "./frame.ts";
import type { JournalFiles } from "./journal_files.ts";
import type { SegmentName } from "./replay.ts";

/** A segment that can be read, also while it is being written. */
export interface ReadableSegment extends SegmentName {
  /** The number of its last batch. */
  readonly last: number;
  /** Nothing is appended to it any more. */
  readonly ended: boolean;
}

/** About what a key takes in memory beside its characters. */
const KEY_OVERHEAD_BYTES = 64;

/** What is in one segment. */
class SegmentIndex {
  /** By partition: the last seq before the segment. */
  readonly lastSeqs = new Map<number, number>();
  /** By partition: the keys that were written, and the seq of each; that of a row that was removed is Infinity. */
  readonly written = new Map<number, { readonly keys: string[]; readonly seqs: number[] }>();
  /** About what this takes in memory. */
  bytes = 0;

  restate(key: Uint8Array, stored: Uint8Array): void {
    const value = valueOf(stored);
    if (value === undefined || !isStateKey(key)) return;
    this.lastSeqs.set(partitionOf(key), decodeState(key, value).state.lastSeq);
  }

  note(key: Uint8Array, stored: Uint8Array): void {
    if (isControlKey(key)) return;
    const partition = partitionOf(key);
    let written = this.written.get(partition);
    if (written === undefined) this.written.set(partition, written = { keys: [], seqs: [] });
    const value = valueOf(stored);
    written.keys.push(keyOfRecordKey(key));
    written.seqs.push(value === undefined ? Infinity : recordSeq(value));
    this.bytes += KEY_OVERHEAD_BYTES + key.length;
  }
}

/** See the module. */
export class JournalReader {
  readonly #files: JournalFiles;
  readonly #clock: Clock;
  /** By the name of a segment that has ended; the one that was used last is last. */
  readonly #indexes = new Map<string, SegmentIndex>();
  #indexBytes = 0;
  #forgetting: Timer | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Segments that were read. */
  segmentsRead = 0;

  constructor(files: JournalFiles, clock: Clock) {
    this.#files = files;
    this.#clock = clock;
  }

  /**
   * See {@linkcode Storage.writtenSince}.
   *
   * @param prepare called when it is this reader's turn: gives all segments there are, in order
   */
  writtenSince(
    partition: number,
    lastSeq: number,
    work: WorkScheduler,
    prepare: () => Promise<readonly ReadableSegment[]>,
  ): Promise<ReadonlySet<string> | undefined> {
    const found = this.#turn.then(async () => {
      try {
        return await this.#read(partition, lastSeq, work, await prepare());
      } catch (error) {
        // It may have been removed meanwhile. What is damaged is found by whoever needs it.
        failureOf(error);
        return undefined;
      }
    });
    this.#turn = found;
    return found;
  }

  /** Waits for what is being read. */
  async close(): Promise<void> {
    await this.#turn;
    this.#forget();
  }

  async #read(
    partition: number,
    lastSeq: number,
    work: WorkScheduler,
    segments: readonly ReadableSegment[],
  ): Promise<ReadonlySet<string> | undefined> {
    const found = new Set<string>();
    for (const segment of segments.toReversed()) {
      const index = await this.#indexOf(segment, work);
      if (index === undefined) return undefined;
      const { keys, seqs } = index.written.get(partition) ?? { keys: [], seqs: [] };
      for (const [i, key] of keys.entries()) {
        if ((seqs[i] ?? Infinity) > lastSeq) found.add(key);
      }
      if (found.size > MISSED_KEYS_MAX) return undefined;
      // A partition that the segment does not restate was not there before.
      if ((index.lastSeqs.get(partition) ?? 0) <= lastSeq) return found;
    }
    return undefined;
  }

  async #indexOf(segment: ReadableSegment, work: WorkScheduler): Promise<SegmentIndex | undefined> {
    const { name, ended } = segment;
    this.#forgetting?.cancel();
    this.#forgetting = this.#clock.setTimer(JOURNAL_INDEX_KEEP_MS, () => this.#forget());
    const known = this.#indexes.get(name);
    if (known !== undefined) {
      this.#indexes.delete(name);
      this.#indexes.set(name, known);
      return known;
    }
    const index = await indexSegment(segment, await this.#files.read(name), work);
    this.segmentsRead++;
    if (index !== undefined && ended) this.#keep(name, index);
    return index;
  }

  #keep(name: string, index: SegmentIndex): void {
    this.#indexes.set(name, index);
    this.#indexBytes += index.bytes;
    for (const [oldest, { bytes }] of this.#indexes) {
      if (this.#indexBytes <= JOURNAL_INDEX_BYTES_MAX) return;
      this.#indexes.delete(oldest);
      this.#indexBytes -= bytes;
    }
  }

  #forget(): void {
    this.#forgetting?.cancel();
    this.#forgetting = undefined;
    this.#indexes.clear();
    this.#indexBytes = 0;
  }
}

/** What is in a segment; undefined if it is not whole. */
function indexSegment(
  { salt, number, last }: ReadableSegment,
  bytes: Uint8Array,
  work: WorkScheduler,
): Promise<SegmentIndex | undefined> {
  const index = new SegmentIndex();
  const restatement = frameAt(bytes, salt, 0);
  if (restatement?.kind !== RESTATEMENT || restatement.number !== number) {
    return Promise.resolve(undefined);
  }
  let at = 0;
  let next = number;
  return new Promise((resolve, reject) => {
    work.add(() => {
      try {
        for (const end = at + JOURNAL_READ_STEP_BYTES; at < end && next <= last;) {
          const frame = frameAt(bytes, salt, at);
          if (frame?.number !== next) {
            resolve(undefined);
            return false;
          }
          const isFirst = frame.kind === RESTATEMENT;
          forEachChange(bytes, frame, (key, stored) => {
            if (isFirst) index.restate(key, stored);
            else index.note(key, stored);
          });
          at = frame.to;
          next++;
        }
      } catch (error) {
        reject(error);
        return false;
      }
      if (next <= last) return true;
      resolve(index);
      return false;
    });
  });
}

function isStateKey(key: Uint8Array): boolean {
  return key.length === 2;
}

function partitionOf(key: Uint8Array): number {
  return ((key[0] ?? 0) << 8) | (key[1] ?? 0);
}
