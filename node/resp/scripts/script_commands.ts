/** EVAL, EVALSHA, their variants that only read, and SCRIPT. @module */
import { at, integerOf, keyOf, SYNTAX_ERROR, textOf, wordOf } from "../command/arguments.ts";
import {
  type Arguments,
  type Call,
  command,
  CommandError,
  type CommandRun,
  type CommandSpec,
  NO_KEYS,
  type RequestView,
  type Write,
} from "../command/command.ts";
import { RESP_SCRIPT_BYTES_MAX } from "../../../shared/limits/resp.ts";
import { callOnView } from "./script_calls.ts";
import { writeReply } from "./script_reply.ts";
import { withoutShebang } from "./shebang.ts";

const NO_SCRIPT = "NOSCRIPT No matching script. Please use EVAL.";
const decoder = new TextDecoder();

/** The arguments that are keys. @throws {CommandError} */
function keyArguments(args: Arguments): Arguments {
  const count = integerOf(args[2]);
  if (count < 0n) throw new CommandError("ERR Number of keys can't be negative");
  if (count > BigInt(args.length - 3)) {
    throw new CommandError("ERR Number of keys can't be greater than number of args");
  }
  return args.slice(3, 3 + Number(count));
}

function textOfScript(args: Arguments, { server }: Call, bySha: boolean): Uint8Array {
  const { cache } = server.scripts;
  if (bySha) {
    const text = cache.get(textOf(at(args, 1)));
    if (text === undefined) throw new CommandError(NO_SCRIPT);
    return text;
  }
  const text = at(args, 1);
  checkLength(text);
  cache.add(text);
  return text;
}

function checkLength(text: Uint8Array): void {
  if (text.length <= RESP_SCRIPT_BYTES_MAX) return;
  throw new CommandError(`ERR a script may have ${RESP_SCRIPT_BYTES_MAX} bytes`);
}

/** @param writes whether the script may write */
function evaluating(options: { bySha: boolean; writes: boolean }): CommandRun {
  return {
    kind: "script",
    keys: (args) => keyArguments(args).map((key) => keyOf(key)),
    async run(args: Arguments, view: RequestView, call: Call): Promise<Write> {
      const keys = keyArguments(args);
      const { text, mayWrite } = withoutShebang(textOfScript(args, call, options.bySha));
      const rights = {
        keys: new Set(keys.map((key) => keyOf(key))),
        writes: options.writes && mayWrite,
      };
      const script = {
        text,
        keys,
        args: args.slice(3 + keys.length),
      };
      const { reply, failed } = await call.server.scripts.run(
        script,
        (command) => callOnView(command, view, call, rights),
      );
      if (failed) throw new CommandError(decoder.decode(reply.subarray(1, -2)));
      return (out) => void writeReply(out, reply);
    },
  };
}

const about = (since: string, summary: string) => ({ group: "scripting", since, summary });

/** The rows. */
export const SCRIPT_COMMANDS: readonly CommandSpec[] = [
  command(
    "eval",
    -3,
    "noscript stale skip_monitor movablekeys",
    NO_KEYS,
    about("2.6.0", "Run a Lua script"),
    evaluating({ bySha: false, writes: true }),
  ),
  command(
    "evalsha",
    -3,
    "noscript stale skip_monitor movablekeys",
    NO_KEYS,
    about("2.6.0", "Run a Lua script that the node remembers, by its SHA-1"),
    evaluating({ bySha: true, writes: true }),
  ),
  command(
    "eval_ro",
    -3,
    "readonly noscript stale skip_monitor movablekeys",
    NO_KEYS,
    about("7.0.0", "Run a Lua script that only reads"),
    evaluating({ bySha: false, writes: false }),
  ),
  command(
    "evalsha_ro",
    -3,
    "readonly noscript stale skip_monitor movablekeys",
    NO_KEYS,
    about("7.0.0", "Run a Lua script that only reads, by its SHA-1"),
    evaluating({ bySha: true, writes: false }),
  ),
  {
    ...command(
      "script",
      -2,
      "",
      NO_KEYS,
      about("2.6.0", "A container for commands on the scripts that the node remembers"),
      { kind: "now", run: (_args, { out }) => out.error(SYNTAX_ERROR) },
    ),
    subcommands: [
      command("script|load", 3, "noscript stale", NO_KEYS, about("2.6.0", "Remember a script"), {
        kind: "now",
        run(args, { out, server }) {
          const text = at(args, 2).slice();
          checkLength(text);
          out.bulkText(server.scripts.cache.add(text));
        },
      }),
      command(
        "script|exists",
        -3,
        "noscript",
        NO_KEYS,
        about("2.6.0", "Whether scripts are remembered, by their SHA-1"),
        {
          kind: "now",
          run(args, { out, server }) {
            out.array(args.length - 2);
            for (const sha1 of args.slice(2)) {
              out.integer(server.scripts.cache.get(textOf(sha1)) === undefined ? 0 : 1);
            }
          },
        },
      ),
      command(
        "script|flush",
        -2,
        "noscript",
        NO_KEYS,
        about("2.6.0", "Forget all scripts of the node"),
        {
          kind: "now",
          run(args, { out, server }) {
            const isWrong = args.length > 3 ||
              (args.length === 3 && wordOf(args[2], ["sync", "async"]) === undefined);
            if (isWrong) throw new CommandError("ERR SCRIPT FLUSH only support SYNC|ASYNC option");
            server.scripts.cache.clear();
            out.ok();
          },
        },
      ),
      command(
        "script|kill",
        2,
        "noscript",
        NO_KEYS,
        about("2.6.0", "End the script that runs: here it ends by itself after some seconds"),
        {
          kind: "now",
          run: (_args, { out }) => out.error("NOTBUSY No scripts in execution right now."),
        },
      ),
    ],
  },
];
