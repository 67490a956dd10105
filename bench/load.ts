/**
 * The handle of the worker that carries out orders for the load generator.
 *
 * @module
 */
import type { LoadOrder, LoadReply, LoadResult } from "./load_order.ts";

/** The worker. */
export class LoadGenerator {
  readonly #worker = new Worker(import.meta.resolve("./load_worker.ts"), { type: "module" });

  /** Carries out one order. Calls must not overlap. @throws if a connection fails */
  run(order: LoadOrder): Promise<LoadResult> {
    return new Promise((resolve, reject) => {
      this.#worker.onmessage = ({ data }: MessageEvent<LoadReply>) => {
        if ("result" in data) resolve(data.result);
        else reject(new Error(data.error));
      };
      this.#worker.onerror = (event) => {
        event.preventDefault();
        reject(new Error(event.message));
      };
      this.#worker.postMessage(order);
    });
  }

  close(): void {
    this.#worker.terminate();
  }
}
