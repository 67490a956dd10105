/**
 * A worker's side of the pipes to its supervisor: what it is told, and what it tells.
 *
 * Invariant: a supervisor that does not read never holds the worker up: at most one report waits to be written, and
 * one of health is left out if another waits.
 *
 * @module
 */
import { WORKER_LINE_CHARACTERS_MAX, WORKER_REPORT_MS } from "../../shared/limits/cluster.ts";
import type { HealthReport } from "../../shared/http/protocol/health_report.ts";
import { LineSplitter } from "./line_splitter.ts";
import {
  healthLine,
  lineOf,
  parseOrder,
  type WorkerHealth,
  type WorkerReport,
} from "./worker_lines.ts";

/** The link of this process. */
export class WorkerLink {
  /** The supervisor says that this worker is to stop. */
  readonly stop: Promise<string>;
  /** The supervisor says that this worker is to leave the cluster for good. */
  readonly leave: Promise<"SIGUSR1">;
  /** How the machine's workers are, as told last. */
  workers: readonly WorkerHealth[] = [];
  #onStop: () => void = () => {};
  #onLeave: () => void = () => {};
  #writing: Promise<void> | undefined;
  readonly #orders = new LineSplitter(WORKER_LINE_CHARACTERS_MAX, (line) => this.#onLine(line));

  constructor() {
    this.stop = new Promise((resolve) => this.#onStop = () => resolve("its supervisor says so"));
    this.leave = new Promise((resolve) => this.#onLeave = () => resolve("SIGUSR1"));
  }

  /** Bytes of standard input. */
  onInput(bytes: Uint8Array): void {
    this.#orders.push(bytes);
  }

  /** Tells the supervisor. */
  report(report: WorkerReport): Promise<void> {
    const before = this.#writing ?? Promise.resolve();
    const writing = this.#writing = before.then(() => write(`${lineOf(report)}\n`)).finally(() => {
      if (this.#writing === writing) this.#writing = undefined;
    });
    return writing;
  }

  /** Tells the supervisor from now on how this worker is. */
  reportHealth(health: () => HealthReport): void {
    const tell = () => {
      if (this.#writing === undefined) void this.report(healthLine(health()));
    };
    tell();
    setInterval(tell, WORKER_REPORT_MS);
  }

  #onLine(line: string): void {
    const order = parseOrder(line);
    switch (order?.order) {
      case "stop":
        return this.#onStop();
      case "leave":
        return this.#onLeave();
      case "workers":
        this.workers = order.workers;
    }
  }
}

async function write(text: string): Promise<void> {
  let bytes = new TextEncoder().encode(text);
  try {
    while (bytes.length > 0) bytes = bytes.subarray(await Deno.stdout.write(bytes));
  } catch {
    // The supervisor is gone: the end of standard input says so.
  }
}
