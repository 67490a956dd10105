/**
 * What a partition must hold, in the plainest way: a map. And a random life for one, as a replica
 * would lead it. For tests of the partition store.
 *
 * @module
 */
import type { PartitionStore } from "../../../node/storage/partition_store.ts";
import { compareKeys } from "../../../shared/base/key_order.ts";
import { digestOf, encodeRecord } from "../../../node/storage/record.ts";
import { type Entry, isTombstone, NO_VALUE, TOMBSTONE } from "../../../shared/base/entry.ts";
import { type Random, randomBelow } from "../../../shared/platform/random.ts";

/** An entry of few words. */
export function entryOf(key: string, seq: number, value: string | undefined, term = 1): Entry {
  return {
    key,
    seq,
    term,
    flags: value === undefined ? TOMBSTONE : 0,
    timestampMs: 1_000 + seq,
    expiresAtMs: 0,
    value: value === undefined ? NO_VALUE : new TextEncoder().encode(value),
  };
}

/** A partition as a map. */
export class PartitionModel {
  readonly entries = new Map<string, Entry>();

  constructor(readonly partition: number) {}

  /** All entries, in key order. */
  sorted(): Entry[] {
    return [...this.entries.values()].sort((a, b) => compareKeys(a.key, b.key));
  }

  /** Count and digest from scratch. */
  summary(): { count: number; digest: number } {
    let count = 0;
    let digest = 0;
    for (const entry of this.entries.values()) {
      if (isTombstone(entry)) continue;
      count++;
      digest = (digest + digestOf(encodeRecord(this.partition, entry).crc)) >>> 0;
    }
    return { count, digest };
  }
}

const LETTERS = ["a", "b", "ö", "\ue000", "\u{1f600}"];

/** A group of writes, often of the same key twice, with some keys that are taken away after them. */
function randomGroup(random: Random, store: PartitionStore, model: PartitionModel): void {
  const entries: Entry[] = [];
  for (let i = 0; i <= randomBelow(random, 4); i++) {
    const seq = store.state.lastSeq + 1 + i;
    entries.push(entryOf(randomKey(random), seq, randomBelow(random, 3) === 0 ? undefined : "x"));
  }
  const removed = Array.from({ length: randomBelow(random, 3) }, () => randomKey(random));
  store.applyAll(entries, removed);
  store.setState({ lastSeq: store.state.lastSeq + entries.length, term: 1 });
  for (const entry of entries) model.entries.set(entry.key, entry);
  for (const key of removed) model.entries.delete(key);
}

function randomKey(random: Random): string {
  const letters = { length: 1 + randomBelow(random, 2) };
  return Array.from(letters, () => LETTERS[randomBelow(random, LETTERS.length)]).join("");
}

/** One turn of a replica: some writes, deletes and removals, and the state that belongs to them. */
export function randomTurn(random: Random, store: PartitionStore, model: PartitionModel): void {
  if (randomBelow(random, 4) === 0) randomGroup(random, store, model);
  const writes = 1 + randomBelow(random, 3);
  for (let i = 0; i < writes; i++) {
    const key = randomKey(random);
    const seq = store.state.lastSeq + 1;
    const choice = randomBelow(random, 10);
    if (choice === 0) {
      store.remove(key);
      model.entries.delete(key);
      continue;
    }
    const value = choice < 3 ? undefined : `${seq}`.repeat(randomBelow(random, 20));
    const entry = entryOf(key, seq, value);
    store.apply(entry);
    model.entries.set(key, entry);
    store.setState({ lastSeq: seq, term: 1 });
  }
  if (randomBelow(random, 3) === 0) store.setState({ commitSeq: store.state.lastSeq });
}
