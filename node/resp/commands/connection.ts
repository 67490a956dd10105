/** Commands about the connection itself: greeting, names, replies on and off. @module */
import { textOf, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandSession,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";
import { alone } from "../command/alone.ts";
import { at } from "../command/arguments.ts";
import { HTTP_REFUSED } from "../protocol/http_request_line.ts";
import { parseInteger } from "../protocol/integer_text.ts";
import { clientLine } from "../command/client_line.ts";
import type { RespWriter } from "../protocol/writer.ts";
import { REDIS_VERSION } from "../command/redis_version.ts";
import { TRACKING_COMMANDS } from "../watch/tracking_commands.ts";
import { CLIENT_CONTROL, typeOf } from "./introspection.ts";
import { kvErrorText } from "../command/error_text.ts";
import { databaseOfIndex, databaseOfNumber, ensureDatabase } from "../command/database_index.ts";
import { DEFAULT_DATABASE, findDatabase, noDatabase } from "../../../shared/cluster/databases.ts";
import { KvError } from "../../../shared/base/errors.ts";

const NO_AUTH_HELLO =
  "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> " +
  "AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol " +
  "version at the same time";

/** Another database from now on. @param making whether it is made if it is not there */
function select(name: string, making: boolean, call: Call, done: () => void): void {
  const { session } = call;
  const end = (outcome: unknown) => {
    session.answer((out) => {
      if (outcome instanceof KvError) return out.error(kvErrorText(outcome));
      session.useDatabase(name);
      out.ok();
    });
    done();
  };
  if (name === session.database.name || name === DEFAULT_DATABASE) return end(undefined);
  if (session.transaction.watching) {
    session.answer((out) => out.error("ERR UNWATCH first: keys of this database are watched"));
    return done();
  }
  const found = findDatabase(session.database.map()?.databases, name);
  if (found === undefined && making) ensureDatabase(name, call, end);
  else end(found ?? noDatabase(name));
}

/** Databases have names, which stay theirs: only a swap of a database with itself is done. @throws {CommandError} */
function swap(args: Arguments, { out }: Call): void {
  const names = [at(args, 1), at(args, 2)].map((argument, i) => {
    const index = parseInteger(argument);
    if (index === undefined || BigInt.asIntN(32, index) !== index) {
      throw new CommandError(`ERR invalid ${i === 0 ? "first" : "second"} DB index`);
    }
    return index;
  });
  for (const index of names) databaseOfNumber(index);
  if (names[0] === names[1]) return out.ok();
  out.error("ERR SWAPDB is not supported: databases keep their names; use SELECT or KV.USE");
}

/** A name that is shown in a list of words. */
function isPlainWord(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte >= 0x21 && byte <= 0x7e);
}

/** @throws {CommandError} */
function nameFrom(bytes: Uint8Array): string {
  if (!isPlainWord(bytes)) {
    throw new CommandError(
      "ERR Client names cannot contain spaces, newlines or special characters.",
    );
  }
  return textOf(bytes);
}

/** What HELLO was given. */
interface Greeting {
  readonly protocol: 2 | 3;
  readonly name: string | undefined;
  readonly credentials: { readonly user: string; readonly password: string } | undefined;
}

/** @throws {CommandError} */
function greetingOf(args: Arguments, before: 2 | 3): Greeting {
  let protocol = before;
  let name: string | undefined;
  let credentials: Greeting["credentials"];
  if (args.length > 1) {
    const asked = parseInteger(at(args, 1));
    if (asked === undefined) {
      throw new CommandError("ERR Protocol version is not an integer or out of range");
    }
    if (asked !== 2n && asked !== 3n) {
      throw new CommandError("NOPROTO unsupported protocol version");
    }
    protocol = asked === 2n ? 2 : 3;
  }
  for (let i = 2; i < args.length; i++) {
    const left = args.length - 1 - i;
    const word = wordOf(args[i], ["auth", "setname"]);
    if (word === "auth" && left >= 2) {
      credentials = { user: textOf(at(args, i + 1)), password: textOf(at(args, i + 2)) };
      i += 2;
    } else if (word === "setname" && left >= 1) {
      name = nameFrom(at(args, ++i));
    } else {
      throw new CommandError(`ERR Syntax error in HELLO option '${textOf(at(args, i))}'`);
    }
  }
  return { protocol, name, credentials };
}

/** The greeting, after the login that it may have; what fails changes nothing. */
function hello(args: Arguments, { out, session }: Call, done: () => void): void {
  const { protocol, name, credentials } = greetingOf(args, out.protocol);
  const greet = (refusal: string | undefined) => {
    session.answer(() => {
      if (refusal === undefined) greetAs({ protocol, name }, out, session);
      else out.error(refusal);
    });
    done();
  };
  if (credentials !== undefined) {
    session.login.logIn(credentials.user, credentials.password, greet);
  } else greet(session.login.isKnown ? undefined : NO_AUTH_HELLO);
}

/** Inside a transaction nobody becomes somebody else. */
function helloInside(args: Arguments, { out, session }: Call): void {
  const greeting = greetingOf(args, out.protocol);
  if (greeting.credentials !== undefined) {
    throw new CommandError("ERR HELLO with AUTH is not allowed inside a transaction");
  }
  greetAs(greeting, out, session);
}

