/**
 * Settings, declared once per program in a table: flag, environment variable, YAML key, `--help` and checks all follow
 * from it. This file decides which value counts: that of the flag, else of the environment, else of the YAML file
 * (`--config FILE`), else the default. Nothing here touches the process: arguments, environment and a file reader are
 * passed in; `program.ts` passes the real ones.
 *
 * Invariant: the result of {@linkcode loadConfig} has every setting of the table, each within its bounds.
 *
 * @module
 */
import {
  asksForHelp,
  type CommandLine,
  parseLine,
  placePositionals,
  refuseUnknown,
  type Settings,
} from "./command_line.ts";
import { readFileSettings } from "./config_file.ts";
import { badConfig, type Given, parseGiven, refuseOther, type Source } from "./given_value.ts";
import { flagOf, type Setting } from "./setting.ts";

/** The values of a table of settings. */
export type Values<S extends Settings> = {
  readonly [N in keyof S]: S[N] extends Setting<infer T> ? T : never;
};

/** A command line with the types of its settings. */
export interface Program<S extends Settings> extends CommandLine {
  readonly settings: S;
  readonly positionals?: readonly (readonly (keyof S & string)[])[];
  /** Relations between settings. Returns what is wrong and what to do, or undefined. */
  readonly check?: (values: Values<S>) => string | undefined;
}

/** What {@linkcode loadConfig} needs of the outside world. */
export interface ConfigInput {
  readonly args: readonly string[];
  readonly env: (name: string) => string | undefined;
  /** @throws if the file cannot be read */
  readonly readFile: (path: string) => string;
}

/** A configuration, or what the user wants to see instead of a run. */
export type Loaded<S extends Settings> =
  | {
    readonly kind: "run";
    readonly values: Values<S>;
    readonly sources: { readonly [N in keyof S]: Source };
    readonly rest: readonly string[];
    /** The given `restFlags`, in the order of that list; a flag without a value is "true". */
    readonly restFlags: ReadonlyMap<string, string>;
  }
  | { readonly kind: "help"; readonly rest: readonly string[] }
  | { readonly kind: "version" };

/** The environment variable of a setting: `KV_LEASE_MS`. */
export function envOf(name: string): string {
  return `KV_${flagOf(name).replaceAll("-", "_").toUpperCase()}`;
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
  const file = readFileSettings(program, line.config ?? input.env("KV_CONFIG"), input.readFile);

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

function fromEnv(name: string, input: ConfigInput): Given | undefined {
  const place = envOf(name);
  const text = input.env(place);
  // An empty variable counts as not set: that is how shells and containers unset one.
  return text === undefined || text === "" ? undefined : { source: "environment", text, place };
}
