/**
 * Commands on all keys of a selection: `scan`, `count`, `delete-matching`, `flush-all`. They stream: what they
 * keep in memory does not grow with the result. At a terminal, they ask before doing what cannot be undone.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import {
  described,
  type Fields,
  flag,
  optional,
  positiveUint,
  text as textField,
} from "../../../shared/schema/fields.ts";
import { keyField } from "../../../shared/base/key_text.ts";
import { compareKeys } from "../../../shared/base/key_order.ts";
import { joinBytes } from "../../../shared/base/join_bytes.ts";
import { EXPORT_CHUNK_BYTES } from "../../../shared/limits/client.ts";
import {
  SCAN_ORDER_FIELDS,
  SELECTION_FIELDS,
  selectsAll,
} from "../../../shared/arguments/selection_fields.ts";
import { type RequestOption, wordFields } from "../../../shared/arguments/word_fields.ts";
import { type Command, type CommandContext, ownValues } from "../command/command.ts";
import type { Word } from "../command/command_line.ts";
import { EXIT } from "../command/exit_code.ts";
import { printEither } from "./operation_commands.ts";
import type { WatchEvent } from "../../library/watching.ts";
import type { DeleteMatchingOptions } from "../../library/ordered_scan.ts";
import { count, entryDocument, keyLabel, valueLabel } from "../command/output.ts";

const SCAN_FIELDS = {
  ...SELECTION_FIELDS,
  ...SCAN_ORDER_FIELDS,
  limit: described("At most this many keys", optional(positiveUint), { fallback: "all" }),
  keys_only: described("Without the values", optional(flag)),
};

const WATCH_FIELDS = {
  key: described("This key alone", optional(textField)),
  snapshot: described("Begin with the entries that are there", optional(flag)),
  token: described("Go on behind the event that had this token", optional(textField)),
  progress: described("Also say every few seconds that nothing has happened", optional(flag)),
  limit: described("End after so many changes", optional(positiveUint), { fallback: "none" }),
};

const YES_FIELDS = {
  ...SELECTION_FIELDS,
  yes: described("Do not ask", optional(flag)),
};

const FORCE_FIELDS = { force: described("Do not ask; scripts must give this", optional(flag)) };

const PREFIX = { name: "PREFIX", optional: true };

/** The rows of the table. */
export const SCAN_COMMANDS: readonly Command[] = [
  {
    name: "scan",
    arguments: [PREFIX],
    options: ["json", "timeoutMs"],
    own: wordFields(SCAN_FIELDS),
    help: "the keys of the whole cluster in order: a line KEY, tab, VALUE for each",
    answers:
      "with --json one document per line; without, a value with control characters is quoted as " +
      "JSON, or is base64:…",
    example: "scan user: --limit 100 --keys-only",
    run: runScan,
  },
  {
    name: "watch",
    arguments: [PREFIX],
    options: ["json"],
    own: wordFields(WATCH_FIELDS),
    help: "the changes of keys as they happen: a line put, KEY, VALUE for each; Ctrl-C ends it",
    answers: "delete and expired have no value; with --json one document per line, with its token",
    example: "watch user: --snapshot",
    run: runWatch,
  },
  {
    name: "count",
    arguments: [PREFIX],
    options: ["json", "timeoutMs"],
    own: wordFields(SELECTION_FIELDS),
    help: "the number of keys, or of those with a prefix or in a range",
    example: "count user:",
    run: runCount,
  },
  {
    name: "delete-matching",
    arguments: [PREFIX],
    options: ["json", "timeoutMs", "acks"],
    own: wordFields(YES_FIELDS),
    help: "delete the keys with a prefix or in a range (all keys: flush-all); asks at a terminal",
    example: "delete-matching session:",
    run: runDeleteMatching,
  },
  {
    name: "flush-all",
    arguments: [],
    options: ["json", "timeoutMs", "acks"],
    own: wordFields(FORCE_FIELDS),
    help: "delete every key of the cluster; asks twice at a terminal, otherwise needs --force",
    example: "flush-all",
    run: runFlushAll,
  },
];

