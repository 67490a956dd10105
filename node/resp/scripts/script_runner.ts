/**
 * Runs scripts in a thread of their own (`worker/`), one after the other. One that takes too long is ended together
 * with its thread, and the next one gets a new thread. A script changes nothing by itself: its commands are carried out
 * here, by whoever has begun it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Clock } from "../../../shared/platform/clock.ts";
import type { Logger } from "../../../shared/platform/logger.ts";
import {
  RESP_REPLY_BYTES_MAX,
  RESP_SCRIPT_JSON_BYTES_MAX,
  RESP_SCRIPT_MEMORY_BYTES_MAX,
  RESP_SCRIPT_MS_MAX,
  RESP_SCRIPTS_WAITING_MAX,
} from "../../../shared/limits/resp.ts";
import {
  CommandError,
  type CommandScript,
  type CommandScripts,
  type ScriptOutcome,
} from "../command/command.ts";
import { REDIS_VERSION } from "../command/redis_version.ts";
import { ScriptCache } from "./script_cache.ts";
import {
  type FromWorker,
  REPLY_PIECE_BYTES,
  REPLY_WORDS,
  type ToWorker,
} from "./worker/script_messages.ts";

/** A thread that runs scripts. */
export interface ScriptThread {
  postMessage(message: ToWorker): void;
  /** Ends it, whatever it does. */
  terminate(): void;
}

/** Starts one. @param onFailed it could not begin, or has ended by itself */
export type StartThread = (
  onMessage: (message: FromWorker) => void,
  onFailed: (why: string) => void,
) => ScriptThread;

interface Waiting {
  readonly script: CommandScript;
  readonly onCall: (args: readonly Uint8Array[]) => Uint8Array;
  readonly resolve: (outcome: ScriptOutcome) => void;
  readonly reject: (error: CommandError) => void;
}

interface Thread {
  readonly thread: ScriptThread;
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  ready: boolean;
}

/** See the top of this file. */
export class ScriptRunner implements CommandScripts {
  readonly cache = new ScriptCache();
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #start: StartThread | undefined;
  readonly #waiting: Waiting[] = [];
  #thread: Thread | undefined;
  #running: Waiting | undefined;
  #timer: { cancel(): void } | undefined;
  /** What the script waits for, as far as it has not taken it. */
  #reply: Uint8Array = new Uint8Array(0);
  #closed = false;

  /** @param start absent where no threads can be had: scripts are refused */
  constructor(clock: Clock, log: Logger, start: StartThread | undefined) {
    this.#clock = clock;
    this.#log = log;
    this.#start = start;
  }

  run(
    script: CommandScript,
    onCall: (args: readonly Uint8Array[]) => Uint8Array,
  ): Promise<ScriptOutcome> {
    if (this.#start === undefined) {
      throw new CommandError("ERR scripts cannot be run here");
    }
    if (this.#waiting.length >= RESP_SCRIPTS_WAITING_MAX) {
      throw new CommandError("BUSY too many scripts wait for their turn; try again");
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ script, onCall, resolve, reject });
      this.#runNext();
    });
  }

  /** Ends everything. */
  close(): void {
    this.#closed = true;
    this.#endThread("ERR the node stops");
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new CommandError("ERR the node stops"));
    }
  }

  #runNext(): void {
    if (this.#closed || this.#running !== undefined || this.#waiting.length === 0) return;
    this.#thread ??= this.#begin();
    if (!this.#thread.ready) return;
    const next = this.#waiting.shift();
    if (next === undefined) return;
    this.#running = next;
    this.#timer = this.#clock.setTimer(RESP_SCRIPT_MS_MAX, () => {
      this.#log.warn("a script of a Redis client takes too long: ended", {
        sha1: sha1Text(next.script.text),
        limit_ms: RESP_SCRIPT_MS_MAX,
      });
      this.#endThread(
        `ERR the script was ended because it took longer than ${RESP_SCRIPT_MS_MAX} ms; it has changed nothing`,
      );
      this.#runNext();
    });
    this.#thread.thread.postMessage({
      kind: "run",
      ...next.script,
      memoryBytesMax: RESP_SCRIPT_MEMORY_BYTES_MAX,
      replyBytesMax: RESP_REPLY_BYTES_MAX,
      jsonBytesMax: RESP_SCRIPT_JSON_BYTES_MAX,
      version: REDIS_VERSION,
    });
  }

  #begin(): Thread {
    const shared = new SharedArrayBuffer(REPLY_WORDS * 4 + REPLY_PIECE_BYTES);
    const begun: Thread = {
      thread: this.#start?.(
        (message) => this.#thread === begun && this.#onMessage(begun, message),
        (why) => this.#thread === begun && this.#onFailed(why),
      ) as ScriptThread,
      words: new Int32Array(shared, 0, REPLY_WORDS),
      bytes: new Uint8Array(shared, REPLY_WORDS * 4, REPLY_PIECE_BYTES),
      ready: false,
    };
    begun.thread.postMessage({ kind: "start", shared });
    return begun;
  }

  #onMessage(thread: Thread, message: FromWorker): void {
    switch (message.kind) {
      case "ready":
        thread.ready = true;
        return this.#runNext();
      case "call":
        return this.#answer(thread, this.#running?.onCall(message.args) ?? new Uint8Array(0));
      case "sha1":
        return this.#answer(thread, new TextEncoder().encode(sha1Text(message.bytes)));
      case "more":
        return this.#sendPiece(thread);
      case "done": {
        const running = this.#endRunning();
        running?.resolve(message);
        return this.#runNext();
      }
    }
  }

  #answer(thread: Thread, reply: Uint8Array): void {
    this.#reply = reply;
    this.#sendPiece(thread);
  }

  #sendPiece({ words, bytes }: Thread): void {
    const piece = this.#reply.subarray(0, REPLY_PIECE_BYTES);
    this.#reply = this.#reply.subarray(piece.length);
    bytes.set(piece);
    words[1] = piece.length;
    words[2] = this.#reply.length === 0 ? 0 : 1;
    Atomics.store(words, 0, 1);
    Atomics.notify(words, 0);
  }

  /** All that wait would fail in the same way, one thread after the other. */
  #onFailed(why: string): void {
    this.#log.error("the thread that runs scripts has failed", { why });
    this.#endThread("ERR the script could not be run; it has changed nothing");
    for (const { reject } of this.#waiting.splice(0)) {
      reject(new CommandError("ERR scripts cannot be run at the moment"));
    }
  }

  #endThread(why: string): void {
    this.#thread?.thread.terminate();
    this.#thread = undefined;
    this.#endRunning()?.reject(new CommandError(why));
  }

  #endRunning(): Waiting | undefined {
    const running = this.#running;
    this.#running = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    return running;
  }
}

function sha1Text(bytes: Uint8Array): string {
  return createHash("sha1").update(bytes).digest("hex");
}
