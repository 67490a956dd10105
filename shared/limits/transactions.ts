/**
 * Transactions over several partitions: docs/transactions.md.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { KIB, MIB } from "../base/units.ts";
import { REQUEST_TIMEOUT_MS } from "./requests.ts";

/** Keys of one transaction, and bytes of its keys, values and checks together. */
export const PARTS_KEYS_MAX = 1_000;
export const PARTS_BYTES_MAX = 4 * MIB;
/** Bytes of what one partition's part would write: values may grow by it. */
export const PART_WRITTEN_BYTES_MAX = 4 * MIB;
/** Transactions that a partition leads at a time, those that wait for others included. */
export const LED_TRANSACTIONS_MAX = 1_024;
/** A participant that has not answered within this time makes the attempt end: the others' keys must not wait. */
export const PREPARE_MS = 2_000;
/** How long the leader waits for its own keys while the participants hold theirs. */
export const LEADER_WAIT_MS = 500;
/** From this attempt on, partitions are prepared one after the other, and wait for their keys. */
export const ORDERED_FROM_ATTEMPT = 3;
/** Comparisons of two readings, before keys are held for reading. */
export const READ_COMPARISONS_MAX = 3;
/** The pause before another attempt, growing from the first to the second. */
export const ATTEMPT_PAUSE_MS_MIN = 5;
export const ATTEMPT_PAUSE_MS_MAX = 100;
/** An intent is asked about when it is this old, or, if somebody waits for it, this old, ... */
export const INTENT_QUIET_MS = 1_000;
export const INTENT_WANTED_MS = 250;
/** ... and again after this time; so many of a partition at a time. */
export const STATUS_REPEAT_MS = 500;
export const STATUS_QUESTIONS_MAX = 64;
/** How long one message about the end of an attempt is tried before it is sent anew. */
export const FINISH_MS = 2_000;
/** After this time without an end, transactions that share a key with one that has happened do not wait any more. */
export const FOLLOW_MS = 1_000;
/** Characters of an attempt's name. */
export const ATTEMPT_CHARACTERS_MAX = 64;
/** Bytes of a decision for each participant, at most: a key and a number. */
export const DECISION_PART_BYTES = 2 * KIB;

invariant(ATTEMPT_PAUSE_MS_MIN < ATTEMPT_PAUSE_MS_MAX, "attempts are further and further apart");
invariant(INTENT_WANTED_MS <= INTENT_QUIET_MS, "who waits does not wait longer");
invariant(
  INTENT_QUIET_MS + STATUS_REPEAT_MS < REQUEST_TIMEOUT_MS / 4,
  "who meets an intent that nobody ends is served before the deadline",
);
