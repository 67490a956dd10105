/**
 * Which keys a watch is about: single keys, and all that begin with one of some prefixes. Pure.
 *
 * @module
 */
import { PartitionSet } from "../cluster/partition_set.ts";
import { partitionOf } from "../cluster/position.ts";
import { KvError } from "../base/errors.ts";
import { WATCH_SELECTORS_MAX } from "../limits/scans.ts";

/** As a caller names them. Neither: nothing. A prefix of "" is all keys. */
export interface WatchSelection {
  readonly keys?: readonly string[] | undefined;
  readonly prefixes?: readonly string[] | undefined;
}

/** Whether a key is among those that are watched. */
export type WatchMatcher = (key: string) => boolean;

/** @throws {KvError} `bad_request` if nothing is selected, or too much by name */
export function checkSelection(what: string, { keys = [], prefixes = [] }: WatchSelection): void {
  const count = keys.length + prefixes.length;
  if (count === 0) {
    throw new KvError("bad_request", `${what}: name keys or prefixes; the prefix "" is all keys`);
  }
  if (count > WATCH_SELECTORS_MAX) {
    throw new KvError(
      "bad_request",
      `${what}: at most ${WATCH_SELECTORS_MAX} keys and prefixes, given ${count}; use several watches`,
    );
  }
  if (keys.includes("")) throw new KvError("bad_request", `${what}: a key is not empty`);
}

/** The check for one selection. Keys of the system are nobody's. */
export function matcherOf({ keys = [], prefixes = [] }: WatchSelection): WatchMatcher {
  const named = new Set(keys);
  const [only] = prefixes;
  if (prefixes.length === 1 && named.size === 0 && only !== undefined) {
    return (key) => key.startsWith(only) && !isSystemKey(key);
  }
  return (key) =>
    (named.has(key) || prefixes.some((prefix) => key.startsWith(prefix))) && !isSystemKey(key);
}

/** The partitions in which keys of a selection may be. */
export function partitionsOf(
  { keys = [], prefixes = [] }: WatchSelection,
  partitionCount: number,
): PartitionSet {
  if (prefixes.length > 0) return PartitionSet.all(partitionCount);
  const set = new PartitionSet(partitionCount);
  for (const key of keys) set.add(partitionOf(key, partitionCount));
  return set;
}

function isSystemKey(key: string): boolean {
  return key.charCodeAt(0) === 0;
}
