/**
 * The events of a watch, as the library gives them. The watch itself finds the primaries, and goes on after failures
 * by itself: `shared/database/cluster_watch.ts`.
 *
 * @module
 */
import type { Database } from "../../shared/database/database.ts";
import { isKeyText } from "../../shared/base/key_text.ts";
import { KvError } from "../../shared/base/errors.ts";
import { versionOf } from "../../shared/base/entry.ts";
import { quote } from "../../shared/operations/operation.ts";
import type { WatchedEvent } from "../../shared/watch/watch_event.ts";
import { type KvEntry, replyError, withSignal } from "../calls/call.ts";
import { toKvEntry } from "./ordered_scan.ts";

/** What is watched: keys and prefixes, at least one of them. */
export interface WatchOptions {
  /** All keys that begin so; "" for all keys. */
  prefix?: string | undefined;
  /** As `prefix`, several. */
  prefixes?: readonly string[] | undefined;
  /** One key. */
  key?: string | undefined;
  /** Several keys. */
  keys?: readonly string[] | undefined;
  /** Begin with the entries that are there. Default false. */
  snapshot?: boolean | undefined;
  /** Go on behind the event that had this token, of a watch of the same keys. */
  token?: string | undefined;
  /** Ends the watch. */
  signal?: AbortSignal | undefined;
}

/** The key has a new value. */
export interface WatchPut extends KvEntry {
  readonly type: "put";
  /** From where another watch goes on behind this event. */
  readonly token: string;
}

/** The key is gone: deleted, or its time was over. */
export interface WatchDelete {
  readonly type: "delete" | "expired";
  readonly key: string;
  readonly version: number;
  readonly timestampMs: number;
  /** From where another watch goes on behind this event. */
  readonly token: string;
}

/**
 * `level`: everything that was there when the watch began has been told. `progress`: nothing new up to here; every few
 * seconds. `reset`: forget what was told; everything that is there follows, then `level`.
 */
export interface WatchNotice {
  readonly type: "level" | "progress" | "reset";
  /** From where another watch goes on behind this event. */
  readonly token: string;
}

/** What a watch gives. */
export type WatchEvent = WatchPut | WatchDelete | WatchNotice;

/** The events, until the signal, the end of the loop, or the end of the client. @throws {KvError} */
export async function* watchEvents(
  database: Pick<Database, "watch">,
  options: WatchOptions,
): AsyncGenerator<WatchEvent, void, void> {
  const { snapshot, token, signal } = options;
  const keys = textsOf("key", options.key, options.keys);
  const prefixes = textsOf("prefix", options.prefix, options.prefixes);
  if (signal?.aborted) return;
  const watch = database.watch({ keys, prefixes, snapshot, token });
  try {
    for (;;) {
      const events = await withSignal<Parameters<Parameters<typeof watch.next>[0]>[0]>(
        signal,
        (done) => {
          watch.next(done);
          return () => watch.close();
        },
      );
      if ("req_type" in events) throw replyError(events, "watch");
      for (const event of events) {
        if (signal?.aborted) return;
        yield toWatchEvent(event);
      }
    }
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return;
    throw error;
  } finally {
    watch.close();
  }
}

function toWatchEvent(event: WatchedEvent): WatchEvent {
  const { type, entry } = event;
  // Most callers do not ask for it.
  const withToken = <T extends object>(fields: T): T & { readonly token: string } => {
    Object.defineProperty(fields, "token", { enumerable: true, get: () => event.token() });
    return fields as T & { readonly token: string };
  };
  if (type === "put" && entry !== undefined) return withToken({ type, ...toKvEntry(entry) });
  if ((type === "delete" || type === "expired") && entry !== undefined) {
    const { key, timestampMs } = entry;
    return withToken({ type, key, version: versionOf(entry), timestampMs });
  }
  return withToken({ type: type as WatchNotice["type"] });
}

function textsOf(
  what: string,
  one: string | undefined,
  several: readonly string[] = [],
): readonly string[] {
  const all = one === undefined ? several : [one, ...several];
  for (const text of all) {
    if (typeof text !== "string") {
      throw new KvError("bad_request", `watch: a ${what} must be a string, given ${typeof text}`);
    }
    if (!isKeyText(text)) {
      throw new KvError("bad_request", `watch: ${quote(text)} is no key, nor a part of one`);
    }
  }
  return all;
}
