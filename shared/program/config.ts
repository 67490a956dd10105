/**
 * Settings, declared once per program in a table: flag, environment variable, YAML key, `--help` and
 * checks all follow from it. A value comes from the flag, else the environment, else the YAML file
 * (`--config FILE`), else the default. One that the command line gives twice must say the same both
 * times. Nothing here touches the process: arguments, environment and a file reader are passed in;
 * `program.ts` passes the real ones.
 *
 * Invariant: what {@linkcode loadConfig} gives has every setting of the table, each within its bounds.
 *
 * @module
 */
import { parseArgs } from "@std/cli/parse-args";
import { loadAll } from "js-yaml";
import { KvError } from "../base/errors.ts";
import { nearest } from "../base/near_miss.ts";
import { flagOf, type Setting } from "./setting.ts";

/** Settings by their name in code, in camel case: `leaseMs` has the flag `--lease-ms`. */
export type Settings = Record<string, Setting<unknown>>;

/** The values of a table of settings. */
export type Values<S extends Settings> = {
  readonly [N in keyof S]: S[N] extends Setting<infer T> ? T : never;
};

/** What a program's command line looks like. */
export interface CommandLine {
  /** As the user types it: `kv-node`. */
  readonly name: string;
  /** One line that says what it is. */
  readonly summary: string;
  /** Its forms, without the name: `[host] [port] [flags]`. */
  readonly usage: readonly string[];
  readonly settings: Settings;
  /**
   * Names of settings that stand for arguments without a flag, one list for each form. The first
   * form with the right number of arguments whose values are all valid is taken.
   */
  readonly positionals?: readonly (readonly string[])[];
  /** Whether other arguments are handed over in `rest`; else they are an error. Default false. */
  readonly rest?: boolean;
  /** Lines after the flags in `--help`: examples, commands. */
  readonly notes?: readonly string[];
  /** Flags that belong to what is in `rest`: taken from the command line only, and handed over as text. */
  readonly restFlags?: readonly RestFlag[];
  /** What `--help` says where there are such arguments; undefined: the whole. */
  readonly helpOf?: (rest: readonly string[]) => string | undefined;
}

/** A flag that a program hands over with its other arguments. */
export interface RestFlag {
  /** Without the dashes. */
  readonly name: string;
  readonly takesValue: boolean;
}

/** A command line with the types of its settings. */
export interface Program<S extends Settings> extends CommandLine {
  readonly settings: S;
  readonly positionals?: readonly (readonly (keyof S & string)[])[];
  /** Relations between settings. Gives what is wrong and what to do, or undefined. */
  readonly check?: (values: Values<S>) => string | undefined;
}

/** Where a value came from. */
export type Source = "argument" | "flag" | "environment" | "file" | "default";

/** The world as {@linkcode loadConfig} sees it. */
export interface ConfigInput {
  readonly args: readonly string[];
  readonly env: (name: string) => string | undefined;
  /** @throws where the file cannot be read */
  readonly readFile: (path: string) => string;
}

/** A configuration, or what the user asked to see instead of a run. */
export type Loaded<S extends Settings> =
  | {
    readonly kind: "run";
    readonly values: Values<S>;
    readonly sources: { readonly [N in keyof S]: Source };
    readonly rest: readonly string[];
    /** What was given of `restFlags`, in the order of that list; a flag without a value is "true". */
    readonly restFlags: ReadonlyMap<string, string>;
  }
  | { readonly kind: "help"; readonly rest: readonly string[] }
  | { readonly kind: "version" };

/** The environment variable of a setting: `KV_LEASE_MS`. */
export function envOf(name: string): string {
  return `KV_${flagOf(name).replaceAll("-", "_").toUpperCase()}`;
}

/** A value as somebody wrote it, and how to name the place in an error. */
interface Given {
  readonly source: Source;
  readonly text: unknown;
  readonly place: string;
}

/**
 * Reads a program's settings.
 *
 * @throws {KvError} `bad_config` with one line: what is wrong, where, and what to do
 */
export function loadConfig<S extends Settings>(
  program: Program<S>,
  input: ConfigInput,
): Loaded<S> {
  const line = parseLine(program, input.args);
  if (line.help || asksForHelp(program, line.rest)) return { kind: "help", rest: line.rest };
  if (line.version) return { kind: "version" };
  refuseUnknown(program, line.unknown);
  const { given, rest } = placePositionals(program, line.rest);
  for (const [name, value] of line.given) {
    refuseOther(program.settings[name], given.get(name), value);
    given.set(name, value);
  }
  const file = readFileSettings(program, line.config ?? input.env("KV_CONFIG"), input);

  const values: Record<string, unknown> = {};
  const sources: Record<string, Source> = {};
  for (const [name, setting] of Object.entries(program.settings)) {
    const found = given.get(name) ?? fromEnv(name, input) ?? file.get(name);
    values[name] = found === undefined ? setting.fallback : parseGiven(setting, found);
    sources[name] = found?.source ?? "default";
  }
  const wrong = program.check?.(values as Values<S>);
  if (wrong !== undefined) throw badConfig(wrong);
  return {
    kind: "run",
    values: values as Values<S>,
    sources: sources as { [N in keyof S]: Source },
    rest,
    restFlags: line.restFlags,
  };
}

