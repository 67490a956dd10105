/**
 * Ticks of a millisecond that are on time. Timers of the event loop come a millisecond late or more, so a
 * separate thread sleeps and sends the ticks. Ticks that the event loop could not handle in time come one
 * after the other.
 *
 * @module
 */

/** What the thread is told. */
export interface TickerOrder {
  readonly periodMs: number;
  /** It ends when the first number is not 0. */
  readonly stop: SharedArrayBuffer;
}

/** Calls `onTick` again and again. */
export class Ticker {
  onTick: () => void = () => {};
  readonly #worker: Worker;
  readonly #stop: Int32Array<SharedArrayBuffer>;

  private constructor(worker: Worker, stop: SharedArrayBuffer) {
    this.#worker = worker;
    this.#stop = new Int32Array(stop);
    worker.onmessage = () => this.onTick();
  }

  /** Resolves with the first tick. */
  static async start(periodMs: number): Promise<Ticker> {
    const worker = new Worker(import.meta.resolve("./ticker_worker.ts"), { type: "module" });
    const stop = new SharedArrayBuffer(4);
    const ticker = new Ticker(worker, stop);
    const first = new Promise<void>((resolve) => {
      ticker.onTick = resolve;
    });
    worker.postMessage({ periodMs, stop } satisfies TickerOrder);
    await first;
    return ticker;
  }

  stop(): void {
    this.onTick = () => {};
    Atomics.store(this.#stop, 0, 1);
    Atomics.notify(this.#stop, 0);
    this.#worker.terminate();
  }
}
