/**
 * Deletes the rows of databases that were dropped, in the partitions that this node is primary of. Nobody can ask for
 * these rows any more: it only gives their space back. It also has the rows of each named database counted, once for
 * each replica that this process opened with entries.
 *
 * Rule W11. A row is deleted if its database's number is below the `next` of a list that lacks it (`cluster/databases.ts`), so a
 * node with an old list deletes nothing of a database that is newer than its list. It deletes a bounded number of rows
 * in one step and rests between two, so that other work runs in between.
 *
 * @module
 */
import { failureOf } from "../../shared/base/errors.ts";
import { prefixEnd } from "../../shared/base/key_order.ts";
import {
  type DatabaseList,
  databaseOfNumber,
  keyPrefixOf,
} from "../../shared/cluster/databases.ts";
import {
  DROPPED_LOOK_MS,
  DROPPED_PAUSE_MS,
  DROPPED_REST,
  DROPPED_ROWS_PER_STEP,
} from "../../shared/limits/cluster.ts";
import { PASS_PAGE_BYTES } from "../../shared/limits/storage.ts";
import type { Clock, Timer } from "../../shared/platform/clock.ts";
import type { Primary } from "../replication/primary.ts";
import type { Retries } from "../replication/retries.ts";

/** The names in the list of retries. */
const COUNT = "count the rows of databases";
const DELETE = "delete a dropped database";

/** How far the rows of a dropped database have been deleted. */
interface Reached {
  readonly number: number;
  /** Of which form the rows are that are looked for now. */
  readonly together: boolean;
  /** The last key that was looked at. */
  readonly after?: string;
}

/** The deletions of one node. */
export class DroppedDatabases {
  readonly #retries: Retries;
  readonly #clock: Clock;
  readonly #primaries: () => Iterable<Primary>;
  readonly #databases: () => DatabaseList | undefined;
  readonly #reached = new WeakMap<Primary, Reached>();
  #timer: Timer | undefined;
  #working = false;
  #stopped = false;

  constructor(
    retries: Retries,
    clock: Clock,
    primaries: () => Iterable<Primary>,
    databases: () => DatabaseList | undefined,
  ) {
    this.#retries = retries;
    this.#clock = clock;
    this.#primaries = primaries;
    this.#databases = databases;
  }

  /** Looks for work. Called about every 100 ms. */
  tick(): void {
    const databases = this.#databases();
    if (this.#working || this.#timer !== undefined || this.#stopped || databases === undefined) {
      return;
    }
    const serving = [...this.#primaries()].filter(({ phase }) => phase === "serving");
    // Counting comes first: quotas go by it.
    for (const primary of serving) {
      const { store, partition } = primary;
      if (store.databases.known || !this.#retries.isDue(COUNT, partition)) continue;
      return this.#begin(COUNT, primary, () => store.countDatabases());
    }
    for (const primary of serving) {
      const { store, partition } = primary;
      const dropped = droppedIn(store.databases.all.keys(), databases);
      if (dropped === undefined || !this.#retries.isDue(DELETE, partition)) continue;
      return this.#begin(DELETE, primary, () => this.#deleteSome(primary, dropped));
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  /**
   * Deletes the rows of one page, and notes where the next one begins: the tombstones of what was deleted stay for a while,
   * and who began with them each time would delete no more until they are dropped.
   */
  async #deleteSome(primary: Primary, number: number): Promise<void> {
    const before = this.#reached.get(primary);
    const reached = before?.number === number ? before : { number, together: false };
    const { together, after } = reached;
    const start = keyPrefixOf({ number, ...(together ? { together } : {}) });
    const { entries, next } = await primary.store.scan(after, {
      rowsMax: DROPPED_ROWS_PER_STEP,
      bytesMax: PASS_PAGE_BYTES,
      start,
      end: prefixEnd(start),
    });
    primary.deleteDropped(entries.map(({ key }) => key), this.#clock.wallMs());
    // It has rows of one form, and it is not known here of which. After both it begins anew, if there is something left.
    this.#reached.set(
      primary,
      next === undefined ? { number, together: !together } : { number, together, after: next },
    );
  }

  #begin(what: string, primary: Primary, work: () => Promise<void>): void {
    this.#working = true;
    const beganMs = this.#clock.monotonicMs();
    work().then(() => this.#retries.ended(what, primary.partition), (error) => {
      // If it no longer serves, another node does this.
      if (primary.phase === "serving") primary.onReadFailed(what, error);
      else failureOf(error);
    }).finally(() => {
      this.#working = false;
      this.#rest(primary, primary.store.state.lastSeq, beganMs);
    });
  }

  /**
   * Waits until what was deleted is committed, and then some times as long as that took: the busier replicas and disks are
   * with the writes of others, the slower rows are deleted.
   */
  #rest(primary: Primary, seq: number, beganMs: number): void {
    if (this.#stopped) return;
    const isUnderWay = primary.phase === "serving" && primary.store.state.commitSeq < seq;
    const tookMs = this.#clock.monotonicMs() - beganMs;
    const restMs = isUnderWay ? DROPPED_LOOK_MS : Math.max(DROPPED_PAUSE_MS, DROPPED_REST * tookMs);
    this.#timer = this.#clock.setTimer(restMs, () => {
      this.#timer = undefined;
      if (isUnderWay) this.#rest(primary, seq, beganMs);
      else this.tick();
    });
  }
}

/** The number of a database that was dropped, if there are rows of one. */
function droppedIn(numbers: Iterable<number>, databases: DatabaseList): number | undefined {
  for (const number of numbers) {
    if (number < databases.next && databaseOfNumber(databases, number) === undefined) return number;
  }
  return undefined;
}
