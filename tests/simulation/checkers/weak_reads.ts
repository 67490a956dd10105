/**
 * Reads that may be a moment old. What docs/replication.md promises of them:
 *
 * * `replica`: the value was committed, and is not older than the lease was long: a write that was
 *   acknowledged more than a lease (on the slowest clock) before the read was asked for is seen.
 * * `cached`: the value was committed, and is not older than GATEWAY_CACHE_AGE_MS_MAX, on the slowest clock.
 *
 * Nothing is promised of two such reads of one client: the second may be older than the first.
 *
 * So a weak read is a strong read that may have looked earlier than it was asked. The search for an
 * order is the same.
 *
 * @module
 */
import { CLOCK_DRIFT_MAX, LEASE_MS } from "../../../shared/limits/membership.ts";
import { GATEWAY_CACHE_AGE_MS_MAX } from "../../../shared/limits/requests.ts";
import { type Call, isReadName, type Operation, placeOf } from "./history.ts";
import type { BeginOf } from "./register_model.ts";

/** How old weak reads may be, in milliseconds of the history's time. */
export interface Staleness {
  readonly replicaMs: number;
  readonly cachedMs: number;
}

/** The bounds that follow from the settings of a cluster. */
export function staleness(leaseMs = LEASE_MS): Staleness {
  // A slow clock makes everything that it measures longer.
  const slow = 1 / (1 - CLOCK_DRIFT_MAX);
  return { replicaMs: leaseMs * slow, cachedMs: GATEWAY_CACHE_AGE_MS_MAX * slow };
}

/** Whether a call is a read of weaker consistency. */
export function isWeak(call: Call): boolean {
  return isReadName(call.f) && call.consistency !== undefined && call.consistency !== "strong";
}

/** Where among the events each call may have looked at the earliest. */
export function earliestLook(events: readonly Operation[], bounds: Staleness): BeginOf {
  return (call) => {
    if (!isWeak(call)) return call.at;
    const sinceMs = call.time -
      (call.consistency === "cached" ? bounds.cachedMs : bounds.replicaMs);
    return Math.min(placeOf(events, sinceMs), call.at);
  };
}
