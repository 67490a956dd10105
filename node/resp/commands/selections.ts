/**
 * `KV.SCAN`, `KV.COUNT`, `KV.DELETE_MATCHING`: work on all keys of a prefix or range, for which Redis has no
 * commands: in order, backwards, with values. They have the same fields as the shell's commands and HTTP's
 * `/kv`.
 *
 * @module
 */
import type { CountRequest, ScanRequest } from "../../../shared/database/database.ts";
import { type Entry, versionOf } from "../../../shared/base/entry.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { described, type Fields, flag, optional, uint } from "../../../shared/schema/fields.ts";
import { REQUEST_TIMEOUT_MS } from "../../../shared/limits/requests.ts";
import { SCAN_KEYS_DEFAULT } from "../../../shared/limits/scans.ts";
import { checkKeyBounds } from "../../../shared/validation/request_checks.ts";
import {
  SCAN_ORDER_FIELDS,
  SELECTION_FIELDS,
  selectsAll,
} from "../../../shared/arguments/selection_fields.ts";
import {
  findOption,
  readOption,
  wordFields,
  wordText,
} from "../../../shared/arguments/word_fields.ts";
import {
  type Arguments,
  type Call,
  command,
  type CommandSpec,
  NO_KEYS,
} from "../command/command.ts";
import { errorText } from "../command/error_text.ts";
import type { RespWriter } from "../protocol/writer.ts";
import { alone } from "../command/alone.ts";
import { deletePages, page } from "./scans.ts";

const SCAN_FIELDS = {
  ...SELECTION_FIELDS,
  ...SCAN_ORDER_FIELDS,
  limit: described("At most this many keys per page", optional(uint)),
  values: described("With value, version and expiry", optional(flag)),
};

/** No option's name has more bytes. */
const NAME_BYTES_MAX = 64;

/**
 * Reads `[PREFIX] [NAME word | FLAG]…`; if the first word is an option's name, it is the option.
 *
 * @throws {KvError} `bad_request`
 */
function readRow(name: string, fields: Fields, args: Arguments): Record<string, unknown> {
  const known = wordFields(fields);
  const values: Record<string, unknown> = {};
  const nameAt = (i: number) => wordText(name, "an option's name", args[i]?.slice() ?? "");
  const optionAt = (i: number) =>
    (args[i]?.length ?? 0) > NAME_BYTES_MAX ? undefined : findOption(known, nameAt(i));
  let at = 1;
  if (at < args.length && optionAt(at) === undefined) {
    readOption(values, name, known, ["prefix", args[at]?.slice()]);
    at++;
  }
  while (at < args.length) {
    const isFlag = optionAt(at)?.field.form === "flag";
    readOption(values, name, known, isFlag ? [nameAt(at)] : [nameAt(at), args[at + 1]?.slice()]);
    at += isFlag ? 1 : 2;
  }
  // The wire's own request of this kind must satisfy this too.
  checkKeyBounds({ req_type: "scan", ...values });
  return values;
}

function scan(args: Arguments, call: Call, done: () => void): void {
  const values = readRow("kv.scan", SCAN_FIELDS, args) as Partial<ScanRequest>;
  const request = { ...values, limit: values.limit ?? SCAN_KEYS_DEFAULT };
  page(call, request, done, ({ entries, next }) => {
    call.session.answer((out) => {
      out.array(2);
      if (next === undefined) out.nil();
      else out.bulkText(next);
      out.array(entries.length);
      for (const entry of entries) {
        if (request.values === true) writeEntry(out, entry);
        else out.bulkText(entry.key);
      }
    });
    done();
  });
}

function writeEntry(out: RespWriter, entry: Entry): void {
  const { key, value, timestampMs, expiresAtMs } = entry;
  out.map(expiresAtMs === 0 ? 4 : 5);
  out.bulkText("key");
  out.bulkText(key);
  out.bulkText("value");
  out.bulk(value);
  out.bulkText("version");
  out.integer(versionOf(entry));
  out.bulkText("timestamp");
  out.integer(timestampMs);
  if (expiresAtMs === 0) return;
  out.bulkText("expires_at");
  out.integer(expiresAtMs);
}

function count(args: Arguments, call: Call, done: () => void): void {
  const selection = readRow("kv.count", SELECTION_FIELDS, args) as CountRequest;
  const { session } = call;
  session.database.count(selection, REQUEST_TIMEOUT_MS, (result) => {
    session.answer((out) => {
      if (typeof result === "number") out.integer(result);
      else out.error(errorText(result));
    });
    done();
  });
}

function deleteMatching(args: Arguments, call: Call, done: () => void): void {
  const selection = readRow("kv.delete_matching", SELECTION_FIELDS, args) as CountRequest;
  if (selectsAll(selection)) {
    throw new KvError(
      "bad_request",
      "kv.delete_matching: required a prefix or START that is not empty, or END; FLUSHALL takes " +
        "every key away",
    );
  }
  deletePages(call, selection, done, (deleted) => {
    call.session.answer((out) => out.integer(deleted));
    done();
  });
}

const about = (summary: string) => ({ group: "generic", since: "1.0.0", summary });

/** The rows. */
export const SELECTION_COMMANDS: readonly CommandSpec[] = [
  command(
    "kv.scan",
    -1,
    "readonly",
    NO_KEYS,
    about("A page of the keys of a prefix or range, in order: AFTER of the next one, and the keys"),
    alone(scan),
  ),
  command(
    "kv.count",
    -1,
    "readonly",
    NO_KEYS,
    about("How many keys there are, of a prefix or range"),
    alone(count),
  ),
  command(
    "kv.delete_matching",
    -2,
    "write",
    NO_KEYS,
    about("Delete all keys of a prefix or range, each by itself; answers how many"),
    alone(deleteMatching),
  ),
];
