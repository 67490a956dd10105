/**
 * The commands, one row each. One-shot use, the shell, `help` and completion all come from this
 * table; moving files in and out is in `transfer_commands.ts`.
 *
 * @module
 */
import { KvError } from "../shared/errors.ts";
import { nearest } from "../shared/near_miss.ts";
import { flagOf } from "../shared/setting.ts";
import { formatAddress } from "../shared/transport.ts";
import type { CallOptions, ReadOptions, WriteOptions } from "./call.ts";
import { type Command, type CommandContext, commandSummary } from "./command.ts";
import { commandName, type Word } from "./command_line.ts";
import { EXIT } from "./exit_code.ts";
import type { KvClient } from "./kv_client.ts";
import { entryDocument, errorLine, formatDocument, formatTable } from "./output.ts";
import { readAll, TRANSFER_COMMANDS } from "./transfer_commands.ts";

const READ_OPTIONS = ["json", "timeoutMs", "consistency"] as const;
const WRITE_OPTIONS = ["json", "timeoutMs", "acks"] as const;
const OPTIONS = ["json", "timeoutMs"] as const;
const KEY = { name: "KEY" };
const KEY_VALUE = [KEY, { name: "VALUE", value: true }];

const ROWS: readonly Command[] = [
  {
    name: "put",
    arguments: KEY_VALUE,
    options: WRITE_OPTIONS,
    help: "create or replace a key",
    run: (args, context) =>
      runWrite(args, context, (client, key, value, options) => client.put(key, value, options)),
  },
  {
    name: "get",
    arguments: [KEY],
    options: [...READ_OPTIONS, "raw"],
    help: "print a key's value and a line end",
    run: runGet,
  },
  {
    name: "update",
    arguments: KEY_VALUE,
    options: WRITE_OPTIONS,
    help: "replace a key that is there",
    run: (args, context) =>
      runWrite(args, context, (client, key, value, options) => client.update(key, value, options)),
  },
  {
    name: "create",
    arguments: KEY_VALUE,
    options: WRITE_OPTIONS,
    help: "create a key that is not there",
    run: (args, context) =>
      runWrite(args, context, (client, key, value, options) => client.create(key, value, options)),
  },
  {
    name: "delete",
    aliases: ["del"],
    arguments: [KEY],
    options: WRITE_OPTIONS,
    help: "delete a key",
    run: runDelete,
  },
  {
    name: "exists",
    arguments: [KEY],
    options: READ_OPTIONS,
    help: "print true or false",
    run: runExists,
  },
  {
    name: "list-nodes",
    arguments: [],
    options: OPTIONS,
    help: "the nodes and how many partitions each holds (own: as primary, prev: as replica)",
    run: runListNodes,
  },
  {
    name: "nodes-for-key",
    aliases: ["get-nodes-for-key"],
    arguments: [KEY],
    options: OPTIONS,
    help: "the nodes that hold a key, primary first",
    run: runNodesForKey,
  },
  {
    name: "stats",
    arguments: [],
    options: OPTIONS,
    help: "counters of the coordinator and of each node",
    run: runStats,
  },
  {
    name: "ping",
    arguments: [],
    options: OPTIONS,
    help: "whether the coordinator and each node answer",
    run: runPing,
  },
  ...TRANSFER_COMMANDS,
  {
    name: "help",
    arguments: [{ name: "COMMAND", optional: true }],
    options: [],
    help: "this list, or one command's options",
    run: runHelp,
  },
  {
    name: "exit",
    aliases: ["quit"],
    arguments: [],
    options: [],
    help: "leave the shell",
    shellOnly: true,
    run: () => Promise.resolve(EXIT.ok),
  },
];

/** The table by name. */
export const COMMANDS: ReadonlyMap<string, Command> = new Map(
  ROWS.map((command) => [command.name, command]),
);

const BY_ANY_NAME: ReadonlyMap<string, Command> = new Map(
  ROWS.flatMap((command) =>
    [command.name, ...command.aliases ?? []].map((name): [string, Command] => [name, command])
  ),
);

/** A command by its name or alias, in any case, with `_` or `-`. */
export function findCommand(name: string): Command | undefined {
  return BY_ANY_NAME.get(commandName(name));
}

/** Every name that may begin a line. */
export function commandNames(): string[] {
  return [...BY_ANY_NAME.keys()];
}

/** The error for a name that is no command's. */
export function unknownCommand(name: string): KvError {
  const near = nearest(commandName(name), commandNames());
  const hint = near === undefined ? "" : `did you mean ${near}? `;
  const shown = JSON.stringify(name.slice(0, 64));
  return new KvError("bad_request", `unknown command ${shown}; ${hint}help lists all commands`);
}

/** As the servers say it. */
function notFound(what: string, key: string): KvError {
  return new KvError("not_found", `${what}: no such key ${JSON.stringify(key)}`);
}

function readOptions({ settings, signal }: CommandContext): ReadOptions {
  return { timeoutMs: settings.timeoutMs, consistency: settings.consistency, signal };
}

function writeOptions({ settings, signal }: CommandContext): WriteOptions {
  return { timeoutMs: settings.timeoutMs, acks: settings.acks, signal };
}

function callOptions({ settings, signal }: CommandContext): CallOptions {
  return { timeoutMs: settings.timeoutMs, signal };
}

/** One JSON document with `--json`, text otherwise. */
async function print(context: CommandContext, document: unknown, text: string): Promise<void> {
  await context.io.write(context.settings.json ? JSON.stringify(document) + "\n" : text);
}

