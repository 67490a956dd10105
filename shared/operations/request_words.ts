/**
 * Requests from words: what a line of the shell, a RESP command or an example of a document says of an
 * operation, as the request of the wire. One function for all of them, made from the table, so that
 * no door has arguments of its own.
 *
 * Invariant: what comes out passes the wire's check of the same operation.
 *
 * @module
 */
import { KvError } from "../errors.ts";
import { parseDuration, parseField, wordPlaceholder, wordRequires } from "../field_text.ts";
import type { Field } from "../fields.ts";
import type { KeyRequest } from "../messages.ts";
import { encodeValue } from "../value_codec.ts";
import type { Door, Operation } from "./operation.ts";
import { type OperationName, OPERATIONS } from "./table.ts";

/** A word: text, or bytes where the door has them. */
export type RequestWord = string | Uint8Array;

/** An option: its name, in any case and with `-` or `_`, and its word; flags have none. */
export type RequestOption = readonly [name: string, word?: RequestWord];

/** A field as a door's lines have it. */
export interface WordField {
  /** The field's name on the wire. */
  readonly name: string;
  readonly field: Field<unknown>;
  /** Its names as an option, in small letters with `-`. Of two, the second demands a unit. */
  readonly optionNames: readonly string[];
}

/** A row of the table, with its name, of the general type. */
export function operationOf(name: OperationName): Operation {
  return OPERATIONS[name] as unknown as Operation;
}

/** The operations that a door shows. */
export function operationsAt(door: Door): OperationName[] {
  return (Object.keys(OPERATIONS) as OperationName[])
    .filter((name) => operationOf(name).doors.includes(door));
}

/** The arguments behind the key, in order, and whether they may be left out. */
export function wordArguments(operation: Operation): (WordField & { optional: boolean })[] {
  return operation.arguments.map((argument) => {
    const optional = argument.endsWith("?");
    return { ...wordField(operation, optional ? argument.slice(0, -1) : argument), optional };
  });
}

/** The fields that a door's lines give by name; arguments may be given so too, but are not listed. */
export function wordOptions(operation: Operation, door: Door): WordField[] {
  const named = new Set(wordArguments(operation).map(({ name }) => name));
  return givable(operation, door).filter(({ name }) => !named.has(name));
}

/** Every field that may be given at a door, but for the key. */
function givable(operation: Operation, door: Door): WordField[] {
  return Object.keys(operation.fields)
    .filter((name) => name !== "key")
    .map((name) => wordField(operation, name))
    .filter(({ field }) => {
      const audience = field.about?.audience ?? "people";
      return audience === "people" || (audience === "programs" && door !== "shell");
    });
}

function wordField(operation: Operation, name: string): WordField {
  const field = operation.fields[name];
  if (field === undefined) throw new KvError("internal", `no field ${name}`);
  const option = name.replaceAll("_", "-");
  const short = field.form === "duration" && option.endsWith("-ms") ? [option.slice(0, -3)] : [];
  return { name, field, optionNames: [option, ...short] };
}

/** `put KEY VALUE [--ttl-ms TIME] …` without the options: `put KEY VALUE`. */
export function wordPattern(name: string, operation: Operation): string {
  const words = wordArguments(operation).map(({ name, optional }) => {
    const word = argumentLabel(name);
    return optional ? `[${word}]` : word;
  });
  return [name, "KEY", ...words].join(" ");
}

/** An argument as a pattern shows it: `ttl_ms` is a `TTL`, since it is written with its unit. */
export function argumentLabel(name: string): string {
  return name.replace(/_ms$/, "").toUpperCase();
}

/** An option as a pattern shows it: `--ttl TIME`. */
export function optionLabel({ field, optionNames }: WordField): string {
  const placeholder = wordPlaceholder(field);
  return `--${optionNames.at(-1)}${placeholder === "" ? "" : ` ${placeholder}`}`;
}

/**
 * The request that words and options mean.
 *
 * @param words the key, then the operation's arguments in order
 * @throws {KvError} `bad_request`, naming the operation, what is wrong and what is required
 */
export function requestFromWords(
  operationName: OperationName,
  words: readonly RequestWord[],
  options: Iterable<RequestOption>,
  door: Door,
): KeyRequest {
  const operation = operationOf(operationName);
  const request: Record<string, unknown> = { req_type: operationName };
  const positions = wordArguments(operation);
  const [key, ...rest] = words;
  if (key === undefined || rest.length > positions.length) {
    throw wrongCount(operationName, operation, words.length);
  }
  request.key = decodeText(operationName, "the key", key);
  rest.forEach((word, i) => {
    const position = positions[i];
    if (position !== undefined) setField(request, position, word, needsUnit(position));
  });
  const known = givable(operation, door);
  for (const [given, word] of options) {
    const name = given.toLowerCase().replaceAll("_", "-");
    const option = known.find(({ optionNames }) => optionNames.includes(name));
    if (option === undefined) throw unknownOption(operationName, operation, given, door);
    if (Object.hasOwn(request, option.name)) {
      throw bad(operationName, `${JSON.stringify(option.name)} is given twice`);
    }
    setField(request, option, word, name !== option.optionNames[0]);
  }
  checkRequired(request, operationName, operation, words.length);
  return request as unknown as KeyRequest;
}

