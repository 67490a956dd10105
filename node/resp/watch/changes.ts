/**
 * What changes in the whole cluster, for those of this node's Redis clients that want to know which keys: one watch of
 * all keys of all databases, without values, for all of them, while there is one of them.
 *
 * Invariants: who has been told that it is listening is told of every change that is committed from then on, or of
 * `onLost`; who waits for that is told in time, be it that it is not so yet; the watch ends with the last listener.
 *
 * @module
 */
import type { Watch } from "../../../shared/database/database.ts";
import type { Database } from "../../../shared/database/database.ts";
import { NAMED_FROM } from "../../../shared/cluster/databases.ts";
import { CHANGES_RETRY_MS, CHANGES_WAIT_MS } from "../../../shared/limits/resp.ts";
import type { Clock, Timer } from "../../../shared/platform/clock.ts";
import type { ChangeType } from "../../../shared/watch/watch_event.ts";
import { failureOf } from "../../../shared/base/errors.ts";

/** Who wants to know. */
export interface ChangeListener {
  /** @param stored with what stands before the keys of its database */
  onChange(stored: string, type: ChangeType): void;
  /** Some changes may never be told. */
  onLost(): void;
}

/** Who waits until all changes are told. */
interface Waiting {
  readonly done: (isListening: boolean) => void;
  readonly late: Timer;
}

/** See the top of this file. */
export class Changes {
  readonly #clock: Clock;
  readonly #database: Pick<Database, "watch">;
  readonly #listeners = new Set<ChangeListener>();
  #watch: Watch | undefined;
  #retry: Timer | undefined;
  /** Everything is told from now on. */
  #level = false;
  #hasGap = false;
  readonly #waiting = new Set<Waiting>();

  constructor(clock: Clock, database: Pick<Database, "watch">) {
    this.#clock = clock;
    this.#database = database;
  }

  /**
   * @param done called when everything that is committed from then on will be told, perhaps before this returns; with false
   * if that takes too long
   */
  add(listener: ChangeListener, done: (isListening: boolean) => void): void {
    this.#listeners.add(listener);
    if (this.#level) return done(true);
    const late = this.#clock.setTimer(CHANGES_WAIT_MS, () => this.#end(waiting, false));
    const waiting = { done, late };
    this.#waiting.add(waiting);
    if (this.#watch === undefined && this.#retry === undefined) this.#begin();
  }

  remove(listener: ChangeListener): void {
    this.#listeners.delete(listener);
    if (this.#listeners.size === 0) this.close();
  }

  /** Nobody is told any more. */
  close(): void {
    this.#watch?.close();
    this.#watch = undefined;
    this.#retry?.cancel();
    this.#retry = undefined;
    this.#level = this.#hasGap = false;
    for (const waiting of this.#waiting) this.#end(waiting, false);
  }

  #end(waiting: Waiting, isListening: boolean): void {
    waiting.late.cancel();
    if (this.#waiting.delete(waiting)) waiting.done(isListening);
  }

  #begin(): void {
    this.#retry = undefined;
    try {
      // A prefix of "" is of `default` alone.
      this.#watch = this.#database.watch({ prefixes: ["", NAMED_FROM], bare: true });
    } catch (error) {
      failureOf(error);
      this.#lost();
      return;
    }
    this.#next(this.#watch);
  }

  #next(watch: Watch): void {
    watch.next((events) => {
      if ("req_type" in events) {
        this.#lost();
        return;
      }
      for (const { type, entry } of events) {
        if (entry !== undefined && type !== "level" && type !== "progress" && type !== "reset") {
          for (const listener of this.#listeners) listener.onChange(entry.key, type);
        } else if (type === "reset") this.#gap();
        else if (type === "level") this.#listening();
      }
      // A listener may have been the last one.
      if (this.#watch === watch) this.#next(watch);
    });
  }

  #listening(): void {
    this.#level = true;
    // Of what has been read meanwhile, some may have changed.
    if (this.#hasGap) this.#gap();
    this.#hasGap = false;
    for (const waiting of this.#waiting) this.#end(waiting, true);
  }

  /** Some changes may never be told, until there is `level` again. */
  #gap(): void {
    this.#hasGap = true;
    for (const listener of this.#listeners) listener.onLost();
  }

  /** The watch has ended: another one is begun soon. */
  #lost(): void {
    this.#watch = undefined;
    this.#level = false;
    this.#gap();
    this.#retry = this.#clock.setTimer(CHANGES_RETRY_MS, () => this.#begin());
  }
}
