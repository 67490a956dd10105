/**
 * Reads what a database holds when it is opened, and says which partitions are not reliable.
 *
 * State records come from the journal, which checks what it reads and finds what is missing
 * (`journal/replay.ts`). If synced batches are missing, then of a partition whose state record was written since, the
 * record is right: its rows are read through, and count and digest tell whether some are missing. Any other
 * partition may have been written in a missing batch, and counts as damaged.
 *
 * It cannot see that batches are missing at the very end: everything that would reveal them is gone with them. The
 * coordinator sees it by the number of the last batch (rule C8), and the partition's other replicas, because this
 * replica's last seq is behind theirs.
 *
 * A finding is written to the database at once, so that a second start cannot forget it: the state records
 * get the flag "damaged", which is removed only when the partition is cleared.
 *
 * @module
 */
import { isDamage } from "../../shared/base/errors.ts";
import { PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/limits/storage.ts";
import type { LostBatches, Storage, StorageChange, StorageRow } from "./storage.ts";
import { decodeRecord, recordCrc, rowsEnd, rowsFrom } from "./record.ts";
import {
  decodeState,
  encodeState,
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
  if (storage.lost !== undefined) {
    await suspectUnwritten(storage, partitionCount, holdsAll, records, storage.lost);
  }
  if (storage.lost !== undefined || suspect) await readThroughAll(storage, opened);
  for (const partition of clearing) await deleteRows(storage, partition);
  const changed = [...opened.damaged.keys()].some((partition) => !known.has(partition)) ||
    [...opened].some(([partition, state]) => opened.damaged.has(partition) && !state.damaged);
  if (changed || clearing.length > 0) await writeFindings(storage, opened, clearing);
  return opened;
}

function readStates(storage: Storage, partitionCount: number): StateRecords {
  const opened = new OpenedPartitions();
  const clearing: number[] = [];
  for (let partition = 0; partition < partitionCount; partition++) {
    const key = stateKey(partition);
    const bytes = storage.get(key);
    if (bytes === undefined) continue;
    const read = decodeOrUndefined(() => decodeState(key, bytes));
    if (read === undefined) {
      opened.set(partition, { ...NO_STATE });
      opened.damaged.set(partition, "its state record is garbled");
    } else if (read.clearing) {
      clearing.push(partition);
    } else {
      opened.set(partition, read.state);
      if (read.state.damaged) opened.damaged.set(partition, "it was found damaged before");
    }
  }
  return { opened, clearing };
}

/** What a missing batch may have changed is damaged, unless its state record was written since. */
async function suspectUnwritten(
  storage: Storage,
  partitionCount: number,
  holdsAll: boolean,
  { opened, clearing }: StateRecords,
  lost: LostBatches,
): Promise<void> {
  for (let partition = 0; partition < partitionCount; partition++) {
    if (opened.damaged.has(partition) || clearing.includes(partition)) continue;
    if (opened.has(partition) && lost.writtenSince(stateKey(partition))) continue;
    if (!opened.has(partition)) {
      // Its state record may be what is missing.
      const rows = await readRows(storage, partition, undefined, 1);
      if (rows.length === 0 && !holdsAll) continue;
      opened.set(partition, { ...NO_STATE });
    }
    opened.damaged.set(partition, lost.why);
  }
}

/** All other state records are right: a partition is damaged if its rows do not agree with its record. */
async function readThroughAll(storage: Storage, opened: OpenedPartitions): Promise<void> {
  for (const [partition, state] of opened) {
    if (opened.damaged.has(partition)) continue;
    if (!await rowsFitState(storage, partition, state)) {
      opened.damaged.set(partition, "entries of this partition are missing");
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

/** Notes damage in the state records, and removes those of cleared partitions. */
async function writeFindings(
  storage: Storage,
  opened: OpenedPartitions,
  cleared: readonly number[],
): Promise<void> {
  const changes: StorageChange[] = cleared.map((partition) => ({ key: stateKey(partition) }));
  for (const [partition, state] of opened) {
    if (!opened.damaged.has(partition)) continue;
    state.damaged = true;
    const { key, value } = encodeState(partition, state);
    changes.push({ key, value });
  }
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
