/**
 * What `kv-client` says to the shell that started it. Documented in `--help`; numbers never change
 * their meaning.
 *
 * @module
 */
import { type ErrorCode, KvError } from "../../../shared/base/errors.ts";

/** The exit codes. */
export const EXIT = {
  ok: 0,
  /** Any error without a number of its own. */
  error: 1,
  /** A wrong command, argument, flag or setting. */
  usage: 2,
  /** No such key, or nothing there to change: `exists`, `persist` and `expire` that answer false. */
  notFound: 3,
  /** No node could serve it in time; it did not happen. */
  unavailable: 4,
  /** The write may or may not have happened. */
  outcomeUnknown: 5,
  /** Something exists that must not: a key, a file, or keys of a cluster to restore into; or another version. */
  conflict: 6,
} as const;

/** One line each, for `--help`. */
export const EXIT_CODE_HELP: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT.ok, "success"],
  [
    EXIT.error,
    "any other error; import: some records were rejected; doctor: there is something to mend",
  ],
  [EXIT.usage, "wrong command, argument, flag or setting"],
  [EXIT.notFound, "no such key, or nothing to change (persist, expire)"],
  [EXIT.unavailable, "no node could serve it in time; it did not happen, try again"],
  [EXIT.outcomeUnknown, "the answer was lost; the write may or may not have happened"],
  [
    EXIT.conflict,
    "the key (create), file (backup, export) or cluster's keys (restore) exist already; or the " +
    "key has another version",
  ],
];

const BY_CODE: Partial<Record<ErrorCode, number>> = {
  bad_request: EXIT.usage,
  bad_config: EXIT.usage,
  key_too_large: EXIT.usage,
  cross_partition: EXIT.usage,
  transaction_too_large: EXIT.usage,
  value_too_large: EXIT.usage,
  not_found: EXIT.notFound,
  unavailable: EXIT.unavailable,
  not_primary: EXIT.unavailable,
  not_enough_replicas: EXIT.unavailable,
  overloaded: EXIT.unavailable,
  timeout: EXIT.unavailable,
  outcome_unknown: EXIT.outcomeUnknown,
  exists: EXIT.conflict,
  version_mismatch: EXIT.conflict,
};

/** What was typed is wrong, although the error's code has another exit code if it is about stored data. */
export class UsageError extends KvError {}

/** The exit code of an error. */
export function exitCodeOf(code: ErrorCode): number {
  return BY_CODE[code] ?? EXIT.error;
}
