/**
 * A page of several partitions in key order. It first reads from each partition about as much as it probably
 * has of the page, then more of those that hold up the others. So a page costs about as many rows as it has,
 * and one read for each partition, however many there are and however long their values.
 *
 * A partition's rows are read with their values, whether those are wanted or not. So if values are long,
 * the first read of each partition is one row, and the others come as they are needed. After it a page may
 * always look at SCAN_AGAIN_PART times as much again: otherwise first rows alone could use up what a page may
 * look at, the page would end at the first of them, and each page would read all of them anew for one key.
 *
 * A partition is in the page only if this node was its primary during the whole call, and everything that
 * was read of it is committed by the end (docs/replication.md, "Scans", has the argument).
 *
 * @module
 */
import { inParallel } from "../../shared/scheduling/in_parallel.ts";
import { type Entry, isLive, NO_VALUE } from "../../shared/base/entry.ts";
import { isDamage } from "../../shared/base/errors.ts";
import { type KeyRange, keyRange } from "../../shared/base/key_range.ts";
import {
  SCAN_AGAIN_PART,
  SCAN_BYTES_MAX,
  SCAN_KEPT_BYTES,
  SCAN_LONG_VALUE_BYTES,
  SCAN_LOOKED_BYTES_MAX,
  SCAN_LOOKED_ROWS_MAX,
  SCAN_PAGE_KEYS,
  SCAN_READ_AHEAD_ENTRIES_MAX,
  SCAN_READ_AHEAD_VALUE_BYTES,
  SCAN_READS_MAX,
  SCAN_ROWS_MAX,
} from "../../shared/limits/scans.ts";
import {
  isPageFull,
  mergePage,
  type PageLimits,
  type Run,
  scanOrder,
  shareOf,
} from "../../shared/database/ordered_merge.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import { isNamedKey, nextDefaultPart } from "../../shared/cluster/databases.ts";
import { aroundSystemKeys, isSystemKey } from "../../shared/cluster/system_keys.ts";
import type { NodeScanPage, NodeScanRequest, ScanCall } from "./scan_call.ts";
import type { Primary } from "../replication/primary.ts";
import type { AheadEntry } from "./read_ahead.ts";

/** About the size of an entry besides key and value. */
const ENTRY_BYTES = 64;
/** Bytes of one read of a partition. */
const SCAN_READ_BYTES_MAX = SCAN_BYTES_MAX / 4;

/** An entry of a page. A long value may have been left on disk; `valueBytes` is of the value that it goes with. */
type Found = AheadEntry;

/** A partition, as far as it has been read. */
class PartitionRun implements Run<Found> {
  readonly partition: number;
  readonly primary: Primary;
  /** Of the store, before anything was read. */
  changes = 0;
  readonly items: Found[] = [];
  readTo: string | undefined;
  ended = false;
  /** How much the next read takes: this many rows or bytes, but always one row. */
  rows = 0;
  bytes = 0;

  constructor(partition: number, primary: Primary) {
    this.partition = partition;
    this.primary = primary;
  }
}

/** What a scan may still do. */
interface Budget {
  rows: number;
  bytes: number;
  kept: number;
}

/** @throws {KvError} `corrupt` if no other replica will take over, `storage_failed` */
export async function scanPartitions(
  call: ScanCall,
  request: NodeScanRequest,
): Promise<NodeScanPage> {
  const { partitions, reverse = false } = request;
  const limit = limitOf(request);
  const range = keyRange(request);
  const budget: Budget = {
    // Each partition must be read once; otherwise the page could say nothing about it.
    rows: Math.max(SCAN_LOOKED_ROWS_MAX, 2 * partitions.size),
    bytes: SCAN_LOOKED_BYTES_MAX,
    kept: SCAN_KEPT_BYTES,
  };
  const limits: PageLimits<Found> = {
    reverse,
    itemsMax: limit,
    bytesMax: SCAN_BYTES_MAX,
    bytesOf: (entry) => entry.key.length + entry.valueBytes + ENTRY_BYTES,
  };
  let runs = await readableRuns(call, request, range);
  const read = (run: PartitionRun) => readMore(call, request, range, run, budget);
  const before = { ...budget };
  // Partitions for which there is no time are not in the page: they are asked for again.
  runs = await kept(runs, (run) => run.readTo !== undefined || (!call.overdue && read(run)));
  budget.rows = Math.max(budget.rows, SCAN_AGAIN_PART * (before.rows - budget.rows));
  budget.bytes = Math.max(budget.bytes, SCAN_AGAIN_PART * (before.bytes - budget.bytes));
  while (budget.rows > 0 && budget.bytes > 0 && !call.late && !isPageFull(runs, limits)) {
    const wave = furthestBehind(runs, reverse);
    if (wave.length === 0) break;
    const failed = new Set(wave);
    for (const run of await kept(wave, read)) failed.delete(run);
    runs = runs.filter((run) => !failed.has(run));
  }
  await call.ports.work.run(() => keepAhead(call, request, runs));
  const { page, entries, cut, damaged } = await call.ports.work.run(() => {
    const page = mergePage(runs, limits, (entry) => entry);
    return { page, ...fetchLeft(call, page?.items ?? [], runs) };
  });
  // What was read may have been written recently: it may leave when that is committed.
  runs = await kept(
    runs.filter(({ partition }) => !damaged.has(partition)),
    (run) => call.stable(run.partition, run.primary, range),
  );
  const covered = new PartitionSet(partitions.partitionCount);
  if (page !== undefined) { for (const { partition } of runs) covered.add(partition); }
  return {
    entries: entries.filter(({ partition }) => covered.has(partition)),
    next: cut ?? page?.next,
    covered,
  };
}

