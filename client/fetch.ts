/**
 * A client over HTTP for browsers: reads, writes and watches with `fetch` alone.
 *
 * @module
 */
export { FetchKv, fetchKv } from "./fetch/fetch_client.ts";
export type {
  FetchCallOptions,
  FetchEntry,
  FetchOptions,
  FetchSelection,
  FetchStoreOptions,
} from "./fetch/fetch_client.ts";
export type {
  FetchWatchDelete,
  FetchWatchEvent,
  FetchWatchNotice,
  FetchWatchOptions,
  FetchWatchPut,
} from "./fetch/fetch_watch.ts";
export { ERROR_CODES, KvError } from "../shared/base/errors.ts";
export type { ErrorCode, KvErrorOptions } from "../shared/base/errors.ts";
