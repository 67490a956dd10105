/**
 * The form of a program's command line, and reading one: flags with their values, arguments that stand for settings, and
 * what is passed on to the program. A negative number is an argument, not a flag. The standard library's `parseArgs`
 * does the splitting.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { nearest } from "./near_miss.ts";
import { badConfig, type Given, parseGiven, refuseOther } from "./given_value.ts";
import { flagOf, type Setting } from "./setting.ts";

/** Settings by their name in code, in camel case: `leaseMs` has the flag `--lease-ms`. */
export type Settings = Record<string, Setting<unknown>>;

/** The form of a program's command line. */
export interface CommandLine {
  /** As the user types it: `kv-node`. */
  readonly name: string;
  /** One line that says what it is. */
  readonly summary: string;
  /** The forms of its arguments, without the name: `[host] [port] [flags]`. */
  readonly usage: readonly string[];
  readonly settings: Settings;
  /**
   * Names of settings that stand for arguments without a flag, one list for each form. The first
   * form with the right number of arguments whose values are all valid is taken.
   */
  readonly positionals?: readonly (readonly string[])[];
  /** Whether other arguments are passed on in `rest`; otherwise they are an error. Default false. */
  readonly rest?: boolean;
  /** Lines after the flags in `--help`: examples, commands. */
  readonly notes?: readonly string[];
  /** Flags that belong to what is in `rest`: accepted from the command line only, and passed on as text. */
  readonly restFlags?: readonly RestFlag[];
  /** What `--help` prints if there are such arguments; undefined: all of the help. */
  readonly helpOf?: (rest: readonly string[]) => string | undefined;
}

/** A flag that a program passes on with its other arguments. */
export interface RestFlag {
  /** Without the dashes. */
  readonly name: string;
  readonly takesValue: boolean;
}

/** The content of a command line. */
export interface Line {
  readonly help: boolean;
  readonly version: boolean;
  readonly config: string | undefined;
  readonly given: Map<string, Given>;
  readonly rest: string[];
  readonly restFlags: Map<string, string>;
  readonly unknown: string[];
}

/** Put before a negative number, which is an argument and not a flag; no argument has this character. */
const MARK = "\0";

function unmark(text: string): string {
  return text.startsWith(MARK) ? text.slice(1) : text;
}

/** Reads a command line. @throws {KvError} `bad_config` */
export function parseLine(program: CommandLine, given: readonly string[]): Line {
  const args = program.rest === true
    ? given.map((arg) => /^-\.?\d/.test(arg) ? MARK + arg : arg)
    : given;
  const names = Object.entries(program.settings);
  const withValue = names.filter(([, setting]) => setting.takesValue);
  const restFlags = program.restFlags ?? [];
  const unknown: string[] = [];
  const parsed: Record<string, unknown> = parseArgs([...args], {
    string: [
      "_",
      "config",
      ...withValue.map(([name]) => flagOf(name)),
      ...restFlags.filter(({ takesValue }) => takesValue).map(({ name }) => name),
    ],
    boolean: [
      "help",
      "h",
      "version",
      ...names.filter(([, setting]) => !setting.takesValue).map(([name]) => flagOf(name)),
      ...restFlags.filter(({ takesValue }) => !takesValue).map(({ name }) => name),
    ],
    collect: ["config", ...withValue.map(([name]) => flagOf(name))],
    unknown: (arg: string, key?: string) => {
      if (key === undefined) return true;
      unknown.push(arg);
      return false;
    },
  });
  const settings = new Map<string, Given>();
  for (const [name, setting] of names) {
    const flag = flagOf(name);
    const place = `--${flag}`;
    // A value given all the same, as in `--force=0`, means what it means elsewhere, or is refused.
    const all = setting.takesValue ? listOf(parsed[flag]).map(unmark) : valuesOnLine(args, flag);
    const text = all.at(-1);
    if (text === undefined) continue;
    const value: Given = { source: "flag", text: setting.repeats ? all : text, place };
    if (!setting.repeats) {
      for (const text of all) refuseOther(setting, { source: "flag", text, place }, value);
    }
    settings.set(name, value);
  }
  const config = onlyOne(listOf(parsed.config));
  if (config === "") throw badConfig("--config needs a file: --config kv.yaml");
  return {
    help: parsed.help === true || parsed.h === true,
    version: parsed.version === true,
    config,
    given: settings,
    rest: Array.isArray(parsed._) ? parsed._.map((arg) => unmark(String(arg))) : [],
    restFlags: new Map(
      restFlags.filter(({ name }) => isOnLine(args, name)).map(({ name }) => [
        name,
        unmark(String(parsed[name] ?? "")),
      ]),
    ),
    unknown,
  };
}

