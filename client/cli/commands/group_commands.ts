/**
 * Several operations at once. `multi`, `check`, `exec` and `discard` of the shell make a transaction of the
 * lines between them. `batch` reads requests from a file of JSON lines and runs each by itself or, with
 * `--atomic`, all of them as one transaction.
 *
 * @module
 */
import { parseBoundedJson } from "../../../shared/schema/bounded_json.ts";
import { decodeInner } from "../../../shared/wire/codec.ts";
import { fromErrorReply, toErrorReply } from "../../../shared/wire/error_reply.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { described, flag, optional } from "../../../shared/schema/fields.ts";
import { BATCH_REQUESTS_MAX, TRANSACTION_REQUESTS_MAX } from "../../../shared/limits/requests.ts";
import type { KeyRequest, Reply } from "../../../shared/wire/messages.ts";
import { wireForm } from "../../../shared/wire/wire_form.ts";
import { wordFields } from "../../../shared/arguments/word_fields.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT, exitCodeOf } from "../command/exit_code.ts";
import { readLines } from "../../transfer/import_format.ts";
import { eachOf } from "./many_commands.ts";
import { replyDocument, showReply } from "./operation_commands.ts";
import { openInput } from "./transfer_commands.ts";

const BATCH_FIELDS = {
  atomic: described(
    "All of them or none: one transaction",
    optional(flag),
  ),
};

/** The rows of the table. */
export const GROUP_COMMANDS: readonly Command[] = [
  {
    name: "multi",
    arguments: [],
    options: [],
    help: "begin a transaction: the following operations are queued for exec",
    example: "multi",
    shellOnly: true,
    run: runMulti,
  },
  {
    name: "check",
    arguments: [{ name: "KEY", key: true }, { name: "VERSION" }],
    options: [],
    help: "in a transaction: carry it out only if a key has this version (0: does not exist)",
    example: "check {7}stock 12",
    shellOnly: true,
    insideMulti: true,
    run: runCheck,
  },
  {
    name: "exec",
    arguments: [],
    options: ["json", "timeoutMs", "acks"],
    help: "carry out the transaction: all of it or nothing",
    answers: "the reply of each operation, in order",
    example: "exec",
    shellOnly: true,
    insideMulti: true,
    run: runExec,
  },
  {
    name: "discard",
    arguments: [],
    options: [],
    help: "forget the transaction",
    example: "discard",
    shellOnly: true,
    insideMulti: true,
    run: runDiscard,
  },
  {
    name: "batch",
    arguments: [{ name: "FILE" }],
    options: ["timeoutMs", "acks"],
    own: wordFields(BATCH_FIELDS),
    help:
      "carry out requests of the JSON wire, one per line, and print their replies; - is standard input",
    answers: "one line of JSON for each request, in order",
    example: "batch requests.jsonl --atomic",
    run: runBatch,
  },
];

async function runMulti(_: readonly Word[], { multi, io }: CommandContext): Promise<number> {
  if (multi.open !== undefined) throw new KvError("bad_request", "multi: one has begun already");
  multi.open = { requests: [], checks: [] };
  await io.write("operations wait for exec; discard forgets them\n");
  return EXIT.ok;
}

/** The transaction that `multi` has begun. */
function openOf(what: string, { multi }: CommandContext) {
  if (multi.open === undefined) throw new KvError("bad_request", `${what}: multi comes first`);
  return multi.open;
}

async function runCheck(args: readonly Word[], context: CommandContext): Promise<number> {
  const { checks } = openOf("check", context);
  const [key = "", version = ""] = args.map(({ text }) => text);
  if (!/^\d{1,15}$/.test(version)) {
    throw new KvError(
      "bad_request",
      `check: a version is a whole number from 0, given ${JSON.stringify(version)}`,
    );
  }
  checks.push([key, Number(version)]);
  await context.io.write("noted\n");
  return EXIT.ok;
}