function greetAs(
  { protocol, name }: Pick<Greeting, "protocol" | "name">,
  out: RespWriter,
  session: CommandSession,
): void {
  // What is pushed to it has no form in RESP2.
  if (protocol === 2) {
    session.server.watches.forget(session);
    session.server.tracking.off(session);
  }
  out.protocol = protocol;
  if (name !== undefined) session.clientName = name;
  writeGreeting(out, session.id, protocol);
}

function auth(args: Arguments, { session }: Call, done: () => void): void {
  if (args.length > 3) throw new CommandError("ERR syntax error");
  const user = args.length === 3 ? textOf(at(args, 1)) : undefined;
  session.login.logIn(user, textOf(at(args, args.length - 1)), (refusal) => {
    session.answer((out) => {
      if (refusal === undefined) out.ok();
      else out.error(refusal);
    });
    done();
  });
}

function writeGreeting(out: RespWriter, id: number, protocol: number): void {
  out.map(7);
  out.bulkText("server");
  out.bulkText("redis");
  out.bulkText("version");
  out.bulkText(REDIS_VERSION);
  out.bulkText("proto");
  out.integer(protocol);
  out.bulkText("id");
  out.integer(id);
  out.bulkText("mode");
  out.bulkText("standalone");
  out.bulkText("role");
  out.bulkText("master");
  out.bulkText("modules");
  out.array(0);
}

function setInfo(args: Arguments, { out, session }: Call): void {
  const what = wordOf(args[2], ["lib-name", "lib-ver"]);
  if (what === undefined) {
    throw new CommandError(`ERR Unrecognized option '${textOf(at(args, 2))}'`);
  }
  const value = at(args, 3);
  if (!isPlainWord(value)) {
    throw new CommandError(
      `ERR ${what} cannot contain spaces, newlines or special characters.`,
    );
  }
  if (what === "lib-name") session.libraryName = textOf(value);
  else session.libraryVersion = textOf(value);
  out.ok();
}

function list(args: Arguments, { out, server }: Call): void {
  let ids: Set<number> | undefined;
  if (args.length > 2) {
    const word = wordOf(args[2], ["type", "id"]);
    if (word === "type" && args.length === 4) {
      const type = wordOf(args[3], ["normal", "master", "replica", "slave", "pubsub"]);
      if (type === undefined) {
        throw new CommandError(`ERR Unknown client type '${textOf(at(args, 3))}'`);
      }
      ids = new Set(
        [...server.sessions.values()].filter((one) => typeOf(one) === type).map(({ id }) => id),
      );
    } else if (word === "id" && args.length > 3) {
      ids = new Set(
        args.slice(3).map((argument) => {
          const id = parseInteger(argument);
          if (id === undefined) throw new CommandError("ERR Invalid client ID");
          return Number(id);
        }),
      );
    } else throw new CommandError("ERR syntax error");
  }
  const shown = [...server.sessions.values()].filter(({ id }) => ids?.has(id) ?? true);
  out.verbatim(shown.map((session) => clientLine(session) + "\n").join(""));
}

function reply(args: Arguments, { out, session }: Call): void {
  switch (wordOf(args[2], ["on", "off", "skip"])) {
    case "on":
      session.replyMode = "on";
      session.repliesSwitchedOn = true;
      out.ok();
      return;
    case "off":
      session.replyMode = "off";
      return;
    case "skip":
      if (session.replyMode !== "off") session.replyMode = "skip";
      return;
    default:
      throw new CommandError("ERR syntax error");
  }
}

const about = (since: string, summary: string) => ({ group: "connection", since, summary });
const FAST = "noscript loading stale fast no_auth allow_busy";

const CLIENT_SUBCOMMANDS: readonly CommandSpec[] = [
  command(
    "client|id",
    2,
    "noscript loading stale",
    NO_KEYS,
    about("5.0.0", "Returns the client ID for the current connection"),
    { kind: "now", run: (_args, { out, session }) => out.integer(session.id) },
  ),
  command(
    "client|getname",
    2,
    "noscript loading stale",
    NO_KEYS,
    about("2.6.9", "Get the current connection name"),
    {
      kind: "now",
      run: (_args, { out, session }) => {
        if (session.clientName === "") out.nil();
        else out.bulkText(session.clientName);
      },
    },
  ),
  command(
    "client|setname",
    3,
    "noscript loading stale",
    NO_KEYS,
    about("2.6.9", "Set the current connection name"),
    {
      kind: "now",
      run: (args, { out, session }) => {
        session.clientName = nameFrom(at(args, 2));
        out.ok();
      },
    },
  ),
  command(
    "client|setinfo",
    4,
    "noscript loading stale",
    NO_KEYS,
    about("7.2.0", "Set the name and version of the client's library"),
    { kind: "now", run: setInfo },
  ),
  command(
    "client|info",
    2,
    "noscript loading stale",
    NO_KEYS,
    about("6.2.0", "Returns information about the current client connection"),
    {
      kind: "now",
      run: (_args, { out, session }) => out.verbatim(clientLine(session) + "\n"),
    },
  ),
  command(
    "client|list",
    -2,
    "noscript loading stale admin",
    NO_KEYS,
    about("2.4.0", "Get the list of client connections of this node's Redis front end"),
    { kind: "now", run: list },
  ),
  command(
    "client|no-evict",
    3,
    "noscript loading stale admin",
    NO_KEYS,
    about("7.0.0", "Accepted; no client is ever evicted"),
    {
      kind: "now",
      run: (args, { out, session }) => {
        const word = wordOf(args[2], ["on", "off"]);
        if (word === undefined) throw new CommandError("ERR syntax error");
        session.noEvict = word === "on";
        out.ok();
      },
    },
  ),
  command(
    "client|reply",
    3,
    "noscript loading stale",
    NO_KEYS,
    about("3.2.0", "Instruct the server whether to reply to commands"),
    { kind: "now", run: reply },
  ),
  ...CLIENT_CONTROL,
  ...TRACKING_COMMANDS,
];

