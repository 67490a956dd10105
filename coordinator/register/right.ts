/**
 * The active coordinator's right to give leases: it lasts for COORDINATOR_HOLD_MS from the moment at which the
 * question was *sent* that a majority has confirmed since. Rule G8 of docs/coordinators.md.
 *
 * By both clocks, as a node's lease: a suspended machine stops its monotonic clock, but not the date.
 *
 * @module
 */
import { COORDINATOR_HOLD_MS, COORDINATOR_ROUNDS_KEPT } from "../../shared/limits/membership.ts";

/** A moment, by both clocks of one process. */
export interface Moment {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

interface Round {
  readonly sent: Moment;
  readonly confirmedBy: Set<string>;
}

const NEVER: Moment = { monotonicMs: -Infinity, wallMs: -Infinity };

/** Rounds of confirmation, and what follows from them. */
export class Right {
  readonly #rounds = new Map<number, Round>();
  #confirmedSent = NEVER;

  /** A question of this round is sent now. */
  begin(round: number, now: Moment): void {
    this.#rounds.set(round, { sent: now, confirmedBy: new Set() });
    for (const oldest of this.#rounds.keys()) {
      if (this.#rounds.size <= COORDINATOR_ROUNDS_KEPT) break;
      this.#rounds.delete(oldest);
    }
  }

  /** A folder has confirmed a round. @param isQuorum judges by the set of the newest document that was proposed */
  confirm(
    round: number,
    folder: string,
    isQuorum: (folders: ReadonlySet<string>) => boolean,
  ): void {
    const asked = this.#rounds.get(round);
    if (asked === undefined) return;
    asked.confirmedBy.add(folder);
    if (!isQuorum(asked.confirmedBy)) return;
    if (asked.sent.monotonicMs > this.#confirmedSent.monotonicMs) this.#confirmedSent = asked.sent;
  }

  /** Whether it runs now. */
  isValid(now: Moment): boolean {
    const { monotonicMs, wallMs } = this.#confirmedSent;
    return now.monotonicMs < monotonicMs + COORDINATOR_HOLD_MS &&
      now.wallMs < wallMs + COORDINATOR_HOLD_MS;
  }
}
