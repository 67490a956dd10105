/** BITOP, BITPOS, BITFIELD and BITFIELD_RO. @module */
import { at, keyOf, roughIntegerOf, SYNTAX_ERROR, textOf, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  command,
  CommandError,
  type CommandSpec,
  KEY,
  type Write,
} from "../command/command.ts";
import { parseInteger } from "../protocol/integer_text.ts";
import type { RespWriter } from "../protocol/writer.ts";
import { thrownText, valueOrWrite } from "../command/replies.ts";
import { VALUE_BYTES_MAX } from "../../../shared/limits/wire.ts";
import { type FieldType, fitted, type Overflow, readField, writeField } from "./bit_fields.ts";
import { combine, findBit } from "./bit_strings.ts";

const BAD_OFFSET = "ERR bit offset is not an integer or out of range";
const BAD_TYPE =
  "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.";

/** Where BITPOS looks, in bits, both included. @throws {CommandError} */
function rangeOf(args: Arguments, length: number): { from: number; to: number; ended: boolean } {
  if (args.length > 6) throw new CommandError(SYNTAX_ERROR);
  // In the order in which Redis finds mistakes.
  let start = args.length > 3 ? roughIntegerOf(args[3]) : 0;
  const unit = args.length === 6 ? wordOf(args[5], ["byte", "bit"]) : "byte";
  if (unit === undefined) throw new CommandError(SYNTAX_ERROR);
  const total = unit === "bit" ? length * 8 : length;
  let end = args.length > 4 ? roughIntegerOf(args[4]) : total - 1;
  if (start < 0) start = Math.max(0, total + start);
  if (end < 0) end = Math.max(0, total + end);
  end = Math.min(end, total - 1);
  const [from, to] = unit === "bit" ? [start, end] : [start * 8, end * 8 + 7];
  return { from, to: start > end ? -1 : to, ended: args.length > 4 };
}

/** @throws {CommandError} */
function bitOf(argument: Uint8Array): 0 | 1 {
  const bit = parseInteger(argument);
  if (bit === undefined) throw new CommandError("ERR value is not an integer or out of range");
  if (bit !== 0n && bit !== 1n) throw new CommandError("ERR The bit argument must be 1 or 0.");
  return bit === 0n ? 0 : 1;
}

/** @throws {CommandError} */
function positionOf(value: Uint8Array, args: Arguments): number {
  const bit = bitOf(at(args, 2));
  const { from, to, ended } = rangeOf(args, value.length);
  if (to < from) return -1;
  const found = findBit(value, bit, from, to);
  // A string is followed by zeros, unless its end was named.
  return found === -1 && bit === 0 && !ended ? to + 1 : found;
}

/** One step of BITFIELD. */
interface FieldStep {
  readonly kind: "get" | "set" | "incrby";
  readonly type: FieldType;
  readonly offset: number;
  readonly value: bigint;
  readonly overflow: Overflow;
}

/** @throws {CommandError} */
function typeOf(argument: Uint8Array): FieldType {
  const [, sign, digits] = /^([iu])([1-9]\d?)$/.exec(textOf(argument).toLowerCase()) ?? [];
  const bits = Number(digits);
  const signed = sign === "i";
  if (sign === undefined || bits > (signed ? 64 : 63)) throw new CommandError(BAD_TYPE);
  return { signed, bits };
}

/** `#N` is the Nth field of this width. @throws {CommandError} */
function offsetOf(argument: Uint8Array, bits: number): number {
  const counted = argument[0] === 0x23;
  const number = parseInteger(counted ? argument.subarray(1) : argument);
  const offset = number === undefined ? -1 : Number(number) * (counted ? bits : 1);
  if (offset < 0 || offset + bits > VALUE_BYTES_MAX * 8) throw new CommandError(BAD_OFFSET);
  return offset;
}

/** @throws {CommandError} */
function fieldSteps(args: Arguments, readOnly: boolean): FieldStep[] {
  const steps: FieldStep[] = [];
  let overflow: Overflow = "wrap";
  for (let i = 2; i < args.length;) {
    const word = wordOf(args[i], ["get", "set", "incrby", "overflow"]);
    if (word === "overflow" && i + 1 < args.length) {
      const chosen = wordOf(args[i + 1], ["wrap", "sat", "fail"]);
      if (chosen === undefined) throw new CommandError("ERR Invalid OVERFLOW type specified");
      overflow = chosen;
      i += 2;
      continue;
    }
    const count = word === "get" ? 3 : 4;
    if (word === undefined || word === "overflow" || i + count > args.length) {
      throw new CommandError(SYNTAX_ERROR);
    }
    if (readOnly && word !== "get") {
      throw new CommandError("ERR BITFIELD_RO only supports the GET subcommand");
    }
    const type = typeOf(at(args, i + 1));
    const offset = offsetOf(at(args, i + 2), type.bits);
    const value = word === "get" ? 0n : parseInteger(at(args, i + 3));
    if (value === undefined) throw new CommandError("ERR value is not an integer or out of range");
    steps.push({ kind: word, type, offset, value, overflow });
    i += count;
  }
  return steps;
}

