/**
 * Rule R5. Reads ranges of a partition's keys at its primary, all as of one moment: that of a turn in which nobody holds a
 * key of the partition. It looks first at about as many rows as are asked for; if too many of those are of deleted keys, it begins
 * again with snapshots, which have no bound. The answer leaves when everything that was read is committed.
 *
 * Invariants: no entry in the answer is newer than the moment, none that was live then is missing between two others; a range
 * that is answered with fewer entries than its limit has no more.
 *
 * @module
 */
import { type Entry, isLive } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { compareKeys } from "../../shared/base/key_order.ts";
import { isInRange, keyRange } from "../../shared/base/key_range.ts";
import { RANGES_BYTES_MAX, RANGES_SPARE_ROWS } from "../../shared/limits/requests.ts";
import { PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/limits/storage.ts";
import type { ReadRange } from "../../shared/operations/ranges.ts";
import { isNamedKey } from "../../shared/cluster/databases.ts";
import { isSystemKey } from "../../shared/cluster/system_keys.ts";
import type { KeyRequest, Message, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import { deadlineOf, type Timed, withTimeLeft } from "./waiting_requests.ts";
import type { InFlight, WriteQueue } from "./write_queue.ts";

/** What it needs of the primary. */
export interface RangesOwner {
  readonly ports: { nowMs(): number; wallMs(): number };
  readonly store: PartitionStore;
  /** The answer to everybody since this node is not the primary any more; undefined while it is. */
  readonly notPrimary: Reply | undefined;
  /** Runs `then` with the partition readable and everything up to now committed. */
  whenStable(
    request: Timed,
    reply: ReplyTo,
    then: () => void,
    isWanted: (key: string) => boolean,
  ): void;
  /** Whether a transaction over several partitions holds a key that is wanted (rule X3). */
  holdsAny(isWanted: (key: string) => boolean): boolean;
  fail(error: unknown, request: KeyRequest, reply: ReplyTo): void;
}

/** A range's entries; undefined if more rows must be looked at. */
type Found = readonly Entry[] | undefined;

/** Reads the ranges of one partition. */
export class RangeReader {
  readonly #owner: RangesOwner;
  readonly #writes: WriteQueue;

  constructor(owner: RangesOwner, writes: WriteQueue) {
    this.#owner = owner;
    this.#writes = writes;
  }

  /** Answers a request, once. */
  read(request: Message<"read_ranges">, reply: ReplyTo): void {
    this.#begin(request, reply, (range, wallMs) => this.#firstRows(range, wallMs));
  }

  #begin(
    request: Message<"read_ranges">,
    reply: ReplyTo,
    look: (range: ReadRange, wallMs: number) => Promise<Found>,
  ): void {
    const { ports } = this.#owner;
    const deadlineMs = deadlineOf(request, ports.nowMs());
    const left = () => withTimeLeft(request, deadlineMs, ports.nowMs());
    const isRead = (key: string) => request.ranges.some((range) => isInRange(key, keyRange(range)));
    this.#owner.whenStable(request, reply, () => {
      // Rule X3: what holds keys now may have come while the others were waited for.
      if (this.#owner.holdsAny(isRead)) {
        this.#begin(left(), reply, look);
        return;
      }
      const wallMs = ports.wallMs();
      const last = this.#writes.last;
      // All of them begin in this turn.
      Promise.all(request.ranges.map((range) => look(range, wallMs))).then((found) => {
        const whole = found.filter((entries) => entries !== undefined);
        if (whole.length === found.length) this.#answer(left(), whole, last, reply);
        else this.#begin(left(), reply, (range, atMs) => this.#allRows(range, atMs));
      }).catch((error) => {
        const { notPrimary } = this.#owner;
        if (notPrimary === undefined) this.#owner.fail(error, left(), reply);
        else reply(notPrimary);
      });
    }, isRead);
  }

  /** What was read may have been written shortly before: it leaves when that is committed. Rule R1. */
  #answer(
    request: Message<"read_ranges">,
    found: readonly (readonly Entry[])[],
    last: InFlight | undefined,
    reply: ReplyTo,
  ): void {
    const { notPrimary } = this.#owner;
    if (notPrimary !== undefined) {
      reply(notPrimary);
      return;
    }
    const entries = found.flat();
    let bytes = 0;
    for (const { key, value } of entries) bytes += key.length + value.length;
    if (bytes > RANGES_BYTES_MAX) throw tooLong();
    const counts = found.map(({ length }) => length);
    this.#writes.whenCommitted(last, request, reply, () => {
      reply({ req_type: "entries", entries: [], local_entries: entries, counts });
    });
  }

  async #firstRows({ start, end, limit, reverse }: ReadRange, wallMs: number): Promise<Found> {
    if (compareKeys(start, end) >= 0) return [];
    const rowsMax = limit + RANGES_SPARE_ROWS;
    const page = { start, end, reverse: reverse === true, rowsMax, bytesMax: RANGES_BYTES_MAX };
    const { entries, next } = await this.#owner.store.scan(undefined, page);
    const live = entries.filter((entry) => isShown(entry, start, wallMs)).slice(0, limit);
    return next === undefined || live.length === limit ? live : undefined;
  }

  async #allRows({ start, end, limit, reverse }: ReadRange, wallMs: number): Promise<Found> {
    const live: Entry[] = [];
    if (compareKeys(start, end) >= 0) return live;
    const page = { rowsMax: PASS_PAGE_ROWS, bytesMax: PASS_PAGE_BYTES };
    const snapshot = this.#owner.store.snapshot({ start, end, reverse: reverse === true, ...page });
    let bytes = 0;
    try {
      for (;;) {
        const { entries, ended } = await snapshot.next();
        for (const entry of entries) {
          if (!isShown(entry, start, wallMs)) continue;
          live.push(entry);
          bytes += entry.key.length + entry.value.length;
          if (bytes > RANGES_BYTES_MAX) throw tooLong();
          if (live.length === limit) return live;
        }
        if (ended) return live;
      }
    } finally {
      snapshot.close();
    }
  }
}

/** Rows of named databases are shown to who reads in one of them alone. */
function isShown(entry: Entry, start: string, wallMs: number): boolean {
  return isLive(entry, wallMs) && !isSystemKey(entry.key) &&
    (isNamedKey(start) || !isNamedKey(entry.key));
}

function tooLong(): KvError {
  return new KvError(
    "value_too_large",
    `the entries have more than ${RANGES_BYTES_MAX} bytes together; ask for fewer at a time`,
  );
}
