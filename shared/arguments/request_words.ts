/**
 * Requests from words: converts a line of the shell, a RESP command or an example in a document into a
 * request of the wire. One function, made from the table, serves all of them, so no front end has
 * arguments of its own.
 *
 * Invariant: every request that this returns passes the wire's check of the same operation.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { bytesOfKey, isKeyText, keyOfBytes } from "../base/key_text.ts";
import type { KeyRequest } from "../wire/messages.ts";
import {
  badWord,
  dashed,
  findOption,
  optionName,
  readOption,
  readWord,
  type RequestOption,
  type RequestWord,
  type WordField,
  wordField,
  wordText,
} from "./word_fields.ts";
import type { FrontEnd, Operation } from "../operations/operation.ts";
import { type OperationName, OPERATIONS } from "../operations/table.ts";

/** A row of the table, with its general type. */
export function operationOf(name: OperationName): Operation {
  return OPERATIONS[name] as unknown as Operation;
}

/** The operations that a front end offers. */
export function operationsAt(frontEnd: FrontEnd): OperationName[] {
  return (Object.keys(OPERATIONS) as OperationName[])
    .filter((name) => operationOf(name).frontEnds.includes(frontEnd));
}

/** A field that follows the key without a name. */
export interface WordArgument extends WordField {
  readonly optional: boolean;
}

/** The arguments that follow the key, in order. */
export function wordArguments(operation: Operation): WordArgument[] {
  return operation.arguments.map((argument) => {
    const optional = argument.endsWith("?");
    return { ...fieldOf(operation, optional ? argument.slice(0, -1) : argument), optional };
  });
}

/** The fields that are given by name at a front end; arguments may be named too, but are not listed. */
export function wordOptions(operation: Operation, frontEnd: FrontEnd): WordField[] {
  const named = new Set(wordArguments(operation).map(({ name }) => name));
  return givable(operation, frontEnd).filter(({ name }) => !named.has(name));
}

/** Every field except the key that may be given at a front end. */
function givable(operation: Operation, frontEnd: FrontEnd): WordField[] {
  return Object.keys(operation.fields)
    .filter((name) => name !== "key")
    .map((name) => fieldOf(operation, name))
    .filter(({ field }) => {
      const audience = field.about?.audience ?? "people";
      return audience === "people" || (audience === "programs" && frontEnd !== "shell");
    });
}

function fieldOf(operation: Operation, name: string): WordField {
  const field = operation.fields[name];
  if (field === undefined) throw new KvError("internal", `an argument ${name} without a field`);
  return wordField(name, field);
}

/** `set_range KEY OFFSET VALUE`. */
function wordPattern(name: string, operation: Operation): string {
  const words = wordArguments(operation).map(({ name, optional }) => {
    const word = argumentLabel(name);
    return optional ? `[${word}]` : word;
  });
  return [name, "KEY", ...words].join(" ");
}

/** An argument as a pattern shows it: `ttl_ms` is a `TTL`, because it is written with its unit. */
export function argumentLabel(name: string): string {
  return name.replace(/_ms$/, "").toUpperCase();
}

/**
 * The request that words and options stand for.
 *
 * @param words the key, then the operation's arguments in order
 * @throws {KvError} `bad_request`, naming the operation, what is wrong and what is required
 */
export function requestFromWords(
  operationName: OperationName,
  words: readonly RequestWord[],
  options: Iterable<RequestOption>,
  frontEnd: FrontEnd,
): KeyRequest {
  const operation = operationOf(operationName);
  const request: Record<string, unknown> = { req_type: operationName };
  const positions = wordArguments(operation);
  const [key, ...rest] = words;
  if (key === undefined || rest.length > positions.length) {
    throw wrongCount(operationName, operation, words.length);
  }
  request.key = typeof key === "string" ? key : keyOfBytes(key);
  rest.forEach((word, i) => {
    const position = positions[i];
    if (position === undefined) return;
    if (position.name === "value") Object.assign(request, valueFields(operationName, word));
    else {
      const { name, optionNames } = position;
      const label = argumentLabel(name);
      readWord(request, operationName, position, word, optionNames.length > 1, label);
    }
  });
  const known = givable(operation, frontEnd);
  for (const option of options) {
    const [name, word] = option;
    if (findOption(known, name)?.name === "value" && word !== undefined) {
      if (hasValue(request)) {
        throw badWord(operationName, `"value" is given twice`);
      }
      Object.assign(request, valueFields(operationName, word));
    } else {
      const label = frontEnd === "shell" ? dashed(name) : undefined;
      readOption(request, operationName, known, option, label);
    }
  }
  checkRequired(request, operationName, operation, words.length);
  return request as unknown as KeyRequest;
}

/**
 * The request that one row of words stands for, as in RESP: the key, the arguments, then options as
 * `NAME word`, and flags as `NAME` alone. If an argument is optional, a word that is an option's name is
 * the option.
 *
 * @throws {KvError} `bad_request`
 */
export function requestFromRow(
  operationName: OperationName,
  row: readonly RequestWord[],
  frontEnd: FrontEnd,
): KeyRequest {
  const operation = operationOf(operationName);
  const known = givable(operation, frontEnd);
  const nameAt = (i: number) => wordText(operationName, "an option's name", row[i] ?? "");
  const optionAt = (i: number) =>
    (row[i]?.length ?? 0) > 64 ? undefined : findOption(known, optionName(nameAt(i)));
  // The key, then the arguments; the first option's name ends the optional ones.
  let at = Math.min(1, row.length);
  for (const { optional } of wordArguments(operation)) {
    if (at >= row.length || (optional && optionAt(at) !== undefined)) break;
    at++;
  }
  const words = row.slice(0, at);
  const options: RequestOption[] = [];
  while (at < row.length) {
    const isFlag = optionAt(at)?.field.form === "flag";
    options.push(isFlag ? [nameAt(at)] : [nameAt(at), row[at + 1]]);
    at += isFlag ? 1 : 2;
  }
  return requestFromWords(operationName, words, options, frontEnd);
}

function hasValue(request: object): boolean {
  return ["value", "value64", "bytes"].some((name) => Object.hasOwn(request, name));
}

function valueFields(what: string, word: RequestWord): object {
  if (typeof word !== "string") return { bytes: word };
  if (word.isWellFormed()) return { value: word };
  if (isKeyText(word)) return { bytes: bytesOfKey(word) };
  throw badWord(what, "the value has half of a surrogate pair, which is not Unicode text");
}

function checkRequired(
  request: Record<string, unknown>,
  operationName: OperationName,
  operation: Operation,
  given: number,
): void {
  for (const { name, optional } of wordArguments(operation)) {
    if (optional || Object.hasOwn(request, name)) continue;
    if (name === "value" && hasValue(request)) continue;
    throw wrongCount(operationName, operation, given);
  }
  for (const [name, field] of Object.entries(operation.fields)) {
    if (field.optional || Object.hasOwn(request, name)) continue;
    throw badWord(operationName, `"${name}" is missing; it must be ${field.requires}`);
  }
}

function wrongCount(name: OperationName, operation: Operation, given: number): KvError {
  const most = operation.arguments.length + 1;
  const least = most - operation.arguments.filter((argument) => argument.endsWith("?")).length;
  const wanted = least === most ? `${most}` : `${least} to ${most}`;
  const pattern = wordPattern(name, operation);
  return badWord(
    name,
    `required ${wanted} argument${wanted === "1" ? "" : "s"}, given ${given}: ${pattern}`,
  );
}
