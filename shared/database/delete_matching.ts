/**
 * Deletes every key of a selection, page by page, each key by itself. The wire's `delete_matching`,
 * HTTP's DELETE of many keys, and the Redis commands that delete many keys all use it.
 *
 * Invariants: at most DELETES_IN_FLIGHT_MAX deletions are under way; they are one part of a page. If one of
 * them fails, no other part is begun. All deletions that were begun have ended before the answer, so
 * nothing is deleted after it. The answer says how many keys are deleted, and where to go on. (The other
 * keys of the part are still tried: a key that is longer than this process's limits must not protect them.)
 *
 * @module
 */
import { failureOf } from "../base/errors.ts";
import type { KeyBounds } from "../base/key_range.ts";
import { DELETES_IN_FLIGHT_MAX, DELETES_PAGE_KEYS, DELETES_PER_STEP } from "../limits/scans.ts";
import type { Clock } from "../platform/clock.ts";
import type { WorkScheduler } from "../scheduling/work_scheduler.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { Message, Reply } from "../wire/messages.ts";
import { ON_BEHALF, type OnBehalf, userOf } from "../wire/on_behalf.ts";
import type { Database } from "./database.ts";

/** What a deletion needs. */
export interface DeletionDeps {
  readonly clock: Clock;
  /** Runs the deletions of a part in turns. */
  readonly work: WorkScheduler;
  readonly database: Pick<Database, "scan" | "execute">;
}

/** What is to be deleted. */
export interface DeletionOrder extends KeyBounds, OnBehalf {
  /** Begin after this key. */
  readonly after?: string | undefined;
  readonly timeoutMs: number;
  /**
   * `end`: goes on until all keys are deleted; `timeoutMs` applies to each page and each key. `half`: stops
   * between two parts of a page when half of `timeoutMs` has passed, because a part that its deadline cuts
   * short would end as an error.
   */
  readonly until: "end" | "half";
}

/** How a deletion ended. */
export interface DeletionEnd {
  /** The number of deleted keys. */
  readonly deleted: number;
  /** The `after` with which to go on. Undefined: from the beginning or, without an error, nothing is left. */
  readonly after: string | undefined;
  /** Why it stopped early. */
  readonly error?: Message<"error">;
}

/** Deletes; `done` is called once. */
export function deleteMatching(
  deps: DeletionDeps,
  order: DeletionOrder,
  done: (end: DeletionEnd) => void,
): void {
  new Deletion(deps, order, done).deletePage(order.after);
}

class Deletion {
  readonly #deps: DeletionDeps;
  readonly #order: DeletionOrder;
  readonly #done: (end: DeletionEnd) => void;
  readonly #untilMs: number;
  #deleted = 0;

  constructor(deps: DeletionDeps, order: DeletionOrder, done: (end: DeletionEnd) => void) {
    this.#deps = deps;
    this.#order = order;
    this.#done = done;
    this.#untilMs = deps.clock.monotonicMs() + order.timeoutMs;
  }

  deletePage(after: string | undefined): void {
    const { prefix, start, end } = this.#order;
    const user = { [ON_BEHALF]: userOf(this.#order) };
    const page = { prefix, start, end, after, limit: DELETES_PAGE_KEYS, ...user };
    this.#deps.database.scan(page, this.#leftMs(), (found) => {
      if ("req_type" in found) {
        this.#done({ deleted: this.#deleted, after, error: found });
        return;
      }
      this.#deleteParts(found.entries.map(({ key }) => key), after, found.next);
    });
  }

  /** Deletes a page's keys, part by part, and then what follows. `next`: as the page returned it. */
  #deleteParts(keys: readonly string[], after: string | undefined, next: string | undefined): void {
    const part = keys.slice(0, DELETES_IN_FLIGHT_MAX);
    const rest = keys.slice(DELETES_IN_FLIGHT_MAX);
    this.#deleteAll(part, (error) => {
      const deleted = this.#deleted;
      const goOnAfter = rest.length > 0 ? part.at(-1) : next;
      if (error !== undefined) this.#done({ deleted, after, error });
      else if (goOnAfter === undefined || this.#isHalfGone()) {
        this.#done({ deleted, after: goOnAfter });
      } else if (rest.length > 0) this.#deleteParts(rest, goOnAfter, next);
      else this.deletePage(goOnAfter);
    });
  }

  #leftMs(): number {
    const { timeoutMs, until } = this.#order;
    if (until === "end") return timeoutMs;
    return Math.max(1, Math.ceil(this.#untilMs - this.#deps.clock.monotonicMs()));
  }

  #isHalfGone(): boolean {
    const { timeoutMs, until } = this.#order;
    return until === "half" && this.#leftMs() < timeoutMs / 2;
  }

  /** Deletes keys, some in each step; `then` is called when all that were begun have ended. */
  #deleteAll(
    keys: readonly string[],
    then: (failed: Message<"error"> | undefined) => void,
  ): void {
    let next = 0;
    // Holds one extra count, so that it cannot end before all have begun.
    let open = 1;
    let failed: Message<"error"> | undefined;
    const ended = () => {
      if (--open === 0) then(failed);
    };
    this.#deps.work.add(() => {
      const stepEnd = Math.min(keys.length, next + DELETES_PER_STEP);
      for (; next < stepEnd; next++) {
        const key = keys[next];
        if (key === undefined) break;
        open++;
        this.#deleteOne(key, (answer) => {
          if (answer.req_type !== "error") this.#deleted++;
          // Another client may have deleted it first.
          else if (answer.code !== "not_found") failed ??= answer;
          ended();
        });
      }
      if (next < keys.length) return true;
      ended();
      return false;
    });
  }

  #deleteOne(key: string, done: (reply: Reply) => void): void {
    try {
      const request = { req_type: "delete", key, [ON_BEHALF]: userOf(this.#order) } as const;
      this.#deps.database.execute(request, this.#leftMs(), done);
    } catch (error) {
      // A key that this process's checks refuse may exist in the cluster all the same.
      done(toErrorReply(failureOf(error)));
    }
  }
}