interface Selection {
  prefix?: string | undefined;
  start?: string | undefined;
  end?: string | undefined;
}

type Values = Selection & {
  after?: string;
  limit?: number;
  reverse?: boolean;
  keys_only?: boolean;
  yes?: boolean;
  force?: boolean;
};

/** The options' values, with the argument as the prefix. */
function valuesOf(
  name: string,
  fields: Fields,
  args: readonly Word[],
  given: readonly RequestOption[],
): Values {
  const words: RequestOption[] = args[0] === undefined ? [] : [["prefix", args[0].text]];
  return ownValues(name, wordFields(fields), [...words, ...given]);
}

function selectionOf({ prefix, start, end }: Values): Selection {
  return { prefix, start, end };
}

async function runScan(args: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, given } = context;
  const values = valuesOf("scan", SCAN_FIELDS, args, given);
  const { after, limit, reverse = false, keys_only: keysOnly = false } = values;
  const selection = selectionOf(values);
  if (after !== undefined) Object.assign(selection, behind(selection, after, reverse));
  const options = { ...selection, limit, reverse, timeoutMs: settings.timeoutMs, signal };
  const client = await context.client();
  const waiting = new Lines(io);
  if (keysOnly) {
    for await (const key of client.keys(options)) {
      await waiting.add(settings.json ? JSON.stringify({ key }) : keyLabel(key));
    }
  } else {
    for await (const entry of client.scan(options)) {
      if (settings.json) await waiting.add(JSON.stringify(entryDocument(entry)));
      else await waiting.add(`${keyLabel(entry.key)}\t`, valueLabel(entry.value));
    }
  }
  await waiting.flush();
  return EXIT.ok;
}

async function runWatch(args: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, given } = context;
  const { key, snapshot, token, progress = false, limit = Infinity }: {
    key?: string;
    snapshot?: boolean;
    token?: string;
    progress?: boolean;
    limit?: number;
  } = ownValues("watch", wordFields(WATCH_FIELDS), given);
  const prefix = args[0]?.text;
  if ((prefix === undefined) === (key === undefined)) {
    throw new KvError("bad_request", 'watch: give a PREFIX ("" for all keys) or --key');
  }
  const client = await context.client();
  const waiting = new Lines(io);
  let left = limit;
  for await (const event of client.watch({ prefix, key, snapshot, token, signal })) {
    if (event.type === "progress" && !progress) continue;
    if (settings.json) await waiting.add(JSON.stringify(watchDocument(event)));
    else if (event.type === "put") {
      await waiting.add(`put\t${keyLabel(event.key)}\t`, valueLabel(event.value));
    } else if ("key" in event) await waiting.add(`${event.type}\t${keyLabel(event.key)}`);
    else await waiting.add(`# ${event.type}`);
    // Somebody looks at it.
    await waiting.flush();
    if ("key" in event) left--;
    if (left <= 0) break;
  }
  return EXIT.ok;
}

function watchDocument(event: WatchEvent): object {
  const { type, token } = event;
  if (event.type === "put") return { type, ...entryDocument(event), token };
  if (!("key" in event)) return { type, token };
  const { key, version, timestampMs } = event;
  return { type, ...keyField("key", key), version, timestamp: timestampMs, token };
}

/** The selection without the keys up to a given one, in the direction of the scan. */
function behind({ start, end }: Selection, after: string, reverse: boolean): Selection {
  const [a, b] = [start ?? "", end];
  // The next possible key; keys compare by the bytes of their UTF-8, and so do these.
  const next = `${after}\0`;
  if (!reverse) return { start: compareKeys(a, next) > 0 ? a : next };
  return { end: b !== undefined && compareKeys(b, after) < 0 ? b : after };
}

/** Lines that are written together: one write to the terminal for each would be slow. */
class Lines {
  readonly #io: CommandContext["io"];
  readonly #encoder = new TextEncoder();
  #pieces: Uint8Array[] = [];
  #bytes = 0;

