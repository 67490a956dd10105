/** DUMP and RESTORE. @module */
import type { KeyRequest } from "../../../shared/wire/messages.ts";
import { valueOfReply } from "../../../shared/schema/value_codec.ts";
import { at, integerOf, keyOf, SYNTAX_ERROR, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  command,
  CommandError,
  type CommandSpec,
  KEY,
  type Plan,
  type PlanContext,
} from "../command/command.ts";
import { anyExpiry } from "../command/expiry_arguments.ts";
import { isNotFound, writeUnexpected } from "../command/replies.ts";
import { dumpString, restoreString } from "./rdb_string.ts";

const BAD_CHECKSUM = "ERR DUMP payload version or checksum are wrong";
const BAD_FORMAT = "ERR Bad data format";
const BAD_TTL = "ERR Invalid TTL value, must be >= 0";
const BUSY = "BUSYKEY Target key name already exists.";

interface RestoreOptions {
  readonly replace: boolean;
  readonly isDate: boolean;
}

/** @throws {CommandError} */
function optionsOf(args: Arguments): RestoreOptions {
  let [replace, isDate] = [false, false];
  let kept: string | undefined;
  for (let i = 4; i < args.length; i++) {
    const word = wordOf(args[i], ["replace", "absttl", "idletime", "freq"]);
    if (word === "replace") replace = true;
    else if (word === "absttl") isDate = true;
    else if (word !== undefined && i + 1 < args.length && (kept ?? word) === word) {
      // Redis keeps one of them to choose what it evicts; nothing is evicted here.
      kept = word;
      const value = integerOf(args[++i]);
      const range = word === "freq" ? " and <= 255" : "";
      if (value < 0n || (word === "freq" && value > 255n)) {
        throw new CommandError(`ERR Invalid ${word.toUpperCase()} value, must be >= 0${range}`);
      }
    } else throw new CommandError(SYNTAX_ERROR);
  }
  return { replace, isDate };
}

/** @throws {CommandError} */
function restore(args: Arguments, context: PlanContext): Plan {
  const key = keyOf(args[1]);
  const { replace, isDate } = optionsOf(args);
  const ttl = integerOf(args[2]);
  if (ttl < 0n) throw new CommandError(BAD_TTL);
  const bytes = restoreString(at(args, 3), context.valueBytesMax);
  if (bytes === "checksum") throw new CommandError(BAD_CHECKSUM);
  if (bytes === "format") throw new CommandError(BAD_FORMAT);
  const unit = { inSeconds: false, isDate };
  const expiry = ttl === 0n ? {} : anyExpiry(ttl, unit, context.wallMs(), "restore");
  const req_type = replace ? "put" : "create";
  const request: KeyRequest = { req_type, key, bytes, ...expiry };
  return {
    request,
    finish: (out, reply) => {
      if (reply.req_type === "error" && reply.code === "exists") out.error(BUSY);
      else if (reply.req_type === "ack") out.ok();
      else writeUnexpected(out, reply);
    },
  };
}

const about = (summary: string) => ({ group: "generic", since: "2.6.0", summary });

/** The rows. */
export const DUMP_COMMANDS: readonly CommandSpec[] = [
  command("dump", 2, "readonly", KEY, about("Return a serialized version of the value"), {
    kind: "plan",
    plan: (args) => ({
      request: { req_type: "get", key: keyOf(args[1]) },
      finish: (out, reply) => {
        if (reply.req_type === "data") out.bulk(dumpString(valueOfReply(reply)));
        else if (isNotFound(reply)) out.nil();
        else writeUnexpected(out, reply);
      },
    }),
  }),
  command("restore", -4, "write denyoom", KEY, about("Create a key from what DUMP has given"), {
    kind: "plan",
    plan: restore,
  }),
];
