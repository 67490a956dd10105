/**
 * A node's right to answer reads without asking its followers. Each heartbeat that the coordinator acknowledges with
 * a lease renews it, counted from the moment at which the heartbeat was *sent*, on this node's own clocks. An
 * acknowledgement names the map's epoch: with an older map there is no lease.
 * Rule L1 of docs/replication.md.
 *
 * The lease must not have run out by either clock. A suspended machine (sleep, live migration) stops its monotonic
 * clock, but not the date: when it goes on, only the date shows that others may have taken over. A date that is set
 * forwards ends the lease early, which costs one round of confirmations. A date that is set backwards changes
 * nothing, because the monotonic clock goes on.
 *
 * @module
 */

/** A moment, by both clocks of one process. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

const NEVER: Moment = { monotonicMs: -Infinity, wallMs: -Infinity };

/** A lease. */
export class Lease {
  readonly #leaseMs: () => number;
  #sent = NEVER;
  #epochNeeded = 0;

  /** @param leaseMs how long one acknowledged heartbeat is valid; Infinity for a standalone node */
  constructor(leaseMs: () => number) {
    this.#leaseMs = leaseMs;
  }

  /** A heartbeat was acknowledged with a lease. */
  renew(sent: Moment): void {
    if (sent.monotonicMs > this.#sent.monotonicMs) this.#sent = sent;
  }

  /** The coordinator has announced a map of this epoch: with an older one there is no lease. */
  require(epoch: number): void {
    if (epoch > this.#epochNeeded) this.#epochNeeded = epoch;
  }

  /** Whether it holds now. */
  isValid(now: Moment, mapEpoch: number): boolean {
    const leaseMs = this.#leaseMs();
    return mapEpoch >= this.#epochNeeded &&
      now.monotonicMs < this.#sent.monotonicMs + leaseMs &&
      now.wallMs < this.#sent.wallMs + leaseMs;
  }
}
