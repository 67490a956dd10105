/**
 * The supervisor of a machine's workers: which of them are started, told, and started again, and when it is over. It
 * knows no process and no data; `deno_workers.ts` has the processes, and a test has none.
 *
 * A worker is started, is ready when it listens, and ends. One that ends without having been told to is started again,
 * after a pause that doubles with each failure in a row. One that has left the cluster is not.
 *
 * Invariants: at most one process of each worker runs. The supervisor is over exactly once, and then no worker runs. A
 * wrong setting ends it before the machine has served, because each worker would fail with it again; afterwards a
 * single worker's end never ends the others.
 *
 * @module
 */
import { invariant } from "../../shared/base/errors.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import type { Random } from "../../shared/platform/random.ts";
import { backoffMs } from "../../shared/scheduling/backoff.ts";
import {
  WORKER_FAILURES_MAX,
  WORKER_RESTART_MS,
  WORKER_RESTART_MS_MAX,
  WORKER_SILENT_MS,
  WORKER_STEADY_MS,
} from "../../shared/limits/cluster.ts";
import type { WorkerHealth, WorkerOrder, WorkerReport } from "./worker_lines.ts";

/** What the supervisor does to the world. */
export interface SupervisorPort {
  /** Starts a worker's process; {@linkcode Supervisor.onEnded} follows in any case, never from inside this call. */
  start(worker: number): void;
  tell(worker: number, order: WorkerOrder): void;
  /** Ends a worker's process at once. */
  kill(worker: number): void;
  /** Every worker has been ready: the machine serves with all of them. Called once at most. */
  ready(): void;
  /** A worker has left the cluster for good. */
  left(worker: number): void;
  /** No worker runs, and none will. @param exitCode of the whole machine's process */
  over(exitCode: number): void;
}

/** How a process ended. */
export interface WorkerEnd {
  readonly code: number;
  readonly signal: string | null;
  /** The last line that it wrote. */
  readonly said: string;
}

/** `bad_config`: see `shared/program/program.ts`. */
const EXIT_BAD_CONFIG = 2;

type Mode = "running" | "leaving" | "stopping";

interface Worker {
  readonly number: number;
  /** `waiting` for its next start; `gone`: it has left, or will not be started any more. */
  phase: "starting" | "ready" | "waiting" | "gone";
  /** When the phase began. */
  sinceMs: number;
  /** Ends in a row that nobody had asked for. */
  failures: number;
  restartMs: number;
  health: Pick<WorkerHealth, "status" | "reasons">;
  /** The node that it was when it was ready last. */
  node: string | undefined;
  /** When it has told anything last. */
  heardMs: number;
  silent: boolean;
  hasLeft: boolean;
}

const STARTING: Worker["health"] = { status: "unavailable", reasons: ["it is starting"] };

/** Supervises. Time is monotonic, in milliseconds. */
export class Supervisor {
  readonly #workers: readonly Worker[];
  readonly #port: SupervisorPort;
  readonly #random: Random;
  readonly #log: Logger;
  #mode: Mode = "running";
  #saidReady = false;
  #exitCode = 0;
  #isOver = false;
  /** What the workers were told last of each other. */
  #told = "";

