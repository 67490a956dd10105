/**
 * Reads what a partition's log does not have any more: all that is there, or the newest state of each key that was
 * written beyond a seq.
 *
 * What is read may be newer than what is committed. So it is told only when everything up to the newest write of that
 * moment is committed (rule V3), and the watcher then stands at the seq as of which reading began, with a mark up to
 * where it may have been told more (rule V4).
 *
 * @module
 */
import { type Entry, isLive, isTombstone } from "../../shared/base/entry.ts";
import {
  WATCH_READ_ROWS,
  WATCH_REPLY_BYTES,
  WATCH_REPLY_ENTRIES,
} from "../../shared/limits/scans.ts";
import { isBeginning, type WatchPosition } from "../../shared/watch/watch_position.ts";
import type { WatchMatcher } from "../../shared/watch/watch_selection.ts";
import type { PartitionFeed } from "./partition_feed.ts";

/** What was read. */
export type PageRead =
  | { readonly entries: readonly Entry[]; readonly position: WatchPosition }
  /** Something was deleted, and nobody knows any more what. */
  | "reset"
  /** This node is not the primary any more, or could not commit in time. */
  | "refused";

/** What a reading needs besides the partition. */
export interface PageReadPorts {
  /** The date, for which entries have expired. */
  wallMs(): number;
  /** Fulfilled when everything up to `seq` is committed: with false if that is not known in time. */
  whenCommitted(seq: number): Promise<boolean>;
}

/**
 * Reads a page.
 *
 * @throws {KvError} `corrupt`, `storage_failed`
 */
export async function readPage(
  feed: PartitionFeed,
  position: WatchPosition,
  matches: WatchMatcher,
  ports: PageReadPorts,
): Promise<PageRead> {
  const { store } = feed.primary;
  const { lineage } = feed;
  const whole = position.reading?.whole ?? false;
  const begins = isBeginning(position) || position.reading === undefined;
  const beyond = whole ? 0 : position.seq;
  // Rule V7.
  if (!whole && store.state.watermark > beyond) return "reset";
  const recent = begins && !whole ? recentEntries(feed, beyond) : undefined;
  const { entries, next, asOfSeq } = recent ??
    await store.scan(position.reading?.after || undefined, {
      rowsMax: WATCH_READ_ROWS,
      bytesMax: WATCH_REPLY_BYTES,
      ...(whole ? {} : { beyondSeq: beyond }),
    });
  if (!whole && store.state.watermark > beyond) return "reset";
  const base = begins ? asOfSeq : position.reading?.base ?? asOfSeq;
  const upto = Math.max(base, begins && whole ? 0 : position.upto, store.state.lastSeq);
  if (!await ports.whenCommitted(upto)) return "refused";
  const wallMs = ports.wallMs();
  const shown = entries.filter((entry) =>
    matches(entry.key) &&
    (whole ? isLive(entry, wallMs) : isTombstone(entry) || isLive(entry, wallMs))
  ).sort((a, b) => a.seq - b.seq);
  const place = next === undefined
    ? { lineage, seq: base, upto }
    : { lineage, seq: beyond, upto, reading: { base, after: next, whole } };
  return { entries: shown, position: place };
}

/** The newest entries of the keys that were written beyond a seq, if the primary remembers which those are. */
function recentEntries(
  { primary }: PartitionFeed,
  beyond: number,
): { entries: Entry[]; next: undefined; asOfSeq: number } | undefined {
  const keys = primary.recent.since(beyond);
  if (keys === undefined || keys.size > WATCH_REPLY_ENTRIES) return undefined;
  const entries: Entry[] = [];
  let bytes = 0;
  for (const key of keys) {
    const entry = primary.store.get(key);
    // A record that is gone has no tombstone any more; the watermark tells of that.
    if (entry === undefined) continue;
    bytes += entry.value.length;
    if (bytes > WATCH_REPLY_BYTES) return undefined;
    entries.push(entry);
  }
  return { entries, next: undefined, asOfSeq: primary.store.state.lastSeq };
}
