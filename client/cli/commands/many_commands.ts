/**
 * Commands on many keys: `get-many`, `put-many`, `delete-many`; and `ttl`, which asks about one key. Each key
 * is an operation by itself, and a few run at a time; the results are printed in the order of the line.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { CLIENT_REQUESTS_IN_FLIGHT_MAX } from "../../../shared/limits/client.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import {
  operationOf,
  requestFromWords,
  wordOptions,
} from "../../../shared/arguments/request_words.ts";
import type { OperationName } from "../../../shared/operations/table.ts";
import { valueOfReply } from "../../../shared/schema/value_codec.ts";
import type { WordField } from "../../../shared/arguments/word_fields.ts";
import { inParallel } from "../../../shared/scheduling/in_parallel.ts";
import { checkExpiry } from "../command/argument_checks.ts";
import type { Command, CommandContext } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT, exitCodeOf } from "../command/exit_code.ts";
import { KEY, printEither, replyDocument, SETTING_FIELDS } from "./operation_commands.ts";
import {
  commandError,
  dateText,
  errorDocument,
  errorLine,
  keyLabel,
  timeLeft,
  valueLabel,
} from "../command/output.ts";

const KEYS = [{ ...KEY, repeats: true }];

/** The rows of the table. */
export const MANY_COMMANDS: readonly Command[] = [
  {
    name: "ttl",
    arguments: [KEY],
    options: ["json", "timeoutMs", "consistency"],
    help: "how long until a key expires, by the clock of its primary",
    example: "ttl session:7",
    run: runTtl,
  },
  {
    name: "get-many",
    aliases: ["mget"],
    arguments: KEYS,
    options: ["json", "timeoutMs", "consistency"],
    help: "the values of several keys, each by itself: a line KEY, tab, VALUE for each",
    answers: "a value with control characters is quoted as JSON, or is base64:…",
    example: "get-many user:1 user:2",
    run: (args, context) => runMany("get", args.map((key) => [key]), context),
  },
  {
    name: "put-many",
    aliases: ["mset"],
    arguments: [KEY, { name: "VALUE" }, { name: "KEY VALUE", optional: true, repeats: true }],
    options: ["json", "timeoutMs", "acks"],
    own: ownOf("put"),
    help: "write several keys, each by itself",
    example: "put-many user:1 alice user:2 bob --ttl 1h",
    run: (args, context) => runMany("put", pairs(args), context),
  },
  {
    name: "delete-many",
    aliases: ["mdel"],
    arguments: KEYS,
    options: ["json", "timeoutMs", "acks"],
    help: "delete several keys, each by itself",
    example: "delete-many user:1 user:2",
    run: (args, context) => runMany("delete", args.map((key) => [key]), context),
  },
];

function ownOf(operation: OperationName): WordField[] {
  return wordOptions(operationOf(operation), "shell")
    .filter(({ name }) => !SETTING_FIELDS.includes(name) && name !== "previous");
}

function pairs(args: readonly Word[]): Word[][] {
  if (args.length % 2 !== 0) {
    throw new KvError(
      "bad_request",
      `put-many: keys and values come in pairs, given ${args.length} words`,
    );
  }
  const list: Word[][] = [];
  for (let i = 0; i < args.length; i += 2) list.push(args.slice(i, i + 2));
  return list;
}

/** What follows the key on its line. */
function lineOf(operation: OperationName, reply: Reply): string | Uint8Array {
  if (reply.req_type === "data") return valueLabel(valueOfReply(reply));
  if (operation === "delete") return "deleted";
  return `success (version ${"version" in reply ? reply.version : ""})`;
}

/** @returns the exit code of the first key that failed, otherwise 0 */
async function runMany(
  operation: OperationName,
  rows: readonly (readonly Word[])[],
  context: CommandContext,
): Promise<number> {
  const { io, settings, signal, given } = context;
  const requests = rows.map((row) =>
    requestFromWords(operation, row.map(({ text }) => text), given, "shell")
  );
  for (const request of requests) checkExpiry(request, context);
  const { timeoutMs, consistency, acks } = settings;
  const client = await context.client();
  const ends = await eachOf(
    requests,
    (request) => client.execute(request, { timeoutMs, consistency, acks, signal }),
  );
  signal.throwIfAborted();
  let exitCode: number = EXIT.ok;
  const documents: unknown[] = [];
  for (const [i, end] of ends.entries()) {
    const key = requests[i]?.key ?? "";
    if (end instanceof KvError) {
      if (exitCode === EXIT.ok) exitCode = exitCodeOf(end.code);
      documents.push({ key, ...errorDocument(end) });
      if (!settings.json) io.note(`${keyLabel(key)}: ${errorLine(end)}`);
      continue;
    }
    documents.push(replyDocument(operation, key, end));
    if (settings.json) continue;
    await io.write(`${keyLabel(key)}\t`);
    await io.write(lineOf(operation, end));
    await io.write("\n");
  }
  if (settings.json) await io.write(JSON.stringify(documents) + "\n");
  return exitCode;
}

/** Runs requests, some at a time. @returns the reply of each, or its error */
export async function eachOf(
  requests: readonly KeyRequest[],
  run: (request: KeyRequest) => Promise<Reply>,
): Promise<(Reply | KvError)[]> {
  const ends: (Reply | KvError)[] = [];
  await inParallel(requests, { atOnce: CLIENT_REQUESTS_IN_FLIGHT_MAX }, async (request, i) => {
    try {
      ends[i] = await run(request);
    } catch (thrown) {
      ends[i] = commandError(thrown);
    }
  });
  return ends;
}

/** An error in the words of the command that was typed, and not of the operation behind it. */
function headedBy(command: string, operation: OperationName, error: unknown): unknown {
  const head = `${operation}: `;
  if (!(error instanceof KvError) || !error.message.startsWith(head)) return error;
  const text = `${command}: ${error.message.slice(head.length)}`;
  return new KvError(error.code, text, { cause: error });
}

async function runTtl(args: readonly Word[], context: CommandContext): Promise<number> {
  const { settings, signal } = context;
  const { timeoutMs, consistency } = settings;
  const request = requestFromWords("inspect", args.map(({ text }) => text), [], "shell");
  const client = await context.client();
  const reply = await client.execute(request, { timeoutMs, consistency, signal })
    .catch((error) => {
      throw headedBy("ttl", "inspect", error);
    });
  const { result } = reply as { result?: { expires_at?: number; ttl_ms?: number } };
  const { expires_at: at, ttl_ms: leftMs } = result ?? {};
  await printEither(
    context,
    { key: request.key, ...(at === undefined ? {} : { ttl_ms: leftMs, expires_at: at }) },
    at === undefined ? "never expires\n" : `${timeLeft(leftMs ?? 0)} (${dateText(at)})\n`,
  );
  return EXIT.ok;
}