function limitOf({ limit }: NodeScanRequest): number {
  return Math.min(limit, SCAN_PAGE_KEYS);
}

/** The partitions that this node can read now. */
async function readableRuns(
  call: ScanCall,
  request: NodeScanRequest,
  range: KeyRange,
): Promise<PartitionRun[]> {
  const { partitions, values = false, reverse = false } = request;
  const found: PartitionRun[] = [];
  for (const partition of partitions) {
    const primary = call.ports.primary(partition);
    if (primary !== undefined) found.push(new PartitionRun(partition, primary));
  }
  const share = shareOf(limitOf(request), 1 / Math.max(1, found.length));
  const readable = await kept(found, (run) => call.stable(run.partition, run.primary, range));
  // Of a page of values a partition has no more bytes than its share, most likely; of one of keys only the
  // reading counts.
  const pageBytes = values ? 2 * SCAN_BYTES_MAX : SCAN_LOOKED_BYTES_MAX / 2;
  const shareBytes = Math.floor(pageBytes / Math.max(1, readable.length));
  const ahead = call.readAhead.take(scanName(request), request.after, scanOrder(reverse));
  const wallMs = call.ports.wallMs();
  for (const run of readable) {
    const { count, tombstones = 0 } = run.primary.store.state;
    // There are only tombstones, if anything: no need to look.
    run.ended = count === 0 || range.empty;
    // If most rows are tombstones, more rows are read for the same number of entries.
    const dead = Math.min(8, (count + tombstones) / Math.max(1, count));
    run.rows = Math.min(SCAN_ROWS_MAX, Math.ceil(share * dead));
    run.bytes = Math.max(1, Math.min(SCAN_READ_BYTES_MAX, shareBytes));
    run.changes = run.primary.store.changes;
    const known = ahead.get(run.partition);
    if (known === undefined || known.primary !== run.primary) continue;
    if (known.changes !== run.changes) continue;
    for (const item of known.items) if (isLive(item, wallMs)) run.items.push(item);
    run.readTo = known.readTo;
    run.ended = known.ended;
  }
  return readable;
}

/** What a scan is of, whatever its page. */
function scanName(
  { partitions, reverse = false, values = false, ...bounds }: NodeScanRequest,
): string {
  const { start, end } = keyRange(bounds);
  return JSON.stringify([partitions.toText(), start, end, reverse, values]);
}

/** Keeps what was read, for the next page. */
function keepAhead(call: ScanCall, request: NodeScanRequest, runs: readonly PartitionRun[]): void {
  const { values = false, after } = request;
  const count = runs.reduce((sum, { items }) => sum + items.length, 0);
  if (count > SCAN_READ_AHEAD_ENTRIES_MAX) return;
  const light = runs.map(({ partition, primary, changes, items, readTo, ended }) => ({
    partition,
    primary,
    changes,
    items: values ? items.map(withoutLongValue) : items,
    readTo,
    ended,
  }));
  call.readAhead.keep(scanName(request), after, light, call.ports.nowMs());
}

function withoutLongValue(item: Found): Found {
  if (item.value.length <= SCAN_READ_AHEAD_VALUE_BYTES && !item.left) return item;
  return { ...item, value: NO_VALUE, left: true };
}

