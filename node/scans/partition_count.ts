/**
 * Counts the live entries of partitions, one after the other, as far as one call may go. A whole
 * partition is counted without reading it if it is known which of its keys have expired.
 *
 * @module
 */
import { isLive } from "../../shared/base/entry.ts";
import { isDamage } from "../../shared/base/errors.ts";
import { type KeyRange, keyRange } from "../../shared/base/key_range.ts";
import {
  SCAN_BYTES_MAX,
  SCAN_LOOKED_BYTES_MAX,
  SCAN_LOOKED_ROWS_MAX,
  SCAN_ROWS_MAX,
} from "../../shared/limits/scans.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import { databaseNumberOf, isNamedKey, nextDefaultPart } from "../../shared/cluster/databases.ts";
import { prefixEnd } from "../../shared/base/key_order.ts";
import { isHidden } from "./partition_merge.ts";
import type { NodeCount, NodeCountRequest, ScanCall } from "./scan_call.ts";
import type { ScanPage } from "../storage/partition_store.ts";
import type { Primary } from "../replication/primary.ts";

/** @throws {KvError} `corrupt` if no other replica will take over, `storage_failed` */
export async function countPartitions(
  call: ScanCall,
  request: NodeCountRequest,
): Promise<NodeCount> {
  const { partitions } = request;
  const covered = new PartitionSet(partitions.partitionCount);
  const counting = new Counting(call, keyRange(request));
  let count = 0;
  const { at } = request;
  const first = at !== undefined && partitions.has(at) ? [at] : [];
  for (const partition of [...first, ...partitions]) {
    if (covered.has(partition)) continue;
    const after = partition === at ? request.after : undefined;
    const part = await counting.count(partition, after);
    if (part === undefined) continue;
    count += part.count;
    if (part.next !== undefined) return { count, covered, at: partition, after: part.next };
    covered.add(partition);
    if (counting.spent) break;
  }
  return { count, covered };
}

/** The number of the named database that a range is all of; undefined if it is no such range. */
function wholeDatabaseOf({ start, end }: KeyRange): number | undefined {
  if (start === undefined || !isNamedKey(start) || end !== prefixEnd(start)) return undefined;
  // A prefix alone is the key of no row; with any key behind it, it is.
  return databaseNumberOf(start) === undefined ? databaseNumberOf(`${start}k`) : undefined;
}

/** A partition, counted up to `next` or to its end. */
interface Part {
  readonly count: number;
  readonly next: string | undefined;
}

class Counting {
  readonly #call: ScanCall;
  readonly #range: KeyRange;
  #rows = SCAN_LOOKED_ROWS_MAX;
  #bytes = SCAN_LOOKED_BYTES_MAX;

  constructor(call: ScanCall, range: KeyRange) {
    this.#call = call;
    this.#range = range;
  }

  /** It has looked at as much as one call may. */
  get spent(): boolean {
    return this.#rows <= 0 || this.#bytes <= 0 || this.#call.late;
  }

  /** Undefined if this node cannot say. */
  async count(partition: number, after: string | undefined): Promise<Part | undefined> {
    const call = this.#call;
    const primary = call.ports.primary(partition);
    if (primary === undefined || !await call.stable(partition, primary, this.#range)) {
      return undefined;
    }
    let part: Part | undefined;
    try {
      part = after === undefined ? this.#fromState(primary) : undefined;
      part ??= await this.#fromRows(primary, after);
    } catch (error) {
      if (isDamage(error) && call.ports.onDamaged(partition, error)) return undefined;
      throw error;
    }
    return await call.stable(partition, primary, this.#range) ? part : undefined;
  }

  /** What the store knows of itself, if that is all there is to know. */
  #fromState(primary: Primary): Part | undefined {
    const { start, end, empty } = this.#range;
    const { state: { count }, databases } = primary.store;
    if (empty || count === 0) return { count: 0, next: undefined };
    const number = wholeDatabaseOf(this.#range);
    if (number === undefined && (start !== undefined || end !== undefined)) return undefined;
    if ((number !== undefined || this.#call.ports.databases() !== undefined) && !databases.known) {
      return undefined;
    }
    const expired = primary.expiredCount(this.#call.ports.wallMs());
    if (expired === undefined) return undefined;
    // Of whom the expired keys are is not known.
    if (expired > 0 && (number !== undefined || databases.keys > 0)) return undefined;
    if (number !== undefined) return { count: databases.of(number).keys, next: undefined };
    // Those of client sessions and transactions are counted in.
    const hidden = primary.clientSessions.count;
    if (hidden === undefined) return undefined;
    const others = hidden + primary.transactions.rows + databases.keys;
    return { count: count - others - expired, next: undefined };
  }

  async #fromRows(primary: Primary, from: string | undefined): Promise<Part> {
    let count = 0;
    let after = from;
    const isNamed = isNamedKey(this.#range.start ?? "");
    do {
      const part = isNamed || this.#call.ports.databases() === undefined
        ? { ...this.#range, then: undefined }
        : nextDefaultPart(this.#range, after, false);
      const page = await this.#page(primary, after, part);
      const wallMs = this.#call.ports.wallMs();
      for (const entry of page.entries) {
        if (isLive(entry, wallMs) && !isHidden(entry.key, isNamed)) count++;
      }
      after = page.next ?? part.then;
    } while (after !== undefined && !this.spent);
    return { count, next: after };
  }

  async #page(
    primary: Primary,
    after: string | undefined,
    { start, end }: { start: string | undefined; end: string | undefined },
  ): Promise<ScanPage> {
    const page = await primary.store.scan(after, {
      rowsMax: SCAN_ROWS_MAX,
      bytesMax: SCAN_BYTES_MAX,
      start,
      end,
    });
    this.#rows -= page.entries.length;
    for (const { value } of page.entries) this.#bytes -= value.length;
    return page;
  }
}
