/**
 * Writes log records: LogTape, with a sink that writes lines to standard error. On a terminal they are
 * text for people; a file or pipe gets JSON lines.
 *
 * Invariant: logging never blocks and never throws. While standard error is read slowly, lines wait in
 * a bounded queue. Lines that do not fit are dropped and counted, and the count is logged.
 *
 * @module
 */
import { configureSync, getLogger } from "@logtape/logtape";
import { jsonLine, LOG_LEVELS, type LogLevel, textLine } from "./log_format.ts";
import type { Logger } from "../platform/logger.ts";
import { choice } from "./setting.ts";
import { escapeControls } from "./terminal.ts";

/** The settings that every program has. */
export const LOG_SETTINGS = {
  logLevel: choice(LOG_LEVELS, { help: "The lowest level to log.", default: "info" }),
  logFormat: choice(["auto", "text", "json"], {
    help: "How records look; auto is text on a terminal and JSON lines elsewhere.",
    default: "auto",
  }),
};

/** What {@linkcode startLog} needs to know. */
export interface LogOptions {
  readonly logLevel: LogLevel;
  readonly logFormat: "auto" | "text" | "json";
}

/** Where lines go. `Deno.stderr` is one. */
export interface LogOutput {
  write(bytes: Uint8Array): Promise<number>;
  isTerminal(): boolean;
}

/** The most bytes of lines that wait for a slow reader. */
const QUEUE_BYTES_MAX = 4 * 1024 * 1024;
/** How long {@linkcode Log.flush} waits for a reader that does not read. */
const FLUSH_TIMEOUT_MS = 500;

/** The process's log. */
export interface Log {
  /** The log of one part of the program, such as `replica`. */
  logger(category: string): Logger;
  /** Writes a line as it is, in its turn. */
  logLine(line: string): void;
  /** Waits until what was logged is written, or the reader is too slow. */
  flush(): Promise<void>;
}

/** Sets up the process's log. Called once per process, in `main`. */
export function startLog(
  options: LogOptions,
  output: LogOutput = Deno.stderr,
  colour: boolean = output.isTerminal(),
): Log {
  const lines = new LineQueue(output);
  const asText = options.logFormat === "text" ||
    (options.logFormat === "auto" && output.isTerminal());
  configureSync({
    reset: true,
    sinks: {
      lines: ({ timestamp, level, category, rawMessage, properties }) => {
        const record = {
          timeMs: timestamp,
          level: level === "warning" ? "warn" : level as LogLevel,
          category: category.slice(1).join("."),
          event: String(rawMessage),
          fields: properties,
        } as const;
        lines.push(asText ? textLine(record, colour) : jsonLine(record));
      },
    },
    loggers: [
      {
        category: "kv",
        sinks: ["lines"],
        lowestLevel: options.logLevel === "warn" ? "warning" : options.logLevel,
      },
      { category: ["logtape", "meta"], sinks: ["lines"], lowestLevel: "warning" },
    ],
  });
  return {
    logger: categoryLogger,
    logLine: (line) => lines.push(output.isTerminal() ? escapeControls(line) : line),
    flush: () => lines.flush(),
  };
}

function categoryLogger(category: string): Logger {
  const logger = getLogger(["kv", category]);
  return {
    debug: (event, fields = {}) => logger.debug(event, fields),
    info: (event, fields = {}) => logger.info(event, fields),
    warn: (event, fields = {}) => logger.warn(event, fields),
    error: (event, fields = {}) => logger.error(event, fields),
  };
}

/** Writes lines in order, one write at a time; all lines that wait leave in one write. */
class LineQueue {
  readonly #output: LogOutput;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #dropped = 0;
  #writing: Promise<void> | undefined;

  constructor(output: LogOutput) {
    this.#output = output;
  }

  push(line: string): void {
    if (this.#waitingBytes + line.length > QUEUE_BYTES_MAX) {
      this.#dropped++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingBytes += line.length + 1;
    this.#writing ??= this.#writeAll();
  }

  async flush(): Promise<void> {
    if (this.#writing === undefined) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, FLUSH_TIMEOUT_MS);
    });
    await Promise.race([this.#writing, patience]);
    clearTimeout(timer);
  }

  async #writeAll(): Promise<void> {
    const encoder = new TextEncoder();
    try {
      while (this.#waiting.length > 0) {
        if (this.#dropped > 0) {
          this.#waiting.push(
            `${this.#dropped} log records dropped: standard error is read too slowly`,
          );
          this.#dropped = 0;
        }
        let bytes = encoder.encode(this.#waiting.join("\n") + "\n");
        this.#waiting = [];
        this.#waitingBytes = 0;
        while (bytes.length > 0) bytes = bytes.subarray(await this.#output.write(bytes));
      }
    } catch {
      // Nobody reads standard error any more, and there is no other place to report that.
      this.#waiting = [];
      this.#waitingBytes = 0;
    } finally {
      this.#writing = undefined;
    }
  }
}
