/**
 * Reads what a database holds when it is opened, and checks whether everything is there.
 *
 * LevelDB replays its log at open and silently skips what is garbled in it. The log's records are our
 * batches, so whole batches can be missing from the middle, with later ones present. Two things are
 * checked here, without reading the data:
 *
 * - *State sum.* The head record, written with every batch, holds a sum over the state records of all
 *   partitions. A missing batch took its state records along: if one of those partitions was not written
 *   again since, its state record is an older one, and the sum is wrong. Then some state record is wrong,
 *   nothing says which, and every partition counts as damaged.
 * - *Marks.* Each of the last BATCH_MARKS batches left its number. If one is missing and the sum is right,
 *   all state records are the newest ones. Then each partition is read through: count and digest tell
 *   which of them lack entries.
 *
 * This check cannot see three things. Batches missing at the very end: everything that would reveal them is
 * gone with them (the partition's other replicas reveal it, because this replica's last seq is behind
 * theirs). A batch that is missing from further back than the marks reach, whose partitions were all
 * written again since (the scrubber finds it with `PartitionStore.verify`). And, with `fsync` "interval" or
 * "never", a normal loss by a power cut looks like damage if it left a gap.
 *
 * A finding is written to the database at once, so that a second start cannot forget it: the state records
 * get the flag "damaged", which is removed only when the partition is cleared.
 *
 * @module
 */
