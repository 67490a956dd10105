/**
 * Removes what has expired, and lanes that nobody will ask for any more, from the partitions that this node is primary of, in the background and at a
 * bounded rate: one page of one partition at a time. Readers do not depend on it; an expired key reads
 * as absent at once.
 *
 * @module
 */
import { isTombstone } from "../../shared/base/entry.ts";
import { failureOf } from "../../shared/base/errors.ts";
import { EXPIRY_SWEEP_MS, PASS_PAGE_BYTES, PASS_PAGE_ROWS } from "../../shared/base/limits.ts";
import { isLaneKey } from "../requests/request_dedup.ts";
import type { Primary } from "../replication/primary.ts";
import type { Retries } from "../replication/retries.ts";

/** Its name among what is tried again. */
const SWEEP = "look for expired entries";

interface Pass {
  readonly primary: Primary;
  /** Lanes up to this seq go. */
  readonly laneSeq: number;
  after: string | undefined;
  nextExpiryMs: number;
}

/** The sweep of one node. */
export class ExpirySweep {
  readonly #retries: Retries;
  readonly #nowMs: () => number;
  readonly #wallMs: () => number;
  /** When a partition was gone through last. */
  readonly #sweptMs = new WeakMap<Primary, number>();
  #pass: Pass | undefined;
  #reading = false;
  expired = 0;

  constructor(retries: Retries, nowMs: () => number, wallMs: () => number) {
    this.#retries = retries;
    this.#nowMs = nowMs;
    this.#wallMs = wallMs;
  }

  /** Reads one more page, of one of these partitions that has something to expire by now. */
  step(primaries: () => Iterable<Primary>): void {
    if (this.#reading) return;
    this.#pass ??= this.#begin(primaries());
    if (this.#pass === undefined) return;
    this.#reading = true;
    const { primary } = this.#pass;
    this.#readPage(this.#pass).catch((error) => {
      this.#pass = undefined;
      // What it has not come to may expire at any time.
      primary.nextExpiryMs = 0;
      primary.expirySwept = true;
      // Once it serves no more, it is another's to sweep, and nothing is tried again here.
      if (primary.phase === "serving") primary.onReadFailed(SWEEP, error);
      else failureOf(error);
    }).finally(() => {
      this.#reading = false;
    });
  }

  #begin(primaries: Iterable<Primary>): Pass | undefined {
    const wallMs = this.#wallMs();
    const nowMs = this.#nowMs();
    for (const primary of primaries) {
      const { forgettableSeq: laneSeq, sweptSeq } = primary.lanes;
      const due = primary.nextExpiryMs <= wallMs || laneSeq > sweptSeq;
      if (primary.phase !== "serving" || !due) continue;
      if (nowMs - (this.#sweptMs.get(primary) ?? -Infinity) < EXPIRY_SWEEP_MS) continue;
      this.#sweptMs.set(primary, nowMs);
      // What is written from here on lowers it again.
      primary.nextExpiryMs = Infinity;
      primary.expirySwept = false;
      return { primary, laneSeq, after: undefined, nextExpiryMs: Infinity };
    }
    return undefined;
  }

  async #readPage(pass: Pass): Promise<void> {
    const { primary } = pass;
    const page = await primary.store.scan(pass.after, {
      rowsMax: PASS_PAGE_ROWS,
      bytesMax: PASS_PAGE_BYTES,
    });
    const wallMs = this.#wallMs();
    for (const entry of page.entries) {
      if (isTombstone(entry)) continue;
      const oldLane = entry.seq <= pass.laneSeq && isLaneKey(entry.key);
      if (entry.expiresAtMs === 0 && !oldLane) continue;
      if (!oldLane && entry.expiresAtMs > wallMs) {
        pass.nextExpiryMs = Math.min(pass.nextExpiryMs, entry.expiresAtMs);
      } else if (primary.deleteExpired(entry, wallMs)) this.expired++;
      // It could not be deleted now: it is looked at again.
      else pass.nextExpiryMs = wallMs;
    }
    pass.after = page.next;
    if (page.next !== undefined && primary.phase === "serving") return;
    // Where it did not come to the end, what is behind may expire at any time.
    const knownMs = page.next === undefined ? pass.nextExpiryMs : 0;
    primary.nextExpiryMs = Math.min(primary.nextExpiryMs, knownMs);
    primary.expirySwept = true;
    if (pass.nextExpiryMs > wallMs) primary.lanes.sweptSeq = pass.laneSeq;
    this.#pass = undefined;
    this.#retries.ended(SWEEP, primary.partition);
  }
}
