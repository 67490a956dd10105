/**
 * Commands that go through all keys: SCAN, KEYS, RANDOMKEY, DBSIZE, FLUSHALL. They ask the whole cluster,
 * page by page, and run alone on their connection, so that they see what it has written.
 *
 * @module
 */
import type { Entry } from "../../../shared/base/entry.ts";
import { failureOf } from "../../../shared/base/errors.ts";
import { errorReply } from "../../../shared/operations/operation.ts";
import { REQUEST_TIMEOUT_MS } from "../../../shared/limits/requests.ts";
import {
  RESP_DATABASES,
  RESP_KEYS_BYTES_MAX,
  RESP_SCAN_KEYS_MIN,
} from "../../../shared/limits/resp.ts";
import { SCAN_KEYS_MAX } from "../../../shared/limits/scans.ts";
import { DEFAULT_DATABASE, findDatabase } from "../../../shared/cluster/databases.ts";
import { bytesOfKey } from "../../../shared/base/key_text.ts";
import { KEY_BYTES_MAX } from "../../../shared/limits/wire.ts";
import type { Message } from "../../../shared/wire/messages.ts";
import { deleteMatching } from "../../../shared/database/delete_matching.ts";
import type {
  CountRequest,
  Database,
  ScanPage,
  ScanRequest,
} from "../../../shared/database/database.ts";
import { at, roughIntegerOf, SYNTAX_ERROR, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";
import { alone } from "../command/alone.ts";
import { errorText } from "../command/error_text.ts";
import { Glob } from "../command/glob.ts";
import { findRandomKey } from "./random_key.ts";
import { RespWriter } from "../protocol/writer.ts";

const DIGITS = /^[+-]?[0-9]*$/;
const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");

/** The options of SCAN. */
interface ScanOptions {
  count: number;
  glob: Glob | undefined;
  /** Only keys of this type; the only type is string. */
  nothing: boolean;
}

/** A page, or an error that has already been answered. */
export function page(
  { session }: Call,
  request: ScanRequest,
  failed: () => void,
  then: (page: ScanPage) => void,
): void {
  const onResult = (result: ScanPage | Message<"error">) => {
    if (!("req_type" in result)) {
      then(result);
      return;
    }
    session.answer((out) => out.error(errorText(result)));
    failed();
  };
  try {
    session.database.scan(request, REQUEST_TIMEOUT_MS, onResult);
  } catch (error) {
    onResult(errorReply("internal", failureOf(error).message));
  }
}

/** @throws {CommandError} */
function scanOptions(args: Arguments): ScanOptions {
  const options: ScanOptions = { count: 1, glob: undefined, nothing: false };
  for (let i = 2; i < args.length; i += 2) {
    const word = wordOf(args[i], ["count", "match", "type"]);
    if (word === undefined || i + 1 >= args.length) throw new CommandError(SYNTAX_ERROR);
    const value = at(args, i + 1);
    if (word === "count") {
      options.count = roughIntegerOf(value);
      if (options.count < 1) throw new CommandError(SYNTAX_ERROR);
    } else if (word === "match") {
      options.glob = new Glob(value);
    } else {
      options.nothing = wordOf(value, ["string"]) === undefined;
    }
  }
  return options;
}

/** @returns the last page's last key; undefined at the beginning @throws {CommandError} */
function cursorOf(args: Arguments, call: Call): string | undefined {
  const text = latin1.decode(at(args, 1));
  const number = DIGITS.test(text) ? Number(text) : undefined;
  if (number === 0) return undefined;
  const key = number === undefined ? undefined : call.server.cursors.keyOf(number);
  if (key === undefined) throw new CommandError("ERR invalid cursor");
  return key;
}

function scan(args: Arguments, call: Call, done: () => void): void {
  const after = cursorOf(args, call);
  const { count, glob, nothing } = scanOptions(args);
  const prefix = prefixOf(glob);
  const limit = Math.min(Math.max(count, RESP_SCAN_KEYS_MIN), SCAN_KEYS_MAX);
  page(call, { after, prefix, limit }, done, ({ entries, next }) =>
    call.server.work.add(() => {
      const keys = nothing ? [] : matching(entries, glob);
      call.session.answer((out) => {
        out.array(2);
        out.bulkText(next === undefined ? "0" : String(call.server.cursors.add(next)));
        out.array(keys.length);
        for (const key of keys) out.bulkText(key);
      });
      done();
      return false;
    }));
}

function prefixOf(glob: Glob | undefined): string | undefined {
  const prefix = glob?.prefix;
  return prefix === "" ? undefined : prefix;
}

function matching(entries: readonly Entry[], glob: Glob | undefined): readonly string[] {
  const keys = entries.map(({ key }) => key);
  if (glob === undefined || glob.matchesAll) return keys;
  const buffer = new Uint8Array(3 * KEY_BYTES_MAX);
  return keys.filter((key) => {
    if (!key.isWellFormed()) return glob.matches(bytesOfKey(key));
    const { written } = encoder.encodeInto(key, buffer);
    return glob.matches(buffer.subarray(0, written));
  });
}

function keys(args: Arguments, call: Call, done: () => void): void {
  const glob = new Glob(at(args, 1));
  const prefix = prefixOf(glob);
  const found = new RespWriter();
  let count = 0;
  const next = (after: string | undefined) =>
    page(
      call,
      { after, prefix, limit: SCAN_KEYS_MAX },
      done,
      (result) =>
        call.server.work.add(() => {
          take(result);
          return false;
        }),
    );
  const take = (result: ScanPage) => {
    for (const key of matching(result.entries, glob)) {
      found.bulkText(key);
      count++;
    }
    if (found.length > RESP_KEYS_BYTES_MAX) {
      call.session.answer((out) =>
        out.error(
          `ERR the keys that match are more than ${RESP_KEYS_BYTES_MAX} bytes; use SCAN`,
        )
      );
      done();
    } else if (result.next !== undefined) next(result.next);
    else {
      call.session.answer((out) => {
        out.array(count);
        out.raw(found.take());
      });
      done();
    }
  };
  next(undefined);
}

function flush(args: Arguments, call: Call, names: readonly string[], done: () => void): void {
  if (args.length > 2 || (args.length === 2 && wordOf(args[1], ["async", "sync"]) === undefined)) {
    throw new CommandError(SYNTAX_ERROR);
  }
  const { session } = call;
  const keyspaces = names.map((name) => session.inDatabase(name));
  for (const { prefix } of keyspaces) {
    const refusal = session.login.whyNotFlushed(prefix);
    if (refusal !== undefined) throw refusal;
  }
  const next = (i: number) => {
    const keyspace = keyspaces[i];
    if (keyspace === undefined) {
      session.answer((out) => out.ok());
      return done();
    }
    deletePages(call, {}, done, () => next(i + 1), keyspace);
  };
  next(0);
}

/**
 * The selected database, and all that have a number. Those that the user may not empty are left out, unless that is all
 * of them.
 */
function allDatabases({ session }: Call): string[] {
  const selected = session.database.name;
  const databases = session.database.map()?.databases;
  const names = new Set([selected, DEFAULT_DATABASE]);
  for (let index = 1; index < RESP_DATABASES; index++) {
    if (findDatabase(databases, String(index)) !== undefined) names.add(String(index));
  }
  const mayEmpty = [...names].filter((name) => {
    const { prefix } = session.inDatabase(name);
    return session.login.mayUseRange("read", prefix) && session.login.mayUseRange("write", prefix);
  });
  return mayEmpty.length === 0 ? [selected] : mayEmpty;
}

/** Deletes every key of a selection that exists throughout. An error is answered, and `failed` is called. */
export function deletePages(
  call: Call,
  selection: CountRequest,
  failed: () => void,
  then: (deleted: number) => void,
  database: Database = call.session.database,
): void {
  const { session, server } = call;
  const order = { ...selection, timeoutMs: REQUEST_TIMEOUT_MS, until: "end" } as const;
  const { clock, work } = server;
  deleteMatching({ clock, work, database }, order, ({ deleted, error }) => {
    if (error === undefined) then(deleted);
    else {
      session.answer((out) => out.error(errorText(error)));
      failed();
    }
  });
}

function size(call: Call, done: () => void): void {
  const { session } = call;
  session.database.count({}, REQUEST_TIMEOUT_MS, (result) => {
    session.answer((out) => {
      if (typeof result === "number") out.integer(result);
      else out.error(errorText(result));
    });
    done();
  });
}

function randomKey(call: Call, done: () => void): void {
  const { session, server } = call;
  findRandomKey(session.database, server.random, (result) => {
    session.answer((out) => {
      if (result === undefined) out.nil();
      else if (typeof result === "string") out.bulkText(result);
      else out.error(errorText(result));
    });
    done();
  });
}

const about = (group: string, since: string, summary: string) => ({ group, since, summary });

/** The rows. */
export const SCAN_COMMANDS: readonly CommandSpec[] = [
  command(
    "scan",
    -2,
    "readonly",
    NO_KEYS,
    about("generic", "2.8.0", "Incrementally iterate the keys of the cluster, in key order"),
    alone(scan),
  ),
  command(
    "keys",
    2,
    "readonly",
    NO_KEYS,
    about("generic", "1.0.0", "Find all keys matching the given pattern"),
    alone(keys),
  ),
  command(
    "randomkey",
    1,
    "readonly",
    NO_KEYS,
    about("generic", "1.0.0", "Return some key of the cluster"),
    alone((_args, call, done) => randomKey(call, done)),
  ),
  command(
    "dbsize",
    1,
    "readonly fast",
    NO_KEYS,
    about("server", "1.0.0", "Return the number of keys in the cluster"),
    alone((_args, call, done) => size(call, done)),
  ),
  command(
    "flushall",
    -1,
    "write",
    NO_KEYS,
    about("server", "1.0.0", "Remove all keys of all databases with a number, each by itself"),
    alone((args, call, done) => flush(args, call, allDatabases(call), done)),
  ),
  command(
    "flushdb",
    -1,
    "write",
    NO_KEYS,
    about("server", "1.0.0", "Remove all keys of the selected database, each by itself"),
    alone((args, call, done) => flush(args, call, [call.session.database.name], done)),
  ),
];
