/**
 * Runs commands one after the other and says how each ended: the part that one-shot use, scripts and
 * the interactive shell share. It reads no input; `shell.ts` and `main.ts` do.
 *
 * @module
 */
import type { Clock } from "../shared/clock.ts";
import type { Random } from "../shared/random.ts";
import {
  type Command,
  type CommandIo,
  type CommandSettings,
  type OptionTable,
  takeArguments,
} from "./command.ts";
import { commandName, type ParsedLine, parseLine, wordList } from "./command_line.ts";
import { findCommand, unknownCommand } from "./commands.ts";
import { EXIT, exitCodeOf } from "./exit_code.ts";
import type { KvClient } from "./kv_client.ts";
import { commandError, errorDocument, errorLine } from "./output.ts";

/** What a session works with. */
export interface SessionDeps {
  /** Called by the first command that needs it, and by each later one. */
  client(): Promise<KvClient>;
  io: CommandIo;
  clock: Clock;
  random: Random;
  /** The table that a line's options are read by. */
  options: OptionTable;
  settings: CommandSettings;
}

/** How a line ended. */
export interface LineResult {
  exitCode: number;
  /** The line was `exit`. */
  leave: boolean;
}

/** What the shell says when it is left, as ancestor A did. */
export const FAREWELL = "TATA!!!!";

/** Runs commands. */
export class Session {
  readonly #deps: SessionDeps;

  constructor(deps: SessionDeps) {
    this.#deps = deps;
  }

  /** Runs one line of the shell's language. Its errors are said, and not thrown. */
  async runLine(text: string, signal: AbortSignal): Promise<LineResult> {
    return await this.#run(signal, () => {
      const line = parseLine(text, (name) => findCommand(name)?.arguments.length);
      return line && { line, name: line.name };
    });
  }

  /** Runs the words of a command line, from which the flags have been taken. Likewise. */
  async runWords(words: readonly string[], signal: AbortSignal): Promise<LineResult> {
    const [first = "", ...rest] = words;
    return await this.#run(signal, () => ({
      name: first,
      line: {
        name: commandName(first),
        words: wordList(rest.map((text) => ({ text, quoted: text !== "-" }))),
        options: false,
      },
    }));
  }

  async #run(
    signal: AbortSignal,
    parse: () => { line: ParsedLine; name: string } | undefined,
  ): Promise<LineResult> {
    const { io } = this.#deps;
    let { settings } = this.#deps;
    try {
      const parsed = parse();
      if (parsed === undefined) return { exitCode: EXIT.ok, leave: false };
      const command: Command | undefined = findCommand(parsed.name);
      if (command === undefined) throw unknownCommand(parsed.name);
      const invocation = takeArguments(command, parsed.line, this.#deps.options, settings);
      settings = invocation.settings;
      const exitCode = await command.run(invocation.args, { ...this.#deps, settings, signal });
      return { exitCode, leave: command.name === "exit" };
    } catch (thrown) {
      // Nobody reads what would be said.
      if (thrown instanceof Error && thrown.name === "BrokenPipe") throw thrown;
      const error = commandError(thrown);
      if (settings.json) await io.write(JSON.stringify(errorDocument(error)) + "\n");
      else io.note(errorLine(error));
      return { exitCode: exitCodeOf(error.code), leave: false };
    }
  }
}
