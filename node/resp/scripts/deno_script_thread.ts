/** Starts the thread that runs scripts, as a worker whose program is a text: it needs no file, however it was built. @module */
import type { FromWorker } from "./worker/script_messages.ts";
import type { ScriptThread } from "./script_runner.ts";

/** See `StartThread`. The program is loaded when the first script runs: it is of half a megabyte. */
export function startScriptThread(
  onMessage: (message: FromWorker) => void,
  onFailed: (why: string) => void,
): ScriptThread {
  let ended = false;
  let worker: Worker | undefined;
  const early: unknown[] = [];
  import("./worker_bundle.ts").then(({ SCRIPT_WORKER }) => {
    if (ended) return;
    // A compiled program knows modules of this kind, and none of `blob:`.
    const url = `data:text/javascript,${encodeURIComponent(SCRIPT_WORKER)}`;
    worker = new Worker(url, { type: "module", name: "scripts" });
    worker.onmessage = ({ data }) => onMessage(data);
    worker.onerror = (event) => {
      event.preventDefault();
      onFailed(event.message);
    };
    for (const message of early) worker.postMessage(message);
  }).catch((error) => onFailed(String(error)));
  return {
    postMessage: (message) => {
      if (worker === undefined) early.push(message);
      else worker.postMessage(message);
    },
    terminate: () => {
      ended = true;
      worker?.terminate();
    },
  };
}
