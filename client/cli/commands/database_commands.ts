/**
 * `database`: the databases of the cluster. The first argument says what to do.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { type DatabaseDocument, DEFAULT_DATABASE } from "../../../shared/cluster/databases.ts";
import { described, flag, optional, positiveUint } from "../../../shared/schema/fields.ts";
import { wordFields } from "../../../shared/arguments/word_fields.ts";
import type { KvClient } from "../../library/kv_client.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { count, formatTable } from "../command/output.ts";
import { printEither } from "./operation_commands.ts";
import { isYes } from "./scan_commands.ts";

const DATABASE_FIELDS = {
  together: described(
    "With create: all its keys in one partition, so that every transaction is local",
    optional(flag),
  ),
  max_keys: described("With create: refuse writes beyond this many keys", optional(positiveUint)),
  max_bytes: described(
    "With create: refuse writes beyond this many bytes of keys and values",
    optional(positiveUint),
  ),
  if_absent: described("With create: one that is there already will do", optional(flag)),
  force: described("With drop and flush: do not ask", optional(flag)),
};

interface Values {
  readonly together?: boolean;
  readonly max_keys?: number;
  readonly max_bytes?: number;
  readonly if_absent?: boolean;
  readonly force?: boolean;
}

/** The rows of the table. */
export const DATABASE_COMMANDS: readonly Command[] = [
  {
    name: "database",
    arguments: [
      { name: "ACTION", about: "list, create, inspect, flush or drop" },
      { name: "NAME", optional: true },
    ],
    options: ["json", "timeoutMs"],
    own: wordFields(DATABASE_FIELDS),
    help: "the databases of the cluster: list, create, inspect, flush, drop (asks twice)",
    answers: "the databases, or what was done",
    example: "database create orders --max-keys 1000000",
    run: runDatabase,
  },
];

async function runDatabase(args: readonly Word[], context: CommandContext): Promise<number> {
  const { settings, signal, given } = context;
  const [action, name] = [args[0]?.text, args[1]?.text];
  const values: Values = ownValues("database", wordFields(DATABASE_FIELDS), given);
  const client = await context.client();
  const options = { timeoutMs: settings.timeoutMs, signal };
  switch (action) {
    case "list": {
      const databases = await client.databases(options);
      await printEither(context, databases, tableOf(databases));
      return EXIT.ok;
    }
    case "create": {
      const made = await client.createDatabase(demandName(action, name), {
        ...options,
        together: values.together,
        maxKeys: values.max_keys,
        maxBytes: values.max_bytes,
        ifAbsent: values.if_absent,
      });
      await printEither(context, made, `database ${made.name} is made\n`);
      return EXIT.ok;
    }
    case "inspect":
      return await inspect(client, demandName(action, name), context);
    case "flush":
      return await flush(client, demandName(action, name), values.force === true, context);
    case "drop":
      return await drop(client, demandName(action, name), values.force === true, context);
    default:
      throw new KvError(
        "bad_request",
        "database: the first argument must be list, create, inspect, flush or drop",
      );
  }
}

function tableOf(databases: readonly DatabaseDocument[]): string {
  const rows = databases.map(({ name, placement, max_keys, max_bytes }) => [
    name,
    placement,
    max_keys === undefined ? "-" : count(max_keys),
    max_bytes === undefined ? "-" : count(max_bytes),
  ]);
  return formatTable(["database", "placement", "max keys", "max bytes"], rows);
}

async function inspect(client: KvClient, name: string, context: CommandContext): Promise<number> {
  const { settings, signal } = context;
  const options = { timeoutMs: settings.timeoutMs, signal };
  const found = await demand(client, name, context);
  const keys = await client.database(name).count(options);
  const { bytes, expiring } = await client.databaseSize(name, options) ?? {};
  const document = {
    ...found,
    keys,
    ...(bytes === undefined || expiring === undefined ? {} : { bytes, expiring }),
  };
  const lines = Object.entries(document).map(([field, value]) =>
    `${field}: ${typeof value === "number" && field !== "number" ? count(value) : value}\n`
  );
  await printEither(context, document, lines.join(""));
  return EXIT.ok;
}

async function flush(
  client: KvClient,
  name: string,
  force: boolean,
  context: CommandContext,
): Promise<number> {
  const { settings, signal } = context;
  await demand(client, name, context);
  await confirm("flush", "Delete", client, name, force, context);
  const deleted = await client.database(name).flushAll({ timeoutMs: settings.timeoutMs, signal });
  await printEither(context, { deleted }, `${count(deleted)} deleted\n`);
  return EXIT.ok;
}

async function drop(
  client: KvClient,
  name: string,
  force: boolean,
  context: CommandContext,
): Promise<number> {
  const { settings, signal } = context;
  if (name === DEFAULT_DATABASE) {
    throw new KvError("bad_request", "database drop: default is always there; flush empties it");
  }
  await demand(client, name, context);
  await confirm("drop", "Drop", client, name, force, context);
  await client.dropDatabase(name, { timeoutMs: settings.timeoutMs, signal });
  await printEither(context, { dropped: name }, `database ${name} is dropped\n`);
  return EXIT.ok;
}

/** Asks twice. @throws {KvError} `bad_request` if it is not confirmed, or nobody can be asked */
async function confirm(
  what: string,
  verb: string,
  client: KvClient,
  name: string,
  force: boolean,
  { io, settings, signal }: CommandContext,
): Promise<void> {
  if (force) return;
  if (io.ask === undefined) {
    throw new KvError(
      "bad_request",
      `database ${what}: there is no terminal to ask at; give --force`,
    );
  }
  const keys = await client.database(name).count({ timeoutMs: settings.timeoutMs, signal });
  const about = `${verb} ALL ${count(keys)} keys of the database ${name}? (yes/no) `;
  const isSure = isYes(await io.ask(about, signal)) &&
    await io.ask(`There is no way back. Type the database's name, ${name}: `, signal) === name;
  if (!isSure) {
    throw new KvError("bad_request", `database ${what}: not confirmed; nothing was done`);
  }
}

/** @throws {KvError} `no_database` */
async function demand(
  client: KvClient,
  name: string,
  { settings, signal }: CommandContext,
): Promise<DatabaseDocument> {
  const databases = await client.databases({ timeoutMs: settings.timeoutMs, signal });
  const found = databases.find((database) => database.name === name);
  if (found !== undefined) return found;
  throw new KvError("no_database", `there is no database ${JSON.stringify(name)}`);
}

function demandName(action: string, name: string | undefined): string {
  if (name !== undefined && name !== "") return name;
  throw new KvError("bad_request", `database ${action}: the name of the database is missing`);
}
