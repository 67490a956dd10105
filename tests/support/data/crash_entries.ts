/** What `crash_writer.ts` writes: an entry follows from partition and seq alone. @module */
import type { Entry } from "../../../shared/base/entry.ts";
import { entryOf } from "./partition_model.ts";

export const CRASH_PARTITIONS = 5;
const KEYS = 300;

/** The entry with a seq: now and then a delete. */
export function crashEntry(partition: number, seq: number): Entry {
  const value = seq % 11 === 0 ? undefined : `${partition}/${seq}/`.repeat(1 + seq % 40);
  return entryOf(`key-${seq % KEYS}`, seq, value);
}

/** What a partition holds after the writes 1 to `lastSeq`, by key. */
export function crashEntries(partition: number, lastSeq: number): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (let seq = Math.max(1, lastSeq - KEYS + 1); seq <= lastSeq; seq++) {
    const entry = crashEntry(partition, seq);
    entries.set(entry.key, entry);
  }
  return entries;
}
