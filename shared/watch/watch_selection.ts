/**
 * Which keys a watch is about: single keys, and all that begin with one of some prefixes. Pure.
 *
 * @module
 */
import { isNamedKey } from "../cluster/databases.ts";
import { PartitionSet } from "../cluster/partition_set.ts";
import { partitionOf } from "../cluster/position.ts";
import { compareKeys } from "../base/key_order.ts";
import { keyRange } from "../base/key_range.ts";
import { isKeyText } from "../base/key_text.ts";
import { KvError } from "../base/errors.ts";
import { isSystemKey } from "../cluster/system_keys.ts";
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
  const wrong = [...keys, ...prefixes].find((text) => !isKeyText(text));
  if (wrong !== undefined) {
    throw new KvError(
      "bad_request",
      `${what}: ${JSON.stringify(wrong)} is no key, nor a part of one`,
    );
  }
  if (keys.includes("")) throw new KvError("bad_request", `${what}: a key is not empty`);
}

/** The check for one selection. Keys of the system are nobody's; those of a named database are who names it. */
export function matcherOf({ keys = [], prefixes = [] }: WatchSelection): WatchMatcher {
  const named = new Set(keys.filter((key) => !isSystemKey(key)));
  const [only, ...more] = prefixes.map(shownBehind);
  if (only === undefined) return (key) => named.has(key);
  if (more.length === 0 && named.size === 0) return only;
  return (key) => named.has(key) || only(key) || more.some((begins) => begins(key));
}

function shownBehind(prefix: string): WatchMatcher {
  const begins = beginsWith(prefix);
  if (isNamedKey(prefix)) return begins;
  return (key) => begins(key) && !isSystemKey(key) && !isNamedKey(key);
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

/** Prefixes are bytes: one that ends within a character is no beginning of the key's string. */
function beginsWith(prefix: string): WatchMatcher {
  if (prefix.isWellFormed()) return (key) => key.startsWith(prefix);
  const { start = "", end } = keyRange({ prefix });
  return (key) => compareKeys(key, start) >= 0 && (end === undefined || compareKeys(key, end) < 0);
}
