/** Commands about the server: INFO, CONFIG GET, COMMAND, SLOWLOG, TIME, WAIT. @module */
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import { partitionConfig } from "../../../shared/cluster/cluster_map.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { SLOW_REQUESTS_MAX } from "../../../shared/limits/requests.ts";
import { RESP_DATABASES } from "../../../shared/limits/resp.ts";
import { at, integerOf, SYNTAX_ERROR, textOf, wordOf, wrongArity } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";
import { aclCategories, writeCommandDocs, writeCommandInfo } from "../command/command_docs.ts";
import { Glob } from "../command/glob.ts";
import { writeInfo } from "../info/info.ts";

const encoder = new TextEncoder();
const HIDDEN = new Set(["host:", "post"]);

/** What CONFIG GET returns: the settings that clients ask for, with their values here. */
function settings({ server }: Call): Record<string, string> {
  const address = server.node.address();
  return {
    appendfsync: "always",
    appendonly: server.node.persistent ? "yes" : "no",
    bind: address?.host ?? "",
    "cluster-enabled": "no",
    databases: String(RESP_DATABASES),
    maxclients: String(server.node.clientsMax()),
    maxmemory: "0",
    "maxmemory-policy": "noeviction",
    "notify-keyspace-events": server.keyEvents.flags,
    port: String(address?.port ?? 0),
    "proto-max-bulk-len": String(server.valueBytesMax),
    requirepass: "",
    save: "",
    "slowlog-log-slower-than": String(Math.round(1_000 * server.slow.thresholdMs)),
    "slowlog-max-len": String(SLOW_REQUESTS_MAX),
    timeout: "0",
  };
}

function configGet(args: Arguments, call: Call): void {
  const globs = args.slice(2).map((argument) =>
    new Glob(encoder.encode(textOf(argument).toLowerCase()))
  );
  const found = Object.entries(settings(call))
    .filter(([name]) => globs.some((glob) => glob.matches(encoder.encode(name))));
  call.out.map(found.length);
  for (const [name, value] of found) {
    call.out.bulkText(name);
    call.out.bulkText(value);
  }
}

/**
 * What is set here follows from the node's own settings; to set what is set already changes nothing. Keyspace
 * notifications are of this process alone, until it ends.
 *
 * @throws {CommandError}
 */
function configSet(args: Arguments, call: Call): void {
  if (args.length % 2 !== 0) throw wrongArity("config|set");
  const known = settings(call);
  for (let i = 2; i < args.length; i += 2) {
    const given = textOf(at(args, i));
    const value = known[given.toLowerCase()];
    if (value === undefined) {
      throw new CommandError(
        `ERR Unknown option or number of arguments for CONFIG SET - '${given}'`,
      );
    }
    if (given.toLowerCase() === "notify-keyspace-events") {
      call.server.keyEvents.set(textOf(at(args, i + 1)));
      continue;
    }
    if (value === textOf(at(args, i + 1))) continue;
    throw new CommandError(
      `ERR CONFIG SET failed (possibly related to argument '${given}') - can't set immutable config`,
    );
  }
  call.out.ok();
}

/** The keys of a command, by its row. @throws {CommandError} */
function commandGetKeys(args: Arguments, call: Call): void {
  const asked = args.slice(2);
  const found = specOf(call, at(args, 2));
  const name = found?.subcommands === undefined || asked[1] === undefined
    ? undefined
    : `${found.name}|${textOf(asked[1]).toLowerCase()}`;
  const spec = name === undefined
    ? found
    : found?.subcommands?.find((sub) => sub.name === name) ?? found;
  if (spec === undefined) throw new CommandError("ERR Invalid command specified");
  const { arity, keys: [first, last, step] } = spec;
  if (arity > 0 ? asked.length !== arity : asked.length < -arity) {
    throw new CommandError("ERR Invalid number of arguments specified for command");
  }
  if (spec.run.kind === "script") {
    const found = spec.run.keys(asked);
    call.out.array(found.length);
    for (const key of found) call.out.bulkText(key);
    return;
  }
  if (first === 0) throw new CommandError("ERR The command has no key arguments");
  const end = last < 0 ? asked.length + last : last;
  const keys = asked.filter((_, i) => i >= first && i <= end && (i - first) % step === 0);
  call.out.array(keys.length);
  for (const key of keys) call.out.bulk(key);
}

/** The commands that are listed. */
function shown({ server }: Call): readonly CommandSpec[] {
  return server.table.all.filter(({ name }) => !HIDDEN.has(name));
}

