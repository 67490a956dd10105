/**
 * A command for each operation on a key, made from the table of operations: its arguments, options, help and
 * example are those of the row, so a new operation becomes a new command by itself. How a reply looks is
 * defined here once for each kind of reply.
 *
 * @module
 */
import { fromErrorReply } from "../../../shared/wire/error_reply.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { wordRequires } from "../../../shared/arguments/field_text.ts";
import { described, flag, optional } from "../../../shared/schema/fields.ts";
import type { Message, Reply } from "../../../shared/wire/messages.ts";
import {
  argumentLabel,
  operationOf,
  operationsAt,
  requestFromWords,
  wordArguments,
  wordOptions,
} from "../../../shared/arguments/request_words.ts";
import type { OperationName } from "../../../shared/operations/table.ts";
import { encodeValue, previousOfReply } from "../../../shared/schema/value_codec.ts";
import {
  findOption,
  type RequestWord,
  type WordField,
  wordField,
} from "../../../shared/arguments/word_fields.ts";
import { checkExpiry, checkNumber } from "../command/argument_checks.ts";
import type { Argument, Command, CommandContext, CommandSettings } from "../command/command.ts";
import { commandName, type Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { entryOfReply } from "../../calls/key_calls.ts";
import { entryDocument, errorDocument, formatDocument, metadataLine } from "../command/output.ts";
import { readAll } from "./transfer_commands.ts";

/** Fields that are settings of the client; the table of settings has them. */
export const SETTING_FIELDS: readonly string[] = ["timeout_ms", "acks", "consistency"];

const WITH_METADATA = wordField(
  "with_metadata",
  described("Print version, date and expiry before the value", optional(flag), {
    fallback: "false",
  }),
);

export const KEY: Argument = { name: "KEY", key: true };

/** The commands, in the order of the table. */
export function operationCommands(): Command[] {
  return operationsAt("shell").flatMap((name) =>
    name === "increment" ? [operationCommand(name), decrement()] : [operationCommand(name)]
  );
}

function operationCommand(operationName: OperationName): Command {
  const operation = operationOf(operationName);
  const { shellName, aliases = [], reply, kind, summary, answers, example } = operation;
  const wireName = commandName(operationName);
  const name = shellName ?? wireName;
  const settings: (keyof CommandSettings)[] = kind === "read" ? ["consistency"] : ["acks"];
  const own = wordOptions(operation, "shell").filter((f) => !SETTING_FIELDS.includes(f.name));
  return {
    name,
    aliases: [...(name === wireName ? [] : [wireName]), ...aliases],
    arguments: [KEY, ...wordArguments(operation).map(commandArgument)],
    options: ["json", "timeoutMs", ...settings, ...(reply === "data" ? ["raw"] as const : [])],
    own: reply === "data" ? [...own, WITH_METADATA] : own,
    help: summary.charAt(0).toLowerCase() + summary.slice(1),
    answers,
    example: [name, ...example.words].join(" "),
    insideMulti: true,
    run: (args, context) => runOperation(operationName, args, context),
  };
}

function commandArgument(
  { name, field, optional }: WordField & { optional: boolean },
): Argument {
  const label = argumentLabel(name);
  if (name === "value" && field.form === "text") return { name: label, optional };
  const { summary = "", fallback } = field.about ?? {};
  // A time has no default here: if it is missing, another option says when, or nothing changes.
  const more = field.form === "duration"
    ? `: ${wordRequires(field, true)}`
    : optional && fallback !== undefined
    ? ` [default ${fallback}]`
    : "";
  return { name: label, optional, about: `${summary}${more}` };
}

/** `increment` by the negated number. */
function decrement(): Command {
  const up = operationCommand("increment");
  return {
    ...up,
    name: "decrement",
    aliases: ["decr"],
    help: "subtract an integer from a key's integer; a key that is not there counts as 0",
    example: "decrement stock 3",
    run: (args, context) => {
      const [key, by] = args;
      const turned = by?.text.startsWith("-") ? by.text.slice(1) : `-${by?.text ?? "1"}`;
      const words = key === undefined ? [] : [key, { text: turned, quoted: true }];
      checkNumber("decrement", { req_type: "increment", by: turned }, by?.text);
      return runOperation("increment", words, context);
    },
  };
}

async function runOperation(
  operationName: OperationName,
  args: readonly Word[],
  context: CommandContext,
): Promise<number> {
  const { given, settings, signal } = context;
  const takesValue = wordArguments(operationOf(operationName)).map(({ name }) => name === "value");
  const words: RequestWord[] = [];
  for (const [i, word] of args.entries()) {
    words.push(takesValue[i - 1] === true ? await argumentValue(word, context) : word.text);
  }
  const options = given.filter(([name]) => findOption([WITH_METADATA], name) === undefined);
  const request = requestFromWords(operationName, words, options, "shell");
  checkExpiry(request, context);
  checkNumber(request.req_type, request);
  const { open } = context.multi;
  if (open !== undefined) {
    open.requests.push(request);
    await context.io.write(`waits for exec (${open.requests.length})\n`);
    return EXIT.ok;
  }
  const { timeoutMs, consistency, acks } = settings;
  const client = await context.client();
  const reply = await client.execute(request, { timeoutMs, consistency, acks, signal });
  return await showReply(operationName, request.key, reply, context);
}

/** The text of an argument, or standard input for `-`. */
async function argumentValue(
  word: Word | undefined,
  { io }: CommandContext,
): Promise<RequestWord> {
  if (word === undefined || word.quoted || word.text !== "-") return word?.text ?? "";
  if (io.input === undefined) {
    throw new KvError(
      "bad_request",
      `a value of - is read from standard input, but the commands come from there now; quote it, "-"`,
    );
  }
  return await readAll(io.input);
}

/** Prints a reply, by its kind. @returns the exit code */
export async function showReply(
  operationName: OperationName,
  key: string,
  reply: Reply,
  context: CommandContext,
): Promise<number> {
  switch (reply.req_type) {
    case "data":
      await showData(key, reply, context);
      return EXIT.ok;
    case "ack":
      await showAck(operationName, key, reply, context);
      return EXIT.ok;
    case "result": {
      const { result } = reply;
      const text = typeof result === "object" && result !== null
        ? formatDocument(result)
        : `${result}\n`;
      await printEither(context, replyDocument(operationName, key, reply), text);
      return result === false ? EXIT.notFound : EXIT.ok;
    }
    default:
      throw new KvError("internal", `${operationName}: unexpected reply of ${reply.req_type}`);
  }
}

async function showData(
  key: string,
  reply: Message<"data">,
  context: CommandContext,
): Promise<void> {
  const { io, settings, given } = context;
  if (settings.json) {
    await io.write(JSON.stringify(replyDocument("get", key, reply)) + "\n");
    return;
  }
  const entry = entryOfReply(key, reply);
  const wanted = given.find(([name]) => findOption([WITH_METADATA], name) !== undefined);
  if (wanted !== undefined && wanted[1] !== "false") {
    await io.write(metadataLine(entry) + "\n");
  }
  await io.write(entry.value);
  if (!settings.raw) await io.write("\n");
}

async function showAck(
  operationName: OperationName,
  key: string,
  reply: Message<"ack">,
  context: CommandContext,
): Promise<void> {
  const { io, settings } = context;
  const said = operationName === "delete" ? "deleted\n" : `success (version ${reply.version})\n`;
  await printEither(context, replyDocument(operationName, key, reply), said);
  const previous = previousOfReply(reply);
  if (settings.json || previous === undefined) return;
  await io.write("before: ");
  await io.write(previous);
  await io.write("\n");
}

/** A reply as the JSON of `--json`. */
export function replyDocument(
  operationName: OperationName,
  key: string,
  reply: Reply,
): Record<string, unknown> {
  switch (reply.req_type) {
    case "data":
      return entryDocument(entryOfReply(key, reply));
    case "ack": {
      const previous = previousOfReply(reply);
      const before = previous === undefined ? {} : previousDocument(previous);
      return operationName === "delete"
        ? { key, deleted: true, ...before }
        : { key, version: reply.version, ...before };
    }
    case "result": {
      const { result, version } = reply;
      if (operationName === "exists") return { key, exists: result };
      return { key, result, ...(version === undefined ? {} : { version }) };
    }
    case "error":
      return { key, ...errorDocument(fromErrorReply(reply)) };
    default:
      throw new KvError("internal", `${operationName}: unexpected reply of ${reply.req_type}`);
  }
}

function previousDocument(value: Uint8Array): Record<string, string> {
  const encoded = encodeValue(value);
  return "value" in encoded ? { previous: encoded.value } : { previous64: encoded.value64 };
}

/** One JSON document with `--json`, text otherwise. */
export async function printEither(
  context: CommandContext,
  document: unknown,
  text: string,
): Promise<void> {
  await context.io.write(context.settings.json ? JSON.stringify(document) + "\n" : text);
}
