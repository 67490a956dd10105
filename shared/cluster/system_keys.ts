/**
 * The keys that are the system's own, and no user's: rows of client sessions, and of transactions over several partitions.
 * Rows of named databases lie beside them: see `databases.ts`.
 *
 * @module
 */
import { ATTEMPT_CHARACTERS_MAX, CLIENT_SESSION_CHARACTERS_MAX } from "../limits/requests.ts";

/** Keys with these prefixes are the system's own. */
export const CLIENT_SESSION_KEY_PREFIX = "\u0000session/";
export const TRANSACTION_KEY_PREFIX = "\u0000txn/";

/** Of what stands behind a prefix: a client session's name, or an attempt's with its kind. */
const SYSTEM_NAME_CHARACTERS_MAX = 1 +
  Math.max(CLIENT_SESSION_CHARACTERS_MAX, ATTEMPT_CHARACTERS_MAX + 2);

/** Whether a key is the system's own, which no user sees. */
export function isSystemKey(key: string): boolean {
  return key.startsWith(CLIENT_SESSION_KEY_PREFIX) || key.startsWith(TRANSACTION_KEY_PREFIX);
}

/** Before the first of the system's keys of a key's kind, and after the last one: neither is such a key. */
export function aroundSystemKeys(key: string): { readonly before: string; readonly after: string } {
  const prefix = key.startsWith(TRANSACTION_KEY_PREFIX)
    ? TRANSACTION_KEY_PREFIX
    : CLIENT_SESSION_KEY_PREFIX;
  // Longer than any name behind a prefix.
  return { before: prefix, after: prefix + "\u{10ffff}".repeat(SYSTEM_NAME_CHARACTERS_MAX) };
}
