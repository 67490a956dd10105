/**
 * Scans and counts as a simple client has them: a `scan` or `count` of the wire to one address, be it
 * the coordinator's gateway or any node.
 *
 * @module
 */
import type { KeyRouter } from "../../../client/calls/call.ts";
import type { Database } from "../../../shared/database/database.ts";
import type { Message, Reply } from "../../../shared/wire/messages.ts";
import { fromWireEntry } from "../../../shared/schema/value_codec.ts";

/** A database that asks by the wire. */
export function wireDatabase(router: KeyRouter): Pick<Database, "scan" | "count"> {
  // A router to one address asks that, whatever the node's name.
  const ask = (message: object, timeoutMs: number, done: (reply: Reply) => void) => {
    router.request("", { ...message, timeout_ms: timeoutMs }, timeoutMs, done);
    return () => {};
  };
  return {
    scan: (request, timeoutMs, done) =>
      ask({ req_type: "scan", ...request }, timeoutMs, (reply) => {
        if (reply.req_type !== "entries") done(asError(reply));
        else done({ entries: reply.entries.map(fromWireEntry), next: reply.next });
      }),
    count: (request, timeoutMs, done) =>
      ask({ req_type: "count", ...request }, timeoutMs, (reply) => {
        if (reply.req_type !== "result") done(asError(reply));
        else done(Number(reply.result));
      }),
  };
}

function asError(reply: Reply): Message<"error"> {
  if (reply.req_type === "error") return reply;
  return { req_type: "error", code: "internal", message: `answered by ${reply.req_type}` };
}
