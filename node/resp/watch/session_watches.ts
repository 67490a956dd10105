/**
 * The watches of connections of the Redis front end: a push of RESP3 for each event, with always the same seven parts:
 * `kv.watch`, the watch's name, the type, the key, the value, the version, the token. What an event has not is nil.
 *
 * @module
 */
import { isTombstone, versionOf } from "../../../shared/base/entry.ts";
import { ClientWatches, type WatchClient } from "../../../shared/server/client_watches.ts";
import type { WatchedEvent, WatchRequest } from "../../../shared/watch/watch_event.ts";
import type { CommandSession, CommandWatches } from "../command/command.ts";
import type { RespWriter } from "../protocol/writer.ts";

/** What each push begins with. */
const PUSH = "kv.watch";

/** The watches of all connections. */
export class SessionWatches implements CommandWatches {
  readonly #watches = new ClientWatches<CommandSession>();

  begin(session: CommandSession, name: string, request: WatchRequest): void {
    const begin = () => session.database.watch(request);
    this.#watches.begin(session, clientOf(session), name, begin);
  }

  end(session: CommandSession, name: string): boolean {
    return this.#watches.end(session, name);
  }

  forget(session: CommandSession): void {
    this.#watches.forget(session);
  }

  /** The client has read what was sent. */
  onDrain(session: CommandSession): void {
    this.#watches.onDrain(session);
  }
}

function clientOf(session: CommandSession): WatchClient {
  return {
    get queuedBytes() {
      return session.keptBytes.replies;
    },
    tell(name, events) {
      session.push((out) => {
        for (const event of events) writeEvent(out, String(name), event);
      });
    },
    tellEnd(name, { code, message }) {
      session.push((out) => {
        out.push(4);
        for (const text of [PUSH, String(name), "error", `${code} ${message}`]) out.bulkText(text);
      });
    },
  };
}

function writeEvent(out: RespWriter, name: string, event: WatchedEvent): void {
  const { type, entry } = event;
  out.push(7);
  out.bulkText(PUSH);
  out.bulkText(name);
  out.bulkText(type);
  if (entry === undefined) {
    for (let i = 0; i < 3; i++) out.nil();
  } else {
    out.bulkText(entry.key);
    if (isTombstone(entry)) out.nil();
    else out.bulk(entry.value);
    out.integer(versionOf(entry));
  }
  out.bulkText(event.token());
}
