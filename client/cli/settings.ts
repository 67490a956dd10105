/**
 * The settings of `kv-client`: flags, environment and file follow from this table. The shell's
 * commands take some of them as options of one line.
 *
 * @module
 */
import type { Program } from "../../shared/program/config.ts";
import { discoverySettings, whyWeakSecret } from "../../shared/discovery/discovery_settings.ts";
import { IMPORT_GIVE_UP_MS } from "../../shared/limits/client.ts";
import { REQUEST_TIMEOUT_MS, REQUEST_TIMEOUT_MS_MAX } from "../../shared/limits/requests.ts";
import { choice, flag, integer, optionalText, texts } from "../../shared/program/setting.ts";
import { commandFlags, COMMANDS, findCommand } from "./commands/command_table.ts";
import { EXIT_CODE_HELP } from "./command/exit_code.ts";
import { commandHelp, commandLines } from "./command/help.ts";

export const CLIENT_SETTINGS = {
  coordinator: optionalText({
    help:
      "Where the coordinator is. Without it: cs_config.txt in the working folder, that of the " +
      "login, discovery, then 127.0.0.1:8080. A node's address works as well.",
    placeholder: "HOST:PORT",
  }),
  clusterName: optionalText({
    help: "Discovery finds only the cluster of this name, and any other is refused. By default " +
      "any cluster is used if there is only one.",
    placeholder: "NAME",
  }),
  ...discoverySettings(
    "Whether to look for the coordinator on the local network if no other source names one, and " +
      "how: broadcast and multicast (on), one of them, or not at all (off).",
    1,
  ),
  database: optionalText({
    help: 'The database that commands are about; "default" if none is given.',
    placeholder: "NAME",
  }),
  seeds: texts({
    help: "Further nodes to ask which nodes are in the cluster if the coordinator is away.",
    placeholder: "HOST:PORT,…",
  }),
  credentials: optionalText({
    help:
      "Of a secured cluster: the file with the authority's certificate and as whom to log in. Nobody else " +
      "may be able to read it. By default that of kv-client login.",
    placeholder: "FILE",
  }),
  command: optionalText({
    help: 'Run one line of the shell\'s language and exit: --command "GET k".',
    placeholder: "LINE",
  }),
  json: flag({ help: "Print one JSON document per command, errors included." }),
  raw: flag({ help: "get: print the value's bytes and nothing after them." }),
  historyFile: optionalText({
    help: "Keep the interactive shell's history in this file from one run to the next.",
    placeholder: "FILE",
  }),
  timeoutMs: integer({
    help: "Deadline of a request, its retries included.",
    default: REQUEST_TIMEOUT_MS,
    min: 1,
    max: REQUEST_TIMEOUT_MS_MAX,
    unit: "ms",
  }),
  consistency: choice(["strong", "replica", "cached"], {
    help: "How fresh a read is: strong is linearizable, the others may be a moment old.",
    default: "strong",
  }),
  acks: choice(["all", "primary"], {
    help:
      "Which replicas have a write on disk when it is acknowledged: all in-sync ones or the primary.",
    default: "all",
  }),
  keyColumn: optionalText({ help: "import of CSV: the column with the key.", placeholder: "NAME" }),
  format: choice(["auto", "csv", "jsonl"], {
    help: "import: the file's format; auto goes by its name (.csv, .jsonl, .ndjson).",
    default: "auto",
  }),
  giveUpAfterMs: integer({
    help:
      "import, backup, restore: how long one record, partition or write is tried while nodes are " +
      "away.",
    default: IMPORT_GIVE_UP_MS,
    min: 0,
    max: 86_400_000,
    unit: "ms",
  }),
};

/** The command line of `kv-client`. */
export const CLIENT_PROGRAM: Program<typeof CLIENT_SETTINGS> = {
  name: "kv-client",
  summary: "the shell and the command line of a key-value cluster",
  usage: ["[flags]", "[flags] COMMAND [arguments]", '--command "LINE" [flags]'],
  settings: CLIENT_SETTINGS,
  rest: true,
  restFlags: commandFlags(),
  helpOf: ([name]) => {
    const command = name === undefined ? undefined : findCommand(name);
    return command && commandHelp(command, CLIENT_SETTINGS).trimEnd();
  },
  check: ({ discoverySecret }) => whyWeakSecret(discoverySecret),
  notes: notes(),
};

function notes(): string[] {
  const commands = [...COMMANDS.values()].filter((command) => !command.shellOnly);
  return [
    "Commands:",
    ...commandLines(commands).map((line) => `  ${line}`),
    "",
    "Each has options of its own: kv-client COMMAND --help.",
    "Without a command: the interactive shell; or, if standard input is not a terminal, a script",
    "with one command per line (it goes on after an error; its exit code is that of the first).",
    "A VALUE of - is read from standard input, byte for byte; arguments must be UTF-8. Put -- before",
    "a key or value that begins with a dash.",
    "",
    "Exit codes:",
    ...EXIT_CODE_HELP.map(([code, meaning]) => `  ${code}  ${meaning}`),
  ];
}
