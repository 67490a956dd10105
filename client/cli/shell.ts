/**
 * The shell: lines from a terminal, with history and completion, or from a script on standard input.
 * What a line does is `session.ts`.
 *
 * @module
 */
import * as readline from "node:readline";
import process from "node:process";
import { promiseParts } from "../../shared/base/promise_parts.ts";
import { flagOf } from "../../shared/program/setting.ts";
import { findOption } from "../../shared/arguments/word_fields.ts";
import type { CommandIo, Screen } from "./command/command.ts";
import { commandNames, findCommand } from "./commands/command_table.ts";
import { EXIT } from "./command/exit_code.ts";
import { SecretLine } from "./command/secret_line.ts";
import { hasEndKey } from "./deno_screen.ts";
import { DEPARTURE, type Session } from "./session.ts";

const PROMPT = "kv> ";
const HISTORY_LINES = 1_000;

/**
 * Runs a script, one command per line; goes on after an error.
 *
 * @returns the exit code of the first command that failed, otherwise 0
 */
export async function runScript(
  lines: AsyncIterable<string>,
  session: Session,
  io: CommandIo,
): Promise<number> {
  const { signal } = new AbortController();
  let firstFailure: number = EXIT.ok;
  for await (const line of lines) {
    const { exitCode, leave } = await session.runLine(line, signal);
    if (firstFailure === EXIT.ok) firstFailure = exitCode;
    if (leave) {
      await io.write(DEPARTURE + "\n");
      break;
    }
  }
  const end = await session.end();
  return firstFailure === EXIT.ok ? end : firstFailure;
}

/** The lines of earlier runs, newest first; at the end it holds this run's as well. */
export interface History {
  lines: readonly string[];
}

/** Printed after a first Ctrl-C that found nothing to stop and nothing to discard. */
const HOW_TO_LEAVE = "(Ctrl-C again, Ctrl-D or exit leaves)";

/**
 * Runs the interactive shell until `exit`, `quit` or Ctrl-D. Ctrl-C ends the running command, or drops the
 * line, as in other shells; only a second one in a row at an empty prompt ends the shell.
 *
 * @param told fulfilled if the shell should end for another reason
 */
export function runShell(
  session: Session,
  io: CommandIo,
  history: History,
  told: Promise<void>,
): Promise<number> {
  return new Promise((resolve) => {
    const terminal = readline.createInterface({
      input: process.stdin,
      output: process.stdout,
      prompt: PROMPT,
      history: [...history.lines],
      historySize: HISTORY_LINES,
      removeHistoryDuplicates: true,
      completer: (line: string) => completeLine(line, session.recentKeys()),
    });
    io.ask = (question, signal) => askAt(terminal, question, signal);
    io.askSecret = askSecretAt;
    const { screen } = io;
    if (screen !== undefined) io.screen = () => screenAt(screen);
    let running: AbortController | undefined;
    let left = false;
    /** The last input was a Ctrl-C at an empty prompt. */
    let toldHowToLeave = false;
    const waiting: string[] = [];

    const leave = async () => {
      if (left) return;
      left = true;
      terminal.close();
      await session.end();
      await io.write(DEPARTURE + "\n");
      resolve(EXIT.ok);
    };
    const runNext = async () => {
      if (running !== undefined) return;
      for (let line = waiting.shift(); line !== undefined && !left; line = waiting.shift()) {
        running = new AbortController();
        const result = await session.runLine(line, running.signal);
        running = undefined;
        if (result.leave) return await leave();
      }
      if (!left) terminal.prompt();
    };

    terminal.on("history", (lines) => history.lines = [...lines]);
    terminal.on("line", (line) => {
      toldHowToLeave = false;
      waiting.push(line);
      void runNext();
    });
    terminal.on("SIGINT", () => {
      waiting.length = 0;
      if (running !== undefined) return running.abort();
      const wasEmpty = terminal.line === "";
      if (wasEmpty && toldHowToLeave) return terminal.close();
      toldHowToLeave = wasEmpty;
      process.stdout.write(wasEmpty ? `\n${HOW_TO_LEAVE}\n` : "\n");
      if (!wasEmpty) {
        // Clears the line as Ctrl-E Ctrl-U would, and begins a new one.
        terminal.write(null, { ctrl: true, name: "e" });
        terminal.write(null, { ctrl: true, name: "u" });
      }
      terminal.prompt();
    });
    terminal.on("close", () => {
      if (left) return;
      process.stdout.write("\n");
      running?.abort();
      void leave();
    });
    void told.then(() => terminal.close());
    terminal.prompt();
  });
}