/** `kv-node help`: no host to listen on has that name. */
function asksForHelp(program: CommandLine, args: readonly string[]): boolean {
  return program.rest !== true && args.length === 1 && args[0] === "help";
}

function badConfig(text: string, cause?: unknown): KvError {
  return new KvError("bad_config", text, { cause });
}

interface Line {
  readonly help: boolean;
  readonly version: boolean;
  readonly config: string | undefined;
  readonly given: Map<string, Given>;
  readonly rest: string[];
  readonly restFlags: Map<string, string>;
  readonly unknown: string[];
}

/** Put before a negative number, which is an argument and no flag; no argument has this character. */
const MARK = "\0";

function unmark(text: string): string {
  return text.startsWith(MARK) ? text.slice(1) : text;
}

function parseLine(program: CommandLine, given: readonly string[]): Line {
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
    // What is given all the same, as in `--force=0`, means what it means elsewhere, or is refused.
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

/** What a flag that is on or off says, each time: what is behind its `=`, or "true". */
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

/** Somebody means one of the two, and nobody can know which. */
function refuseOther(setting: Setting<unknown> | undefined, one: Given | undefined, other: Given) {
  if (setting === undefined || one === undefined) return;
  const meant = ({ text }: Given) => JSON.stringify(setting.parse(text) ?? text);
  if (meant(one) === meant(other)) return;
  const [first, second] = [one, other].map(({ text }) => JSON.stringify(text));
  const both = one.place === other.place
    ? `${one.place} is given twice, with ${first} and ${second}`
    : `${one.place} is ${first} and ${other.place} is ${second}, which is the same setting`;
  throw badConfig(`${both}; give it once`);
}

function isOnLine(args: readonly string[], flag: string): boolean {
  return flagsOf(args).some((arg) => arg === `--${flag}` || arg.startsWith(`--${flag}=`));
}

function refuseUnknown(program: CommandLine, unknown: readonly string[]): void {
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

/** Gives the arguments without a flag to the settings that they stand for. */
function placePositionals(
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

function fromEnv(name: string, input: ConfigInput): Given | undefined {
  const place = envOf(name);
  const text = input.env(place);
  // An empty variable counts as not set: that is how shells and containers unset one.
  return text === undefined || text === "" ? undefined : { source: "environment", text, place };
}

function readFileSettings(
  program: CommandLine,
  path: string | undefined,
  input: ConfigInput,
): Map<string, Given> {
  const found = new Map<string, Given>();
  if (path === undefined || path === "") return found;
  const document = parseFile(path, input);
  if (document === null || document === undefined) return found;
  if (typeof document !== "object" || Array.isArray(document)) {
    throw badConfig(`${path}: expected a mapping of settings to values, such as "port: 8080"`);
  }
  const names = new Map(Object.keys(program.settings).map((name) => [flagOf(name), name]));
  for (const [key, text] of Object.entries(document)) {
    const name = names.get(key);
    if (name === undefined) {
      const near = nearest(key, [...names.keys()]);
      throw badConfig(
        `${path}: unknown setting ${JSON.stringify(key)}; ${
          near === undefined ? "" : `did you mean ${JSON.stringify(near)}? `
        }Keys are the flags of ${program.name} --help without the dashes`,
      );
    }
    if (text !== null) found.set(name, { source: "file", text, place: `${path}: ${key}` });
  }
  return found;
}

function parseFile(path: string, input: ConfigInput): unknown {
  let text: string;
  try {
    text = input.readFile(path);
  } catch (error) {
    throw badConfig(
      `cannot read the configuration file ${path} (${reasonOf(error)}); check the path of --config`,
      error,
    );
  }
  let documents: unknown[];
  try {
    documents = loadAll(text);
  } catch (error) {
    throw badConfig(`${path} is not YAML: ${reasonOf(error)}`, error);
  }
  if (documents.length > 1) {
    throw badConfig(
      `${path} has ${documents.length} YAML documents, and only one is read; put all settings into ` +
        'one, without a line "---" between them',
    );
  }
  return documents[0];
}

/** An error's first line. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split("\n")[0] ?? text).replace(/:$/, "");
}

function parseGiven(setting: Setting<unknown>, given: Given): unknown {
  if (given.text === "" && given.source === "flag") {
    throw badConfig(`${given.place} needs a value: ${setting.requires}`);
  }
  const value = setting.parse(given.text);
  if (value === undefined) {
    throw badConfig(
      `${given.place} must be ${setting.requires}; got ${JSON.stringify(given.text)}`,
    );
  }
  return value;
}
