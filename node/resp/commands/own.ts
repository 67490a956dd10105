/**
 * Commands that Redis does not have, for people with netcat: `PUT k v`, `UPDATE k v`, `DELETE k`, with the
 * options of their rows in the table of operations, and commands that show which node holds what. Programs
 * find every operation as `KV.NAME` (`operations.ts`).
 *
 * @module
 */
import { locateKey, nodeListings } from "../../../shared/cluster/directory.ts";
import type { ClusterMap } from "../../../shared/cluster/cluster_map.ts";
import { KvError } from "../../../shared/base/errors.ts";
import type { Reply } from "../../../shared/wire/messages.ts";
import { operationOf, requestFromRow } from "../../../shared/arguments/request_words.ts";
import { checkKey } from "../../../shared/validation/request_checks.ts";
import { previousOfReply, valueOfReply } from "../../../shared/schema/value_codec.ts";
import { VERSION } from "../../../shared/base/version.ts";
import { keyOf } from "../command/arguments.ts";
import { type Call, command, type CommandSpec, KEY, NO_KEYS } from "../command/command.ts";
import { writeUnexpected } from "../command/replies.ts";
import type { RespWriter } from "../protocol/writer.ts";

const GROUP = "kv";

/** Any document as RESP: objects are maps, booleans are 1 or 0, missing values are nil. */
export function writeDocument(out: RespWriter, value: unknown): void {
  if (value === null || value === undefined) out.nil();
  else if (typeof value === "string") out.bulkText(value);
  else if (typeof value === "boolean") out.boolean(value);
  else if (typeof value === "number") {
    if (Number.isSafeInteger(value)) out.integer(value);
    else out.bulkText(String(value));
  } else if (Array.isArray(value)) {
    out.array(value.length);
    for (const member of value) writeDocument(out, member);
  } else {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    out.map(fields.length);
    for (const [name, field] of fields) {
      out.bulkText(name);
      writeDocument(out, field);
    }
  }
}

function writeReply(out: RespWriter, reply: Reply): void {
  if (reply.req_type === "data") out.bulk(valueOfReply(reply));
  else if (reply.req_type === "result") writeDocument(out, reply.result);
  else if (reply.req_type === "ack") {
    const previous = previousOfReply(reply);
    if (previous === undefined) out.ok();
    else out.bulk(previous);
  } else writeUnexpected(out, reply);
}

function plainCommand(name: "put" | "update" | "delete"): CommandSpec {
  const operation = operationOf(name);
  return command(
    name,
    -2,
    "write denyoom",
    KEY,
    { group: GROUP, since: VERSION, summary: operation.summary },
    {
      kind: "plan",
      plan: (args) => ({
        // The arguments' memory is reused, so what is kept must be a copy.
        request: requestFromRow(name, args.slice(1).map((word) => word.slice()), "resp"),
        finish: writeReply,
      }),
    },
  );
}

/** @throws {KvError} `unavailable` */
function mapOf({ server }: Call): ClusterMap {
  const map = server.database.map();
  if (map === undefined) {
    throw new KvError("unavailable", "this node has not joined its cluster yet");
  }
  return map;
}

const DIRECTORY_COMMANDS: readonly CommandSpec[] = [
  command(
    "list_nodes",
    1,
    "readonly",
    NO_KEYS,
    { group: GROUP, since: VERSION, summary: "The nodes of the cluster, and what each holds" },
    { kind: "now", run: (_args, call) => writeDocument(call.out, nodeListings(mapOf(call))) },
  ),
  command(
    "get_nodes_for_key",
    2,
    "readonly",
    KEY,
    { group: GROUP, since: VERSION, summary: "The nodes that hold a key" },
    {
      kind: "now",
      run: (args, call) => {
        const key = keyOf(args[1]);
        checkKey(key, call.server.limits, "get_nodes_for_key");
        writeDocument(call.out, locateKey(mapOf(call), key));
      },
    },
  ),
];

/** The rows. */
export const OWN_COMMANDS: readonly CommandSpec[] = [
  ...(["put", "update", "delete"] as const).map(plainCommand),
  ...DIRECTORY_COMMANDS,
];
