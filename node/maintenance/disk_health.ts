/**
 * Whether this node's disk accepts writes, as the coordinator is told. A disk that failed once may work at
 * the next attempt, and one that is nearly full fails again and again, so each change of the verdict takes
 * some time: a failure counts when it has lasted for DISK_FAILED_MS, and the disk is well again when nothing
 * has failed for DISK_WELL_MS.
 *
 * A state machine: takes what the disk does now and the time, returns the verdict.
 *
 * @module
 */
import { DISK_FAILED_MS, DISK_WELL_MS } from "../../shared/limits/storage.ts";

/** The verdict on a disk. */
export class DiskHealth {
  #writable = true;
  #failingSinceMs: number | undefined;
  #lastFailureMs = -Infinity;

  /** Whether the node counts as one that can write. */
  get writable(): boolean {
    return this.#writable;
  }

  /** How long the disk has been failing; 0 while it accepts writes. */
  failingMs(nowMs: number): number {
    return this.#failingSinceMs === undefined ? 0 : Math.max(1, nowMs - this.#failingSinceMs);
  }

  /** Looks at the disk. @returns whether the verdict has changed */
  look(failing: boolean, nowMs: number): boolean {
    const before = this.#writable;
    if (failing) {
      this.#failingSinceMs ??= nowMs;
      this.#lastFailureMs = nowMs;
      if (nowMs - this.#failingSinceMs >= DISK_FAILED_MS) this.#writable = false;
    } else {
      this.#failingSinceMs = undefined;
      if (nowMs - this.#lastFailureMs >= DISK_WELL_MS) this.#writable = true;
    }
    return this.#writable !== before;
  }
}
