/**
 * Pauses after failed attempts to move a partition: the longer, the more attempts have failed in a row. Each has
 * the name of what was tried: a node that was to be filled, or the hand-over of the primary's role.
 *
 * @module
 */
import { REPAIR_BACKOFF_MS, REPAIR_BACKOFF_MS_MAX } from "../../shared/limits/membership.ts";
import { backoffMs } from "../../shared/scheduling/backoff.ts";

interface Backoff {
  readonly partition: number;
  readonly count: number;
  readonly untilMs: number;
  /** It ended, and the partition was looked at again. */
  over: boolean;
}

/** Pauses of all partitions. */
export class Backoffs {
  readonly #backoffs = new Map<string, Backoff>();

  /** It has failed: it is tried again later, each time after a longer pause. */
  add(partition: number, what: string, nowMs: number): void {
    const key = `${partition}/${what}`;
    const before = this.#backoffs.get(key);
    const count = before === undefined ? 0 : before.count + 1;
    const untilMs = nowMs + backoffMs(REPAIR_BACKOFF_MS, REPAIR_BACKOFF_MS_MAX, count);
    this.#backoffs.set(key, { partition, count, untilMs, over: false });
  }

  /** Whether it may be tried now. */
  isOver(partition: number, what: string, nowMs: number): boolean {
    const backoff = this.#backoffs.get(`${partition}/${what}`);
    return backoff === undefined || nowMs >= backoff.untilMs;
  }

  /** Partitions with a pause that has ended since the last call. A pause that ended long ago is forgotten. */
  takeEnded(nowMs: number): number[] {
    const ended: number[] = [];
    for (const [key, backoff] of this.#backoffs) {
      if (nowMs < backoff.untilMs) continue;
      if (!backoff.over) ended.push(backoff.partition);
      backoff.over = true;
      if (nowMs > backoff.untilMs + 2 * REPAIR_BACKOFF_MS_MAX) this.#backoffs.delete(key);
    }
    return ended;
  }
}
