/**
 * The commands, one row each. One-shot use, the shell, `help` and completion all use this table. Commands
 * for operations on a key are made from the table of operations in `operation_commands.ts`; import and
 * export are in `transfer_commands.ts`.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { nearest } from "../../../shared/program/near_miss.ts";
import type { RestFlag } from "../../../shared/program/command_line.ts";
import { formatAddress } from "../../../shared/platform/transport.ts";
import { BACKUP_COMMANDS } from "./backup_commands.ts";
import type { CallOptions } from "../../calls/call.ts";
import type { Command, CommandContext } from "../command/command.ts";
import { commandName, type Word } from "../command/command_line.ts";
import { DATABASE_COMMANDS } from "./database_commands.ts";
import { EXIT } from "../command/exit_code.ts";
import { GROUP_COMMANDS } from "./group_commands.ts";
import { commandHelp, commandLines } from "../command/help.ts";
import { LOGIN_COMMANDS } from "./login_commands.ts";
import { KEY, operationCommands, printEither } from "./operation_commands.ts";
import { MANY_COMMANDS } from "./many_commands.ts";
import { errorLine, formatDocument, formatTable } from "../command/output.ts";
import { SECURITY_COMMANDS } from "./security_commands.ts";
import { COORDINATOR_COMMANDS, NODE_COMMANDS } from "./node_commands.ts";
import { SCAN_COMMANDS } from "./scan_commands.ts";
import { DOCTOR_COMMANDS } from "./doctor_commands.ts";
import { TRANSFER_COMMANDS } from "./transfer_commands.ts";
import { WATCH_COMMANDS } from "./watch_commands.ts";

const OPTIONS = ["json", "timeoutMs"] as const;

const ROWS: readonly Command[] = [
  ...operationCommands(),
  ...MANY_COMMANDS,
  ...GROUP_COMMANDS,
  ...SCAN_COMMANDS,
  ...DATABASE_COMMANDS,
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
  ...WATCH_COMMANDS,
  ...DOCTOR_COMMANDS,
  ...NODE_COMMANDS,
  ...COORDINATOR_COMMANDS,
  ...LOGIN_COMMANDS,
  ...SECURITY_COMMANDS,
  ...TRANSFER_COMMANDS,
  ...BACKUP_COMMANDS,
  {
    name: "help",
    arguments: [{ name: "COMMAND", optional: true }],
    options: [],
    help: "this list, or one command's options",
    insideMulti: true,
    run: runHelp,
  },
  {
    name: "exit",
    aliases: ["quit"],
    arguments: [],
    options: [],
    help: "leave the shell",
    shellOnly: true,
    insideMulti: true,
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

/** The error for a name that is not a command's. */
export function unknownCommand(name: string): KvError {
  const near = nearest(commandName(name), commandNames());
  const hint = near === undefined ? "" : `did you mean ${near}? `;
  const shown = JSON.stringify(name.slice(0, 64));
  return new KvError("bad_request", `unknown command ${shown}; ${hint}help lists all commands`);
}

function callOptions({ settings, signal }: CommandContext): CallOptions {
  return { timeoutMs: settings.timeoutMs, signal };
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
  await printEither(context, nodes, formatTable(header, rows));
  return EXIT.ok;
}

async function runNodesForKey(args: readonly Word[], context: CommandContext): Promise<number> {
  const location = await (await context.client()).nodesForKey(args[0]?.text ?? "");
  const rows = location.nodes.map((n) => [n.id, formatAddress(n), n.role, n.state]);
  const text = `partition ${location.partition}, term ${location.term}\n` +
    formatTable(["node", "address", "role", "state"], rows);
  await printEither(context, location, text);
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
  await printEither(context, documents, text);
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
  await printEither(context, documents, text);
  return results.every(({ error }) => error === undefined) ? EXIT.ok : EXIT.unavailable;
}

async function runHelp(
  args: readonly Word[],
  { io, options }: CommandContext,
): Promise<number> {
  const name = args[0]?.text;
  await io.write(name === undefined ? listText() : commandHelp(knownCommand(name), options));
  return EXIT.ok;
}

function listText(): string {
  return [
    ...commandLines(ROWS),
    "",
    "Two syntaxes: PUT key value (quote with \"…\" or '…') and put:key:value. Names in any case.",
    "help COMMAND shows a command's options.",
    "",
  ].join("\n");
}

/** @throws {KvError} `bad_request` if there is no such command */
function knownCommand(name: string): Command {
  const command = findCommand(name);
  if (command === undefined) throw unknownCommand(name);
  return command;
}

/** Options of commands that are not settings, for the program's command line. */
export function commandFlags(): RestFlag[] {
  const flags = new Map<string, boolean>();
  for (const { field, optionNames } of ROWS.flatMap(({ own }) => own ?? [])) {
    for (const name of optionNames) flags.set(name, field.form !== "flag");
  }
  return [...flags].map(([name, takesValue]) => ({ name, takesValue }));
}