async function runDiscard(_: readonly Word[], context: CommandContext): Promise<number> {
  openOf("discard", context);
  context.multi.open = undefined;
  await context.io.write("discarded\n");
  return EXIT.ok;
}

async function runExec(_: readonly Word[], context: CommandContext): Promise<number> {
  const { requests, checks } = openOf("exec", context);
  context.multi.open = undefined;
  const replies = await runTransaction(requests, checks, context);
  if (context.settings.json) {
    const documents = replies.map((reply, i) =>
      replyDocument(requests[i]?.req_type ?? "get", requests[i]?.key ?? "", reply)
    );
    await context.io.write(JSON.stringify(documents) + "\n");
    return EXIT.ok;
  }
  for (const [i, reply] of replies.entries()) {
    const request = requests[i];
    if (request === undefined) continue;
    await context.io.write(`${i + 1}) `);
    if (reply.req_type === "error") await context.io.write(`${reply.code}: ${reply.message}\n`);
    else await showReply(request.req_type, request.key, reply, { ...context, given: [] });
  }
  return EXIT.ok;
}

/** Carries out requests as one. @returns their replies, errors of single ones among them */
async function runTransaction(
  requests: readonly KeyRequest[],
  checks: readonly (readonly [string, number])[],
  { client, settings, signal }: CommandContext,
): Promise<readonly Reply[]> {
  const [first] = requests;
  const key = first?.key ?? checks[0]?.[0];
  if (key === undefined) return [];
  const { timeoutMs, acks } = settings;
  const request: KeyRequest = { req_type: "transaction", key, requests };
  if (checks.length > 0) request.checks = checks;
  const reply = await (await client()).execute(request, { timeoutMs, acks, signal });
  const replies = reply.req_type === "result" ? reply.result : undefined;
  if (Array.isArray(replies)) return replies as Reply[];
  throw new KvError("internal", `a transaction was answered with ${reply.req_type}`);
}

async function runBatch(args: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, given } = context;
  const { atomic }: { atomic?: boolean } = ownValues("batch", wordFields(BATCH_FIELDS), given);
  const file = await openInput("batch", args[0]?.text ?? "", context);
  const most = atomic === true ? TRANSACTION_REQUESTS_MAX : BATCH_REQUESTS_MAX;
  let waiting: KeyRequest[] = [];
  let exitCode: number = EXIT.ok;
  const finish = async () => {
    const { timeoutMs, acks } = settings;
    const client = await context.client();
    const ends = atomic === true
      ? await runTransaction(waiting, [], context)
      : await eachOf(waiting, (request) => client.execute(request, { timeoutMs, acks, signal }));
    signal.throwIfAborted();
    waiting = [];
    for (const end of ends) {
      const reply = end instanceof KvError ? toErrorReply(end) : end;
      if (reply.req_type === "error" && exitCode === EXIT.ok) {
        exitCode = exitCodeOf(fromErrorReply(reply).code);
      }
      await io.write(JSON.stringify(wireForm(reply)) + "\n");
    }
  };
  let line = 0;
  for await (const text of readLines(file.chunks)) {
    line++;
    signal.throwIfAborted();
    if (text === undefined || text.trim() !== "") waiting.push(requestOf(text, line));
    if (atomic === true && waiting.length > most) {
      throw new KvError("transaction_too_large", `batch: at most ${most} requests can be one`);
    }
    if (atomic !== true && waiting.length === most) await finish();
  }
  if (waiting.length > 0) await finish();
  return exitCode;
}

function requestOf(text: string | undefined, line: number): KeyRequest {
  try {
    if (text === undefined) throw new KvError("bad_request", "it is too long, or not UTF-8");
    return decodeInner(parseBoundedJson(text));
  } catch (error) {
    const why = error instanceof KvError ? error.message : "it is not JSON";
    throw new KvError("bad_request", `batch: line ${line}: ${why}`);
  }
}
