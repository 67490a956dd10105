/**
 * Commands on strings: read, write, count. Those on parts of a string are in `ranges.ts`, those on bits in
 * `bits.ts`.
 *
 * @module
 */
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import {
  at,
  integerOf,
  keyOf,
  SYNTAX_ERROR,
  textOf,
  wordOf,
  wrongArity,
} from "../command/arguments.ts";
import {
  ALL_KEYS,
  type Arguments,
  command,
  CommandError,
  type CommandSpec,
  KEY,
  type OnePlan,
  type PlanContext,
} from "../command/command.ts";
import { type Expiry, type ExpiryUnit, positiveExpiry } from "../command/expiry_arguments.ts";
import { INT64_MIN } from "../protocol/integer_text.ts";
import {
  allOkReply,
  doneReply,
  integerReply,
  isNotFound,
  okOrNilReply,
  okReply,
  previousReply,
  textReply,
  valueReply,
  writeUnexpected,
} from "../command/replies.ts";
import { valueOfReply } from "../../../shared/schema/value_codec.ts";
import type { RespWriter } from "../protocol/writer.ts";

const UNITS: Readonly<Record<"ex" | "px" | "exat" | "pxat", ExpiryUnit>> = {
  ex: { inSeconds: true, isDate: false },
  px: { inSeconds: false, isDate: false },
  exat: { inSeconds: true, isDate: true },
  pxat: { inSeconds: false, isDate: true },
};

/** The options of SET and GETEX. */
interface Options {
  condition?: "nx" | "xx";
  get?: boolean;
  keepTtl?: boolean;
  persist?: boolean;
  unit?: keyof typeof UNITS;
  time?: Uint8Array;
}

const SET_WORDS = ["ex", "px", "nx", "xx", "get", "keepttl", "exat", "pxat"] as const;
const GETEX_WORDS = ["ex", "px", "persist", "exat", "pxat"] as const;

/** @throws {CommandError} if options contradict each other */
function readOptions(args: Arguments, from: number, of: "set" | "getex"): Options {
  const options: Options = {};
  for (let i = from; i < args.length; i++) {
    const word = wordOf(args[i], of === "set" ? SET_WORDS : GETEX_WORDS);
    // The same option given twice is no contradiction; of two times the last one counts.
    const { condition, keepTtl, persist, unit } = options;
    switch (word) {
      case "nx":
      case "xx":
        if (condition !== undefined && condition !== word) throw syntaxError();
        options.condition = word;
        break;
      case "get":
        options.get = true;
        break;
      case "keepttl":
        if (unit !== undefined) throw syntaxError();
        options.keepTtl = true;
        break;
      case "persist":
        if (unit !== undefined) throw syntaxError();
        options.persist = true;
        break;
      case undefined:
        throw syntaxError();
      default:
        if (keepTtl || persist || (unit !== undefined && unit !== word)) throw syntaxError();
        options.unit = word;
        options.time = at(args, ++i);
    }
  }
  return options;
}

function syntaxError(): CommandError {
  return new CommandError(SYNTAX_ERROR);
}

function optionExpiry(
  { unit, time }: Options,
  context: PlanContext,
  name: string,
): Expiry | undefined {
  if (unit === undefined) return undefined;
  return positiveExpiry(integerOf(time), UNITS[unit], context.wallMs(), name);
}

function set(args: Arguments, context: PlanContext) {
  const key = keyOf(args[1]);
  if (args.length === 3) {
    const request: KeyRequest = { req_type: "put", key, bytes: context.copy(at(args, 2)) };
    return { request, finish: okReply };
  }
  const options = readOptions(args, 3, "set");
  const request = {
    req_type: options.condition === "nx" ? "create" : options.condition === "xx" ? "update" : "put",
    key,
    bytes: context.copy(at(args, 2)),
    ...optionExpiry(options, context, "set"),
    ...(options.keepTtl === true ? { keep_ttl: true } : {}),
    ...(options.get === true ? { previous: true } : {}),
  } as KeyRequest;
  return { request, finish: options.get === true ? previousReply : okOrNilReply };
}

function getEx(args: Arguments, context: PlanContext): OnePlan {
  const key = keyOf(args[1]);
  const options = readOptions(args, 2, "getex");
  let expiry: Expiry | undefined;
  try {
    expiry = optionExpiry(options, context, "getex");
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    // As in Redis: that the key does not exist is reported first.
    const finish = (out: RespWriter, reply: Reply) =>
      isNotFound(reply) ? out.nil() : out.error(error.message);
    return { request: { req_type: "get", key }, finish };
  }
  const request: KeyRequest = expiry !== undefined
    ? { req_type: "get_and_expire", key, ...expiry }
    : options.persist === true
    ? { req_type: "get_and_expire", key, persist: true }
    : { req_type: "get", key };
  return { request, finish: valueReply };
}

function setExpiring(name: string, unit: ExpiryUnit) {
  return (args: Arguments, context: PlanContext) => {
    const key = keyOf(args[1]);
    const expiry = positiveExpiry(integerOf(args[2]), unit, context.wallMs(), name);
    const bytes = context.copy(at(args, 3));
    const request: KeyRequest = { req_type: "put", key, bytes, ...expiry };
    return { request, finish: okReply };
  };
}

function multiSet(args: Arguments, context: PlanContext) {
  if (args.length % 2 === 0) throw wrongArity("mset");
  const requests: KeyRequest[] = [];
  for (let i = 1; i < args.length; i += 2) {
    requests.push({ req_type: "put", key: keyOf(args[i]), bytes: context.copy(at(args, i + 1)) });
  }
  return { requests, finishAll: allOkReply, together: true } as const;
}

