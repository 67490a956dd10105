/**
 * Converts arguments of commands: to keys, integers, words. Errors use the texts of Redis. Pure.
 *
 * @module
 */
import { keyOfBytes } from "../../../shared/base/key_text.ts";
import { lenientText, REPLACEMENT } from "../../../shared/base/utf8_text.ts";
import { CommandError } from "./command.ts";
import { parseInteger } from "../protocol/integer_text.ts";

export const SYNTAX_ERROR = "ERR syntax error";
export const NOT_AN_INTEGER = "ERR value is not an integer or out of range";

const ASCII_BYTES_MAX = 64;

/** The key of an argument. @throws {CommandError} if it cannot be one */
export function keyOf(bytes: Uint8Array | undefined): string {
  if (bytes === undefined || bytes.length === 0) {
    throw new CommandError("ERR a key must not be empty");
  }
  const text = textOf(bytes);
  return text.includes(REPLACEMENT) ? keyOfBytes(bytes) : text;
}

/** The text of an argument; bytes that are not UTF-8 are replaced. */
export function textOf(bytes: Uint8Array): string {
  if (bytes.length <= ASCII_BYTES_MAX) {
    let all = 0;
    for (let i = 0; i < bytes.length; i++) all |= bytes[i] ?? 0;
    if (all < 0x80) return String.fromCharCode.apply(null, bytes as unknown as number[]);
  }
  return lenientText(bytes);
}

/** Whether an argument is a word, in whatever case. `word` is in lower case. */
export function isWord(bytes: Uint8Array, word: string): boolean {
  if (bytes.length !== word.length) return false;
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i] ?? 0;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
    if (lower !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** Which of the words, in lower case, an argument is; undefined for none. */
export function wordOf<const W extends string>(
  bytes: Uint8Array | undefined,
  words: readonly W[],
): W | undefined {
  return bytes === undefined ? undefined : words.find((word) => isWord(bytes, word));
}

/** An integer of 64 bits. @throws {CommandError} */
export function integerOf(bytes: Uint8Array | undefined, refusal = NOT_AN_INTEGER): bigint {
  const value = bytes === undefined ? undefined : parseInteger(bytes);
  if (value === undefined) throw new CommandError(refusal);
  return value;
}

/** An integer of 64 bits as a number; beyond 2^53 it counts as infinite. */
export function roughIntegerOf(bytes: Uint8Array | undefined, refusal = NOT_AN_INTEGER): number {
  return Number(integerOf(bytes, refusal));
}

/** The argument, which the arity guarantees. */
export function at(args: readonly Uint8Array[], index: number): Uint8Array {
  const argument = args[index];
  if (argument === undefined) throw new CommandError(SYNTAX_ERROR);
  return argument;
}

export function wrongArity(name: string): CommandError {
  return new CommandError(`ERR wrong number of arguments for '${name}' command`);
}
