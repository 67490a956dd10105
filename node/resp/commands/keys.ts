/** Commands on keys, whatever their values. Those that go through all keys are in `scans.ts`. @module */
import type { Entry } from "../../../shared/base/entry.ts";
import type { KeyRequest } from "../../../shared/wire/messages.ts";
import { OBJECT_SUBCOMMANDS } from "./introspection.ts";
import { valueOfReply } from "../../../shared/schema/value_codec.ts";
import { keyOf, SYNTAX_ERROR } from "../command/arguments.ts";
import {
  ALL_KEYS,
  type Arguments,
  command,
  CommandError,
  type CommandSpec,
  KEY,
  type KeyView,
  type Plan,
  TWO_KEYS,
} from "../command/command.ts";
import { parseInteger } from "../protocol/integer_text.ts";
import { countReply, isNotFound, unlessError, writeUnexpected } from "../command/replies.ts";

/** Redis stores a string of at most this many bytes in one piece with its header. */
const EMBEDDED_BYTES_MAX = 44;
const NO_SUCH_KEY = "ERR no such key";

function each(args: Arguments, make: (key: string) => KeyRequest): Plan {
  return { requests: args.slice(1).map((key) => make(keyOf(key))), finishAll: countReply };
}

const remove = (args: Arguments) => each(args, (key) => ({ req_type: "delete", key }));
const exists = (args: Arguments) => each(args, (key) => ({ req_type: "exists", key }));

/** The entry of a key that must exist. */
function source(view: KeyView, key: string): Entry {
  const entry = view.get(key);
  if (entry === undefined) throw new CommandError(NO_SUCH_KEY);
  return entry;
}

function move(view: KeyView, from: string, to: string): void {
  if (from === to) return;
  const { value, expiresAtMs, contentType } = source(view, from);
  view.set(to, value, expiresAtMs, contentType);
  view.delete(from);
}

const twoKeys = (args: Arguments) => [keyOf(args[1]), keyOf(args[2])];

function encodingOf(value: Uint8Array): string {
  if (value.length <= 20 && parseInteger(value) !== undefined) return "int";
  return value.length <= EMBEDDED_BYTES_MAX ? "embstr" : "raw";
}

const about = (since: string, summary: string) => ({ group: "generic", since, summary });

/** The rows. */
export const KEY_COMMANDS: readonly CommandSpec[] = [
  command("del", -2, "write", ALL_KEYS, about("1.0.0", "Delete keys, each by itself"), {
    kind: "plan",
    plan: remove,
  }),
  command("unlink", -2, "write fast", ALL_KEYS, about("4.0.0", "Delete keys, as DEL does"), {
    kind: "plan",
    plan: remove,
  }),
  command("exists", -2, "readonly fast", ALL_KEYS, about("1.0.0", "Count the keys that exist"), {
    kind: "plan",
    plan: exists,
  }),
  command(
    "touch",
    -2,
    "readonly fast",
    ALL_KEYS,
    about("3.2.1", "Count the keys that exist; nothing keeps when they were used"),
    { kind: "plan", plan: exists },
  ),
  command("type", 2, "readonly fast", KEY, about("1.0.0", "The type of a key: string or none"), {
    kind: "plan",
    plan: (args) => ({
      request: { req_type: "exists", key: keyOf(args[1]) },
      finish: unlessError((out, reply) =>
        out.simple(reply.req_type === "result" && reply.result === true ? "string" : "none")
      ),
    }),
  }),
  command(
    "rename",
    3,
    "write",
    TWO_KEYS,
    about("1.0.0", "Rename a key"),
    {
      kind: "view",
      keys: twoKeys,
      run: (args, view) => {
        const [from = "", to = ""] = twoKeys(args);
        source(view, from);
        move(view, from, to);
        return (out) => out.ok();
      },
    },
  ),
  command(
    "renamenx",
    3,
    "write fast",
    TWO_KEYS,
    about("1.0.0", "Rename a key, only if the new key does not exist"),
    {
      kind: "view",
      keys: twoKeys,
      run: (args, view) => {
        const [from = "", to = ""] = twoKeys(args);
        source(view, from);
        if (view.get(to) !== undefined) return (out) => out.integer(0);
        move(view, from, to);
        return (out) => out.integer(1);
      },
    },
  ),
  {
    ...command("object", -2, "", [0, 0, 0], about("2.2.3", "A container for object commands"), {
      kind: "now",
      run: (_args, { out }) => out.error(SYNTAX_ERROR),
    }),
    subcommands: [
      command(
        "object|encoding",
        3,
        "readonly",
        [2, 2, 1],
        about("2.2.3", "The encoding that Redis would choose for the value"),
        {
          kind: "plan",
          plan: (args) => ({
            request: { req_type: "get", key: keyOf(args[2]) },
            finish: (out, reply) => {
              if (reply.req_type === "data") out.bulkText(encodingOf(valueOfReply(reply)));
              else if (isNotFound(reply)) out.nil();
              else writeUnexpected(out, reply);
            },
          }),
        },
      ),
      ...OBJECT_SUBCOMMANDS,
    ],
  },
];
