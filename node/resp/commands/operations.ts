/**
 * `KV.NAME key arguments… [FIELD word]…`: every operation of the table by its own name, besides Redis's
 * commands, with the same fields and meaning as at every other front end. Made from the table; a new
 * operation needs no code here.
 *
 * @module
 */
import { isErrorCode } from "../../../shared/base/errors.ts";
import type { Message, Reply } from "../../../shared/wire/messages.ts";
import {
  operationOf,
  operationsAt,
  requestFromRow,
  wordArguments,
} from "../../../shared/arguments/request_words.ts";
import type { OperationName } from "../../../shared/operations/table.ts";
import { previousOfReply, valueOfReply } from "../../../shared/schema/value_codec.ts";
import { command, type CommandSpec, KEY } from "../command/command.ts";
import { ERROR_PREFIXES } from "../command/error_text.ts";
import type { RespWriter } from "../protocol/writer.ts";

export const OPERATION_COMMANDS: readonly CommandSpec[] = operationsAt("resp").map(rowOf);

function rowOf(name: OperationName): CommandSpec {
  const operation = operationOf(name);
  const required = wordArguments(operation)
    .filter(({ name, optional }) => !optional && name !== "value");
  const flags = operation.kind === "read" ? "readonly fast" : "write";
  return command(
    `kv.${name}`,
    // Command and key; a value may also be given as an option.
    -(2 + required.length),
    flags,
    KEY,
    { group: "generic", since: "1.0.0", summary: operation.summary },
    {
      kind: "plan",
      // The arguments' memory is reused, so what is kept must be a copy.
      plan: (args) => ({
        request: requestFromRow(name, args.slice(1).map((word) => word.slice()), "resp"),
        finish: writeReply,
      }),
    },
  );
}

/** A reply as RESP; unlike in Redis's own commands, an error has our code. */
function writeReply(out: RespWriter, reply: Reply): void {
  switch (reply.req_type) {
    case "ack":
      writeAck(out, reply);
      return;
    case "data":
      writeData(out, reply);
      return;
    case "result":
      writeValue(out, reply.result);
      return;
    case "error": {
      const { code, message } = reply;
      const prefix = isErrorCode(code) ? ERROR_PREFIXES[code] ?? "ERR" : "ERR";
      out.error(`${prefix} ${code} ${message}`);
      return;
    }
    default:
      out.error(`ERR internal an unexpected reply of type ${reply.req_type}`);
  }
}

function writeAck(out: RespWriter, reply: Message<"ack">): void {
  const previous = previousOfReply(reply);
  out.map(1 + Number(previous !== undefined) + Number(reply.created !== undefined));
  out.bulkText("version");
  out.integer(reply.version ?? 0);
  if (reply.created !== undefined) {
    out.bulkText("created");
    out.boolean(reply.created);
  }
  if (previous === undefined) return;
  out.bulkText("previous");
  out.bulk(previous);
}

function writeData(out: RespWriter, reply: Message<"data">): void {
  const { version = 0, timestamp = 0, expires_at: expiresAt } = reply;
  out.map(expiresAt === undefined ? 3 : 4);
  out.bulkText("value");
  out.bulk(valueOfReply(reply));
  out.bulkText("version");
  out.integer(version);
  out.bulkText("timestamp");
  out.integer(timestamp);
  if (expiresAt === undefined) return;
  out.bulkText("expires_at");
  out.integer(expiresAt);
}

/** A result: booleans are 1 and 0, as in Redis. */
function writeValue(out: RespWriter, value: unknown): void {
  if (value === null || value === undefined) out.nil();
  else if (typeof value === "boolean") out.boolean(value);
  else if (typeof value === "number" && Number.isSafeInteger(value)) out.integer(value);
  else if (Array.isArray(value)) {
    out.array(value.length);
    for (const member of value) writeValue(out, member);
  } else if (typeof value === "object") {
    const members = Object.entries(value);
    out.map(members.length);
    for (const [name, member] of members) {
      out.bulkText(name);
      writeValue(out, member);
    }
  } else out.bulkText(String(value));
}
