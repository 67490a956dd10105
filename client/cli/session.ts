/**
 * Runs commands one after the other and prints how each ended: the part that one-shot use, scripts and the
 * interactive shell share. It reads no input; `shell.ts` and `main.ts` do.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import type { Random } from "../../shared/platform/random.ts";
import {
  type Command,
  type CommandIo,
  type CommandSettings,
  type Logins,
  type Multi,
  type OptionTable,
  takeArguments,
} from "./command/command.ts";
import {
  commandName,
  type ParsedLine,
  parseLine,
  type Word,
  wordList,
} from "./command/command_line.ts";
import { findCommand, unknownCommand } from "./commands/command_table.ts";
import { KvError } from "../../shared/base/errors.ts";
import { RECENT_KEYS_MAX } from "../../shared/limits/client.ts";
import { findOption, type RequestOption } from "../../shared/arguments/word_fields.ts";
import { EXIT, exitCodeOf, UsageError } from "./command/exit_code.ts";
import type { KvClient } from "../library/kv_client.ts";
import { commandError, errorDocument, errorLine } from "./command/output.ts";

/** What a session needs. */
export interface SessionDeps {
  /** Called by the first command that needs it, and by each later one. */
  client(): Promise<KvClient>;
  logins: Logins;
  io: CommandIo;
  clock: Clock;
  random: Random;
  /** The table with which a line's options are read. */
  options: OptionTable;
  settings: CommandSettings;
}

/** How a line ended. */
export interface LineResult {
  exitCode: number;
  /** The line was `exit`. */
  leave: boolean;
}

/** What the shell prints when it ends, as ancestor A did. */
export const DEPARTURE = "TATA!!!!";

/** Runs commands. */
export class Session {
  readonly #deps: SessionDeps;

  readonly #recentKeys = new Set<string>();
  readonly #multi: Multi = { open: undefined };

  constructor(deps: SessionDeps) {
    this.#deps = deps;
  }

  /** Keys that commands have named, the latest ones last. */
  recentKeys(): string[] {
    return [...this.#recentKeys];
  }

  #remember(command: Command, args: readonly Word[]): void {
    const last = command.arguments.length - 1;
    args.forEach((arg, i) => {
      if (command.arguments[Math.min(i, last)]?.key !== true || arg.text === "") return;
      this.#recentKeys.delete(arg.text);
      this.#recentKeys.add(arg.text);
    });
    for (const key of this.#recentKeys) {
      if (this.#recentKeys.size <= RECENT_KEYS_MAX) break;
      this.#recentKeys.delete(key);
    }
  }

  /** Runs one line of the shell's language. Errors are printed, not thrown. */
  async runLine(text: string, signal: AbortSignal): Promise<LineResult> {
    return await this.#run(signal, new Map(), () => {
      const line = parseLine(text, (name) => findCommand(name)?.arguments.length);
      return line && { line, name: line.name };
    });
  }

  /**
   * Runs the words of a command line, without the flags. Errors are printed, not thrown.
   *
   * @param flags the flags of commands; this command may not have all of them
   */
  async runWords(
    words: readonly string[],
    signal: AbortSignal,
    flags: ReadonlyMap<string, string> = new Map(),
  ): Promise<LineResult> {
    const [first = "", ...rest] = words;
    return await this.#run(signal, flags, () => ({
      name: first,
      line: {
        name: commandName(first),
        words: wordList(rest.map((text) => ({ text, quoted: text !== "-" }))),
        options: false,
      },
    }));
  }

  /**
   * To be called at the end of the input. Operations that are queued for `exec` are not carried out, and that is
   * an error: a script that lost its last line must not look like one that has done its work.
   *
   * @returns the exit code
   */
  async end(): Promise<number> {
    const { open } = this.#multi;
    if (open === undefined) return EXIT.ok;
    this.#multi.open = undefined;
    const { length } = open.requests;
    return await this.#say(
      new KvError(
        "bad_request",
        `multi: the end came before exec; ${length} operation${length === 1 ? " was" : "s were"} ` +
          "not carried out",
      ),
      this.#deps.settings.json,
    );
  }

  /** Prints an error. @returns its exit code */
  async #say(error: KvError, json: boolean): Promise<number> {
    const { io } = this.#deps;
    if (json) await io.write(JSON.stringify(errorDocument(error)) + "\n");
    else io.note(errorLine(error));
    return error instanceof UsageError ? EXIT.usage : exitCodeOf(error.code);
  }

  async #run(
    signal: AbortSignal,
    flags: ReadonlyMap<string, string>,
    parse: () => { line: ParsedLine; name: string } | undefined,
  ): Promise<LineResult> {
    let { settings } = this.#deps;
    let command: Command | undefined;
    try {
      const parsed = parse();
      if (parsed === undefined) return { exitCode: EXIT.ok, leave: false };
      command = findCommand(parsed.name);
      if (command === undefined) throw unknownCommand(parsed.name);
      const invocation = takeArguments(command, parsed.line, this.#deps.options, settings);
      settings = invocation.settings;
      const given = [...invocation.given, ...ownFlags(command, flags)];
      this.#remember(command, invocation.args);
      if (this.#multi.open !== undefined && command.insideMulti !== true) {
        throw new KvError(
          "bad_request",
          `${command.name}: between multi and exec only operations on keys can be given`,
        );
      }
      const context = { ...this.#deps, settings, given, multi: this.#multi, signal };
      const exitCode = await command.run(invocation.args, context);
      return { exitCode, leave: command.name === "exit" };
    } catch (thrown) {
      // Nobody reads the output any more.
      if (thrown instanceof Error && thrown.name === "BrokenPipe") throw thrown;
      const error = commandError(thrown, command !== undefined && mayWrite(command));
      return { exitCode: await this.#say(error, settings.json), leave: false };
    }
  }
}

/** A command that writes may say which replicas must acknowledge. */
function mayWrite({ options }: Command): boolean {
  return options.includes("acks");
}

/** The flags as the command's own options. @throws {KvError} `bad_request` if it has no such option */
function ownFlags(command: Command, flags: ReadonlyMap<string, string>): RequestOption[] {
  return [...flags].map(([name, word]) => {
    if (findOption(command.own ?? [], name) !== undefined) return [name, word];
    const known = (command.own ?? []).map(({ optionNames }) => `--${optionNames.at(-1)}`);
    const takes = known.length === 0 ? "no options of its own" : known.join(", ");
    throw new KvError(
      "bad_request",
      `${command.name}: unknown option --${name}; it takes ${takes}`,
    );
  });
}
