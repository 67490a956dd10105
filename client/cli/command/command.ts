/**
 * What a command is: one row of the table from which one-shot use, the shell, help and completion
 * are made; and how the words of a line become its arguments and options. The commands themselves
 * are in `../commands/command_table.ts`.
 *
 * @module
 */
import type { Clock } from "../../../shared/platform/clock.ts";
import { KvError } from "../../../shared/base/errors.ts";
import type { Acks, Consistency, KeyRequest } from "../../../shared/wire/messages.ts";
import type { Random } from "../../../shared/platform/random.ts";
import { flagOf, type Setting } from "../../../shared/program/setting.ts";
import {
  dashed,
  findOption,
  optionName,
  readOption,
  type RequestOption,
  type WordField,
} from "../../../shared/arguments/word_fields.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import type { ClientLogin } from "../../calls/call.ts";
import type { ByteSource } from "../../backup/backup_reader.ts";
import type { ParsedLine, Word, Words } from "./command_line.ts";
import type { KvFile, NewKvFile } from "../../transfer/kv_file.ts";
import type { KvClient } from "../../library/kv_client.ts";

/** The settings that a command may use; a line's options override those of the program. */
export interface CommandSettings {
  readonly json: boolean;
  readonly raw: boolean;
  readonly timeoutMs: number;
  readonly consistency: Consistency;
  readonly acks: Acks;
  readonly database: string | undefined;
  readonly keyColumn: string | undefined;
  readonly format: "auto" | "csv" | "jsonl";
  readonly giveUpAfterMs: number;
}

/** The table of settings, as far as a line's options are concerned. */
export type OptionTable = { readonly [N in keyof CommandSettings]: Setting<CommandSettings[N]> };

/**
 * A file that gets its name when it is complete, replacing one that was there. If what is there is not a
 * file, such as a pipe, the bytes are written to it as they come.
 */
export interface WholeFile {
  write(bytes: Uint8Array): Promise<void>;
  /** It is on disk, under its name. */
  finish(): Promise<void>;
  /** Nothing of it is left. */
  abandon(): Promise<void>;
}

/** A bar on the terminal. */
export interface Progress {
  /** @param done bytes, if the total is known */
  update(done: number, text: string): void;
  stop(): void;
}

/** A line of a screen. */
export interface ScreenLine {
  readonly text: string;
  readonly strong?: boolean;
}

/** The whole terminal, which a command draws again and again. */
export interface Screen {
  size(): { readonly columns: number; readonly rows: number };
  show(lines: readonly ScreenLine[]): void;
  /** Whoever looks has seen enough. */
  readonly ended: Promise<void>;
  /** The terminal is as it was before. */
  end(): void;
}

/** The terminal and the files, as commands see them. */
export interface CommandIo {
  /** To standard output. @throws {KvError} `storage_failed` if it accepts nothing more */
  write(data: string | Uint8Array): Promise<void>;
  /** A line to standard error. */
  note(text: string): void;
  /** Standard input, or undefined if the commands themselves come from there. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** @throws {Error} if it cannot be read */
  openRead(path: string): Promise<{ chunks: AsyncIterable<Uint8Array>; bytes: number | undefined }>;
  /**
   * @param replace whether an existing file may be replaced
   * @throws {KvError} `exists` if one exists and may not be replaced
   * @throws {Error} if it cannot be written
   */
  createWhole(path: string, replace: boolean): Promise<WholeFile>;
  /** A file of Deno KV to read. @throws {KvError} `bad_request` if it is none */
  openKvFile(path: string): Promise<KvFile>;
  /** A file of Deno KV to write. @throws {KvError} `exists`, `bad_request` */
  createKvFile(path: string, replace: boolean): Promise<NewKvFile>;
  /** A file that can be read at any place. @throws {Error} if it cannot be read */
  openAnywhere(path: string): Promise<ByteSource & { close(): void }>;
  /** Undefined if nobody watches. */
  progress(totalBytes: number | undefined): Progress | undefined;
  /** Undefined if the output is no terminal. */
  screen: (() => Screen) | undefined;
  /** Asks the person at the terminal; undefined if there is none. The shell has its own. */
  ask: ((question: string, signal: AbortSignal) => Promise<string>) | undefined;
  /**
   * Asks for a secret, which is not shown and in no history; undefined if there is nobody. The answer is undefined if
   * whoever is asked does not want to give one.
   */
  askSecret:
    | ((question: string, signal: AbortSignal) => Promise<string | undefined>)
    | undefined;
}

