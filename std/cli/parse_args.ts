/**
 * Command line arguments into a record, as `@std/cli/parse-args` does it (after minimist). Stands in
 * for `jsr:@std/cli` where JSR cannot be reached: see `links` in deno.json. Left out are `alias`,
 * `negatable`, names with dots, and single-letter flags in groups; types are plain records.
 *
 * @module
 */

/** One name, or several. */
type Names = string | readonly string[];

/** The options of {@linkcode parseArgs}. */
export interface ParseOptions {
  /** Whether what stands after `--` goes to `"--"` and not to `_`. Default false. */
  "--"?: boolean;
  /** Flags without a value, false where they are not given; `--name=false` makes one false. */
  boolean?: Names;
  /** Flags whose value stays text. `--name` at the end, or before another flag, gives "". */
  string?: Names;
  /** Flags that may be given several times; the values form an array. */
  collect?: Names;
  /** Values of flags that are not given. */
  default?: Record<string, unknown>;
  /** Whether everything after the first argument that is no flag goes to `_`. Default false. */
  stopEarly?: boolean;
  /**
   * Called for each argument that is in neither list, with `key` and `value` where it is a flag.
   * Where it returns false, the argument is left out.
   */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
}

/** What {@linkcode parseArgs} gives: flags by name, and the rest in `_`. */
// deno-lint-ignore no-explicit-any
export type Args = Record<string, any> & { _: (string | number)[]; "--"?: string[] };

const FLAG = /^--?(?<key>[^=]+)(?:=(?<value>.*))?$/s;
const NUMBER = /^(?:0x[0-9a-f]+|[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?)$/i;

function setOf(names: Names | undefined): Set<string> {
  return new Set(names === undefined ? [] : typeof names === "string" ? [names] : names);
}

function guess(text: string): string | number {
  return NUMBER.test(text) ? Number(text) : text;
}

/** Parses arguments. A flag's value follows it as the next argument, or after an equal sign. */
export function parseArgs(args: string[], options: ParseOptions = {}): Args {
  const booleans = setOf(options.boolean);
  const strings = setOf(options.string);
  const collected = setOf(options.collect);
  const parsed: Args = { _: [] };

  const set = (key: string, given: string | boolean, arg: string) => {
    if (!booleans.has(key) && !strings.has(key) && options.unknown?.(arg, key, given) === false) {
      return;
    }
    const value = typeof given === "string" && !strings.has(key) ? guess(given) : given;
    if (collected.has(key)) (parsed[key] ??= []).push(value);
    else parsed[key] = value;
  };

  const end = args.indexOf("--");
  const before = end < 0 ? args : args.slice(0, end);
  const after = end < 0 ? [] : args.slice(end + 1);
  for (let i = 0; i < before.length; i++) {
    const arg = before[i] ?? "";
    const { key, value } = arg.match(FLAG)?.groups ?? {};
    if (key === undefined) {
      if (options.unknown?.(arg) !== false) parsed._.push(strings.has("_") ? arg : guess(arg));
      if (options.stopEarly) {
        parsed._.push(...before.slice(i + 1));
        break;
      }
      continue;
    }
    const next = before[i + 1];
    if (value) {
      set(key, booleans.has(key) ? value !== "false" : value, arg);
    } else if (next !== undefined && next !== "" && !booleans.has(key) && !next.startsWith("-")) {
      set(key, next, arg);
      i++;
    } else if (next === "true" || next === "false") {
      set(key, next === "true", arg);
      i++;
    } else {
      set(key, strings.has(key) ? "" : true, arg);
    }
  }

  for (const [key, value] of Object.entries(options.default ?? {})) {
    if (!Object.hasOwn(parsed, key)) parsed[key] = value;
  }
  for (const key of booleans) parsed[key] ??= collected.has(key) ? [] : false;
  for (const key of strings) if (collected.has(key)) parsed[key] ??= [];
  if (options["--"]) parsed["--"] = after;
  else parsed._.push(...after);
  return parsed;
}