/**
 * The request that one row of words means, as RESP has it: the key, the arguments, then options as
 * `NAME word`, flags as `NAME` alone. Where an argument may be left out, a word that is an option's name
 * is the option.
 *
 * @throws {KvError} `bad_request`
 */
export function requestFromRow(
  operationName: OperationName,
  row: readonly RequestWord[],
  door: Door,
): KeyRequest {
  const operation = operationOf(operationName);
  const positions = wordArguments(operation);
  const known = givable(operation, door);
  const optionAt = (i: number) => {
    const word = row[i];
    const name = word === undefined || word.length > 64
      ? undefined
      : decodeText(operationName, "an option", word).toLowerCase().replaceAll("_", "-");
    return known.find(({ optionNames }) => name !== undefined && optionNames.includes(name));
  };
  // The key, then the arguments; the first option's name ends them.
  let at = Math.min(1, row.length);
  for (const { optional } of positions) {
    if (at >= row.length || (optional && optionAt(at) !== undefined)) break;
    at++;
  }
  const words = row.slice(0, at);
  const options: RequestOption[] = [];
  while (at < row.length) {
    const name = decodeText(operationName, "an option", row[at] ?? "");
    const takesNone = optionAt(at)?.field.form === "flag";
    if (takesNone) {
      options.push([name]);
      at++;
      continue;
    }
    const word = row[at + 1];
    options.push(word === undefined ? [name] : [name, word]);
    at += 2;
  }
  return requestFromWords(operationName, words, options, door);
}

/** A number alone would be taken for seconds by some and for milliseconds by others. */
function needsUnit({ field, optionNames }: WordField): boolean {
  return field.form === "duration" && optionNames.length > 1;
}

function setField(
  request: Record<string, unknown>,
  { name, field }: WordField,
  word: RequestWord | undefined,
  unitRequired: boolean,
): void {
  const what = String(request.req_type);
  if (word === undefined) {
    if (field.form !== "flag") {
      throw bad(what, `${JSON.stringify(name)} needs a value: ${wordRequires(field)}`);
    }
    request[name] = true;
    return;
  }
  if (name === "value") {
    Object.assign(request, valueFields(what, word));
    return;
  }
  const text = decodeText(what, JSON.stringify(name), word);
  const value = unitRequired ? parseDuration(text) : parseField(field, text);
  if (value === undefined) {
    const required = unitRequired
      ? "a time with its unit, such as 10m, 1h30m or 500ms"
      : wordRequires(field);
    throw bad(what, `${JSON.stringify(name)} must be ${required}; given ${shown(text)}`);
  }
  request[name] = value;
}

function valueFields(what: string, word: RequestWord): object {
  if (typeof word !== "string") return encodeValue(word);
  if (!word.isWellFormed()) {
    throw bad(what, `the value has half of a surrogate pair, which is not Unicode text`);
  }
  return { value: word };
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decodeText(operation: string, what: string, word: RequestWord): string {
  if (typeof word === "string") return word;
  try {
    return strictUtf8.decode(word);
  } catch {
    throw bad(operation, `${what} must be UTF-8`);
  }
}

function checkRequired(
  request: Record<string, unknown>,
  operationName: OperationName,
  operation: Operation,
  given: number,
): void {
  for (const { name, optional } of wordArguments(operation)) {
    if (optional || Object.hasOwn(request, name)) continue;
    if (name === "value" && Object.hasOwn(request, "value64")) continue;
    throw wrongCount(operationName, operation, given);
  }
  for (const [name, field] of Object.entries(operation.fields)) {
    if (field.optional || Object.hasOwn(request, name)) continue;
    throw bad(operationName, `${JSON.stringify(name)} is missing; it must be ${field.requires}`);
  }
}

function wrongCount(name: OperationName, operation: Operation, given: number): KvError {
  const most = operation.arguments.length + 1;
  const least = most - operation.arguments.filter((argument) => argument.endsWith("?")).length;
  const wanted = least === most ? `${most}` : `${least} to ${most}`;
  return bad(
    name,
    `required ${wanted} argument${wanted === "1" ? "" : "s"}, given ${given}: ${
      wordPattern(name, operation)
    }`,
  );
}

function unknownOption(
  name: OperationName,
  operation: Operation,
  given: string,
  door: Door,
): KvError {
  const known = wordOptions(operation, door).map(({ optionNames }) => optionNames.at(-1));
  return bad(name, `unknown option ${shown(given)}; it takes ${known.join(", ")}`);
}

function bad(operation: string, what: string): KvError {
  return new KvError("bad_request", `${operation}: ${what}`);
}

function shown(text: string): string {
  return JSON.stringify(text.length > 64 ? text.slice(0, 63) + "…" : text);
}
