/**
 * The kinds of settings. Each can read a value as it was written (text from a flag or the environment,
 * or a YAML value) and can say what it requires.
 *
 * @module
 */
import { canonicalHost } from "../platform/host.ts";

/** One setting. Made by the functions below. */
export interface Setting<T> {
  readonly help: string;
  readonly fallback: T;
  /** Shown after the flag in `--help`: `N`, `TEXT`. */
  readonly placeholder: string;
  /** What a value must be, as it follows "must be". */
  readonly requires: string;
  /** False for a flag that is on or off. */
  readonly takesValue: boolean;
  /** Whether the flag may be given several times. */
  readonly repeats: boolean;
  /** The default as `--help` shows it; undefined if there is none. */
  readonly fallbackText: string | undefined;
  /** The value, or undefined if what was written is not one. */
  parse(given: unknown): T | undefined;
}

/** A setting's name on the command line and in YAML: `leaseMs` is `lease-ms`. */
export function flagOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

interface Common {
  readonly help: string;
  readonly placeholder?: string;
}

interface NumberBounds extends Common {
  readonly min: number;
  readonly max: number;
  /** Such as `ms`; for the help text. */
  readonly unit?: string;
}

/** Text that is never empty. */
export function text(options: Common & { default: string }): Setting<string> {
  return { ...textKind(options), fallback: options.default, fallbackText: options.default };
}

/** Text that may be left out. */
export function optionalText(
  options: Common & { readonly charactersMax?: number },
): Setting<string | undefined> {
  return { ...textKind(options), fallback: undefined, fallbackText: undefined };
}

/** A host name or an address, in the one form that {@linkcode canonicalHost} gives it. */
export function host(options: Common & { default: string }): Setting<string> {
  return { ...hostKind(options), fallback: options.default, fallbackText: options.default };
}

/** A host that may be left out. */
export function optionalHost(options: Common): Setting<string | undefined> {
  return { ...hostKind(options), fallback: undefined, fallbackText: undefined };
}

function hostKind(options: Common) {
  return {
    ...textKind({ placeholder: "HOST", ...options }),
    requires: "a host name, an IPv4 address or an IPv6 address, without a port",
    parse: (given: unknown) => canonicalHost(plainText(given) ?? ""),
  };
}

function textKind(options: Common & { readonly charactersMax?: number }) {
  const { charactersMax = Infinity } = options;
  return {
    help: options.help,
    placeholder: options.placeholder ?? "TEXT",
    requires: charactersMax === Infinity
      ? "a text that is not empty"
      : `a text of 1 to ${charactersMax} characters`,
    takesValue: true,
    repeats: false,
    parse: (given: unknown) => {
      const text = plainText(given);
      return text === "" || (text?.length ?? 0) > charactersMax ? undefined : text;
    },
  };
}

/** YAML reads `8080` and `true` as a number and a boolean; if text is wanted, this makes them text again. */
function plainText(given: unknown): string | undefined {
  if (typeof given === "string") return given;
  return typeof given === "number" || typeof given === "boolean" ? String(given) : undefined;
}

/** An integer within bounds. */
export function integer(options: NumberBounds & { default: number }): Setting<number> {
  return {
    ...integerKind(options),
    fallback: options.default,
    fallbackText: String(options.default),
  };
}

/** An integer within bounds that may be left out. */
export function optionalInteger(options: NumberBounds): Setting<number | undefined> {
  return { ...integerKind(options), fallback: undefined, fallbackText: undefined };
}

function integerKind(options: NumberBounds) {
  return numberKind(options, "an integer", /^[-+]?\d+$/);
}