/**
 * What a browser sends that was made to send a request here: a page of another site must not reach the data
 * through a visitor's own machine. The connection ends before anything of the body is read.
 */
function http(name: string): CommandSpec {
  return command(
    name,
    -1,
    "readonly loading stale",
    NO_KEYS,
    {
      group: "server",
      since: "3.2.7",
      summary: "Closes the connection of a client that speaks HTTP",
    },
    {
      kind: "frame",
      run: (_args, session) => {
        session.server.log.warn("HTTP on the port for Redis and JSON: connection closed", {
          remote: session.address,
        });
        session.answerInTurn((out) => out.error(HTTP_REFUSED));
        session.end();
      },
    },
  );
}

/** The rows. */
export const CONNECTION_COMMANDS: readonly CommandSpec[] = [
  command("ping", -1, "fast", NO_KEYS, about("1.0.0", "Ping the server"), {
    kind: "now",
    run: (args, { out, session, server }) => {
      if (args.length > 2) {
        throw new CommandError("ERR wrong number of arguments for 'ping' command");
      }
      if (out.protocol === 2 && server.pubSub.local.has(session)) {
        out.array(2);
        out.bulkText("pong");
        out.bulk(args[1] ?? new Uint8Array());
      } else if (args.length === 2) out.bulk(at(args, 1));
      else out.simple("PONG");
    },
  }),
  command("echo", 2, "loading stale fast", NO_KEYS, about("1.0.0", "Echo the given string"), {
    kind: "now",
    run: (args, { out }) => out.bulk(at(args, 1)),
  }),
  command(
    "hello",
    -1,
    FAST,
    NO_KEYS,
    about("6.0.0", "Handshake with the server"),
    { ...alone(hello), queued: () => ({ kind: "now", run: helloInside }) },
  ),
  command("auth", -2, FAST, NO_KEYS, about("1.0.0", "Authenticate to the server"), alone(auth)),
  command(
    "select",
    2,
    "loading stale fast",
    NO_KEYS,
    about("1.0.0", "Change the selected database"),
    {
      ...alone((args, call, done) => select(databaseOfIndex(at(args, 1)), true, call, done)),
      queued: () => ({
        kind: "now",
        run: (args, { out, session }) => {
          if (databaseOfIndex(at(args, 1)) === session.database.name) return out.ok();
          out.error("ERR SELECT of another database cannot be in a transaction");
        },
      }),
    },
  ),
  command(
    "kv.use",
    2,
    "loading stale fast",
    NO_KEYS,
    { group: "kv", since: "1.0.0", summary: "Change the selected database, by its name" },
    alone((args, call, done) => select(textOf(at(args, 1)), false, call, done)),
  ),
  command(
    "swapdb",
    3,
    "fast",
    NO_KEYS,
    about("4.0.0", "Refused: databases keep their names"),
    { kind: "now", run: swap },
  ),
  command("quit", -1, FAST, NO_KEYS, about("1.0.0", "Close the connection"), {
    kind: "frame",
    run: (_args, session) => {
      session.answerInTurn((out) => out.ok());
      session.end();
    },
  }),
  command("reset", 1, FAST, NO_KEYS, about("6.2.0", "Reset the connection"), {
    kind: "frame",
    run: (_args, session) => {
      session.transaction.reset();
      session.server.watches.forget(session);
      session.server.tracking.off(session);
      session.server.pubSub.local.forget(session);
      session.login.logOut();
      session.useDatabase(DEFAULT_DATABASE);
      session.answerInTurn((out) => {
        session.clientName = "";
        session.noEvict = false;
        session.replyMode = "on";
        session.repliesSwitchedOn = true;
        out.protocol = 2;
        out.simple("RESET");
      });
    },
  }),
  {
    ...command("client", -2, "", NO_KEYS, about("2.4.0", "A container for client commands"), {
      kind: "now",
      run: (_args, { out }) => out.error("ERR syntax error"),
    }),
    subcommands: CLIENT_SUBCOMMANDS,
  },
  http("host:"),
  http("post"),
];
