/**
 * What one partition has to do with rows that may have to be read from a slow disk: it waits, in order, while a thread
 * reads them. Afterwards LevelDB or the system has them in memory, and the synchronous read of whoever needs
 * them is fast. If the disk is not slow, nothing waits.
 *
 * Invariant: nothing overtakes what came before it.
 *
 * @module
 */
import { COLD_BATCH_MAX } from "../../shared/limits/storage.ts";
import type { PartitionStore } from "../storage/partition_store.ts";

interface Waiting {
  readonly keys: readonly string[];
  readonly go: () => void;
}

/** See the module. */
export class ColdQueue {
  readonly #store: Pick<PartitionStore, "readsAreSlow" | "isCold" | "prefetch">;
  readonly #waiting: Waiting[] = [];
  #reading = false;

  constructor(store: Pick<PartitionStore, "readsAreSlow" | "isCold" | "prefetch">) {
    this.#store = store;
  }

  /** Nothing waits, and nothing has to. */
  get calm(): boolean {
    return !this.#reading && !this.#store.readsAreSlow;
  }

  /** Goes on when the rows of these keys are in memory, at once if they are, and when what came before has gone on. */
  whenRead(keys: readonly string[], go: () => void): void {
    if (!this.#reading && !keys.some((key) => this.#store.isCold(key))) {
      go();
      return;
    }
    this.#waiting.push({ keys, go });
    if (!this.#reading) void this.#run();
  }

  async #run(): Promise<void> {
    this.#reading = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, COLD_BATCH_MAX);
      // If it cannot be read, whoever needs it finds that out.
      await this.#store.prefetch(batch.flatMap(({ keys }) => keys));
      for (const { go } of batch) go();
    }
    this.#reading = false;
  }
}