/** By what somebody logs in, and where. It is kept between runs, see `file_credentials.ts`. */
export interface StoredLogin extends ClientLogin {
  readonly ca: string;
  /** Where the cluster is, `host:port`: where the login was made, then its nodes. */
  readonly addresses: readonly string[];
}

/** What `login` does, as commands see it. */
export interface Logins {
  /** Where to log in if no address was given. */
  find(): Promise<Address>;
  /**
   * The certificates (PEM) of the authorities of whoever answers.
   *
   * @param trusted certificates that it must be known by; undefined: anybody may answer, and nothing is known of it
   * @throws {KvError} `unavailable`; `unauthorized` if it is not known by them
   */
  authoritiesAt(address: Address, trusted: string | undefined): Promise<string[]>;
  /** Logs in. @returns where the cluster is @throws {KvError} why it cannot */
  addressesOf(address: Address, login: ClientLogin): Promise<string[]>;
  /** @throws {KvError} `bad_config` if it cannot be read */
  stored(): Promise<StoredLogin | undefined>;
  /** @returns the file that it is in @throws {KvError} `bad_config` */
  store(login: StoredLogin): Promise<string>;
  /** @returns the file that it was in; undefined if there was none @throws {KvError} `bad_config` */
  forget(): Promise<string | undefined>;
}

/** What a command needs. */
export interface CommandContext {
  /** Connects at the first call. @throws {KvError} `unavailable` */
  client(): Promise<KvClient>;
  readonly logins: Logins;
  readonly io: CommandIo;
  readonly clock: Clock;
  readonly random: Random;
  readonly settings: CommandSettings;
  /** The table that the settings are read with, for help. */
  readonly options: OptionTable;
  /** The line's options that are the command's own. */
  readonly given: readonly RequestOption[];
  /** The transaction that `multi` has begun. */
  readonly multi: Multi;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
}

/** Where operations are queued for `exec`. */
export interface Multi {
  open:
    | { readonly requests: KeyRequest[]; readonly checks: (readonly [string, number])[] }
    | undefined;
}

/** An argument of a command. */
export interface Argument {
  readonly name: string;
  readonly optional?: boolean;
  /** The last one may be given several times. */
  readonly repeats?: boolean;
  /** The description in its own help, if the name alone is not clear. */
  readonly about?: string;
  /** It names a key, so completion offers keys that were used. */
  readonly key?: boolean;
}

/** A row of the table. */
export interface Command {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly arguments: readonly Argument[];
  /** Settings that a line may give as options. */
  readonly options: readonly (keyof CommandSettings)[];
  /** Options that only this command has, or that mean something else in another one. */
  readonly own?: readonly WordField[];
  readonly help: string;
  /** What it answers, for its own help. */
  readonly answers?: string;
  /** A line that shows its use. */
  readonly example?: string;
  readonly shellOnly?: boolean;
  /** It may be given between `multi` and `exec` although it is not an operation that is queued. */
  readonly insideMulti?: boolean;
  /** @returns the exit code @throws {KvError} */
  run(args: readonly Word[], context: CommandContext): Promise<number>;
}

/** `put KEY VALUE`. */
export function commandSummary(command: Command): string {
  const args = command.arguments.map(({ name, optional, repeats }) => {
    const word = repeats === true ? `${name}…` : name;
    return optional === true ? `[${word}]` : word;
  });
  return [command.name, ...args].join(" ");
}

