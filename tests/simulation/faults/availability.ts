/**
 * How long a key may not be served when one thing fails and all else is well: the stated bounds, from
 * the formulas of `shared/limits/`. They are judged in storms in which the next thing fails only when
 * the last has healed, with clients that find the cluster by themselves: a request whose deadline is longer
 * than the bound must succeed, on the simulated clock, so that no busy machine can decide it.
 *
 * That the answer of a write is lost with the node that it was sent to is no such failure: it ends as
 * `outcome_unknown`, before its deadline.
 *
 * @module
 */
import { RPC_SILENCE_MS_MAX } from "../../../shared/limits/connections.ts";
import {
  CLOCK_DRIFT_MAX,
  COORDINATOR_TICK_MS,
  FAILURE_TIMEOUT_MS,
  HEARTBEAT_INTERVAL_MS,
} from "../../../shared/limits/membership.ts";
import { MAP_REQUEST_TIMEOUT_MS, RETRY_MS_MAX } from "../../../shared/limits/requests.ts";
import type { FaultName } from "./faults.ts";

/**
 * Until a node that died counts as failed: its last heartbeat, the failure timeout by the slowest clock, the
 * next look, and a sign of life of whoever takes over that is clearly later than its last.
 */
const DETECTED_MS = (FAILURE_TIMEOUT_MS + COORDINATOR_TICK_MS + HEARTBEAT_INTERVAL_MS) *
  (1 + CLOCK_DRIFT_MAX);
/** Then the map goes to disk and to the nodes, replicas are resynced, and clients ask again. */
const TAKEN_OVER_MS = 2 * RETRY_MS_MAX + 500;
/** Reads are confirmed by the replicas instead of a lease: a round trip. */
const CONFIRMED_MS = 500;

/** In milliseconds, of all faults for which a bound is stated. */
export const UNSERVED_MS_MAX = {
  /** A node's process ends, while others have its replicas. */
  kill: DETECTED_MS + TAKEN_OVER_MS,
  /** A node stands still: its clients hear nothing, not even that it is gone. */
  pause: Math.max(DETECTED_MS, RPC_SILENCE_MS_MAX) + TAKEN_OVER_MS,
  /**
   * The coordinator is away: nobody else is, and nothing needs to be decided. Who comes new may ask it for
   * the map before it asks others.
   */
  coordinatorKill: MAP_REQUEST_TIMEOUT_MS + CONFIRMED_MS,
  coordinatorPause: MAP_REQUEST_TIMEOUT_MS + CONFIRMED_MS,
  coordinatorSuspend: MAP_REQUEST_TIMEOUT_MS + CONFIRMED_MS,
} as const satisfies Partial<Record<FaultName, number>>;