function increment(key: Uint8Array | undefined, by: string) {
  const request: KeyRequest = { req_type: "increment", key: keyOf(key), by };
  return { request, finish: integerReply };
}

const about = (since: string, summary: string) => ({ group: "string", since, summary });

/** The rows. */
export const STRING_COMMANDS: readonly CommandSpec[] = [
  command("get", 2, "readonly fast", KEY, about("1.0.0", "Get the value of a key"), {
    kind: "plan",
    plan: (args) => ({ request: { req_type: "get", key: keyOf(args[1]) }, finish: valueReply }),
  }),
  command(
    "set",
    -3,
    "write denyoom",
    KEY,
    about("1.0.0", "Set the string value of a key"),
    { kind: "plan", plan: set },
  ),
  command(
    "setnx",
    3,
    "write denyoom fast",
    KEY,
    about("1.0.0", "Set the value of a key, only if the key does not exist"),
    {
      kind: "plan",
      plan: (args, context) => ({
        request: { req_type: "create", key: keyOf(args[1]), bytes: context.copy(at(args, 2)) },
        finish: doneReply,
      }),
    },
  ),
  command(
    "setex",
    4,
    "write denyoom",
    KEY,
    about("2.0.0", "Set the value and expiration of a key"),
    { kind: "plan", plan: setExpiring("setex", UNITS.ex) },
  ),
  command(
    "psetex",
    4,
    "write denyoom",
    KEY,
    about("2.6.0", "Set the value and expiration in milliseconds of a key"),
    { kind: "plan", plan: setExpiring("psetex", UNITS.px) },
  ),
  command(
    "getset",
    3,
    "write denyoom fast",
    KEY,
    about("1.0.0", "Set the string value of a key and return its old value"),
    {
      kind: "plan",
      plan: (args, context) => ({
        request: {
          req_type: "put",
          key: keyOf(args[1]),
          bytes: context.copy(at(args, 2)),
          previous: true,
        },
        finish: previousReply,
      }),
    },
  ),
  command(
    "getdel",
    2,
    "write fast",
    KEY,
    about("6.2.0", "Get the value of a key and delete the key"),
    {
      kind: "plan",
      plan: (args) => ({
        request: { req_type: "delete", key: keyOf(args[1]), previous: true },
        finish: previousReply,
      }),
    },
  ),
  command(
    "getex",
    -2,
    "write fast",
    KEY,
    about("6.2.0", "Get the value of a key and optionally set its expiration"),
    { kind: "plan", plan: getEx },
  ),
  command(
    "mget",
    -2,
    "readonly fast",
    ALL_KEYS,
    about("1.0.0", "Get the values of all the given keys, each as of its own moment"),
    {
      kind: "plan",
      plan: (args) => ({
        requests: args.slice(1).map((key): KeyRequest => ({ req_type: "get", key: keyOf(key) })),
        finishAll: (out, replies) => {
          const failed = replies.find((reply) => reply.req_type !== "data" && !isNotFound(reply));
          if (failed !== undefined) return writeUnexpected(out, failed);
          out.array(replies.length);
          for (const reply of replies) {
            if (reply.req_type === "data") out.bulk(valueOfReply(reply));
            else out.nil();
          }
        },
      }),
    },
  ),
  command(
    "mset",
    -3,
    "write denyoom",
    [1, -1, 2],
    about("1.0.1", "Set multiple keys to multiple values, as one step"),
    { kind: "plan", plan: multiSet },
  ),
  command(
    "msetnx",
    -3,
    "write denyoom",
    [1, -1, 2],
    about("1.0.1", "Set multiple keys, only if none of the keys exist"),
    {
      kind: "view",
      keys: (args) => {
        if (args.length % 2 === 0) throw wrongArity("msetnx");
        return args.filter((_, i) => i % 2 === 1).map(keyOf);
      },
      run: (args, view) => {
        const keys = args.filter((_, i) => i % 2 === 1).map(keyOf);
        if (keys.some((key) => view.get(key) !== undefined)) return (out) => out.integer(0);
        keys.forEach((key, i) => view.set(key, at(args, 2 * i + 2).slice(), 0));
        return (out) => out.integer(1);
      },
    },
  ),
  command(
    "incr",
    2,
    "write denyoom fast",
    KEY,
    about("1.0.0", "Increment the integer value of a key by one"),
    { kind: "plan", plan: (args) => increment(args[1], "1") },
  ),
  command(
    "decr",
    2,
    "write denyoom fast",
    KEY,
    about("1.0.0", "Decrement the integer value of a key by one"),
    { kind: "plan", plan: (args) => increment(args[1], "-1") },
  ),
  command(
    "incrby",
    3,
    "write denyoom fast",
    KEY,
    about("1.0.0", "Increment the integer value of a key by the given amount"),
    { kind: "plan", plan: (args) => increment(args[1], String(integerOf(args[2]))) },
  ),
  command(
    "decrby",
    3,
    "write denyoom fast",
    KEY,
    about("1.0.0", "Decrement the integer value of a key by the given number"),
    {
      kind: "plan",
      plan: (args) => {
        const by = integerOf(args[2]);
        if (by === INT64_MIN) throw new CommandError("ERR decrement would overflow");
        return increment(args[1], String(-by));
      },
    },
  ),
  command(
    "incrbyfloat",
    3,
    "write denyoom fast",
    KEY,
    about("2.6.0", "Increment the float value of a key by the given amount"),
    {
      kind: "plan",
      plan: (args) => {
        const key = keyOf(args[1]);
        const by = textOf(at(args, 2));
        if (/^[+-]?inf(inity)?$/i.test(by)) {
          throw new CommandError("ERR increment would produce NaN or Infinity");
        }
        return { request: { req_type: "increment_float", key, by }, finish: textReply };
      },
    },
  ),
];
