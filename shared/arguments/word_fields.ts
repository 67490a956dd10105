/**
 * Named fields given as words: `--ttl 10m` of a shell's line, `TTL 10m` of a RESP command, `ttl=10m` of
 * a query. This file knows which names a field has, and reads a list of them into an object. Whether the
 * fields belong to an operation or to a command of the shell is the caller's business.
 *
 * Invariant: an object gets only names of its fields, and only values that pass the field's check.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { parseDuration, parseField, wordRequires } from "./field_text.ts";
import type { Field, Fields } from "../schema/fields.ts";

/** A word: text, or bytes if the front end has bytes. */
export type RequestWord = string | Uint8Array;

/** An option: its name, in any case and with `-` or `_`, and its word; flags may have none. */
export type RequestOption = readonly [name: string, word?: RequestWord | undefined];

/** A field as it appears in the lines of a front end. */
export interface WordField {
  /** The field's name on the wire. */
  readonly name: string;
  readonly field: Field<unknown>;
  /** Its names as an option, in small letters with `-`. If there are two, the second requires a unit. */
  readonly optionNames: readonly [string, ...string[]];
}

/** A field with its names: `ttl_ms` is `--ttl-ms`, and `--ttl` if the word includes the unit. */
export function wordField(name: string, field: Field<unknown>): WordField {
  const option = optionName(name);
  const short = field.form === "duration" && option.endsWith("-ms") ? [option.slice(0, -3)] : [];
  return { name, field, optionNames: [option, ...short] };
}

/** All fields of a table, with their names. */
export function wordFields(fields: Fields): WordField[] {
  return Object.entries(fields).map(([name, field]) => wordField(name, field));
}

/** A name in the form that `optionNames` have. */
export function optionName(given: string): string {
  return given.toLowerCase().replaceAll("_", "-");
}

/** The field that an option's name stands for, or undefined. */
export function findOption<F extends WordField>(
  known: readonly F[],
  given: string,
): F | undefined {
  const name = optionName(given);
  return known.find(({ optionNames }) => optionNames.includes(name));
}

/**
 * Reads an option into an object.
 *
 * @param what the command that the option belongs to, for the error's text
 * @param label the option as it was typed, for the error's text
 * @throws {KvError} `bad_request`
 */
export function readOption(
  into: Record<string, unknown>,
  what: string,
  known: readonly WordField[],
  [given, word]: RequestOption,
  label = shownWord(given),
): void {
  const option = findOption(known, given);
  if (option === undefined) {
    const names = known.map(({ optionNames }) => `--${optionNames.at(-1)}`).join(", ") || "none";
    throw badWord(what, `unknown option ${shownWord(given)}; it takes ${names}`);
  }
  if (Object.hasOwn(into, option.name)) throw badWord(what, `${label} is given twice`);
  readWord(into, what, option, word, optionName(given) !== option.optionNames[0], label);
}

/** An option as in the shell. */
export function dashed(given: string): string {
  return `--${optionName(given)}`;
}

/**
 * Reads a field's word into an object.
 *
 * @param unitRequired whether a time must have a unit: some would take a number alone for seconds, and
 * others for milliseconds
 * @param label what the word is called in the error's text
 * @throws {KvError} `bad_request`
 */
export function readWord(
  into: Record<string, unknown>,
  what: string,
  option: WordField,
  word: RequestWord | undefined,
  unitRequired: boolean,
  label: string,
): void {
  const { name, field } = option;
  if (word === undefined) {
    if (field.form !== "flag") {
      throw badWord(what, `${label} needs a value: ${wordRequires(field, unitRequired)}`);
    }
    into[name] = true;
    return;
  }
  const text = wordText(what, label, word);
  const value = unitRequired ? parseDuration(text) : parseField(field, text);
  if (value === undefined || !field.is(value)) {
    const required = wordRequires(field, unitRequired, text);
    throw badWord(what, `${label} must be ${required}; given ${shownWord(text)}`);
  }
  into[name] = value;
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A word as text. @throws {KvError} `bad_request` if it is not UTF-8 */
export function wordText(what: string, of: string, word: RequestWord): string {
  if (typeof word === "string") return word;
  try {
    return strictUtf8.decode(word);
  } catch {
    throw badWord(what, `${of} must be UTF-8`);
  }
}

export function badWord(whose: string, what: string): KvError {
  return new KvError("bad_request", `${whose}: ${what}`);
}

export function shownWord(text: string): string {
  return JSON.stringify(text.length > 64 ? text.slice(0, 63) + "…" : text);
}
