/**
 * The client library, import, export and the shell.
 *
 * @module
 */
import { KIB, MIB } from "../base/units.ts";

/** The client library's calls for many keys: keys under way at once, and the bytes of their values. */
export const MANY_AT_ONCE = 256;
export const MANY_BYTES_AT_ONCE = 32 * MIB;
/** The client's import: records in flight at once, and their bytes. */
export const IMPORT_IN_FLIGHT_MAX = 256;
export const IMPORT_BYTES_IN_FLIGHT_MAX = 32 * MIB;
/** Longest line (JSON lines) or record (CSV) of a file. */
export const IMPORT_RECORD_BYTES_MAX = 32 * MIB;
/** How long one record is tried before it counts as failed. */
export const IMPORT_GIVE_UP_MS = 60_000;
export const IMPORT_BACKOFF_MS = 50;
export const IMPORT_BACKOFF_MS_MAX = 1_000;
/** The summary lists this many rejected records, and this many repeated keys. */
export const IMPORT_LISTED_MAX = 1_000;
/** Distinct keys that an import can count (12 to 24 bytes of memory each). */
export const IMPORT_KEYS_COUNTED_MAX = 2 ** 24;
/** For a command on many keys, this many requests are under way at a time. */
export const CLIENT_REQUESTS_IN_FLIGHT_MAX = 64;
/** Keys that the shell offers at Tab: the ones that it was told last. */
export const RECENT_KEYS_MAX = 1_000;
/** Keys on each page that the client library reads for a scan. */
export const SCAN_LIBRARY_KEYS = 4_000;
/** The client's export writes this much at a time. */
export const EXPORT_CHUNK_BYTES = 64 * KIB;
/** Events of connections that wait for one reader; beyond it the oldest are dropped, and counted. */
export const CLIENT_EVENTS_MAX = 1_000;