  /** @param workers their numbers, each once */
  constructor(
    workers: readonly number[],
    { port, random, log }: { port: SupervisorPort; random: Random; log: Logger },
  ) {
    this.#port = port;
    this.#random = random;
    this.#log = log;
    this.#workers = workers.map((number) => ({
      number,
      phase: "waiting",
      sinceMs: 0,
      failures: 0,
      restartMs: 0,
      health: STARTING,
      node: undefined,
      heardMs: 0,
      silent: false,
      hasLeft: false,
    }));
  }

  /** Starts all workers. */
  start(nowMs: number): void {
    for (const worker of this.#workers) this.#start(worker, nowMs);
  }

  /** How each worker is that has not left. */
  get health(): readonly WorkerHealth[] {
    return this.#workers.filter(({ hasLeft }) => !hasLeft)
      .map((worker) => ({
        worker: worker.number,
        ...worker.health,
        ...(worker.phase === "ready" && !worker.silent ? { node: worker.node } : {}),
      }));
  }

  /** A worker has said something. */
  onReport(number: number, report: WorkerReport, nowMs: number): void {
    const worker = this.#worker(number);
    if (!isRunning(worker)) return;
    worker.heardMs = nowMs;
    worker.silent = false;
    switch (report.report) {
      case "ready":
        worker.node = report.node;
        this.#onReady(worker, nowMs);
        break;
      case "health":
        worker.health = { status: report.status, reasons: report.reasons };
        break;
      case "left":
        worker.hasLeft = true;
        break;
    }
    this.#tellHealth();
  }

  /** A worker's process has ended. */
  onEnded(number: number, end: WorkerEnd, nowMs: number): void {
    const worker = this.#worker(number);
    invariant(isRunning(worker), "only what runs ends", { number });
    if (worker.hasLeft) {
      worker.phase = "gone";
      this.#log.info("a worker has left the cluster; it is not started again", { worker: number });
      this.#port.left(number);
    } else if (this.#mode === "stopping") {
      worker.phase = "gone";
      if (end.code !== 0) this.#noteFailure(worker, end);
    } else if (end.code === EXIT_BAD_CONFIG && !this.#saidReady) {
      worker.phase = "gone";
      this.#log.error("a worker refuses its settings; stopping", { worker: number });
      this.#exitCode = end.code;
      this.#stop();
    } else {
      this.#onFailed(worker, end, nowMs);
    }
    this.#tellHealth();
    this.#endIfOver();
  }

  /** The machine is told to stop. */
  stop(): void {
    if (this.#mode === "stopping") return;
    this.#stop();
    this.#endIfOver();
  }

  /** The machine is told to leave the cluster for good. It still can be told to stop. */
  leave(): void {
    if (this.#mode !== "running") return;
    this.#mode = "leaving";
    // All at once: what one of them holds is to move to another machine, not to the next worker.
    for (const worker of this.#workers) {
      if (worker.phase === "ready") this.#port.tell(worker.number, { order: "leave" });
    }
  }

  /** The machine is told to end at once. */
  kill(exitCode: number): void {
    this.#mode = "stopping";
    this.#exitCode = exitCode;
    for (const worker of this.#workers) {
      if (isRunning(worker)) this.#port.kill(worker.number);
      else worker.phase = "gone";
    }
    this.#endIfOver();
  }

  /** Time has passed. To be called at least once a second. */
  onTick(nowMs: number): void {
    for (const worker of this.#workers) {
      if (worker.phase === "waiting" && nowMs >= worker.restartMs && !this.#isOver) {
        this.#start(worker, nowMs);
      } else if (worker.phase === "ready") {
        if (nowMs - worker.sinceMs >= WORKER_STEADY_MS) worker.failures = 0;
        if (!worker.silent && nowMs - worker.heardMs >= WORKER_SILENT_MS) {
          worker.silent = true;
          worker.health = {
            status: "unavailable",
            reasons: [`it has said nothing for ${WORKER_SILENT_MS / 1_000} s`],
          };
          this.#log.warn("a worker says nothing: its process hangs, or is paused", {
            worker: worker.number,
          });
        }
      }
    }
    this.#tellHealth();
  }

  #start(worker: Worker, nowMs: number): void {
    worker.phase = "starting";
    worker.sinceMs = worker.heardMs = nowMs;
    worker.silent = false;
    worker.health = STARTING;
    this.#port.start(worker.number);
  }

  #onReady(worker: Worker, nowMs: number): void {
    worker.phase = "ready";
    worker.sinceMs = nowMs;
    // What the others are told already; it knows nothing yet.
    this.#port.tell(worker.number, { order: "workers", workers: this.health });
    if (this.#mode === "leaving") this.#port.tell(worker.number, { order: "leave" });
    const isWhole = this.#workers.every(({ phase }) => phase === "ready" || phase === "gone");
    if (this.#saidReady || !isWhole || this.#mode === "stopping") return;
    this.#saidReady = true;
    this.#port.ready();
  }

  #onFailed(worker: Worker, end: WorkerEnd, nowMs: number): void {
    // Somebody has told this one process to stop: that is how one worker is started anew.
    const wasTold = end.code === 0;
    worker.failures = wasTold ? 0 : worker.failures + 1;
    const pauseMs = Math.round(
      backoffMs(
        WORKER_RESTART_MS,
        WORKER_RESTART_MS_MAX,
        Math.max(0, worker.failures - 1),
        this.#random,
      ),
    );
    worker.phase = "waiting";
    worker.sinceMs = nowMs;
    worker.restartMs = nowMs + pauseMs;
    const how = howEnded(end);
    const times = worker.failures > 1 ? `, ${worker.failures} times in a row` : "";
    worker.health = {
      status: "unavailable",
      reasons: [`its process ${how}${times}; it is started again`],
    };
    if (wasTold) {
      this.#log.info("a worker has stopped; it is started again", { worker: worker.number });
    } else {
      this.#log.error("a worker has died; it is started again", {
        worker: worker.number,
        end: how,
        failures: worker.failures,
        pause_ms: pauseMs,
      });
    }
    const isHopeless = this.#workers.every(({ phase, failures }) =>
      phase === "gone" || (phase === "waiting" && failures >= WORKER_FAILURES_MAX)
    );
    if (!isHopeless) return;
    this.#log.error("no worker runs, and each has died again and again; stopping");
    this.#exitCode = end.code === 0 ? 1 : end.code;
    this.#stop();
  }

  /** A worker fails although it was told to stop, or is not wanted any more. */
  #noteFailure(worker: Worker, end: WorkerEnd): void {
    this.#log.warn("a worker did not stop cleanly", { worker: worker.number, end: howEnded(end) });
    if (this.#exitCode === 0) this.#exitCode = 1;
  }

  #stop(): void {
    this.#mode = "stopping";
    for (const worker of this.#workers) {
      if (isRunning(worker)) this.#port.tell(worker.number, { order: "stop" });
      else worker.phase = "gone";
    }
  }

  #endIfOver(): void {
    if (this.#isOver || this.#workers.some(({ phase }) => phase !== "gone")) return;
    this.#isOver = true;
    this.#port.over(this.#exitCode);
  }

  /** Tells all workers how all of them are, if that has changed. */
  #tellHealth(): void {
    const workers = this.health;
    const text = JSON.stringify(workers);
    if (text === this.#told) return;
    this.#told = text;
    for (const worker of this.#workers) {
      if (worker.phase === "ready") this.#port.tell(worker.number, { order: "workers", workers });
    }
  }

  #worker(number: number): Worker {
    const worker = this.#workers.find((one) => one.number === number);
    invariant(worker !== undefined, "a worker is one of the machine's", { number });
    return worker;
  }
}

function isRunning({ phase }: Worker): boolean {
  return phase === "starting" || phase === "ready";
}

/** How a process ended, as the end of a sentence. */
function howEnded({ code, signal, said }: WorkerEnd): string {
  if (signal !== null) return `was ended by ${signal}`;
  return said === "" || code === 0
    ? `ended with exit code ${code}`
    : `ended with exit code ${code} (${said.slice(0, 160)})`;
}
