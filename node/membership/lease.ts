/**
 * A node's right to answer reads without asking anybody: renewed by each heartbeat that the
 * coordinator acknowledges, counted from the moment at which the heartbeat was *sent*, on this node's
 * own monotonic clock. An acknowledgement names the map's epoch: with an older map there is no lease.
 *
 * @module
 */

/** A lease. */
export class Lease {
  readonly #leaseMs: () => number;
  #sentMs = -Infinity;
  #epochNeeded = 0;

  /** @param leaseMs how long one acknowledged heartbeat is good for; Infinity for a node that stands alone */
  constructor(leaseMs: () => number) {
    this.#leaseMs = leaseMs;
  }

  /** A heartbeat sent at `sentMs` was acknowledged by a coordinator whose map has this epoch. */
  renew(sentMs: number, epoch: number): void {
    if (sentMs > this.#sentMs) this.#sentMs = sentMs;
    if (epoch > this.#epochNeeded) this.#epochNeeded = epoch;
  }

  /** This node must register anew: what was granted to it before does not count. */
  revoke(): void {
    this.#sentMs = -Infinity;
  }

  /** Whether it holds now. */
  isValid(nowMs: number, mapEpoch: number): boolean {
    return mapEpoch >= this.#epochNeeded && nowMs < this.#sentMs + this.#leaseMs();
  }
}
