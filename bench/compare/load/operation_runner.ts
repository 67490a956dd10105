/**
 * Carries out single operations of a mix and keeps their latencies. Knows nothing of when they begin.
 *
 * @module
 */
import { randomFraction, SeededRandom } from "../../../shared/platform/random.ts";
import { LatencyCounts } from "../../latency.ts";
import type { StoreClient } from "../clients/store_client.ts";
import { keyChooser } from "./key_chooser.ts";
import type { LoadOrder, LoadResult } from "./order.ts";

/** Runs operations. */
export class OperationRunner {
  operations = 0;
  errors = 0;
  firstError: string | undefined;
  readonly reads = new LatencyCounts();
  readonly writes = new LatencyCounts();
  readonly #client: StoreClient;
  readonly #keys: readonly string[];
  readonly #values: number;
  readonly #order: LoadOrder;
  readonly #random: SeededRandom;
  readonly #choose: () => number;
  #written = 0;

  constructor(client: StoreClient, order: LoadOrder, keys: readonly string[], values: number) {
    this.#client = client;
    this.#order = order;
    this.#keys = keys;
    this.#values = values;
    this.#random = new SeededRandom(order.seed);
    this.#choose = keyChooser(order.distribution, keys.length, this.#random);
  }

  /** Begins one operation; its latency counts from `sinceMs`. */
  run(slot: number, sinceMs: number, ended: () => void): void {
    const key = this.#keys[this.#choose()] ?? "";
    const { reads, readModifyWrites } = this.#order.mix;
    const kind = randomFraction(this.#random);
    if (kind < reads) {
      this.#client.get(slot, key, (error) => {
        this.#note(this.reads, sinceMs, error);
        ended();
      });
    } else if (kind < reads + readModifyWrites) {
      this.#client.get(slot, key, (error) => {
        if (error === undefined) return this.#put(slot, key, sinceMs, ended);
        this.#note(this.writes, sinceMs, error);
        ended();
      });
    } else this.#put(slot, key, sinceMs, ended);
  }

  /** Writes one key, by its place in the list. */
  load(slot: number, index: number, sinceMs: number, ended: () => void): void {
    this.#put(slot, this.#keys[index] ?? "", sinceMs, ended);
  }

  result(elapsedMs: number): LoadResult {
    return {
      operations: this.operations,
      elapsedMs,
      errors: this.errors,
      reads: classesOf(this.reads),
      writes: classesOf(this.writes),
      ...(this.firstError === undefined ? {} : { firstError: this.firstError }),
    };
  }

  #put(slot: number, key: string, sinceMs: number, ended: () => void): void {
    this.#client.put(slot, key, this.#written++ % this.#values, (error) => {
      this.#note(this.writes, sinceMs, error);
      ended();
    });
  }

  #note(latencies: LatencyCounts, sinceMs: number, error: string | undefined): void {
    this.operations++;
    latencies.add(performance.now() - sinceMs, 1);
    if (error === undefined) return;
    this.errors++;
    this.firstError ??= error;
  }
}

function classesOf({ counts }: LatencyCounts): [number, number][] {
  const classes: [number, number][] = [];
  counts.forEach((count, i) => {
    if (count > 0) classes.push([i, count]);
  });
  return classes;
}
