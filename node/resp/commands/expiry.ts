/** Commands on when keys expire. @module */
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import { integerOf, keyOf, textOf, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  command,
  CommandError,
  type CommandSpec,
  KEY,
  type PlanContext,
} from "../command/command.ts";
import { anyExpiry, type ExpiryUnit } from "../command/expiry_arguments.ts";
import { integerReply, isNotFound, writeUnexpected } from "../command/replies.ts";
import type { RespWriter } from "../protocol/writer.ts";

type When = "nx" | "xx" | "gt" | "lt";

/** @throws {CommandError} if options contradict each other */
function conditionsOf(args: Arguments): ReadonlySet<When> {
  const found = new Set<When>();
  for (const argument of args.slice(3)) {
    const word = wordOf(argument, ["nx", "xx", "gt", "lt"]);
    if (word === undefined) throw new CommandError(`ERR Unsupported option ${textOf(argument)}`);
    found.add(word);
  }
  if (found.has("nx") && found.size > 1) {
    throw new CommandError(
      "ERR NX and XX, GT or LT options at the same time are not compatible",
    );
  }
  if (found.has("gt") && found.has("lt")) {
    throw new CommandError("ERR GT and LT options at the same time are not compatible");
  }
  return found;
}

/** EXPIRE and its relatives, which differ in what their number means. */
function expiring(name: string, unit: ExpiryUnit, since: string, summary: string): CommandSpec {
  const plan = (args: Arguments, context: PlanContext) => {
    const key = keyOf(args[1]);
    const conditions = conditionsOf(args);
    const expiry = anyExpiry(integerOf(args[2]), unit, context.wallMs(), name);
    const when = whenOf(conditions);
    const request: KeyRequest = when === undefined
      ? { req_type: "expire", key, ...expiry }
      : { req_type: "expire", key, ...expiry, when };
    return { request, finish: integerReply };
  };
  return command(name, -3, "write fast", KEY, { group: "generic", since, summary }, {
    kind: "plan",
    plan,
  });
}

/** Combines several conditions into one: GT needs an expiry anyway. */
function whenOf(conditions: ReadonlySet<When>): When | "xx_lt" | undefined {
  if (conditions.has("gt")) return "gt";
  if (conditions.has("lt")) return conditions.has("xx") ? "xx_lt" : "lt";
  const [only] = conditions;
  return only;
}

/** The answer about when a key expires: -2 if there is no such key, -1 if it does not expire. */
function telling(
  name: string,
  since: string,
  summary: string,
  tell: (expiry: { expiresAtMs: number; leftMs: number }) => number,
): CommandSpec {
  const plan = (args: Arguments) => ({
    request: { req_type: "get", key: keyOf(args[1]) } as KeyRequest,
    finish: (out: RespWriter, reply: Reply) => {
      if (isNotFound(reply)) out.integer(-2);
      else if (reply.req_type !== "data") writeUnexpected(out, reply);
      else if (reply.expires_at === undefined) out.integer(-1);
      else out.integer(tell({ expiresAtMs: reply.expires_at, leftMs: reply.ttl_ms ?? 0 }));
    },
  });
  return command(name, 2, "readonly fast", KEY, { group: "generic", since, summary }, {
    kind: "plan",
    plan,
  });
}

const inSeconds = (ms: number) => Math.floor((ms + 500) / 1000);

/** The rows. */
export const EXPIRY_COMMANDS: readonly CommandSpec[] = [
  expiring(
    "expire",
    { inSeconds: true, isDate: false },
    "1.0.0",
    "Set a key's time to live in seconds",
  ),
  expiring(
    "pexpire",
    { inSeconds: false, isDate: false },
    "2.6.0",
    "Set a key's time to live in milliseconds",
  ),
  expiring(
    "expireat",
    { inSeconds: true, isDate: true },
    "1.2.0",
    "Set the expiration for a key as a UNIX timestamp",
  ),
  expiring(
    "pexpireat",
    { inSeconds: false, isDate: true },
    "2.6.0",
    "Set the expiration for a key as a UNIX timestamp specified in milliseconds",
  ),
  telling(
    "ttl",
    "1.0.0",
    "Get the time to live for a key in seconds",
    ({ leftMs }) => inSeconds(leftMs),
  ),
  telling(
    "pttl",
    "2.6.0",
    "Get the time to live for a key in milliseconds",
    ({ leftMs }) => leftMs,
  ),
  telling(
    "expiretime",
    "7.0.0",
    "Get the expiration Unix timestamp for a key",
    ({ expiresAtMs }) => inSeconds(expiresAtMs),
  ),
  telling(
    "pexpiretime",
    "7.0.0",
    "Get the expiration Unix timestamp for a key in milliseconds",
    ({ expiresAtMs }) => expiresAtMs,
  ),
  command(
    "persist",
    2,
    "write fast",
    KEY,
    { group: "generic", since: "2.2.0", summary: "Remove the expiration from a key" },
    {
      kind: "plan",
      plan: (args) => ({
        request: { req_type: "persist", key: keyOf(args[1]) },
        finish: integerReply,
      }),
    },
  ),
];
