/**
 * Keeps transfers to replicas that nobody waits for from taking what clients need: after each piece,
 * this node's transfers rest as long as pieces have lately taken. What a piece takes is the time from its
 * sending until the replica has it on disk, less the network's: it grows with the load of both nodes, of
 * their disks and of the link, whichever is the busiest, so that transfers yield to all of them
 * and are fast when there is nothing else to do (as LEDBAT, RFC 6817, does by delay).
 *
 * @module
 */
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import type { NodeId } from "../../shared/cluster/cluster_map.ts";
import { TRANSFER_PIECE_MS_MAX } from "../../shared/limits/replication.ts";

/** Before anything was measured. */
const PIECE_MS_AT_FIRST = 2;
/** Rest, as a multiple of the time that pieces take. */
const REST = 1;
/** What the newest piece counts for in the average. */
const SHARE_OF_NEWEST = 1 / 8;

/** One for each node. */
export class TransferPacer {
  readonly #clock: Clock;
  /** The average of the time that pieces take. */
  #pieceMs = PIECE_MS_AT_FIRST;
  /** When the next piece may go. */
  #freeMs = 0;
  /** The shortest time in which a replica's node has ever answered a question. */
  readonly #roundTripMs = new Map<NodeId, number>();

  /** Pieces that rest. */
  readonly #timers = new Set<Timer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Runs `then` when the next piece may be sent: at once, or later. @returns when that is */
  pace(then: () => void): number {
    const now = this.#clock.monotonicMs();
    const waitMs = this.#freeMs - now;
    this.#freeMs = Math.max(this.#freeMs, now) + (1 + REST) * this.#pieceMs;
    if (waitMs <= 0) then();
    else {
      const timer = this.#clock.setTimer(waitMs, () => {
        this.#timers.delete(timer);
        then();
      });
      this.#timers.add(timer);
    }
    return now + Math.max(waitMs, 0);
  }

  /** The node holds no replica that is filled from here. */
  forget(node: NodeId): void {
    this.#roundTripMs.delete(node);
  }

  /** Nothing is sent any more. */
  close(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  /** A replica has answered a question that costs it little. */
  answered(node: NodeId, tookMs: number): void {
    const shortestMs = this.#roundTripMs.get(node);
    if (shortestMs === undefined || tookMs < shortestMs) this.#roundTripMs.set(node, tookMs);
  }

  /** A piece is on the replica's disk. @param tookMs since it was sent */
  written(node: NodeId, tookMs: number): void {
    const workMs = tookMs - (this.#roundTripMs.get(node) ?? 0);
    const boundedMs = Math.min(Math.max(workMs, 0), TRANSFER_PIECE_MS_MAX);
    this.#pieceMs += (boundedMs - this.#pieceMs) * SHARE_OF_NEWEST;
  }
}
