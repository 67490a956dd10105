/** The thread of a `Ticker`. @module */
import type { TickerOrder } from "./ticker.ts";

interface WorkerScope {
  onmessage: ((event: MessageEvent<TickerOrder>) => void) | null;
  postMessage(tick: number): void;
}

const scope = globalThis as unknown as WorkerScope;
scope.onmessage = ({ data: { periodMs, stop } }) => {
  const stopped = new Int32Array(stop);
  const begin = performance.now();
  for (let tick = 1; Atomics.load(stopped, 0) === 0; tick++) {
    const left = begin + tick * periodMs - performance.now();
    if (left > 0) Atomics.wait(stopped, 0, 0, left);
    scope.postMessage(tick);
  }
};
