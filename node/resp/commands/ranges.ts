/** Commands on parts of a string. @module */
import type { KeyRequest } from "../../../shared/wire/messages.ts";
import { valueOfReply } from "../../../shared/schema/value_codec.ts";
import {
  at,
  integerOf,
  isWord,
  keyOf,
  roughIntegerOf,
  SYNTAX_ERROR,
} from "../command/arguments.ts";
import {
  type Arguments,
  command,
  CommandError,
  type CommandSpec,
  KEY,
  TWO_KEYS,
} from "../command/command.ts";
import { TOO_LONG_ERROR } from "../command/error_text.ts";
import { findCommon, type LcsOptions, writeLcs } from "./lcs.ts";
import { integerReply, isNotFound, valueOrWrite, writeUnexpected } from "../command/replies.ts";

const NOTHING = new Uint8Array(0);

/** Both ends of a range, inclusive, negative ones counted from the end; undefined for an empty range. */
function rangeOf(
  start: number,
  end: number,
  length: number,
): readonly [from: number, to: number] | undefined {
  // As in Redis: this holds even if one of them would be moved to the first byte.
  if (start < 0 && end < 0 && start > end) return undefined;
  const from = Math.max(0, start < 0 ? length + start : start);
  const to = Math.min(length - 1, Math.max(0, end < 0 ? length + end : end));
  return length === 0 || from > to ? undefined : [from, to];
}

function getRange(args: Arguments) {
  const key = keyOf(args[1]);
  const start = roughIntegerOf(args[2]);
  const end = roughIntegerOf(args[3]);
  const request: KeyRequest = { req_type: "get", key };
  return {
    request,
    finish: ((out, reply) => {
      const value = valueOrWrite(out, reply, () => out.bulk(NOTHING));
      if (value === undefined) return;
      const range = rangeOf(start, end, value.length);
      out.bulk(range === undefined ? NOTHING : value.subarray(range[0], range[1] + 1));
    }) as typeof integerReply,
  };
}

function setRange(args: Arguments, { valueBytesMax }: { valueBytesMax: number }) {
  const key = keyOf(args[1]);
  const offset = integerOf(args[2]);
  const part = at(args, 3);
  if (offset < 0n) throw new CommandError("ERR offset is out of range");
  if (part.length > 0 && offset + BigInt(part.length) > BigInt(valueBytesMax)) {
    throw new CommandError(TOO_LONG_ERROR);
  }
  const request: KeyRequest = {
    req_type: "set_range",
    key,
    offset: part.length === 0 ? 0 : Number(offset),
    bytes: part.slice(),
  };
  return { request, finish: integerReply };
}

/** @throws {CommandError} */
function lcsOptions(args: Arguments): LcsOptions {
  const options = { length: false, indexes: false, minimum: 0, withLengths: false };
  for (let i = 3; i < args.length; i++) {
    const word = at(args, i);
    if (isWord(word, "idx")) options.indexes = true;
    else if (isWord(word, "len")) options.length = true;
    else if (isWord(word, "withmatchlen")) options.withLengths = true;
    else if (isWord(word, "minmatchlen") && i + 1 < args.length) {
      options.minimum = Math.max(0, roughIntegerOf(args[++i]));
    } else throw new CommandError(SYNTAX_ERROR);
  }
  if (options.indexes && options.length) {
    throw new CommandError("ERR If you want both the length and indexes, please just use IDX.");
  }
  return options;
}

const about = (since: string, summary: string) => ({ group: "string", since, summary });

/** The rows. */
export const RANGE_COMMANDS: readonly CommandSpec[] = [
  command(
    "append",
    3,
    "write denyoom fast",
    KEY,
    about("2.0.0", "Append a value to a key"),
    {
      kind: "plan",
      plan: (args, context) => ({
        request: {
          req_type: "append_value",
          key: keyOf(args[1]),
          bytes: context.copy(at(args, 2)),
        },
        finish: integerReply,
      }),
    },
  ),
  command(
    "strlen",
    2,
    "readonly fast",
    KEY,
    about("2.2.0", "Get the length of the value stored in a key"),
    {
      kind: "plan",
      plan: (args) => ({
        request: { req_type: "get", key: keyOf(args[1]) },
        finish: (out, reply) => {
          const value = valueOrWrite(out, reply, () => out.integer(0));
          if (value !== undefined) out.integer(value.length);
        },
      }),
    },
  ),
  command(
    "getrange",
    4,
    "readonly",
    KEY,
    about("2.4.0", "Get a substring of the string stored at a key"),
    { kind: "plan", plan: getRange },
  ),
  command(
    "substr",
    4,
    "readonly",
    KEY,
    about("1.0.0", "Get a substring of the string stored at a key: GETRANGE by its old name"),
    { kind: "plan", plan: getRange },
  ),
  command(
    "setrange",
    4,
    "write denyoom",
    KEY,
    about("2.2.0", "Overwrite part of a string at key starting at the specified offset"),
    { kind: "plan", plan: setRange },
  ),
  command(
    "lcs",
    -3,
    "readonly",
    TWO_KEYS,
    about("7.0.0", "Find longest common substring"),
    {
      kind: "plan",
      plan: (args) => {
        const options = lcsOptions(args);
        return {
          requests: [args[1], args[2]].map((key): KeyRequest => ({
            req_type: "get",
            key: keyOf(key),
          })),
          finishAll: (out, replies) => {
            const failed = replies.find((reply) => reply.req_type !== "data" && !isNotFound(reply));
            if (failed !== undefined) return writeUnexpected(out, failed);
            const [a = NOTHING, b = NOTHING] = replies.map((reply) =>
              reply.req_type === "data" ? valueOfReply(reply) : NOTHING
            );
            const found = findCommon(a, b);
            if (found !== undefined) writeLcs(out, found, options);
            else {
              out.error(
                "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
              );
            }
          },
        };
      },
    },
  ),
];
