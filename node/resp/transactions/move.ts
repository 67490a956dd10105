/**
 * MOVE: a key into another database, as one transaction. The two databases are two keyspaces of one cluster, so a
 * transaction may have keys of both.
 *
 * @module
 */
import { KvError } from "../../../shared/base/errors.ts";
import { findDatabase, keyPrefixOf, noDatabase } from "../../../shared/cluster/databases.ts";
import { REQUEST_TIMEOUT_MS } from "../../../shared/limits/requests.ts";
import { RESP_ATTEMPTS_MAX } from "../../../shared/limits/resp.ts";
import { valueOfReply } from "../../../shared/schema/value_codec.ts";
import type { KeyRequest, Message, Reply } from "../../../shared/wire/messages.ts";
import { alone } from "../command/alone.ts";
import { at, keyOf } from "../command/arguments.ts";
import { type Call, command, CommandError, type CommandSpec, KEY } from "../command/command.ts";
import { databaseOfIndex, ensureDatabase } from "../command/database_index.ts";
import { errorText } from "../command/error_text.ts";
import { thrownText } from "../command/replies.ts";

/** One key on its way. */
interface Move {
  readonly from: string;
  readonly to: string;
}

/** The row. */
export const MOVE_COMMANDS: readonly CommandSpec[] = [
  command(
    "move",
    3,
    "write fast",
    KEY,
    { group: "generic", since: "1.0.0", summary: "Move a key to another database" },
    alone((args, call, done) => {
      const key = keyOf(args[1]);
      const name = databaseOfIndex(at(args, 2));
      const { session } = call;
      if (name === session.database.name) {
        throw new CommandError("ERR source and destination objects are the same");
      }
      const begin = (outcome: unknown) => {
        if (outcome instanceof KvError) {
          session.answer((out) => out.error(thrownText(outcome)));
          return done();
        }
        const prefixes = [session.database.name, name].map((one) => prefixOf(call, one));
        const [from, to] = prefixes;
        if (from === undefined || to === undefined) {
          session.answer((out) => out.error(thrownText(noDatabase(name))));
          return done();
        }
        move(call, { from: from + key, to: to + key }, RESP_ATTEMPTS_MAX, done);
      };
      // Whoever may not read the key, or has none, makes no database.
      session.database.execute({ req_type: "get", key }, REQUEST_TIMEOUT_MS, (found) => {
        if (found.req_type === "error") {
          session.answer((out) => {
            if (found.code === "not_found") out.integer(0);
            else out.error(errorText(found));
          });
          return done();
        }
        ensureDatabase(name, call, begin);
      });
    }),
  ),
];

function prefixOf({ session }: Call, name: string): string | undefined {
  if (name === "default") return "";
  const found = findDatabase(session.database.map()?.databases, name);
  return found === undefined ? undefined : keyPrefixOf(found);
}

function move(call: Call, { from, to }: Move, attempts: number, done: () => void): void {
  const { session } = call;
  const answer = (moved: 0 | 1 | Message<"error">) => {
    session.answer((out) => {
      if (typeof moved === "number") out.integer(moved);
      else out.error(errorText(moved));
    });
    done();
  };
  session.executeStored({ req_type: "get", key: from }, (found: Reply) => {
    if (found.req_type === "error") return answer(found.code === "not_found" ? 0 : found);
    if (found.req_type !== "data") return answer(0);
    const { version = 0, expires_at, content_type } = found;
    const transaction: Message<"transaction"> = {
      req_type: "transaction",
      key: to,
      checks: [[from, version], [to, 0]],
      requests: [
        {
          req_type: "put",
          key: to,
          bytes: valueOfReply(found),
          ...(expires_at === undefined ? {} : { expires_at }),
          ...(content_type === undefined ? {} : { content_type }),
        } as KeyRequest,
        { req_type: "delete", key: from },
      ],
    };
    session.executeStored(transaction, (reply) => {
      if (reply.req_type !== "error") return answer(1);
      if (reply.code !== "version_mismatch") return answer(reply);
      const { key } = (reply.detail ?? {}) as { key?: unknown };
      // Somebody has changed it meanwhile; or it is there already.
      if (key === from && attempts > 1) return move(call, { from, to }, attempts - 1, done);
      answer(0);
    });
  });
}