/** A number within bounds, with or without a fraction. */
export function decimal(options: NumberBounds & { default: number }): Setting<number> {
  return {
    ...numberKind(options, "a number", /^[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?$/i),
    fallback: options.default,
    fallbackText: String(options.default),
  };
}

function numberKind(options: NumberBounds, noun: string, form: RegExp) {
  const { min, max, unit } = options;
  return {
    help: options.help,
    placeholder: options.placeholder ?? (unit === undefined ? "N" : unit.toUpperCase()),
    requires: `${noun} from ${min} to ${max}${unit === undefined ? "" : ` (${unit})`}`,
    takesValue: true,
    repeats: false,
    parse: (given: unknown) => {
      const text = plainText(given)?.trim();
      if (text === undefined || !form.test(text)) return undefined;
      const value = Number(text);
      return value >= min && value <= max ? value : undefined;
    },
  };
}

const SIZE_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kib: 1024,
  k: 1024,
  mib: 1024 ** 2,
  m: 1024 ** 2,
  gib: 1024 ** 3,
  g: 1024 ** 3,
};

/** A number of bytes: `65536`, `64KiB`, `64k`. */
export function bytes(options: Common & { default: number; min: number; max: number }) {
  const { min, max } = options;
  const kind: Setting<number> = {
    help: options.help,
    placeholder: options.placeholder ?? "SIZE",
    requires: `a size from ${sizeText(min)} to ${sizeText(max)}, such as 65536, 64KiB or 1GiB`,
    takesValue: true,
    repeats: false,
    fallback: options.default,
    fallbackText: sizeText(options.default),
    parse: (given) => {
      const [, digits, unit] = /^(\d+)\s*([a-z]*)$/i.exec(plainText(given)?.trim() ?? "") ?? [];
      const factor = unit === undefined ? undefined : SIZE_UNITS[unit.toLowerCase()];
      if (digits === undefined || factor === undefined) return undefined;
      const value = Number(digits) * factor;
      return value >= min && value <= max ? value : undefined;
    },
  };
  return kind;
}

function sizeText(value: number): string {
  for (const unit of ["GiB", "MiB", "KiB"]) {
    const factor = SIZE_UNITS[unit.toLowerCase()] ?? 1;
    if (value >= factor && value % factor === 0) return `${value / factor}${unit}`;
  }
  return String(value);
}

/** One of a few words. */
export function choice<const C extends string>(
  choices: readonly C[],
  options: Common & { default: C },
): Setting<C> {
  return {
    help: options.help,
    placeholder: options.placeholder ?? choices.join("|"),
    requires: `one of ${choices.join(", ")}`,
    takesValue: true,
    repeats: false,
    fallback: options.default,
    fallbackText: options.default,
    parse: (given) => choices.find((one) => one === plainText(given)),
  };
}

/** On or off; off by default. */
export function flag(options: Common): Setting<boolean> {
  return {
    help: options.help,
    placeholder: "",
    requires: "true or false",
    takesValue: false,
    repeats: false,
    fallback: false,
    fallbackText: undefined,
    parse: (given) => {
      const text = plainText(given);
      if (text === "true" || text === "1") return true;
      return text === "false" || text === "0" ? false : undefined;
    },
  };
}

/** Several texts: the flag repeated, or separated by commas, or a YAML list. */
export function texts(options: Common): Setting<readonly string[]> {
  return {
    help: options.help,
    placeholder: options.placeholder ?? "TEXT,…",
    requires: "one or more texts, separated by commas",
    takesValue: true,
    repeats: true,
    fallback: [],
    fallbackText: undefined,
    parse: (given) => {
      const parts = (Array.isArray(given) ? given : [given]).map(plainText);
      const all: string[] = [];
      for (const part of parts) {
        if (part === undefined) return undefined;
        all.push(...part.split(",").map((item) => item.trim()));
      }
      return all.includes("") ? undefined : all;
    },
  };
}

/** A port, 0 for any that is free, or `off`; it may be left out. */
export function portOrOff(options: Common): Setting<number | "off" | undefined> {
  const port = integerKind({ ...options, min: 0, max: 65_535 });
  return {
    ...port,
    placeholder: options.placeholder ?? "PORT|off",
    requires: `${port.requires}, or off`,
    fallback: undefined,
    fallbackText: undefined,
    parse: (given) => {
      // YAML reads `off` as false.
      const text = plainText(given)?.trim();
      return text === "off" || text === "false" ? "off" : port.parse(given);
    },
  };
}
