/**
 * Orders for the load generator, and the handle of the worker that carries them out.
 *
 * @module
 */
import type { LoadReply } from "./load_worker.ts";

/** What to send to one server. */
export interface LoadTarget {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** Lines without newline; sent over and over, each connection beginning at another one. */
  readonly requests: readonly string[];
}

/** One run. */
export interface LoadOrder {
  readonly targets: readonly LoadTarget[];
  /** Requests outstanding on each connection. */
  readonly depth: number;
  /** For so long; or, where absent, until each request was sent once by one of the connections. */
  readonly durationMs?: number;
}

/** What came of it. */
export interface LoadResult {
  readonly requests: number;
  readonly elapsedMs: number;
  readonly errors: number;
  readonly firstError?: string;
  /** As `LatencyCounts` has them. */
  readonly latencies: Uint32Array;
}

/** The worker. */
export class LoadGenerator {
  readonly #worker = new Worker(import.meta.resolve("./load_worker.ts"), { type: "module" });

  /** Carries one order out. Calls must not overlap. @throws where a connection fails */
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
