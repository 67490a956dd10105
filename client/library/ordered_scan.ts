/**
 * Goes through the keys of the whole cluster in order, a page at a time; and deletes keys that it finds. Only
 * one page is kept in memory.
 *
 * @module
 */
import type { Database, ScanRequest } from "../../shared/database/database.ts";
import { type Entry, versionOf } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { isKeyText } from "../../shared/base/key_text.ts";
import { SCAN_LIBRARY_KEYS } from "../../shared/limits/client.ts";
import { DELETES_IN_FLIGHT_MAX } from "../../shared/limits/scans.ts";
import { inParallel } from "../../shared/scheduling/in_parallel.ts";
import { selectsAll } from "../../shared/arguments/selection_fields.ts";
import {
  type CallOptions,
  type KvEntry,
  replyError,
  withSignal,
  type WriteOptions,
} from "../calls/call.ts";
import { quote } from "../../shared/operations/operation.ts";

/** A selection of keys: those that begin with `prefix`, from `start` to before `end`. */
export interface KeySelection {
  /** Default: all. */
  prefix?: string | undefined;
  /** First key, inclusive; default: the very first. In both directions this is the smaller end. */
  start?: string | undefined;
  /** End, exclusive; default: the end of all keys. */
  end?: string | undefined;
}

/** Options of a walk through keys. `timeoutMs` bounds the time without progress. */
export interface KeysOptions extends CallOptions, KeySelection {
  /** From the last key to the first. Default false. */
  reverse?: boolean | undefined;
  /** The most keys, from 1; default: all. */
  limit?: number | undefined;
}

/** Options of a walk through entries. */
export interface ScanOptions extends KeysOptions {
  /** Whether values are wanted; otherwise they are empty. Default true. */
  values?: boolean | undefined;
}

/** Options of a deletion of many keys. `timeoutMs` bounds the time without progress. */
export interface DeleteMatchingOptions extends WriteOptions {
  /** Called now and then with the number of keys that have been deleted. */
  onProgress?: ((deleted: number) => void) | undefined;
}

/** @throws {KvError} `bad_request` if a bound is not a key */
export function checkSelection(what: string, { prefix, start, end }: KeySelection): void {
  for (const key of [prefix, start, end]) {
    if (key === undefined) continue;
    if (typeof key !== "string") {
      throw new KvError("bad_request", `${what}: a key must be a string, given ${typeof key}`);
    }
    if (isKeyText(key)) continue;
    throw new KvError("bad_request", `${what}: ${quote(key)} has half of a surrogate pair`);
  }
}

/** @throws {KvError} `bad_request` if everything would be deleted */
export function checkDeletion(selection: KeySelection): void {
  checkSelection("deleteMatching", selection);
  if (!selectsAll(selection)) return;
  throw new KvError(
    "bad_request",
    'deleteMatching: required a "prefix" or "start" that is not empty, or an "end"; to delete ' +
      "everything use flushAll()",
  );
}

/** Pages of live entries, in order. @throws {KvError} the error that persists until the time is over */
export async function* scanPages(
  database: Pick<Database, "scan">,
  options: ScanOptions,
  timeoutMs: number,
  checkOpen: () => void,
): AsyncGenerator<readonly Entry[], void, void> {
  const { limit = Infinity } = options;
  if (!(limit >= 1) || (limit !== Infinity && !Number.isSafeInteger(limit))) {
    throw new KvError("bad_request", `scan: limit must be a whole number from 1, given ${limit}`);
  }
  let left = limit;
  let after: string | undefined;
  do {
    checkOpen();
    const request: ScanRequest = {
      prefix: options.prefix,
      start: options.start,
      end: options.end,
      after,
      limit: Math.min(left, SCAN_LIBRARY_KEYS),
      reverse: options.reverse,
      values: options.values ?? true,
    };
    const page = await withSignal<Parameters<Parameters<Database["scan"]>[2]>[0]>(
      options.signal,
      (done) => database.scan(request, timeoutMs, done),
    );
    if ("req_type" in page) throw replyError(page, "scan");
    left -= page.entries.length;
    if (page.entries.length > 0) yield page.entries;
    after = page.next;
  } while (after !== undefined && left > 0);
}

/** An entry as the library returns it. */
export function toKvEntry(entry: Entry): KvEntry {
  return {
    key: entry.key,
    value: entry.value,
    version: versionOf(entry),
    timestampMs: entry.timestampMs,
    expiresAtMs: entry.expiresAtMs === 0 ? undefined : entry.expiresAtMs,
    ...(entry.contentType === undefined ? {} : { contentType: entry.contentType }),
  };
}

/**
 * Deletes the keys of all pages, a few at a time. If one fails, the others of its page are still tried: a
 * key that this client refuses, since it is longer than its limits, must not keep them.
 *
 * @returns how many were there
 */
export async function deleteAll(
  pages: AsyncIterable<readonly Entry[]>,
  remove: (key: string) => Promise<boolean>,
  onProgress: (deleted: number) => void,
): Promise<number> {
  let deleted = 0;
  for await (const page of pages) {
    let failed: { readonly reason: unknown } | undefined;
    await inParallel(page, { atOnce: DELETES_IN_FLIGHT_MAX }, async ({ key }) => {
      try {
        if (await remove(key)) deleted++;
      } catch (reason) {
        failed ??= { reason };
      }
    });
    onProgress(deleted);
    if (failed !== undefined) throw failed.reason;
  }
  return deleted;
}
