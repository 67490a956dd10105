/**
 * An entry: the last write of one key, live value or tombstone. It is what replication carries and
 * what storage keeps. Immutable once made.
 *
 * @module
 */

/** {@linkcode Entry.flags}: the key was deleted; `value` is empty. */
export const TOMBSTONE = 1;
/** Beside {@linkcode TOMBSTONE}: the key was deleted since it had expired. */
export const EXPIRED = 2;

/** The last write of a key. */
export interface Entry {
  readonly key: string;
  /** The partition's write number; also the key's version, if that is not given. At least 1. */
  readonly seq: number;
  /** The partition's term in which it was written. */
  readonly term: number;
  /** A sum of flags, such as {@linkcode TOMBSTONE}. */
  readonly flags: number;
  /** When the primary accepted it: milliseconds since 1970-01-01 UTC. */
  readonly timestampMs: number;
  /** When it expires, in milliseconds since 1970-01-01 UTC; 0 for never. */
  readonly expiresAtMs: number;
  readonly value: Uint8Array;
  /** The media type of the value, if the writer gave one; printable ASCII. */
  readonly contentType?: string | undefined;
  /** The key's version, if it is not `seq`: it was decided before the entry was written (rule X8). */
  readonly version?: number | undefined;
}

/** Whether the entry says that the key was deleted. */
export function isTombstone(entry: Entry): boolean {
  return (entry.flags & TOMBSTONE) !== 0;
}

/** Whether the entry says that the key was deleted since it had expired. */
export function isExpiry(entry: Entry): boolean {
  return (entry.flags & EXPIRED) !== 0;
}

/** The version of the key as of this entry. Rule X8. */
export function versionOf({ version, seq }: Entry): number {
  return version ?? seq;
}

/** Whether a reader at time `wallMs` finds a value: not deleted, not expired. */
export function isLive(entry: Entry, wallMs: number): boolean {
  return (entry.flags & TOMBSTONE) === 0 &&
    (entry.expiresAtMs === 0 || entry.expiresAtMs > wallMs);
}

/** An empty value. */
export const NO_VALUE: Uint8Array = new Uint8Array(0);
