/**
 * A store under measurement, and the list of what is running, so that all of it is ended.
 *
 * @module
 */
import type { Endpoint } from "../clients/store_client.ts";

/** A store that is ready. */
export interface System {
  /** `kv`, `Redis`, `etcd`. */
  readonly name: string;
  /** How it is set up, for the report. */
  readonly setup: string;
  readonly processes: readonly SystemProcess[];
  /** Where clients of each protocol connect. */
  readonly endpoints: readonly Endpoint[];
  readonly httpEndpoints: readonly Endpoint[];
}

/** One of its processes. */
export interface SystemProcess {
  readonly role: string;
  readonly pid: number;
}

/** Everything that a measurement has started; ended in the reverse order. */
export class Running implements AsyncDisposable {
  readonly #stops: (() => Promise<unknown>)[] = [];

  add(stop: () => Promise<unknown>): void {
    this.#stops.push(stop);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let stop = this.#stops.pop(); stop !== undefined; stop = this.#stops.pop()) {
      await stop().catch((error) => console.error(`while ending a server: ${error}`));
    }
  }
}