import { isDamage } from "../../shared/base/errors.ts";
import { BATCH_MARKS, PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/limits/storage.ts";
import type { Storage, StorageChange, StorageRow } from "./storage.ts";
import { crc32c } from "../../shared/base/crc32c.ts";
import { compareBytes } from "../../shared/base/key_order.ts";
import { decodeRecord, digestOf, recordCrc, rowsEnd, rowsFrom } from "./record.ts";
import {
  decodeHead,
  decodeMark,
  decodeState,
  encodeHead,
  encodeMark,
  encodeState,
  type Head,
  HEAD_KEY,
  MARKS_END,
  MARKS_FROM,
  NO_STATE,
  type PartitionState,
  stateKey,
  Tally,
} from "./state_record.ts";

/** The partitions of which a database holds something. */
export class OpenedPartitions extends Map<number, PartitionState> {
  /** Why the data of a partition is not reliable. Each of these is in the map too. */
  readonly damaged: Map<number, string> = new Map<number, string>();
}

/** State records as they were read. */
interface StateRecords {
  readonly opened: OpenedPartitions;
  /** Partitions whose deletion was interrupted. */
  readonly clearing: number[];
  /** The possible sums of the state records: two values if one record is garbled. */
  sums: number[];
}

/**
 * Reads the state records of a database that was just opened, checks that nothing is missing, and finishes
 * interrupted deletions. Call it once, before a `GroupCommit` is made.
 *
 * @param holdsAll whether this node holds every partition (default: it may hold none of some). Then a
 * partition of which nothing is there may have lost everything, and no other node has it
 * @param suspect rows may be missing although no batch is, as after a repair: all of them are read through
 * @throws {KvError} `wrong_version` if a newer program wrote it; `storage_failed`
 */
export async function openPartitionStores(
  storage: Storage,
  partitionCount: number,
  holdsAll = false,
  suspect = false,
): Promise<OpenedPartitions> {
  const records = readStates(storage, partitionCount);
  const { opened, clearing } = records;
  const known = new Set(opened.damaged.keys());
  const head = readHead(storage);
  const marks = await storage.range({
    from: MARKS_FROM,
    to: MARKS_END,
    rowsMax: BATCH_MARKS + 1,
    bytesMax: Infinity,
  });
  const wrong = head === undefined || !records.sums.includes(head.stateSum);
  if (wrong) {
    await suspectAll(storage, partitionCount, holdsAll, records);
  } else if (suspect || !marksAreWhole(marks, head)) {
    await readThroughAll(storage, opened);
  }
  for (const partition of clearing) await deleteRows(storage, partition);
  const changed = [...opened.damaged.keys()].some((partition) => !known.has(partition)) ||
    [...opened].some(([partition, state]) => opened.damaged.has(partition) && !state.damaged);
  if (wrong || changed || clearing.length > 0) {
    await writeFindings(storage, opened, clearing, head, marks);
  }
  return opened;
}

function readStates(storage: Storage, partitionCount: number): StateRecords {
  const opened = new OpenedPartitions();
  const clearing: number[] = [];
  let sums = [0];
  for (let partition = 0; partition < partitionCount; partition++) {
    const key = stateKey(partition);
    const bytes = storage.get(key);
    if (bytes === undefined) continue;
    const stored = digestOf(recordCrc(bytes));
    const read = decodeOrUndefined(() => decodeState(key, bytes));
    if (read !== undefined) {
      sums = sums.map((sum) => (sum + stored) >>> 0);
      if (read.clearing) {
        clearing.push(partition);
        continue;
      }
      opened.set(partition, read.state);
      if (read.state.damaged) opened.damaged.set(partition, "it was found damaged before");
      continue;
    }
    opened.set(partition, { ...NO_STATE });
    opened.damaged.set(partition, "its state record is garbled");
    // If the body is garbled, the stored CRC is the one that was counted; otherwise the CRC is garbled.
    const computed = digestOf(crc32c(bytes, crc32c(key), 4));
    sums = sums.length > 2 ? [] : sums.flatMap((sum) => [
      (sum + stored) >>> 0,
      (sum + computed) >>> 0,
    ]);
  }
  return { opened, clearing, sums };
}

/** The head record; undefined if it is garbled. */
function readHead(storage: Storage): Head | undefined {
  const bytes = storage.get(HEAD_KEY);
  if (bytes === undefined) return { batch: 0, firstMark: 1, stateSum: 0 };
  return decodeOrUndefined(() => decodeHead(bytes));
}

function marksAreWhole(marks: readonly StorageRow[], head: Head): boolean {
  const first = Math.max(head.firstMark, head.batch - BATCH_MARKS + 1, 1);
  const found = new Set<number>();
  for (const [key, value] of marks) {
    const batch = decodeOrUndefined(() => decodeMark(key, value));
    if (batch === undefined || batch > head.batch) return false;
    if (batch >= first && compareBytes(encodeMark(batch).key, key) === 0) found.add(batch);
  }
  return found.size === head.batch - first + 1;
}

/** No state record is reliable. */
async function suspectAll(
  storage: Storage,
  partitionCount: number,
  holdsAll: boolean,
  { opened, clearing }: StateRecords,
): Promise<void> {
  for (let partition = 0; partition < partitionCount; partition++) {
    if (opened.damaged.has(partition) || clearing.includes(partition)) continue;
    if (!opened.has(partition)) {
      // Its state record may be what is missing.
      const rows = await readRows(storage, partition, undefined, 1);
      if (rows.length === 0 && !holdsAll) continue;
      opened.set(partition, { ...NO_STATE });
    }
    opened.damaged.set(partition, "a batch is missing from the database");
  }
}

/** All state records are right: a partition is damaged if its rows do not agree with its record. */
async function readThroughAll(storage: Storage, opened: OpenedPartitions): Promise<void> {
  for (const [partition, state] of opened) {
    if (opened.damaged.has(partition)) continue;
    if (!await rowsFitState(storage, partition, state)) {
      opened.damaged.set(partition, "a batch is missing, and with it entries of this partition");
    }
  }
}

async function rowsFitState(
  storage: Storage,
  partition: number,
  state: PartitionState,
): Promise<boolean> {
  const tally = new Tally();
  let from = rowsFrom(partition, undefined);
  for (;;) {
    const rows = await readRows(storage, partition, from, PASS_PAGE_ROWS);
    for (const [key, value] of rows) {
      const entry = decodeOrUndefined(() => decodeRecord(key, value));
      if (entry === undefined) return false;
      tally.add(entry.flags, recordCrc(value), 1);
    }
    const last = rows.at(-1);
    if (last === undefined) return tally.fits(state);
    from = new Uint8Array(last[0].length + 1);
    from.set(last[0]);
  }
}

async function deleteRows(storage: Storage, partition: number): Promise<void> {
  for (;;) {
    const rows = await readRows(storage, partition, undefined, PASS_PAGE_ROWS);
    if (rows.length === 0) return;
    await writeNow(storage, rows.map(([key]) => ({ key })));
  }
}

/** Notes damage in the state records, removes those of cleared partitions, and begins new marks. */
async function writeFindings(
  storage: Storage,
  opened: OpenedPartitions,
  cleared: readonly number[],
  head: Head | undefined,
  marks: readonly StorageRow[],
): Promise<void> {
  const changes: StorageChange[] = cleared.map((partition) => ({ key: stateKey(partition) }));
  let stateSum = 0;
  for (const [partition, state] of opened) {
    if (opened.damaged.has(partition)) state.damaged = true;
    const { key, value, crc } = encodeState(partition, state);
    changes.push({ key, value });
    stateSum = (stateSum + digestOf(crc)) >>> 0;
  }
  for (const [key] of marks) changes.push({ key });
  const batch = head?.batch ?? 0;
  const { key, value } = encodeHead({ batch, firstMark: batch + 1, stateSum });
  changes.push({ key, value });
  await writeNow(storage, changes);
}

function readRows(
  storage: Storage,
  partition: number,
  from: Uint8Array | undefined,
  rowsMax: number,
): Promise<StorageRow[]> {
  return storage.range({
    from: from ?? rowsFrom(partition, undefined),
    to: rowsEnd(partition, undefined),
    rowsMax,
    bytesMax: PASS_PAGE_BYTES,
  });
}

function writeNow(storage: Storage, changes: StorageChange[]): Promise<void> {
  return new Promise((resolve, reject) => {
    storage.write(changes, true, (error) => error === undefined ? resolve() : reject(error));
  });
}

/** The result, or undefined if the row is damaged; a row of a newer format is an error. */
function decodeOrUndefined<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (isDamage(error)) return undefined;
    throw error;
  }
}
