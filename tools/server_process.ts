/**
 * A coordinator or node as a child process: it is started, waited for until it says on standard output that it
 * listens, signalled, and ended. For `up` and for tests.
 *
 * Invariant: a child is ended by its process id, and `stop` returns only when it is gone. If this process ends,
 * however that happens, its children end by themselves.
 *
 * @module
 */
import type { ProgramSpec } from "./programs.ts";

/** What a server prints when it listens: `kv-node 127.0.0.1:8081 http=9081 pid=4242`. */
export interface ReadyLine {
  readonly text: string;
  readonly program: string;
  readonly host: string;
  readonly port: number;
  /** The numbers behind it: `http`, `heartbeat`, `pid`. */
  readonly facts: Readonly<Record<string, number>>;
}

/** Reads a ready line; returns undefined for any other line. */
export function parseReadyLine(text: string): ReadyLine | undefined {
  const match = /^(kv-\w+) (\S+):(\d+)((?: \w+=\d+)*)$/.exec(text);
  if (match === null) return undefined;
  const [, program = "", host = "", port = "", rest = ""] = match;
  const facts: Record<string, number> = {};
  for (const fact of rest.trim().split(" ").filter((word) => word !== "")) {
    const [name = "", value = ""] = fact.split("=");
    facts[name] = Number(value);
  }
  return { text, program, host: host.replace(/^\[|\]$/g, ""), port: Number(port), facts };
}

/** How to start a server. */
export interface StartOptions {
  /** An executable to run instead of the source. */
  readonly executable?: string;
  /** Further flags of `deno run`, if it is run from source. */
  readonly denoFlags?: readonly string[];
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  /** Start with only `env`, nothing of ours. Default false. */
  readonly clearEnv?: boolean;
  /**
   * In a process group of its own, so that a Ctrl-C on the terminal is ours to pass on, once.
   * Default true; a test's servers are in the test runner's group, which ends them whatever happens.
   */
  readonly detached?: boolean;
  /** Called for each line of standard error, which is the log. */
  readonly onLog?: (line: string) => void;
}

/** How long a server may take to end by itself after SIGTERM. */
export const STOP_GRACE_MS = 15_000;

/** How many of the last lines of standard error are kept, for messages. */
const LOG_LINES_KEPT = 200;

const ROOT = new URL("..", import.meta.url).pathname;

/** A running server. */
export class ServerProcess {
  readonly program: ProgramSpec;
  /** Its address and numbers. Rejects if the process ends before it listens. */
  readonly ready: Promise<ReadyLine>;
  /** How it ended. */
  readonly status: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #readers: Promise<void>;
  readonly #log: string[] = [];
  #ended = false;

  private constructor(program: ProgramSpec, child: Deno.ChildProcess, options: StartOptions) {
    this.program = program;
    this.#child = child;
    const listening = Promise.withResolvers<ReadyLine>();
    this.ready = listening.promise;
    // Nobody has to wait for it: `status` says the same.
    this.ready.catch(() => {});
    const output = forEachLine(child.stdout, (line) => {
      const parsed = parseReadyLine(line);
      if (parsed !== undefined) listening.resolve(parsed);
    });
    const log = forEachLine(child.stderr, (line) => {
      this.#log.push(line);
      if (this.#log.length > LOG_LINES_KEPT) this.#log.shift();
      options.onLog?.(line);
    });
    this.#readers = Promise.all([output, log]).then(() => {});
    this.status = child.status.then(async (status) => {
      this.#ended = true;
      await child.stdin.close().catch(() => {});
      await this.#readers;
      listening.reject(new Error(`${this.program.name} ${howEnded(status)}: ${this.lastWords()}`));
      return status;
    });
  }

  /** Starts a program, from source with its least permissions unless an executable is given. */
  static start(
    program: ProgramSpec,
    args: readonly string[],
    options: StartOptions = {},
  ): ServerProcess {
    const fromSource = [
      "run",
      "--quiet",
      "--no-prompt",
      ...program.permissions,
      ...options.denoFlags ?? [],
      ROOT + program.entry,
    ];
    const child = new Deno.Command(options.executable ?? Deno.execPath(), {
      args: [
        ...(options.executable === undefined ? fromSource : []),
        ...args,
        "--end-with-input",
      ],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
      clearEnv: options.clearEnv ?? false,
      // Held open and never written to: it is closed when this process ends, and then the server ends too.
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: options.detached ?? true,
    }).spawn();
    return new ServerProcess(program, child, options);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Whether the process is gone. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The end of its log. */
  get log(): readonly string[] {
    return this.#log;
  }

  /** The last line that it wrote to standard error. */
  lastWords(): string {
    return this.#log.findLast((line) => line.trim() !== "") ?? "it said nothing";
  }

  /** Sends a signal. Does nothing if the process is gone. */
  signal(signal: Deno.Signal): void {
    if (this.#ended) return;
    try {
      this.#child.kill(signal);
    } catch {
      // It ended a moment ago.
    }
  }

  /** Ends it: SIGTERM, then SIGKILL after `graceMs`. @returns how it ended */
  async stop(graceMs: number = STOP_GRACE_MS): Promise<Deno.CommandStatus> {
    this.signal("SIGTERM");
    const timer = setTimeout(() => this.signal("SIGKILL"), graceMs);
    try {
      return await this.status;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it at once, as a crash does. */
  async crash(): Promise<void> {
    // A paused process dies all the same.
    this.signal("SIGKILL");
    await this.status;
  }
}

/** How a process ended, as the end of a sentence. */
export function howEnded(status: Deno.CommandStatus): string {
  return status.signal === null
    ? `ended with exit code ${status.code}`
    : `was ended by ${status.signal}`;
}

async function forEachLine(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  onLine: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    lines.forEach(onLine);
  }
  if (rest !== "") onLine(rest);
}