function flagsOf(args: readonly string[]): readonly string[] {
  const end = args.indexOf("--");
  return end < 0 ? args : args.slice(0, end);
}

/** The values of a flag that is on or off, for each time it is given: what follows its `=`, or "true". */
function valuesOnLine(args: readonly string[], flag: string): string[] {
  const start = `--${flag}=`;
  return flagsOf(args).filter((arg) => arg === `--${flag}` || arg.startsWith(start))
    .map((arg) => arg.startsWith(start) ? arg.slice(start.length) : "true");
}

function listOf(collected: unknown): string[] {
  return Array.isArray(collected) ? collected.map(String) : [];
}

function onlyOne(files: readonly string[]): string | undefined {
  const [first, ...more] = files;
  const other = more.find((file) => file !== first);
  if (other === undefined) return first;
  throw badConfig(`--config is given twice, with ${first} and ${other}; one file is read, name it`);
}

/** `kv-node help`: it is a request for help, because no host to listen on has that name. */
export function asksForHelp(program: CommandLine, args: readonly string[]): boolean {
  return program.rest !== true && args.length === 1 && args[0] === "help";
}

function isOnLine(args: readonly string[], flag: string): boolean {
  return flagsOf(args).some((arg) => arg === `--${flag}` || arg.startsWith(`--${flag}=`));
}

/** @throws {KvError} `bad_config` for an unknown flag, with the nearest known one */
export function refuseUnknown(program: CommandLine, unknown: readonly string[]): void {
  const first = unknown[0];
  if (first === undefined) return;
  const name = first.split("=")[0] ?? first;
  const known = [
    ...Object.keys(program.settings).map(flagOf),
    ...(program.restFlags ?? []).map(({ name }) => name),
    "config",
    "help",
    "version",
  ];
  const near = nearest(name.replace(/^-+/, ""), known);
  const hint = near === undefined ? "" : `did you mean --${near}? `;
  const dashes = program.rest && /^-[^-]/.test(name)
    ? "Put -- before arguments that begin with a dash. "
    : "";
  throw badConfig(
    `unknown flag ${name}; ${hint}${dashes}${program.name} --help lists all flags`,
  );
}

/** Assigns the arguments without a flag to their settings. @throws {KvError} `bad_config` */
export function placePositionals(
  program: CommandLine,
  args: readonly string[],
): { given: Map<string, Given>; rest: readonly string[] } {
  const given = new Map<string, Given>();
  if (args.length === 0) return { given, rest: [] };
  const forms = (program.positionals ?? []).filter((form) => form.length === args.length);
  let problem: unknown;
  for (const form of forms) {
    try {
      form.forEach((name, i) => {
        const setting = program.settings[name];
        const value: Given = {
          source: "argument",
          text: args[i] ?? "",
          place: `[${flagOf(name)}]`,
        };
        if (setting !== undefined) parseGiven(setting, value);
        given.set(name, value);
      });
      return { given, rest: [] };
    } catch (error) {
      given.clear();
      problem = error;
    }
  }
  if (program.rest) return { given, rest: args };
  if (problem !== undefined) throw problem;
  throw badConfig(
    `too many arguments: ${args.map((arg) => JSON.stringify(arg)).join(" ")}; usage: ${
      program.usage.map((form) => `${program.name} ${form}`).join(" or ")
    }`,
  );
}