/** By name, `client|list` for a subcommand. */
function specOf(call: Call, argument: Uint8Array): CommandSpec | undefined {
  const name = textOf(argument).toLowerCase();
  const [head = "", tail] = name.split("|");
  const found = shown(call).find((spec) => spec.name === head);
  return tail === undefined ? found : found?.subcommands?.find((spec) => spec.name === name);
}

function commandList(args: Arguments, call: Call): void {
  let wanted: (spec: CommandSpec) => boolean = () => true;
  if (args.length > 2) {
    const by = args.length === 5 && wordOf(args[2], ["filterby"]) !== undefined
      ? wordOf(args[3], ["module", "aclcat", "pattern"])
      : undefined;
    if (by === undefined) throw new CommandError(SYNTAX_ERROR);
    const word = at(args, 4);
    const glob = new Glob(encoder.encode(textOf(word).toLowerCase()));
    const category = `@${textOf(word).toLowerCase()}`;
    if (by === "module") wanted = () => false;
    else if (by === "aclcat") wanted = (spec) => aclCategories(spec).includes(category);
    else wanted = ({ name }) => glob.matches(encoder.encode(name));
  }
  const names = shown(call)
    .flatMap((spec) => args.length > 2 ? [spec, ...(spec.subcommands ?? [])] : [spec])
    .filter(wanted);
  if (args.length > 2) call.out.array(names.length);
  else call.out.set(names.length);
  for (const { name } of names) call.out.bulkText(name);
}

function commandInfo(args: Arguments, call: Call): void {
  const asked = args.length > 2
    ? args.slice(2).map((argument) => specOf(call, argument))
    : shown(call);
  call.out.array(asked.length);
  for (const spec of asked) {
    if (spec === undefined) call.out.nil();
    else writeCommandInfo(call.out, spec);
  }
}

function commandDocs(args: Arguments, call: Call): void {
  const asked = args.length > 2
    ? args.slice(2).flatMap((argument) => specOf(call, argument) ?? [])
    : shown(call);
  call.out.map(asked.length);
  for (const spec of asked) writeCommandDocs(call.out, spec);
}

/** The replicas, besides the primary's own, that have every acknowledged write. */
function otherReplicas(map: ClusterMap, key: string | undefined): number {
  const { partitionCount } = map.settings;
  if (key !== undefined) {
    const { inSync } = partitionConfig(map, partitionOf(key, partitionCount));
    return Math.max(0, inSync.length - 1);
  }
  return map.partitions.reduce(
    (least, { inSync }) => Math.min(least, Math.max(0, inSync.length - 1)),
    Infinity,
  );
}

/** An acknowledged write is already on every in-sync replica: there is nothing to wait for. */
function wait(args: Arguments, call: Call, done: () => void): void {
  const { session, server } = call;
  session.answer((out) => {
    try {
      integerOf(args[1]);
      const timeout = integerOf(args[2], "ERR timeout is not an integer or out of range");
      if (timeout < 0n) throw new CommandError("ERR timeout is negative");
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      out.error(error.message);
      return;
    }
    const map = server.database.map();
    out.integer(map === undefined ? 0 : otherReplicas(map, session.lastWrittenKey));
  });
  done();
}

/** As Redis shows them: id, seconds since 1970, microseconds, the command and its key, who asked, its name. */
function slowlogGet(args: Arguments, { out, server }: Call): void {
  const given = args.length > 2 ? integerOf(args[2]) : SLOWLOG_DEFAULT;
  if (given < -1n) throw new CommandError("ERR count should be greater than or equal to -1");
  const all = server.slow.newest(given === -1n ? undefined : Number(given));
  out.array(all.length);
  for (const { id, atMs, elapsedMs, operation, key, client = "" } of all) {
    out.array(6);
    out.integer(id);
    out.integer(Math.floor(atMs / 1_000));
    out.integer(Math.round(elapsedMs * 1_000));
    const words = key === undefined ? [operation] : [operation, key];
    out.array(words.length);
    for (const word of words) out.bulkText(word);
    out.bulkText(client);
    out.bulkText("");
  }
}

const SLOWLOG_DEFAULT = 10n;

const about = (since: string, summary: string) => ({ group: "server", since, summary });

const CONTAINER = (_args: Arguments, { out }: Call) => out.error(SYNTAX_ERROR);