/**
 * Carries the steps out on a value. As in Redis, the value first gets room for all that are to write, even for one that
 * then fails because of its overflow.
 *
 * @returns what each answers, and the new value if there is one
 */
function runFields(
  value: Uint8Array,
  steps: readonly FieldStep[],
): { answers: (bigint | undefined)[]; changed: Uint8Array | undefined } {
  const ends = steps.filter(({ kind }) => kind !== "get")
    .map(({ offset, type }) => Math.ceil((offset + type.bits) / 8));
  const field = ends.length === 0 ? value : new Uint8Array(Math.max(value.length, ...ends));
  if (field !== value) field.set(value);
  let isChanged = field.length > value.length;
  const answers = steps.map(({ kind, type, offset, value: given, overflow }) => {
    const before = readField(field, offset, type);
    if (kind === "get") return before;
    // Redis takes what is set for a number without a sign if the field has none.
    const set = type.signed ? given : BigInt.asUintN(64, given);
    const after = fitted(kind === "set" ? set : before + given, type, overflow);
    if (after === undefined) return undefined;
    writeField(field, offset, type.bits, after);
    isChanged = true;
    return kind === "set" ? before : after;
  });
  return { answers, changed: isChanged ? field : undefined };
}

function writeAnswers(out: RespWriter, answers: readonly (bigint | undefined)[]): void {
  out.array(answers.length);
  for (const answer of answers) {
    if (answer === undefined) out.nil();
    else out.integer(answer);
  }
}

const about = (since: string, summary: string) => ({ group: "bitmap", since, summary });

/** The rows. */
export const BITMAP_COMMANDS: readonly CommandSpec[] = [
  command(
    "bitpos",
    -3,
    "readonly",
    KEY,
    about("2.8.7", "Find first bit set or clear in a string"),
    {
      kind: "plan",
      plan: (args) => {
        const bit = bitOf(at(args, 2));
        const copies = args.map((argument) => argument.slice());
        return {
          request: { req_type: "get", key: keyOf(args[1]) },
          finish: (out, reply) => {
            const value = valueOrWrite(out, reply, () => out.integer(bit === 0 ? 0 : -1));
            if (value === undefined) return;
            try {
              const position = positionOf(value, copies);
              out.integer(position);
            } catch (error) {
              out.error(thrownText(error));
            }
          },
        };
      },
    },
  ),
  command(
    "bitop",
    -4,
    "write denyoom",
    [2, -1, 1],
    about("2.6.0", "Perform bitwise operations between strings of one partition"),
    {
      kind: "view",
      keys: (args) => {
        const operation = wordOf(args[1], ["and", "or", "xor", "not"]);
        if (operation === undefined) throw new CommandError(SYNTAX_ERROR);
        if (operation === "not" && args.length !== 4) {
          throw new CommandError("ERR BITOP NOT must be called with a single source key.");
        }
        return args.slice(2).map((argument) => keyOf(argument));
      },
      run: (args, view): Write => {
        const operation = wordOf(args[1], ["and", "or", "xor", "not"]) ?? "and";
        const to = keyOf(args[2]);
        const sources = args.slice(3).map((argument) =>
          view.get(keyOf(argument))?.value ?? new Uint8Array()
        );
        const result = combine(operation, sources);
        if (result.length === 0) view.delete(to);
        else view.set(to, result, 0);
        return (out) => out.integer(result.length);
      },
    },
  ),
  command(
    "bitfield",
    -2,
    "write denyoom",
    KEY,
    about("3.2.0", "Perform arbitrary bitfield integer operations on strings"),
    {
      kind: "view",
      keys: (args) => {
        fieldSteps(args, false);
        return [keyOf(args[1])];
      },
      run: (args, view): Write => {
        const key = keyOf(args[1]);
        const entry = view.get(key);
        const { answers, changed } = runFields(
          entry?.value ?? new Uint8Array(),
          fieldSteps(args, false),
        );
        if (changed !== undefined) {
          view.set(key, changed, entry?.expiresAtMs ?? 0, entry?.contentType);
        }
        return (out) => writeAnswers(out, answers);
      },
    },
  ),
  command(
    "bitfield_ro",
    -2,
    "readonly fast",
    KEY,
    about("6.0.0", "Perform arbitrary read-only bitfield integer operations on strings"),
    {
      kind: "plan",
      plan: (args) => {
        const steps = fieldSteps(args, true);
        return {
          request: { req_type: "get", key: keyOf(args[1]) },
          finish: (out, reply) => {
            const none = () => writeAnswers(out, runFields(new Uint8Array(), steps).answers);
            const value = valueOrWrite(out, reply, none);
            if (value !== undefined) writeAnswers(out, runFields(value, steps).answers);
          },
        };
      },
    },
  ),
];
