/**
 * Several coordinators: how long one of them holds the right to act, how often that is confirmed, and how soon
 * another one tries. Rules G6, G7 and G8 of docs/coordinators.md.
 *
 * @module
 */
import { invariant } from "../base/errors.ts";
import { CLOCK_DRIFT_MAX } from "./membership.ts";

/** For so long after the question was sent, a confirmation of a majority gives the active coordinator its right. */
export const COORDINATOR_HOLD_MS = 1_500;
/**
 * For so long after a confirmation, and after its own start, a coordinator promises nothing to another one. It is
 * the hold by the slowest clock that the holder may have.
 */
export const COORDINATOR_PROMISE_BAR_MS = COORDINATOR_HOLD_MS * (1 + CLOCK_DRIFT_MAX);
/** How often the active coordinator has its right confirmed. */
export const COORDINATOR_CONFIRM_MS = 400;
/** How many of these rounds it remembers: answers to older ones give no right any more. */
export const COORDINATOR_ROUNDS_KEPT = 8;
/** A question that waits for an answer is sent again after this time. */
export const COORDINATOR_RESEND_MS = 500;
/** An attempt to become active that has not come through is given up after this time: a sync may take 2 s. */
export const COORDINATOR_ATTEMPT_MS = 6_000;
/** Before an attempt one waits a random part of this time, so that two seldom try at once. */
export const COORDINATOR_JITTER_MS = 400;
/** After an attempt that failed, a random part of this time more. */
export const COORDINATOR_BACKOFF_MS = 1_000;
/** A record that could not be written is written again after this time. */
export const COORDINATOR_DISK_RETRY_MS = 1_000;
/** More coordinators cost more answers for each change, and bear no more than two failures that are likely. */
export const COORDINATORS_MAX = 7;
/** A learner that is at most so many changes behind may become a voter: nobody waits for it for long. */
export const COORDINATOR_LAG_MAX = 2;
/** A survivor that goes on alone goes on this far above every generation that the others may have had. */
export const RECOVERED_GENERATION_LEAP = 1_000_000;

invariant(
  COORDINATOR_HOLD_MS > 3 * COORDINATOR_CONFIRM_MS,
  "the right outlives two confirmations that were lost",
);
invariant(
  COORDINATOR_ROUNDS_KEPT * COORDINATOR_CONFIRM_MS > COORDINATOR_HOLD_MS,
  "a round that can still give a right is remembered",
);
invariant(
  COORDINATOR_ATTEMPT_MS > 2 * COORDINATOR_RESEND_MS,
  "a question of an attempt that was lost is sent again in time",
);
