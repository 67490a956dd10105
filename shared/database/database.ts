/**
 * The whole cluster as one database, as the front ends (RESP, HTTP, shell) and the gateway see it. They
 * turn a client's request into these calls, and know nothing of partitions, nodes and retries.
 *
 * @module
 */
import type { ClusterMap } from "../cluster/cluster_map.ts";
import type { Entry } from "../base/entry.ts";
import type { WatchedEvent, WatchRequest } from "../watch/watch_event.ts";
import type { KeyRequest, Message, Reply } from "../wire/messages.ts";

/** Which keys a scan returns, and how many at a time. Keys are compared by the bytes of their UTF-8. */
export interface ScanRequest {
  /** Only keys with this prefix. Default: all. */
  readonly prefix?: string | undefined;
  /** First key, inclusive; default: the very first. In both directions this is the smaller end. */
  readonly start?: string | undefined;
  /** End, exclusive; default: the end of all keys. */
  readonly end?: string | undefined;
  /** The last page's `next`: the page begins after this key (before it, if backwards). */
  readonly after?: string | undefined;
  /** The most keys of the page: 1 to SCAN_KEYS_MAX. */
  readonly limit: number;
  /** From the last key to the first. Default false. */
  readonly reverse?: boolean | undefined;
  /** Without it the entries of the page have empty values. Default false. */
  readonly values?: boolean | undefined;
}

/** Which keys are counted. */
export type CountRequest = Pick<ScanRequest, "prefix" | "start" | "end">;

/** A page of a scan: live entries, in order. It may hold fewer than `limit`, even none. */
export interface ScanPage {
  readonly entries: readonly Entry[];
  /** The `after` of the next page; undefined if this was the last one. */
  readonly next: string | undefined;
}

/** A watch. Nothing is fetched beyond what fills one answer of each node until the caller has taken what there is. */
export interface Watch {
  /**
   * Gives what there is, at once or as soon as there is something. Called again only after `done` was. After an error
   * the watch is over.
   */
  next(done: (events: readonly WatchedEvent[] | Message<"error">) => void): void;
  /** Ends it; `done` is not called any more. */
  close(): void;
}

/** The cluster. */
export interface Database {
  /** The newest map known here. */
  map(): ClusterMap | undefined;
  /**
   * One operation on one key (or a transaction, which names one of its keys), wherever it lives.
   * `done` is called once, by the deadline.
   *
   * @throws {KvError} if the request is malformed
   */
  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void;
  /**
   * Reads a page of the keys of the whole cluster, in order, each as of some moment during the call.
   * Returns a function that gives the call up.
   */
  scan(
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void;
  /**
   * Counts the keys that match; each that exists throughout is counted once. It is done in pieces, and
   * `timeoutMs` bounds the time without progress. Returns a function that gives the call up.
   */
  count(
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void;
  /**
   * Watches keys, wherever they live, until it is closed.
   *
   * @throws {KvError} `bad_request`; `forbidden`
   */
  watch(request: WatchRequest): Watch;
}