  constructor(io: CommandContext["io"]) {
    this.#io = io;
  }

  async add(text: string, value?: string | Uint8Array): Promise<void> {
    const line = value === undefined ? [`${text}\n`] : [text, value, "\n"];
    for (const part of line) {
      const piece = typeof part === "string" ? this.#encoder.encode(part) : part;
      this.#pieces.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#bytes >= EXPORT_CHUNK_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    const all = joinBytes(this.#pieces);
    this.#pieces = [];
    this.#bytes = 0;
    if (all.length > 0) await this.#io.write(all);
  }
}

async function runCount(args: readonly Word[], context: CommandContext): Promise<number> {
  const { settings, signal, given } = context;
  const selection = selectionOf(valuesOf("count", SELECTION_FIELDS, args, given));
  const client = await context.client();
  const keys = await client.count({ ...selection, timeoutMs: settings.timeoutMs, signal });
  await printEither(context, { count: keys }, `${keys}\n`);
  return EXIT.ok;
}

async function runDeleteMatching(args: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, given } = context;
  const values = valuesOf("delete-matching", YES_FIELDS, args, given);
  const selection = selectionOf(values);
  // As from a variable that a script has not set.
  if (selectsAll(selection)) {
    throw new KvError(
      "bad_request",
      "delete-matching: required a prefix or --start that is not empty, or --end; to delete every " +
        "key use flush-all --force",
    );
  }
  const client = await context.client();
  if (values.yes !== true && io.ask !== undefined) {
    const keys = await client.count({ ...selection, timeoutMs: settings.timeoutMs, signal });
    const answer = await io.ask(
      `Delete ${count(keys)} key${keys === 1 ? "" : "s"}? (yes/no) `,
      signal,
    );
    if (!isYes(answer)) throw notDone("delete-matching");
  }
  await deleteWith(
    "delete-matching",
    context,
    (options) => client.deleteMatching(selection, options),
  );
  return EXIT.ok;
}

async function runFlushAll(_: readonly Word[], context: CommandContext): Promise<number> {
  const { io, settings, signal, given } = context;
  const { force }: Values = ownValues("flush-all", wordFields(FORCE_FIELDS), given);
  if (force !== true && io.ask === undefined) {
    throw new KvError("bad_request", "flush-all: there is no terminal to ask at; give --force");
  }
  const client = await context.client();
  if (force !== true && io.ask !== undefined) {
    const keys = await client.count({ timeoutMs: settings.timeoutMs, signal });
    const { clusterName } = (await client.clusterMap()).settings;
    const about = `Delete ALL ${count(keys)} keys of the cluster ${clusterName}? (yes/no) `;
    if (!isYes(await io.ask(about, signal))) throw notDone("flush-all");
    const again = `There is no way back. Type the cluster's name, ${clusterName}: `;
    if (await io.ask(again, signal) !== clusterName) throw notDone("flush-all");
  }
  await deleteWith("flush-all", context, (options) => client.flushAll(options));
  return EXIT.ok;
}

/** Whether an answer at the terminal agrees. */
export function isYes(answer: string): boolean {
  return /^y(es)?$/i.test(answer);
}

function notDone(what: string): KvError {
  return new KvError("bad_request", `${what}: not confirmed; nothing was deleted`);
}

async function deleteWith(
  what: string,
  context: CommandContext,
  run: (options: DeleteMatchingOptions) => Promise<number>,
): Promise<void> {
  const { io, settings, signal } = context;
  const { acks, timeoutMs } = settings;
  const progress = io.progress(undefined);
  let deleted = 0;
  try {
    deleted = await run({
      acks,
      timeoutMs,
      signal,
      onProgress: (keys) => {
        deleted = keys;
        progress?.update(0, `${count(keys)} keys deleted`);
      },
    });
  } catch (error) {
    io.note(`${what}: ${count(deleted)} keys were deleted before it ended`);
    throw error;
  } finally {
    progress?.stop();
  }
  await printEither(context, { deleted }, `${count(deleted)} deleted\n`);
}
