/**
 * What a watcher is told, and its form as a document.
 *
 * @module
 */
import { type Entry, isExpiry, isTombstone, versionOf } from "../base/entry.ts";
import { keyField } from "../base/key_text.ts";
import { encodeValue } from "../schema/value_codec.ts";
import type { WatchSelection } from "./watch_selection.ts";

/** What happened to a key. */
export type ChangeType = "put" | "delete" | "expired";

/**
 * `level`: everything that was there when the watch began has been told. `progress`: nothing new, up to here.
 * `reset`: forget everything that was told; all that is there follows, then `level`.
 */
export type NoticeType = "level" | "progress" | "reset";

/** An event, as the parts of this system pass it on. */
export interface WatchedEvent {
  readonly type: ChangeType | NoticeType;
  /** Of a change. */
  readonly entry?: Entry;
  /** From where another watch goes on behind this event. */
  token(): string;
}

/** What is watched, and from where on. */
export interface WatchRequest extends WatchSelection {
  /** Begin with the entries that are there. Default false. */
  readonly snapshot?: boolean | undefined;
  /** Without the values. Default false. */
  readonly bare?: boolean | undefined;
  /** Begin where another watch of the same keys was; takes precedence over `snapshot`. */
  readonly token?: string | undefined;
}

/** What an entry tells a watcher. */
export function changeOf(entry: Entry): ChangeType {
  if (!isTombstone(entry)) return "put";
  return isExpiry(entry) ? "expired" : "delete";
}

/** The fields of a change that a document shows. */
export function changeDocument(entry: Entry): {
  readonly key?: string;
  /** In place of `key`, if the key is not UTF-8. */
  readonly key64?: string;
  readonly value?: string;
  readonly value64?: string;
  readonly version: number;
  readonly timestamp: number;
  readonly expires_at?: number;
  readonly content_type?: string;
} {
  const { key, value, timestampMs, expiresAtMs, contentType } = entry;
  return {
    ...keyField("key", key),
    ...(isTombstone(entry) ? {} : encodeValue(value)),
    version: versionOf(entry),
    timestamp: timestampMs,
    ...(expiresAtMs === 0 ? {} : { expires_at: expiresAtMs }),
    ...(contentType === undefined ? {} : { content_type: contentType }),
  };
}
