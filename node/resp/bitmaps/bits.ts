/** Commands on the bits of a string; bit 0 is the highest of the first byte. @module */
import type { KeyRequest } from "../../../shared/wire/messages.ts";
import { at, roughIntegerOf, SYNTAX_ERROR, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  command,
  CommandError,
  type CommandSpec,
  KEY,
} from "../command/command.ts";
import { keyOf } from "../command/arguments.ts";
import { parseInteger } from "../protocol/integer_text.ts";
import { integerReply, thrownText, valueOrWrite } from "../command/replies.ts";
import type { RespWriter } from "../protocol/writer.ts";

const BAD_OFFSET = "ERR bit offset is not an integer or out of range";
const BAD_BIT = "ERR bit is not an integer or out of range";

/** How many bits each byte has set. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => countOnes(byte));

function countOnes(byte: number): number {
  let count = 0;
  for (let left = byte; left > 0; left >>= 1) count += left & 1;
  return count;
}

/** @throws {CommandError} */
function offsetOf(argument: Uint8Array, valueBytesMax: number): number {
  const offset = parseInteger(argument);
  if (offset === undefined || offset < 0n || offset >= BigInt(valueBytesMax) * 8n) {
    throw new CommandError(BAD_OFFSET);
  }
  return Number(offset);
}

/** @throws {CommandError} */
function countBits(value: Uint8Array, args: Arguments): number {
  let from = 0;
  let to = value.length * 8 - 1;
  if (args.length > 2) {
    if (args.length !== 4 && args.length !== 5) throw new CommandError(SYNTAX_ERROR);
    let start = roughIntegerOf(args[2]);
    let end = roughIntegerOf(args[3]);
    if (start < 0 && end < 0 && start > end) return 0;
    const unit = args.length === 5 ? wordOf(args[4], ["byte", "bit"]) : "byte";
    if (unit === undefined) throw new CommandError(SYNTAX_ERROR);
    const total = unit === "bit" ? value.length * 8 : value.length;
    if (start < 0) start = Math.max(0, total + start);
    if (end < 0) end = Math.max(0, total + end);
    end = Math.min(end, total - 1);
    if (start > end) return 0;
    from = unit === "bit" ? start : start * 8;
    to = unit === "bit" ? end : end * 8 + 7;
  }
  return onesBetween(value, from, to);
}

/** The number of set bits in a range, both ends included. */
function onesBetween(value: Uint8Array, from: number, to: number): number {
  if (from > to) return 0;
  const first = Math.floor(from / 8);
  const last = Math.floor(to / 8);
  let count = 0;
  for (let i = first; i <= last; i++) {
    let byte = value[i] ?? 0;
    if (i === first) byte &= 0xff >> (from % 8);
    if (i === last) byte &= 0xff << (7 - (to % 8));
    count += ONES[byte & 0xff] ?? 0;
  }
  return count;
}

const about = (since: string, summary: string) => ({ group: "bitmap", since, summary });

/** The rows. */
export const BIT_COMMANDS: readonly CommandSpec[] = [
  command(
    "setbit",
    4,
    "write denyoom",
    KEY,
    about("2.2.0", "Sets or clears the bit at offset in the string value stored at key"),
    {
      kind: "plan",
      plan: (args, { valueBytesMax }) => {
        const key = keyOf(args[1]);
        const offset = offsetOf(at(args, 2), valueBytesMax);
        const bit = parseInteger(at(args, 3));
        if (bit !== 0n && bit !== 1n) throw new CommandError(BAD_BIT);
        const request: KeyRequest = { req_type: "set_bit", key, offset, bit: Number(bit) };
        return { request, finish: integerReply };
      },
    },
  ),
  command(
    "getbit",
    3,
    "readonly fast",
    KEY,
    about("2.2.0", "Returns the bit value at offset in the string value stored at key"),
    {
      kind: "plan",
      plan: (args, { valueBytesMax }) => {
        const key = keyOf(args[1]);
        const offset = offsetOf(at(args, 2), valueBytesMax);
        return {
          request: { req_type: "get", key },
          finish: (out, reply) => {
            const value = valueOrWrite(out, reply, () => out.integer(0));
            if (value === undefined) return;
            const byte = value[Math.floor(offset / 8)] ?? 0;
            out.integer((byte >> (7 - (offset % 8))) & 1);
          },
        };
      },
    },
  ),
  command(
    "bitcount",
    -2,
    "readonly",
    KEY,
    about("2.6.0", "Count set bits in a string"),
    {
      kind: "plan",
      plan: (args) => {
        const copies = args.length > 2 ? args.map((argument) => argument.slice()) : args;
        return {
          request: { req_type: "get", key: keyOf(args[1]) },
          // As in Redis: a key that does not exist has no bits, whatever arguments follow.
          finish: (out, reply) => {
            const value = valueOrWrite(out, reply, () => out.integer(0));
            if (value !== undefined) writeCount(out, value, copies);
          },
        };
      },
    },
  ),
];

function writeCount(out: RespWriter, value: Uint8Array, args: Arguments): void {
  let count: number;
  try {
    count = countBits(value, args);
  } catch (error) {
    out.error(thrownText(error));
    return;
  }
  out.integer(count);
}