async function runWrite(
  args: readonly Word[],
  context: CommandContext,
  write: (
    client: KvClient,
    key: string,
    value: string | Uint8Array,
    options: WriteOptions,
  ) => Promise<number>,
): Promise<number> {
  const key = args[0]?.text ?? "";
  const value = await argumentValue(args[1], context);
  const version = await write(await context.client(), key, value, writeOptions(context));
  await print(context, { key, version }, `success (version ${version})\n`);
  return EXIT.ok;
}

/** The text of an argument, or standard input for `-`. */
async function argumentValue(
  word: Word | undefined,
  { io }: CommandContext,
): Promise<string | Uint8Array> {
  if (word === undefined || word.quoted || word.text !== "-") return word?.text ?? "";
  if (io.input === undefined) {
    throw new KvError(
      "bad_request",
      `a value of - is read from standard input, where the commands come from now; quote it, "-"`,
    );
  }
  return await readAll(io.input);
}

async function runGet(args: readonly Word[], context: CommandContext): Promise<number> {
  const key = args[0]?.text ?? "";
  const { io, settings } = context;
  const entry = await (await context.client()).getEntry(key, readOptions(context));
  if (entry === undefined) throw notFound("get", key);
  if (settings.json) {
    await io.write(JSON.stringify(entryDocument(entry)) + "\n");
    return EXIT.ok;
  }
  await io.write(entry.value);
  if (!settings.raw) await io.write("\n");
  return EXIT.ok;
}

async function runDelete(args: readonly Word[], context: CommandContext): Promise<number> {
  const key = args[0]?.text ?? "";
  const client = await context.client();
  if (!await client.delete(key, writeOptions(context))) throw notFound("delete", key);
  await print(context, { key, deleted: true }, "deleted\n");
  return EXIT.ok;
}

async function runExists(args: readonly Word[], context: CommandContext): Promise<number> {
  const key = args[0]?.text ?? "";
  const exists = await (await context.client()).exists(key, readOptions(context));
  await print(context, { key, exists }, `${exists}\n`);
  return exists ? EXIT.ok : EXIT.notFound;
}

async function runListNodes(_: readonly Word[], context: CommandContext): Promise<number> {
  const nodes = await (await context.client()).listNodes();
  const header = ["node", "address", "zone", "state", "own", "prev", "learning", "weight", "http"];
  const rows = nodes.map((node) => [
    node.id,
    formatAddress(node),
    node.zone,
    node.state,
    node.own.length,
    node.prev.length,
    node.learning.length,
    node.weight,
    node.httpPort,
  ]);
  await print(context, nodes, formatTable(header, rows));
  return EXIT.ok;
}

async function runNodesForKey(args: readonly Word[], context: CommandContext): Promise<number> {
  const location = await (await context.client()).nodesForKey(args[0]?.text ?? "");
  const rows = location.nodes.map((n) => [n.id, formatAddress(n), n.role, n.state]);
  const text = `partition ${location.partition}, term ${location.term}\n` +
    formatTable(["node", "address", "role", "state"], rows);
  await print(context, location, text);
  return EXIT.ok;
}

async function runStats(_: readonly Word[], context: CommandContext): Promise<number> {
  const processes = await (await context.client()).stats(callOptions(context));
  const documents = processes.map(({ id, stats, error }) =>
    error === undefined
      ? { id, stats }
      : { id, error: { code: error.code, message: error.message } }
  );
  const text = processes.map(({ id, stats, error }) =>
    error === undefined ? `${id}\n${formatDocument(stats, "  ")}` : `${id}\n  ${errorLine(error)}\n`
  ).join("");
  await print(context, documents, text);
  return processes.some(({ error }) => error === undefined) ? EXIT.ok : EXIT.unavailable;
}

async function runPing(_: readonly Word[], context: CommandContext): Promise<number> {
  const results = await (await context.client()).ping(callOptions(context));
  const documents = results.map(({ id, elapsedMs, error }) =>
    error === undefined
      ? { id, elapsedMs }
      : { id, error: { code: error.code, message: error.message } }
  );
  const text = results.map(({ id, elapsedMs, error }) =>
    error === undefined
      ? `${id}: pong in ${elapsedMs?.toFixed(1)} ms\n`
      : `${id}: ${errorLine(error)}\n`
  ).join("");
  await print(context, documents, text);
  return results.every(({ error }) => error === undefined) ? EXIT.ok : EXIT.unavailable;
}

async function runHelp(args: readonly Word[], { io }: CommandContext): Promise<number> {
  const name = args[0]?.text;
  await io.write(name === undefined ? listText() : commandText(name));
  return EXIT.ok;
}

function listText(): string {
  const width = Math.max(...ROWS.map((command) => commandSummary(command).length));
  const lines = ROWS.map((command) => `${commandSummary(command).padEnd(width)}  ${command.help}`);
  return [
    ...lines,
    "",
    "Two syntaxes: PUT key value (quote with \"…\" or '…') and put:key:value. Names in any case.",
    "",
  ].join("\n");
}

/** @throws {KvError} `bad_request` where there is no such command */
function commandText(name: string): string {
  const command = findCommand(name);
  if (command === undefined) throw unknownCommand(name);
  const aliases = command.aliases ?? [];
  const options = command.options.map((option) => `--${flagOf(option)}`);
  return [
    `${commandSummary(command)}: ${command.help}`,
    ...(aliases.length === 0 ? [] : [`also: ${aliases.join(", ")}`]),
    ...(options.length === 0 ? [] : [`options: ${options.join(" ")}`]),
    "",
  ].join("\n");
}
