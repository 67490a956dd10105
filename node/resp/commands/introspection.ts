/** What tools ask about a server that here needs no answer of its own, or a short one: ROLE, LATENCY, MEMORY, CLIENT KILL. @module */
import { keyLength } from "../../../shared/base/key_text.ts";
import { RESP_PAUSE_MS_MAX } from "../../../shared/limits/resp.ts";
import { countOf } from "../../../shared/metrics/histogram.ts";
import type { KeyRequest } from "../../../shared/wire/messages.ts";
import { at, keyOf, SYNTAX_ERROR, textOf, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandRun,
  type CommandSession,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";
import { commandStats, microsecondsOf } from "../info/command_stats.ts";
import { isNotFound, writeUnexpected } from "../command/replies.ts";
import { parseInteger } from "../protocol/integer_text.ts";
import type { RespWriter } from "../protocol/writer.ts";

/** What a stored key costs beside its bytes, approximately: its record and its place in an index. */
const ENTRY_OVERHEAD_BYTES = 64;

/** What `inspect` answers with, as far as it is used here. */
interface Inspected {
  readonly key: string;
  readonly length: number;
  readonly timestamp: number;
}

/** Looks at a key without its value. */
function inspecting(
  keyIndex: number,
  write: (out: RespWriter, found: Inspected, wallMs: number) => void,
): CommandRun {
  return {
    kind: "plan",
    plan: (args, context) => {
      const key = keyOf(args[keyIndex]);
      const request: KeyRequest = { req_type: "inspect", key };
      return {
        request,
        finish: (out, reply) => {
          if (isNotFound(reply)) out.nil();
          else if (reply.req_type !== "result") writeUnexpected(out, reply);
          else write(out, { ...(reply.result as Inspected), key }, context.wallMs());
        },
      };
    },
  };
}

const NO_LFU =
  "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when " +
  "switching between policies at runtime LRU and LFU data will take some time to adjust.";

const generic = (since: string, summary: string) => ({ group: "generic", since, summary });
const server = (since: string, summary: string) => ({ group: "server", since, summary });

/** Subcommands of OBJECT. */
export const OBJECT_SUBCOMMANDS: readonly CommandSpec[] = [
  command(
    "object|freq",
    3,
    "readonly",
    [2, 2, 1],
    generic("4.0.0", "Refused: how often a key is read is not counted"),
    inspecting(2, (out) => out.error(NO_LFU)),
  ),
  command(
    "object|idletime",
    3,
    "readonly",
    [2, 2, 1],
    generic("2.2.3", "The seconds since a key was written: reads are not noted"),
    inspecting(2, (out, { timestamp }, wallMs) => {
      out.integer(Math.max(0, Math.floor((wallMs - timestamp) / 1_000)));
    }),
  ),
  command(
    "object|refcount",
    3,
    "readonly",
    [2, 2, 1],
    generic("2.2.3", "1: no value is shared"),
    inspecting(2, (out) => out.integer(1)),
  ),
];

/** What kind of client it is, to Redis. */
export function typeOf(session: CommandSession): "normal" | "pubsub" {
  return session.server.pubSub.local.has(session) ? "pubsub" : "normal";
}

/** What CLIENT KILL looks for. */
type Filter = (session: CommandSession) => boolean;

/** @throws {CommandError} */
function filterOf(word: string | undefined, value: Uint8Array): Filter {
  switch (word) {
    case "id": {
      const id = parseInteger(value);
      if (id === undefined || id <= 0n) {
        throw new CommandError("ERR client-id should be greater than 0");
      }
      return (session) => session.id === Number(id);
    }
    case "addr":
      return ({ address }) => address === textOf(value);
    case "user":
      return ({ login }) => login.user === textOf(value);
    case "type": {
      const type = wordOf(value, ["normal", "master", "replica", "slave", "pubsub"]);
      if (type === undefined) {
        throw new CommandError(`ERR Unknown client type '${textOf(value)}'`);
      }
      return (session) => type === typeOf(session);
    }
    default:
      throw new CommandError(SYNTAX_ERROR);
  }
}

function killed(call: Call, filters: readonly Filter[], skipsThis: boolean): number {
  let count = 0;
  for (const session of [...call.server.sessions.values()]) {
    if (skipsThis && session === call.session) continue;
    if (!filters.every((matches) => matches(session))) continue;
    session.end();
    count++;
  }
  return count;
}

function kill(args: Arguments, call: Call): void {
  if (args.length === 3) {
    const address = textOf(at(args, 2));
    if (killed(call, [(session) => session.address === address], false) === 0) {
      throw new CommandError("ERR No such client");
    }
    call.out.ok();
    return;
  }
  const filters: Filter[] = [];
  let skipsThis = true;
  for (let i = 2; i < args.length; i += 2) {
    const word = wordOf(args[i], ["id", "addr", "user", "type", "skipme"]);
    const value = at(args, i + 1);
    if (word !== "skipme") {
      filters.push(filterOf(word, value));
      continue;
    }
    const answer = wordOf(value, ["yes", "no"]);
    if (answer === undefined) throw new CommandError(SYNTAX_ERROR);
    skipsThis = answer === "yes";
  }
  call.out.integer(killed(call, filters, skipsThis));
}

/** Nobody is ever blocked. */
function unblock(args: Arguments, { out }: Call): void {
  if (args.length > 4) throw new CommandError(SYNTAX_ERROR);
  if (args.length === 4 && wordOf(args[3], ["timeout", "error"]) === undefined) {
    throw new CommandError("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
  }
  if (parseInteger(at(args, 2)) === undefined) {
    throw new CommandError("ERR value is not an integer or out of range");
  }
  out.integer(0);
}

function pause(args: Arguments, { out, server }: Call): void {
  if (args.length > 4) {
    const name = textOf(at(args, 1));
    throw new CommandError(
      `ERR unknown subcommand or wrong number of arguments for '${name}'. Try CLIENT HELP.`,
    );
  }
  const mode = args.length === 4 ? wordOf(args[3], ["write", "all"]) : "all";
  if (mode === undefined) throw new CommandError("ERR CLIENT PAUSE mode must be WRITE or ALL");
  const ms = parseInteger(at(args, 2));
  if (ms === undefined || ms > BigInt(RESP_PAUSE_MS_MAX)) {
    throw new CommandError("ERR timeout is not an integer or out of range");
  }
  if (ms < 0n) throw new CommandError("ERR timeout is negative");
  server.pause.begin(mode, Number(ms));
  out.ok();
}

const CONNECTION = "noscript loading stale";
const connection = (since: string, summary: string) => ({ group: "connection", since, summary });

/** Subcommands of CLIENT. */
export const CLIENT_CONTROL: readonly CommandSpec[] = [
  command(
    "client|kill",
    -3,
    `admin ${CONNECTION}`,
    NO_KEYS,
    connection("2.4.0", "Ends connections of this node's Redis front end"),
    { kind: "now", run: kill },
  ),
  command(
    "client|unblock",
    -3,
    `admin ${CONNECTION}`,
    NO_KEYS,
    connection("5.0.0", "Accepted; nobody is ever blocked"),
    { kind: "now", run: unblock },
  ),
  command(
    "client|pause",
    -3,
    `admin ${CONNECTION}`,
    NO_KEYS,
    connection("3.0.0", "Lets commands of this node's Redis clients wait for a while"),
    { kind: "now", run: pause },
  ),
  command(
    "client|unpause",
    2,
    `admin ${CONNECTION}`,
    NO_KEYS,
    connection("6.2.0", "Ends CLIENT PAUSE"),
    {
      kind: "now",
      run: (_args, { out, server }) => {
        server.pause.end();
        out.ok();
      },
    },
  ),
  command(
    "client|no-touch",
    3,
    CONNECTION,
    NO_KEYS,
    connection("7.2.0", "Accepted; reads are never noted"),
    {
      kind: "now",
      run: (args, { out }) => {
        if (wordOf(args[2], ["on", "off"]) === undefined) throw new CommandError(SYNTAX_ERROR);
        out.ok();
      },
    },
  ),
];

/** All commands that were called, or those that are named; one with subcommands stands for them. */
function histogram(args: Arguments, { out, server }: Call): void {
  const wanted = args.slice(2).map((argument) => textOf(argument).toLowerCase());
  const isWanted = (name: string) =>
    wanted.length === 0 || wanted.some((one) => name === one || name.startsWith(`${one}|`));
  const found = commandStats(server.node.metrics())
    .filter(({ name, seconds }) => isWanted(name) && countOf(seconds) > 0);
  out.map(found.length);
  for (const { name, calls, seconds } of found) {
    out.bulkText(name);
    out.map(2);
    out.bulkText("calls");
    out.integer(calls);
    out.bulkText("histogram_usec");
    const buckets = microsecondsOf(seconds);
    out.map(buckets.length);
    for (const [usec, count] of buckets) {
      out.integer(usec);
      out.integer(count);
    }
  }
}

const container = (_args: Arguments, { out }: Call) => out.error(SYNTAX_ERROR);
const latency = (
  name: string,
  arity: number,
  summary: string,
  run: (args: Arguments, call: Call) => void,
) =>
  command(
    `latency${name}`,
    arity,
    "admin noscript loading stale",
    NO_KEYS,
    server("2.8.13", summary),
    {
      kind: "now",
      run,
    },
  );

/** The rows. */
export const INTROSPECTION_COMMANDS: readonly CommandSpec[] = [
  command("role", 1, "noscript loading stale fast", NO_KEYS, server("2.8.12", "Always master"), {
    kind: "now",
    run: (_args, { out }) => {
      out.array(3);
      out.bulkText("master");
      out.integer(0);
      out.array(0);
    },
  }),
  {
    ...latency("", -2, "A container for latency commands", container),
    subcommands: [
      latency("|latest", 2, "None: events are not kept", (_args, { out }) => out.array(0)),
      latency("|history", 3, "None: events are not kept", (_args, { out }) => out.array(0)),
      latency("|histogram", -2, "How long commands took at this node", histogram),
      latency("|reset", -2, "0: events are not kept", (_args, { out }) => out.integer(0)),
      latency(
        "|doctor",
        2,
        "Where to look instead",
        (_args, { out }) =>
          out.verbatim("Latencies are not kept here: look at the node's stats and log.\n"),
      ),
    ],
  },
  {
    ...command("memory", -2, "", NO_KEYS, server("4.0.0", "A container for memory commands"), {
      kind: "now",
      run: container,
    }),
    subcommands: [
      command(
        "memory|usage",
        -3,
        "readonly",
        [2, 2, 1],
        server("4.0.0", "About how many bytes a key takes"),
        inspecting(2, (out, { key, length }) => {
          out.integer(keyLength(key) + length + ENTRY_OVERHEAD_BYTES);
        }),
      ),
    ],
  },
];