/** A line from the terminal; an empty one if Ctrl-C or the end comes first. */
function askAt(
  terminal: readline.Interface,
  question: string,
  signal: AbortSignal,
): Promise<string> {
  return new Promise((resolve) => {
    const onAbort = () => resolve("");
    signal.addEventListener("abort", onAbort, { once: true });
    terminal.question(question, { signal }, (answer) => {
      signal.removeEventListener("abort", onAbort);
      resolve(answer.trim());
    });
  });
}

/**
 * A line that the line editor neither shows nor keeps in its history: it hears of no key until the line has ended.
 */
function askSecretAt(question: string, signal: AbortSignal): Promise<string | undefined> {
  const { stdin, stdout } = process;
  const line = new SecretLine();
  const typed = promiseParts<string | undefined>();
  const end = () => {
    giveBack();
    signal.removeEventListener("abort", onAbort);
    stdout.write("\n");
  };
  const giveBack = takeKeys((bytes) => {
    try {
      const input = line.feed(bytes);
      if (input.kind === "more") return;
      end();
      if (input.kind === "cancelled") return typed.resolve(undefined);
      if (input.rest.length > 0) stdin.unshift(input.rest);
      typed.resolve(input.text);
    } catch (error) {
      end();
      typed.reject(error);
    }
  });
  const onAbort = () => {
    end();
    typed.resolve(undefined);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  stdout.write(question);
  return typed.promise;
}

/** A screen of a command that runs in the shell: it ends by a key of which the line editor hears nothing. */
function screenAt(open: () => Screen): Screen {
  const screen = open();
  const pressed = promiseParts<void>();
  const giveBack = takeKeys((bytes) => {
    if (hasEndKey(bytes)) pressed.resolve();
  });
  return {
    size: () => screen.size(),
    show: (lines) => screen.show(lines),
    ended: Promise.race([screen.ended, pressed.promise]),
    end() {
      giveBack();
      screen.end();
    },
  };
}

/**
 * Takes the keys away from the line editor. The terminal is in raw mode, so Ctrl-C comes as a key as well.
 *
 * @returns what gives them back
 */
function takeKeys(onData: (bytes: Uint8Array) => void): () => void {
  const { stdin } = process;
  const editors = stdin.listeners("keypress") as ((...args: unknown[]) => void)[];
  stdin.removeAllListeners("keypress");
  stdin.on("data", onData);
  return () => {
    stdin.off("data", onData);
    for (const editor of editors) stdin.on("keypress", editor);
  };
}

/**
 * What Tab offers: commands at the beginning of a line and after `help`; options after two dashes; the words
 * that an option may have; and keys that were used lately, in the place of a key.
 *
 * @returns the candidates, and the part of the line that they complete
 */
export function completeLine(
  line: string,
  recentKeys: readonly string[] = [],
): [candidates: string[], part: string] {
  const part = /\S*$/.exec(line)?.[0] ?? "";
  const before = line.slice(0, line.length - part.length).trim().split(/\s+/);
  const first = before[0] ?? "";
  if (first === "") return [matching(commandNames(), part), part];
  const command = findCommand(first);
  if (command?.name === "help" && before.length === 1) {
    return [matching(commandNames(), part), part];
  }
  if (command === undefined) return [[], part];
  const own = command.own ?? [];
  if (part.startsWith("--")) {
    const names = [
      ...command.options.map(flagOf),
      ...own.flatMap(({ optionNames }) => optionNames.slice(-1)),
    ];
    return [matching(names.map((name) => `--${name}`), part), part];
  }
  const last = before.at(-1) ?? "";
  if (last.startsWith("--")) {
    const option = findOption(own, last.slice(2));
    if (option !== undefined && option.field.form !== "flag") {
      return [matching(option.field.choices, part), part];
    }
  }
  const at = before.filter((word) => !word.startsWith("--")).length - 1;
  const argument = command.arguments[Math.min(at, command.arguments.length - 1)];
  if (argument?.key !== true || (at >= command.arguments.length && !argument.repeats)) {
    return [[], part];
  }
  // A key that would need quotes must be typed.
  const keys = recentKeys.filter((key) =>
    key.startsWith(part) && key.isWellFormed() && /^[^\s"'#-][^\s]*$/.test(key)
  );
  return [keys.map((key) => `${key} `).toReversed(), part];
}

/** In capitals if the user types capitals. */
function matching(names: readonly string[], part: string): string[] {
  const upper = /[A-Z]/.test(part) && !/[a-z]/.test(part);
  const wanted = part.toLowerCase().replaceAll("_", "-");
  return names
    .filter((name) => name.startsWith(wanted))
    .sort()
    .map((name) => (upper ? name.toUpperCase().replaceAll("-", "_") : name) + " ");
}
