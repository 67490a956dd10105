/**
 * A connection as CLIENT LIST shows it: the fields of Redis 7, as far as they have a meaning here.
 *
 * @module
 */
import { formatAddress } from "../../../shared/platform/transport.ts";
import type { ChannelKind, CommandSession } from "./command.ts";
import { indexOfDatabase } from "./database_index.ts";

/** `id=3 addr=127.0.0.1:40000 …`, without the end of the line. */
export function clientLine(session: CommandSession): string {
  const { server, transaction } = session;
  const nowMs = server.clock.monotonicMs();
  const seconds = (sinceMs: number) => Math.max(0, Math.floor((nowMs - sinceMs) / 1000));
  const own = server.node.address();
  const subscribed = (kind: ChannelKind) => server.pubSub.local.names(session, kind).length;
  const { query, replies } = session.keptBytes;
  const fields: Record<string, string | number> = {
    id: session.id,
    addr: session.address,
    laddr: own === undefined ? "" : formatAddress(own),
    fd: -1,
    name: session.clientName,
    age: seconds(session.createdMs),
    idle: seconds(session.lastActiveMs),
    flags: flagsOf(session),
    // Tools read a number here; a database that has a name alone has none.
    db: indexOfDatabase(session.database.name) ?? -1,
    sub: subscribed("channel"),
    psub: subscribed("pattern"),
    ssub: subscribed("shard"),
    multi: transaction.length,
    qbuf: query,
    "qbuf-free": 0,
    "argv-mem": 0,
    "multi-mem": transaction.bytes,
    rbs: 0,
    rbp: 0,
    obl: replies,
    oll: 0,
    omem: replies,
    "tot-mem": query + replies + transaction.bytes,
    events: "r",
    cmd: session.lastCommand?.name ?? "NULL",
    user: session.login.user,
    redir: -1,
    resp: session.out.protocol,
    "lib-name": session.libraryName,
    "lib-ver": session.libraryVersion,
  };
  return Object.entries(fields).map(([name, value]) => `${name}=${value}`).join(" ");
}

/** As Redis has them: `P` has subscribed, `x` is between MULTI and EXEC, `t` and `B` track keys, `e` asked not to be evicted. */
function flagsOf(session: CommandSession): string {
  const { server, transaction, noEvict } = session;
  const tracking = server.tracking.optionsOf(session);
  const flags = [
    server.pubSub.local.has(session) ? "P" : "",
    transaction.open ? "x" : "",
    tracking === undefined ? "" : tracking.broadcast ? "tB" : "t",
    noEvict ? "e" : "",
  ].join("");
  return flags || "N";
}