/** The values of a command's own options. @throws {KvError} `bad_request` */
export function ownValues(
  command: string,
  own: readonly WordField[],
  given: readonly RequestOption[],
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const option of given) readOption(values, command, own, option, dashed(option[0]));
  return values;
}

/** A line's arguments and the settings that it runs with. */
export interface Invocation {
  args: Word[];
  settings: CommandSettings;
  given: RequestOption[];
}

/**
 * Sorts the words of a line into arguments and options.
 *
 * @throws {KvError} `bad_request` if they do not fit the command
 */
export function takeArguments(
  command: Command,
  line: ParsedLine,
  options: OptionTable,
  settings: CommandSettings,
): Invocation {
  const args: Word[] = [];
  const given: RequestOption[] = [];
  let result = settings;
  let takesOptions = line.options;
  for (let word = line.words.next(); word !== undefined; word = line.words.next()) {
    if (takesOptions && !word.quoted && word.text === "--") {
      takesOptions = false;
    } else if (takesOptions && !word.quoted && word.text.startsWith("--")) {
      const own = takeOwn(command, word.text, line.words);
      if (own !== undefined) given.push(own);
      else result = { ...result, ...readSetting(command, word.text, line.words, options) };
    } else {
      args.push(word);
      // After --, a single dash is an argument, and not standard input.
      if (line.options && !takesOptions) word.quoted = true;
    }
  }
  checkCount(command, args.length);
  return { args, settings: result, given };
}

/** An option of the command's own, or undefined if the name is not one. */
function takeOwn(command: Command, text: string, words: Words): RequestOption | undefined {
  const [name = "", ...parts] = text.slice(2).split("=");
  const option = findOption(command.own ?? [], name);
  if (option === undefined) return undefined;
  if (parts.length > 0) return [name, parts.join("=")];
  return option.field.form === "flag" ? [name] : [name, words.next()?.text];
}

function readSetting(
  command: Command,
  text: string,
  words: Words,
  options: OptionTable,
): Partial<CommandSettings> {
  const [written = "", ...parts] = text.slice(2).split("=");
  const flag = optionName(written);
  const name = command.options.find((option) => flagOf(option) === flag);
  if (name === undefined) {
    const known = [
      ...command.options.map((option) => `--${flagOf(option)}`),
      ...(command.own ?? []).map(({ optionNames }) => `--${optionNames.at(-1)}`),
    ].join(", ");
    throw new KvError(
      "bad_request",
      `${command.name}: unknown option --${flag}; it takes ${known || "none"} ` +
        "(quote a key or value that begins with dashes)",
    );
  }
  const setting: Setting<unknown> = options[name];
  const given = parts.length > 0
    ? parts.join("=")
    : setting.takesValue
    ? words.next()?.text
    : "true";
  const value = given === undefined ? undefined : setting.parse(given);
  if (value === undefined) {
    throw new KvError(
      "bad_request",
      `${command.name}: --${flag} must be ${setting.requires}; got ${
        given === undefined ? "nothing" : JSON.stringify(given)
      }`,
    );
  }
  return { [name]: value };
}

function checkCount(command: Command, count: number): void {
  const least = command.arguments.filter(({ optional }) => optional !== true).length;
  const repeats = command.arguments.at(-1)?.repeats === true;
  const most = repeats ? Infinity : command.arguments.length;
  if (count >= least && count <= most) return;
  const wanted = repeats ? `${least} or more` : least === most ? `${most}` : `${least} to ${most}`;
  const hint = count > most ? "; quote a key or value with spaces" : "";
  throw new KvError(
    "bad_request",
    `${command.name}: required ${wanted} argument${wanted === "1" ? "" : "s"}, given ${count}: ` +
      `${commandSummary(command)}${hint}`,
  );
}
