/**
 * One watched partition at its primary: it keeps the newest committed writes, and wakes those that wait for some. It
 * is there only while somebody watches, so that others' writes cost nothing more. Pure.
 *
 * Invariants: it belongs to one primary of one lineage, and ends with it; whoever rests here has been told everything up to
 * `told` that it wants, so what nobody wants costs no more than the question whether it does.
 *
 * @module
 */
import type { Entry } from "../../shared/base/entry.ts";
import type { WatchMatcher } from "../../shared/watch/watch_selection.ts";
import type { Primary } from "../replication/primary.ts";
import type { CommitObserver } from "../requests/write_queue.ts";
import { CommitLog } from "./commit_log.ts";

/** A question that waits for something to tell. */
export interface Waiter {
  readonly matches: WatchMatcher;
  /** It has all that it wants of the partition up to `seq`. Only of one that rests. */
  passed(partition: number, seq: number): void;
  /** There is something. */
  wake(): void;
}

/** What bounds a feed's log. */
export interface FeedBounds {
  readonly entriesMax: number;
  readonly bytesMax: number;
}

/** Waits until everything up to a seq is committed. */
interface Commitment {
  readonly seq: number;
  done(committed: boolean): void;
}

/** The lineage in which a primary's seqs mean something. Rule V5. */
export function lineageOf({ config }: Primary): number {
  return config.forcedTerm ?? 0;
}

/** See the top of this file. */
export class PartitionFeed implements CommitObserver {
  readonly primary: Primary;
  readonly lineage: number;
  /** Who waits here, and whether it rests: it had everything, and nothing for it has come since. */
  readonly waiters = new Map<Waiter, boolean>();
  /** When somebody last asked. */
  askedMs: number;
  /** Undefined until the primary serves. */
  log: CommitLog | undefined;
  readonly #bounds: FeedBounds;
  readonly #onAdvanced: (feed: PartitionFeed) => void;
  #commitments: Commitment[] = [];
  /** Up to where the waiters were told. */
  #told = 0;

  /** @param onAdvanced writes were committed: the log is to be trimmed when those who wait have been answered */
  constructor(
    primary: Primary,
    nowMs: number,
    bounds: FeedBounds,
    onAdvanced: (feed: PartitionFeed) => void,
  ) {
    this.primary = primary;
    this.lineage = lineageOf(primary);
    this.askedMs = nowMs;
    this.#bounds = bounds;
    this.#onAdvanced = onAdvanced;
    primary.observer = this;
    this.begin();
  }

  /** Up to where whoever rests has been told everything. */
  get told(): number {
    return this.#told;
  }

  /** Whether it can tell what is committed. It begins to when the primary has served for the first time. Rule V3. */
  begin(): boolean {
    if (this.log !== undefined) return true;
    const { phase, store } = this.primary;
    if (phase === "resyncing" || phase === "stopped") return false;
    const { entriesMax, bytesMax } = this.#bounds;
    this.log = new CommitLog(store.state.commitSeq, entriesMax, bytesMax);
    this.#told = store.state.commitSeq;
    return true;
  }

  /** Whether it still tells the truth of the partition. */
  isOf(primary: Primary | undefined): boolean {
    return primary === this.primary && lineageOf(primary) === this.lineage;
  }

  committed(entry: Entry, ends: boolean): void {
    this.log?.push(entry, ends);
  }

  advanced(): void {
    const { log } = this;
    if (log === undefined) return;
    const keys = log.keysSince(this.#told);
    this.waiters.forEach((rests, waiter) => {
      if (!rests || !keys.some(waiter.matches)) return;
      waiter.passed(this.primary.partition, this.#told);
      this.waiters.set(waiter, false);
      waiter.wake();
    });
    this.#told = log.last;
    if (this.#commitments.length > 0) {
      const met = this.#commitments.filter(({ seq }) => seq <= log.last);
      this.#commitments = this.#commitments.filter(({ seq }) => seq > log.last);
      for (const { done } of met) done(true);
    }
    this.#onAdvanced(this);
  }

  /**
   * Calls `done` when everything up to `seq` is committed: with false if nobody here will know. Rule V3.
   *
   * @returns what ends the waiting before
   */
  whenCommitted(seq: number, done: (committed: boolean) => void): () => void {
    const { log } = this;
    const nothing = () => {};
    // When it has ended, nobody tells it any more.
    if (log === undefined || this.primary.observer !== this) {
      done(false);
      return nothing;
    }
    if (seq <= log.last) {
      done(true);
      return nothing;
    }
    const commitment = { seq, done };
    this.#commitments.push(commitment);
    return () => {
      const at = this.#commitments.indexOf(commitment);
      if (at < 0) return;
      this.#commitments.splice(at, 1);
      done(false);
    };
  }

  /** It ends: whoever waits asks again. */
  end(): void {
    if (this.primary.observer === this) this.primary.observer = undefined;
    for (const { done } of this.#commitments.splice(0)) done(false);
    for (const [waiter, rests] of this.waiters) {
      if (rests) waiter.passed(this.primary.partition, this.#told);
      waiter.wake();
    }
  }
}
