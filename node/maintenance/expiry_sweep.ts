/**
 * Removes what has expired from the partitions that this node is primary of. Readers do not depend on it; an expired key reads as absent at once.
 *
 * What is due is known (`expiry_index.ts`). It is deleted in turns of a bounded number of keys, which follow
 * each other as long as anything is due. If other work leaves the sweep fewer turns, each turn does more. So it
 * keeps up with the rate of writes, and other work runs in between. If the index is not complete, because this
 * replica was opened with entries or had too many of them, the partition is read through, page by page; after
 * each page the sweep rests for as long as the page took. In both cases the partitions take turns.
 *
 * @module
 */
import { failureOf } from "../../shared/base/errors.ts";
import {
  EXPIRED_PAUSE_MS,
  EXPIRED_PER_MS,
  EXPIRED_PER_PARTITION,
  EXPIRED_PER_TURN_MAX,
  EXPIRY_LEAD_MS,
  PASS_PAGE_BYTES,
  PASS_PAGE_ROWS,
} from "../../shared/limits/storage.ts";
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import type { Primary } from "../replication/primary.ts";
import type { Retries } from "../replication/retries.ts";

/** The name in the list of retries, if a partition cannot be read through. */
const PASS = "look for expired entries";

/** A partition that is being read through. */
interface Pass {
  readonly primary: Primary;
  after: string | undefined;
}

/** The sweep of one node. */
export class ExpirySweep {
  readonly #retries: Retries;
  readonly #clock: Clock;
  readonly #primaries: () => Iterable<Primary>;
  #turnTimer: Timer | undefined;
  /** When the last turn began. */
  #turnMs = 0;
  #pass: Pass | undefined;
  #reading = false;
  #passTimer: Timer | undefined;
  /** The partitions that had their turn last. */
  #deletedAt = -1;
  #passedAt = -1;

  constructor(retries: Retries, clock: Clock, primaries: () => Iterable<Primary>) {
    this.#retries = retries;
    this.#clock = clock;
    this.#primaries = primaries;
  }

  /** Looks for work. Called about every 100 ms. */
  tick(): void {
    if (this.#turnTimer === undefined) this.#deleteDue();
    if (!this.#reading && this.#passTimer === undefined) this.#readOn();
  }

  stop(): void {
    this.#turnTimer?.cancel();
    this.#passTimer?.cancel();
  }

  /** One turn of deletions; if it was not enough, the next one follows soon. */
  #deleteDue(): void {
    const wallMs = this.#clock.wallMs();
    const isDue = ({ phase, store }: Primary) =>
      phase === "serving" && store.expiring.hasDue(wallMs);
    const nowMs = this.#clock.monotonicMs();
    const sinceMs = nowMs - this.#turnMs;
    this.#turnMs = nowMs;
    // On a busy node turns are further apart, so each must do more.
    let left = Math.min(EXPIRED_PER_TURN_MAX, Math.ceil(EXPIRED_PER_MS * sinceMs));
    for (let before = -1; left > 0 && left !== before;) {
      before = left;
      for (const primary of inTurn(this.#primaries(), this.#deletedAt, isDue)) {
        if (left <= 0) break;
        this.#deletedAt = primary.partition;
        const due = primary.store.expiring.due(wallMs, Math.min(EXPIRED_PER_PARTITION, left));
        const keys = due.map(({ key }) => key);
        if (primary.deleteExpired(keys, wallMs)) left -= keys.length;
      }
    }
    if (left > 0) return;
    this.#turnTimer = this.#clock.setTimer(EXPIRED_PAUSE_MS, () => {
      this.#turnTimer = undefined;
      this.#deleteDue();
    });
  }

  /** Reads one page of the partition whose turn it is. */
  #readOn(): void {
    this.#pass ??= this.#beginPass();
    const pass = this.#pass;
    if (pass === undefined) return;
    const beganMs = this.#clock.monotonicMs();
    this.#reading = true;
    this.#readPage(pass).catch((error) => {
      this.#endPass(pass, false);
      // If it no longer serves, another node sweeps it, and nothing is tried again here.
      if (pass.primary.phase === "serving") pass.primary.onReadFailed(PASS, error);
      else failureOf(error);
    }).finally(() => {
      this.#reading = false;
      const tookMs = this.#clock.monotonicMs() - beganMs;
      this.#passTimer = this.#clock.setTimer(Math.max(1, tookMs), () => {
        this.#passTimer = undefined;
        this.#readOn();
      });
    });
  }

  #beginPass(): Pass | undefined {
    const wallMs = this.#clock.wallMs();
    const [primary] = inTurn(
      this.#primaries(),
      this.#passedAt,
      ({ phase, store, partition }) =>
        phase === "serving" && store.expiring.completeMs <= wallMs + EXPIRY_LEAD_MS &&
        this.#retries.isDue(PASS, partition),
    );
    if (primary === undefined) return undefined;
    this.#passedAt = primary.partition;
    primary.store.beginExpiryPass();
    return { primary, after: undefined };
  }

  #endPass({ primary }: Pass, whole: boolean): void {
    this.#pass = undefined;
    primary.store.endExpiryPass(whole);
  }

  async #readPage(pass: Pass): Promise<void> {
    const { primary } = pass;
    const { store } = primary;
    // What a page brings must fit into the index beside what is due already.
    const rowsMax = Math.min(PASS_PAGE_ROWS, store.expiring.max >>> 2);
    const options = { rowsMax, bytesMax: PASS_PAGE_BYTES };
    const page = await store.readExpiryPage(pass.after, options);
    pass.after = page.next;
    this.#retries.ended(PASS, primary.partition);
    if (pass.after === undefined) this.#endPass(pass, true);
    else if (primary.phase !== "serving") this.#endPass(pass, false);
  }
}

/** The partitions with work to do, in the order of their numbers, beginning after the last one. */
function inTurn(
  primaries: Iterable<Primary>,
  last: number,
  isDue: (primary: Primary) => boolean,
): Primary[] {
  const due = [...primaries].filter(isDue).sort((a, b) => a.partition - b.partition);
  const from = due.findIndex(({ partition }) => partition > last);
  return from <= 0 ? due : [...due.slice(from), ...due.slice(0, from)];
}
