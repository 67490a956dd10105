/**
 * What all three `main.ts` share: it reads the settings, answers `--help` and `--version`, starts the
 * log, runs the program, and turns a failure into one line and an exit code: 2 for a wrong setting, 1
 * for anything else. There is no stack trace, unless it is a mistake of ours or the log level is debug.
 *
 * @module
 */
import { loadConfig, type Program, type Values } from "./config.ts";
import type { Settings } from "./command_line.ts";
import type { Source } from "./given_value.ts";
import { KvError } from "../base/errors.ts";
import { helpText } from "./help_text.ts";
import { type Log, LOG_SETTINGS, startLog } from "./log.ts";
import type { Logger } from "../platform/logger.ts";
import "../limits/relations.ts";
import { printError } from "./terminal.ts";
import { VERSION } from "../base/version.ts";

/** Exit codes of the programs; scripts rely on them. */
export const EXIT_FAILED = 1;
export const EXIT_BAD_CONFIG = 2;
/** A mistake of ours: the state of the process is not reliable (`EX_SOFTWARE` of sysexits.h). */
export const EXIT_DEFECT = 70;

const INPUT_BUFFER_BYTES = 4_096;

/** A program's own settings and those that every program has. */
export type WithLogSettings<S extends Settings> = S & typeof LOG_SETTINGS;

/** What a program's `main` gets. */
export interface Run<S extends Settings> {
  readonly config: Values<WithLogSettings<S>>;
  /** Where each value came from. */
  readonly sources: { readonly [N in keyof WithLogSettings<S>]: Source };
  /** Arguments that no setting took; see `CommandLine.rest`. */
  readonly rest: readonly string[];
  /** Flags that go with them. */
  readonly restFlags: ReadonlyMap<string, string>;
  /** The log of one part of the program, such as `replica`. */
  logger(category: string): Logger;
  /** Writes a line into the log as it is: one that another process of the program has written. */
  logLine(line: string): void;
}

/**
 * Runs a program to its end and exits the process with the result of `main` (default 0). Call it once,
 * under `import.meta.main`.
 */
export async function runProgram<S extends Settings>(
  program: Program<S>,
  main: (run: Run<S>) => Promise<number | void>,
): Promise<never> {
  const session: Session = { log: undefined, debug: false };
  let exitCode: number;
  try {
    exitCode = await runLoaded(program, main, session);
  } catch (error) {
    exitCode = report(program.name, error, session.debug);
  }
  await session.log?.flush();
  Deno.exit(exitCode);
}

/** What is needed of the run so far to report a failure. */
interface Session {
  log: Log | undefined;
  debug: boolean;
}

async function runLoaded<S extends Settings>(
  program: Program<S>,
  main: (run: Run<S>) => Promise<number | void>,
  session: Session,
): Promise<number> {
  const settings: WithLogSettings<S> = { ...program.settings, ...LOG_SETTINGS };
  // A check of the program's own settings also works on the larger table.
  const whole = { ...program, settings } as unknown as Program<WithLogSettings<S>>;
  const loaded = loadConfig(whole, {
    args: Deno.args,
    env: (name) => Deno.env.get(name),
    readFile: (path) => Deno.readTextFileSync(path),
  });
  if (loaded.kind === "help") {
    console.log(program.helpOf?.(loaded.rest) ?? helpText(whole));
    return 0;
  }
  if (loaded.kind === "version") {
    console.log(`${program.name} ${VERSION}`);
    return 0;
  }
  const { values, sources, rest, restFlags } = loaded;
  const { logLevel, logFormat }: Values<typeof LOG_SETTINGS> = values;
  session.debug = logLevel === "debug";
  const log = session.log = startLog({ logLevel, logFormat });
  const { logger, logLine } = log;
  return await main({ config: values, sources, rest, restFlags, logger, logLine }) ?? 0;
}

/** Reports on standard error what went wrong. @returns the exit code */
function report(name: string, error: unknown, debug: boolean): number {
  const expected = error instanceof KvError && error.code !== "internal";
  if (expected) printError(`${name}: ${error.message.replaceAll(/\s*\n\s*/g, " ")}`);
  if (!expected || debug) printError(Deno.inspect(error));
  return expected && error.code === "bad_config" ? EXIT_BAD_CONFIG : EXIT_FAILED;
}

/**
 * Ends the process with {@linkcode EXIT_DEFECT} and a stack trace at any error that was not caught.
 * For programs that serve: to go on with a state that nobody has foreseen could lose data.
 */
export function exitOnDefect(name: string): void {
  const exit = (error: unknown) => {
    console.error(`${name}: internal error, stopping; please report this:`);
    printError(Deno.inspect(error));
    Deno.exit(EXIT_DEFECT);
  };
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    exit(event.error);
  });
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    exit(event.reason);
  });
}

/**
 * Why the program should stop: the first SIGTERM or SIGINT, or the end of standard input. A second signal
 * ends the process at once, with the shell's exit code.
 *
 * @param withInput whether the end of standard input counts
 * @param onInput is given what comes before; it may keep none of the bytes
 */
export function untilTold(
  withInput: boolean,
  onInput: (bytes: Uint8Array) => void = () => {},
): Promise<string> {
  return new Promise((resolve) => {
    if (withInput) void untilInputEnds(onInput).then(() => resolve("standard input has ended"));
    let signalled = false;
    const codes = { SIGTERM: 143, SIGINT: 130 } as const;
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(signal, () => {
        if (signalled) Deno.exit(codes[signal]);
        signalled = true;
        resolve(signal);
      });
    }
  });
}

/** The system closes the other end of a pipe, whatever happens to the process that holds it. */
export async function untilInputEnds(
  onInput: (bytes: Uint8Array) => void = () => {},
): Promise<void> {
  const buffer = new Uint8Array(INPUT_BUFFER_BYTES);
  for (;;) {
    let count: number | null;
    try {
      count = await Deno.stdin.read(buffer);
    } catch {
      // Input that cannot be read counts as ended.
      return;
    }
    if (count === null) return;
    onInput(buffer.subarray(0, count));
  }
}
