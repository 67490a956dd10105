/**
 * COPY and MOVE: a key becomes another one, perhaps in another database. The databases are keyspaces of one cluster, so
 * one transaction may have keys of two of them: both commands are one step.
 *
 * Between MULTI and EXEC, where all keys are of one database, MOVE is refused, and COPY with another database.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import {
  DEFAULT_DATABASE,
  findDatabase,
  keyPrefixOf,
  noDatabase,
} from "../../../shared/cluster/databases.ts";
import { checkDefaultKey } from "../../../shared/database/keyspace.ts";
import { REQUEST_TIMEOUT_MS } from "../../../shared/limits/requests.ts";
import { alone } from "../command/alone.ts";
import { at, keyOf, SYNTAX_ERROR, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandRun,
  type CommandSpec,
  KEY,
  type KeyView,
  TWO_KEYS,
  type Write,
} from "../command/command.ts";
import { databaseOfIndex, ensureDatabase } from "../command/database_index.ts";
import { errorText } from "../command/error_text.ts";
import { thrownText } from "../command/replies.ts";
import { TransactionRunner } from "./transaction_runner.ts";

const SAME_OBJECT = "ERR source and destination objects are the same";

/** What becomes of a key. */
interface Passage {
  readonly from: string;
  readonly to: string;
  /** The database of `to`. */
  readonly database: string;
  /** Whether what `to` has is overwritten. */
  readonly replace: boolean;
  /** Whether `from` stays. */
  readonly keep: boolean;
}

/** @param selected the database that the connection uses @throws {CommandError} */
function copyOf(args: Arguments, selected: string): Passage {
  let replace = false;
  let database = selected;
  for (let i = 3; i < args.length; i++) {
    const word = wordOf(args[i], ["replace", "db"]);
    if (word === "replace") replace = true;
    else if (word === "db" && i + 1 < args.length) database = databaseOfIndex(at(args, ++i));
    else throw new CommandError(SYNTAX_ERROR);
  }
  const [from, to] = [keyOf(args[1]), keyOf(args[2])];
  if (from === to && database === selected) throw new CommandError(SAME_OBJECT);
  return { from, to, database, replace, keep: true };
}

/** @throws {CommandError} */
function moveOf(args: Arguments, selected: string): Passage {
  const database = databaseOfIndex(at(args, 2));
  if (database === selected) throw new CommandError(SAME_OBJECT);
  const key = keyOf(args[1]);
  return { from: key, to: key, database, replace: false, keep: false };
}

/** Decides, of keys as they are in the view. */
function pass(view: KeyView, { from, to, replace, keep }: Passage): Write {
  const entry = view.get(from);
  if (entry === undefined || (!replace && view.get(to) !== undefined)) {
    return (out) => out.integer(0);
  }
  view.set(to, entry.value, entry.expiresAtMs, entry.contentType);
  if (!keep) view.delete(from);
  return (out) => out.integer(1);
}

/** As one step, once the database of `to` is there. @throws {KvError} `bad_request` */
function run(passage: Passage, call: Call, done: () => void): void {
  const { session } = call;
  const { from, to, database } = passage;
  if (session.database.name === DEFAULT_DATABASE) checkDefaultKey(from, "copy or move");
  if (database === DEFAULT_DATABASE) checkDefaultKey(to, "copy or move");
  const end = (write: Write) => {
    session.answer(write);
    done();
  };
  const transact = () => {
    const [source, target] = [session.database.name, database].map((name) => prefixOf(call, name));
    if (source === undefined || target === undefined) {
      const missing = source === undefined ? session.database.name : database;
      return end((out) => out.error(thrownText(noDatabase(missing))));
    }
    const stored = { ...passage, from: source + from, to: target + to };
    new TransactionRunner({
      keyPrefix: "",
      server: session.server,
      execute: (request, replied) => session.executeStored(request, replied),
    }).lookAndWrite([stored.from, stored.to], new Map(), (view) => pass(view, stored), end);
  };
  if (prefixOf(call, database) !== undefined) return transact();
  // Whoever may not read the key, or has none, makes no database.
  session.database.execute({ req_type: "exists", key: from }, REQUEST_TIMEOUT_MS, (found) => {
    if (found.req_type === "error") return end((out) => out.error(errorText(found)));
    if (found.req_type !== "result" || found.result !== true) return end((out) => out.integer(0));
    ensureDatabase(database, call, (outcome) => {
      if (outcome instanceof KvError) end((out) => out.error(thrownText(outcome)));
      else transact();
    });
  });
}

/** What stands before the keys of a database; undefined if there is none of this name. */
function prefixOf({ session }: Call, name: string): string | undefined {
  if (name === DEFAULT_DATABASE) return "";
  const found = findDatabase(session.database.map()?.databases, name);
  return found === undefined ? undefined : keyPrefixOf(found);
}

/** COPY between MULTI and EXEC. A mistake in its words is told by EXEC, as in Redis. @throws {CommandError} */
function queuedCopy(args: Arguments, { database: { name } }: Call["session"]): CommandRun {
  let passage: Passage | CommandError;
  try {
    passage = copyOf(args, name);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    passage = error;
  }
  if (!(passage instanceof CommandError) && passage.database !== name) {
    throw new CommandError("ERR COPY into another database cannot be in a transaction");
  }
  const known = () => {
    if (passage instanceof CommandError) throw passage;
    return passage;
  };
  return {
    kind: "view",
    keys: () => [known().from, known().to],
    run: (_args, view) => pass(view, known()),
  };
}

/** The rows. */
export const COMMANDS_ACROSS_DATABASES: readonly CommandSpec[] = [
  command(
    "copy",
    -3,
    "write denyoom",
    TWO_KEYS,
    { group: "generic", since: "6.2.0", summary: "Copy a key, perhaps into another database" },
    {
      ...alone((args, call, done) => run(copyOf(args, call.session.database.name), call, done)),
      queued: queuedCopy,
    },
  ),
  command(
    "move",
    3,
    "write fast",
    KEY,
    { group: "generic", since: "1.0.0", summary: "Move a key to another database" },
    alone((args, call, done) => run(moveOf(args, call.session.database.name), call, done)),
  ),
];
