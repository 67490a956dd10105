/**
 * Compares a replica's data with its own digest, after another replica was found to differ: the one that does not agree with
 * itself is at fault. The whole partition is read for it, which may take longer than the time to the next digest; so only one
 * comparison runs at a time.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import type { PartitionStore } from "../storage/partition_store.ts";
import type { Retries } from "./retries.ts";

/** Its name in the list of retries. */
export const VERIFY = "compare the data with its digest";

/** Compares the data of one replica with its digest. */
export class SelfCheck {
  readonly #store: PartitionStore;
  readonly #retries: Retries;
  #running = false;

  constructor(store: PartitionStore, retries: Retries) {
    this.#store = store;
    this.#retries = retries;
  }

  /** Whether a comparison is under way. */
  get isRunning(): boolean {
    return this.#running;
  }

  /**
   * Begins, unless a comparison already runs; only the caller that began it is told the result.
   *
   * @param done told why the data is not what it should be; undefined if it is
   * @param failed told why it cannot be read
   */
  begin(done: (fault: KvError | undefined) => void, failed: (error: unknown) => void): void {
    if (this.#running) return;
    this.#running = true;
    this.#store.verify().then((sound) => {
      this.#running = false;
      this.#retries.ended(VERIFY, this.#store.partition);
      done(
        sound
          ? undefined
          : new KvError("corrupt", "the replica does not agree with its own digest"),
      );
    }, (error) => {
      this.#running = false;
      failed(error);
    });
  }
}
