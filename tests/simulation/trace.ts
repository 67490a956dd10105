/**
 * What a run did, as lines of text, for people who look for the cause of a failure. Kept only if
 * a run is recorded; a run does the same whether it is or not.
 *
 * @module
 */
import type { LogFields, Logger } from "../../shared/platform/logger.ts";
import type { Coverage } from "./coverage.ts";
import type { Scheduler, SimProcess } from "./sim/scheduler.ts";

/** One line. */
export interface TraceLine {
  readonly timeMs: number;
  readonly who: string;
  readonly what: string;
  /** The partition that it is about; undefined for what concerns all. */
  readonly partition: number | undefined;
  /** `debug` lines of all partitions are left out of a timeline. */
  readonly detail: boolean;
}

/** The record of a run. */
export class Trace {
  readonly lines: TraceLine[] = [];
  readonly recording: boolean;
  readonly #scheduler: Scheduler;
  readonly #coverage: Coverage;
  /** Told of what processes log that must have a cause among the faults. */
  onSuspicious: (process: SimProcess, event: string, fields: LogFields) => void = () => {};

  constructor(scheduler: Scheduler, coverage: Coverage, recording: boolean) {
    this.#scheduler = scheduler;
    this.#coverage = coverage;
    this.recording = recording;
  }

  add(who: string, what: string, partition?: number, detail = false): void {
    if (!this.recording) return;
    this.lines.push({ timeMs: this.#scheduler.nowMs, who, what, partition, detail });
  }

  /** The log of a process. */
  logger(process: SimProcess, category: string): Logger {
    const write = (level: string) => (event: string, fields: LogFields = {}) => {
      this.#scheduler.note(event.length);
      if (event === "stream refused") this.#coverage.hit("log: stream refused");
      if (event.startsWith("an operator goes on from an old document")) {
        this.#coverage.hit("coordinator: old document accepted");
      }
      if (event === "data of a partition is damaged") {
        this.#coverage.hit("log: data of a partition is damaged");
        this.onSuspicious(process, event, fields);
      }
      if (event === "replicas differ") {
        this.#coverage.hit("log: replicas differ");
        this.onSuspicious(process, event, fields);
      }
      if (!this.recording) return;
      const { partition } = fields;
      this.add(
        process.name,
        `${level} ${category}: ${event} ${JSON.stringify(fields)}`,
        typeof partition === "number" ? partition : undefined,
        level === "debug",
      );
    };
    return {
      debug: write("debug"),
      info: write("info"),
      warn: write("warn"),
      error: write("error"),
    };
  }

  /** All lines, or those that concern a partition. */
  text(partition?: number): string {
    const chosen = partition === undefined
      ? this.lines
      : this.lines.filter((line) =>
        line.partition === partition || (line.partition === undefined && !line.detail)
      );
    return chosen.map(formatLine).join("\n");
  }
}

function formatLine({ timeMs, who, what }: TraceLine): string {
  return `${timeMs.toFixed(3).padStart(12)} ${who.padEnd(9)} ${what}`;
}
