/** CLIENT TRACKING and its kin. @module */
import { at, keyOf, SYNTAX_ERROR, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandSpec,
  NO_KEYS,
  type TrackingOptions,
} from "../command/command.ts";
import { RESP_TRACKED_PREFIXES_MAX } from "../../../shared/limits/resp.ts";

const OPTIONS = ["redirect", "prefix", "bcast", "optin", "optout", "noloop"] as const;

const NOT_YET =
  "ERR unavailable CLIENT TRACKING: some of the cluster cannot tell now what changes; try again";

/** @throws {CommandError} in the words of Redis */
function optionsOf(args: Arguments): TrackingOptions {
  const given = new Set<string>();
  const prefixes: string[] = [];
  for (let i = 3; i < args.length; i++) {
    const word = wordOf(args[i], OPTIONS);
    if (word === undefined) throw new CommandError(SYNTAX_ERROR);
    if (word === "redirect") {
      throw new CommandError("ERR REDIRECT is not supported: use RESP3 (HELLO 3)");
    }
    given.add(word);
    if (word !== "prefix") continue;
    const prefix = at(args, ++i);
    prefixes.push(prefix.length === 0 ? "" : keyOf(prefix));
  }
  const [broadcast, optIn, optOut] = [given.has("bcast"), given.has("optin"), given.has("optout")];
  if (prefixes.length > 0 && !broadcast) {
    throw new CommandError("ERR PREFIX option requires BCAST mode to be enabled");
  }
  if (optIn && optOut) {
    throw new CommandError("ERR You can't use both OPTIN and OPTOUT at the same time");
  }
  if (broadcast && (optIn || optOut)) {
    throw new CommandError("ERR OPTIN and OPTOUT are not compatible with BCAST");
  }
  if (prefixes.length > RESP_TRACKED_PREFIXES_MAX) {
    throw new CommandError(`ERR at most ${RESP_TRACKED_PREFIXES_MAX} prefixes; use a shorter one`);
  }
  const flags = ["on", ...["bcast", "optin", "optout", "noloop"].filter((one) => given.has(one))];
  return { broadcast, prefixes: prefixes.length > 0 ? prefixes : [""], default: !optIn, flags };
}

function track(args: Arguments, { session, server, out }: Call, done: () => void): void {
  const { tracking } = server;
  const answer = () => {
    session.answer((to) => to.ok());
    done();
  };
  const word = wordOf(args[2], ["on", "off"]);
  if (word === undefined) throw new CommandError(SYNTAX_ERROR);
  if (word === "off") {
    tracking.off(session);
    answer();
    return;
  }
  if (out.protocol !== 3) {
    throw new CommandError("ERR CLIENT TRACKING needs RESP3: say HELLO 3 first");
  }
  const options = optionsOf(args);
  // Each key is judged again when it is told, by its own database.
  const { login, database } = session;
  const mayHear = !options.broadcast ||
    options.prefixes.every((prefix) => login.mayUseRange("read", database.prefix + prefix));
  if (!mayHear) {
    throw new CommandError("NOPERM No permissions to read all keys of these prefixes");
  }
  tracking.on(session, options, (isOn) => {
    if (isOn) return answer();
    session.answer((to) => to.error(NOT_YET));
    done();
  });
}

function caching(args: Arguments, { out, session, server }: Call): void {
  const word = wordOf(args[2], ["yes", "no"]);
  if (word === undefined) throw new CommandError(SYNTAX_ERROR);
  const flags = server.tracking.optionsOf(session)?.flags ?? [];
  const needed = word === "yes" ? "optin" : "optout";
  if (!flags.includes(needed)) {
    throw new CommandError(
      `ERR CLIENT CACHING ${word.toUpperCase()} is only valid when tracking is enabled in ` +
        `${needed.toUpperCase()} mode.`,
    );
  }
  server.tracking.setCaching(session, word === "yes");
  out.ok();
}

function info(_args: Arguments, { out, session, server }: Call): void {
  const options = server.tracking.optionsOf(session);
  const flags = options?.flags ?? ["off"];
  const prefixes = options?.broadcast === true ? options.prefixes : [];
  out.map(3);
  out.bulkText("flags");
  out.set(flags.length);
  for (const flag of flags) out.bulkText(flag);
  out.bulkText("redirect");
  out.integer(options === undefined ? -1 : 0);
  out.bulkText("prefixes");
  out.array(prefixes.length);
  for (const prefix of prefixes) out.bulkText(prefix);
}

const about = (since: string, summary: string) => ({ group: "connection", since, summary });
const FLAGS = "noscript loading stale";

/** The rows, subcommands of CLIENT. */
export const TRACKING_COMMANDS: readonly CommandSpec[] = [
  command(
    "client|tracking",
    -3,
    FLAGS,
    NO_KEYS,
    about("6.0.0", "Tells of keys that were read when they change, over RESP3"),
    { kind: "alone", run: track },
  ),
  command(
    "client|caching",
    3,
    FLAGS,
    NO_KEYS,
    about("6.0.0", "Whether the keys of the next command are tracked"),
    { kind: "now", run: caching },
  ),
  command(
    "client|getredir",
    2,
    FLAGS,
    NO_KEYS,
    about("6.0.0", "0 if this connection tracks keys, otherwise -1"),
    {
      kind: "now",
      run: (_args, { out, session, server }) =>
        out.integer(server.tracking.optionsOf(session) === undefined ? -1 : 0),
    },
  ),
  command(
    "client|trackinginfo",
    2,
    FLAGS,
    NO_KEYS,
    about("6.2.0", "What this connection tracks"),
    { kind: "now", run: info },
  ),
];
