/** KV.WATCH and KV.UNWATCH. @module */
import { VERSION } from "../../../shared/base/version.ts";
import type { WatchRequest } from "../../../shared/watch/watch_event.ts";
import { at, keyOf, SYNTAX_ERROR, textOf, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";

const FLAGS = "pubsub noscript loading stale";
const WORDS = ["prefix", "key", "snapshot", "token"] as const;

/** The beginning of keys; none, for all of them. */
function prefixOf(argument: Uint8Array): string {
  return argument.length === 0 ? "" : keyOf(argument);
}

/** KV.WATCH NAME [PREFIX p …] [KEY k …] [SNAPSHOT] [TOKEN t] @throws {CommandError} */
function requestOf(args: Arguments): WatchRequest {
  const prefixes: string[] = [];
  const keys: string[] = [];
  let snapshot = false;
  let token: string | undefined;
  for (let i = 2; i < args.length; i++) {
    const word = wordOf(args[i], WORDS);
    if (word === "snapshot") snapshot = true;
    else if (word === undefined || i + 1 >= args.length) throw new CommandError(SYNTAX_ERROR);
    else if (word === "token") token = textOf(at(args, ++i));
    else if (word === "key") keys.push(keyOf(args[++i]));
    else prefixes.push(prefixOf(at(args, ++i)));
  }
  return { prefixes, keys, snapshot, token };
}

function watch(args: Arguments, { out, session, server }: Call): void {
  if (out.protocol !== 3) throw new CommandError("ERR KV.WATCH needs RESP3: say HELLO 3 first");
  server.watches.begin(session, textOf(at(args, 1)), requestOf(args));
  out.ok();
}

function unwatch(args: Arguments, { out, session, server }: Call): void {
  out.integer(server.watches.end(session, textOf(at(args, 1))) ? 1 : 0);
}

const about = (summary: string) => ({ group: "kv", since: VERSION, summary });

/** The rows. */
export const WATCH_COMMANDS: readonly CommandSpec[] = [
  command(
    "kv.watch",
    -3,
    FLAGS,
    NO_KEYS,
    about("Pushes the changes of keys, as watch NAME: [PREFIX p …] [KEY k …] [SNAPSHOT] [TOKEN t]"),
    { kind: "now", run: watch },
  ),
  command("kv.unwatch", 2, FLAGS, NO_KEYS, about("Ends a watch of this connection"), {
    kind: "now",
    run: unwatch,
  }),
];