/** Reads a page of a partition. @returns false if it is no longer readable */
async function readMore(
  call: ScanCall,
  request: NodeScanRequest,
  range: KeyRange,
  run: PartitionRun,
  budget: Budget,
): Promise<boolean> {
  if (run.ended) return true;
  const { reverse = false, values = false } = request;
  const rowsMax = Math.max(1, Math.min(run.rows, budget.rows));
  const bytesMax = Math.max(1, Math.min(run.bytes, budget.bytes));
  run.rows = Math.min(SCAN_ROWS_MAX, run.rows * 2);
  run.bytes = Math.min(SCAN_READ_BYTES_MAX, run.bytes * 2);
  // Subtracted at once, for the other partitions that are read at the same time.
  budget.rows -= rowsMax;
  const position = run.readTo ?? request.after;
  const isNamed = isNamedKey(range.start ?? "");
  const { start, end, then } = isNamed || call.ports.databases() === undefined
    ? { ...range, then: undefined }
    : nextDefaultPart(range, position, reverse);
  let page;
  try {
    page = await run.primary.store.scan(position, {
      rowsMax,
      bytesMax,
      start,
      end,
      reverse,
    });
  } catch (error) {
    if (isTakenOver(call, run.partition, error)) return false;
    throw error;
  }
  budget.rows += Math.max(0, rowsMax - page.entries.length);
  const wallMs = call.ports.wallMs();
  for (const entry of page.entries) {
    budget.bytes -= entry.value.length + ENTRY_BYTES;
    if (!isLive(entry, wallMs) || isHidden(entry.key, isNamed)) continue;
    run.items.push(keep(entry, run.partition, values, budget));
  }
  const { next = then } = page;
  run.ended = next === undefined;
  // Client sessions and transactions are passed over as a whole: a scan does not show them.
  if (next === undefined || !isSystemKey(next)) run.readTo = next;
  else run.readTo = reverse ? aroundSystemKeys(next).before : aroundSystemKeys(next).after;
  // Before the rows of named databases there are very few, and often none.
  if (page.next === undefined && !run.ended && run.items.length === 0) {
    return await readMore(call, request, range, run, budget);
  }
  return true;
}

/** Whether a scan does not show a key: the system's own and, in `default`, those of other databases. */
export function isHidden(key: string, isNamed: boolean): boolean {
  return isSystemKey(key) || (!isNamed && isNamedKey(key));
}

function keep(entry: Entry, partition: number, values: boolean, budget: Budget): Found {
  const { length } = entry.value;
  const long = length > SCAN_LONG_VALUE_BYTES && length > budget.kept;
  if (values && !long) {
    budget.kept -= length;
    return { ...entry, partition, left: false, valueBytes: length };
  }
  return { ...entry, value: NO_VALUE, partition, left: values, valueBytes: values ? length : 0 };
}

/**
 * The entries of a page, with the values that were left on disk. If they have grown since, the page
 * ends sooner: at the key `cut`. If a partition's value turns out damaged, the partition is not in the page:
 * another replica takes over, and the partition is asked for again there.
 *
 * @throws {KvError} `corrupt` if no other replica will take over, `storage_failed`
 */
function fetchLeft(
  call: ScanCall,
  items: Found[],
  runs: readonly PartitionRun[],
): { entries: Found[]; cut?: string; damaged: ReadonlySet<number> } {
  const damaged = new Set<number>();
  if (!items.some(({ left }) => left)) return { entries: items, damaged };
  const primaries = new Map(runs.map(({ partition, primary }) => [partition, primary]));
  const wallMs = call.ports.wallMs();
  const entries: Found[] = [];
  let bytes = 0;
  let before: string | undefined;
  for (const item of items) {
    let found = item;
    if (damaged.has(item.partition)) continue;
    if (item.left) {
      let entry: Entry | undefined;
      try {
        // The newest entry: it may differ from the first one, or be gone.
        entry = primaries.get(item.partition)?.store.get(item.key);
      } catch (error) {
        if (!isTakenOver(call, item.partition, error)) throw error;
        damaged.add(item.partition);
        continue;
      }
      if (entry === undefined || !isLive(entry, wallMs)) {
        before = item.key;
        continue;
      }
      const valueBytes = entry.value.length;
      found = { ...entry, partition: item.partition, left: false, valueBytes };
    }
    bytes += found.key.length + found.valueBytes + ENTRY_BYTES;
    if (before !== undefined && entries.length > 0 && bytes > SCAN_BYTES_MAX) {
      return { entries, cut: before, damaged };
    }
    entries.push(found);
    before = item.key;
  }
  return { entries, damaged };
}

/** Whether the error is damage that the partition now knows of, so that another replica will serve. */
function isTakenOver(call: ScanCall, partition: number, error: unknown): boolean {
  return isDamage(error) && call.ports.onDamaged(partition, error);
}

/** The partitions that hold up the others, a few at a time. */
function furthestBehind(runs: readonly PartitionRun[], reverse: boolean): PartitionRun[] {
  const order = scanOrder(reverse);
  return runs.filter(({ ended }) => !ended)
    .sort((a, b) =>
      a.readTo === undefined || b.readTo === undefined
        ? Number(a.readTo !== undefined) - Number(b.readTo !== undefined)
        : order(a.readTo, b.readTo)
    )
    .slice(0, SCAN_READS_MAX);
}

/** The items that `work` accepts, in their order; a few are asked about at a time. */
async function kept<T>(
  all: readonly T[],
  work: (one: T) => Promise<boolean> | boolean,
): Promise<T[]> {
  const keeps: boolean[] = [];
  await inParallel(all, { atOnce: SCAN_READS_MAX }, async (one, i) => {
    keeps[i] = await work(one);
  });
  return all.filter((_, i) => keeps[i]);
}