/** The rows. */
export const SERVER_COMMANDS: readonly CommandSpec[] = [
  command(
    "info",
    -1,
    "loading stale",
    NO_KEYS,
    about("1.0.0", "Get information and statistics about the node and its cluster"),
    {
      kind: "alone",
      run: (args, call, done) => {
        const sections = args.slice(1).map((argument) => textOf(argument).toLowerCase());
        writeInfo(sections, call, done);
      },
    },
  ),
  command(
    "time",
    1,
    "loading stale fast",
    NO_KEYS,
    about("2.6.0", "Return the current server time, to the millisecond"),
    {
      kind: "now",
      run: (_args, { out, server }) => {
        const wallMs = server.wallMs();
        out.array(2);
        out.bulkText(String(Math.floor(wallMs / 1000)));
        out.bulkText(String((wallMs % 1000) * 1000));
      },
    },
  ),
  command(
    "wait",
    3,
    "noscript",
    NO_KEYS,
    {
      group: "generic",
      since: "3.0.0",
      summary: "How many other replicas have the connection's last write; it never has to wait",
    },
    { kind: "alone", run: wait },
  ),
  {
    ...command("config", -2, "", NO_KEYS, about("2.0.0", "A container for server configuration"), {
      kind: "now",
      run: CONTAINER,
    }),
    subcommands: [
      command(
        "config|get",
        -3,
        "admin noscript loading stale",
        NO_KEYS,
        about("2.0.0", "Get the values of configuration parameters"),
        { kind: "now", run: configGet },
      ),
      command(
        "config|set",
        -4,
        "admin noscript loading stale",
        NO_KEYS,
        about(
          "2.0.0",
          "Sets notify-keyspace-events of this node; any other is refused, unless it changes nothing",
        ),
        { kind: "now", run: configSet },
      ),
      command(
        "config|resetstat",
        2,
        "admin noscript loading stale",
        NO_KEYS,
        about("2.0.0", "Begins INFO's counts of connections and commands anew"),
        {
          kind: "now",
          run: (_args, { out, server }) => {
            const { connections, commands } = server;
            server.countedBefore = { connections, commands };
            out.ok();
          },
        },
      ),
      command(
        "config|rewrite",
        2,
        "admin noscript loading stale",
        NO_KEYS,
        about("2.8.0", "Refused: settings are the node's own"),
        {
          kind: "now",
          run: (_args, { out }) => out.error("ERR The server is running without a config file"),
        },
      ),
    ],
  },
  {
    ...command("module", -2, "", NO_KEYS, about("4.0.0", "A container for module commands"), {
      kind: "now",
      run: CONTAINER,
    }),
    subcommands: [
      command(
        "module|list",
        2,
        "admin noscript",
        NO_KEYS,
        about("4.0.0", "None: there are no modules"),
        { kind: "now", run: (_args, { out }) => out.array(0) },
      ),
    ],
  },
  {
    ...command("slowlog", -2, "", NO_KEYS, about("2.2.12", "A container for slow log commands"), {
      kind: "now",
      run: CONTAINER,
    }),
    subcommands: [
      command(
        "slowlog|get",
        -2,
        "admin loading stale",
        NO_KEYS,
        about("2.2.12", "Get the newest requests of this node that took long"),
        { kind: "now", run: slowlogGet },
      ),
      command(
        "slowlog|len",
        2,
        "admin loading stale",
        NO_KEYS,
        about("2.2.12", "Get the number of slow requests that are kept"),
        { kind: "now", run: (_args, { out, server }) => out.integer(server.slow.size) },
      ),
      command(
        "slowlog|reset",
        2,
        "admin loading stale",
        NO_KEYS,
        about("2.2.12", "Forget the slow requests of this node"),
        {
          kind: "now",
          run: (_args, { out, server }) => {
            server.slow.clear();
            out.ok();
          },
        },
      ),
    ],
  },
  {
    ...command(
      "command",
      -1,
      "loading stale",
      NO_KEYS,
      about("2.8.13", "Get details about the commands that are supported"),
      { kind: "now", run: (args, call) => commandInfo(args.slice(0, 1), call) },
    ),
    subcommands: [
      command(
        "command|count",
        2,
        "loading stale",
        NO_KEYS,
        about("2.8.13", "Get total number of commands"),
        { kind: "now", run: (_args, call) => call.out.integer(shown(call).length) },
      ),
      command(
        "command|docs",
        -2,
        "loading stale",
        NO_KEYS,
        about("7.0.0", "Get documentary information about commands"),
        { kind: "now", run: commandDocs },
      ),
      command(
        "command|getkeys",
        -4,
        "loading stale",
        NO_KEYS,
        about("2.8.13", "Extract the key names from an arbitrary command"),
        { kind: "now", run: commandGetKeys },
      ),
      command(
        "command|info",
        -2,
        "loading stale",
        NO_KEYS,
        about("2.8.13", "Get details about specific commands"),
        { kind: "now", run: commandInfo },
      ),
      command(
        "command|list",
        -2,
        "loading stale",
        NO_KEYS,
        about("7.0.0", "Get the names of the commands"),
        { kind: "now", run: commandList },
      ),
    ],
  },
];
