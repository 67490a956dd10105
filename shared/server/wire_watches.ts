/**
 * The watches of connections of the JSON wire: `event` messages.
 *
 * @module
 */
import type { Database } from "../database/database.ts";
import { userEvent } from "../database/keyspace.ts";
import { KvError } from "../base/errors.ts";
import { changeDocument, type WatchedEvent } from "../watch/watch_event.ts";
import type { Connection } from "../wire/connection.ts";
import type { Message, ReplyTo } from "../wire/messages.ts";
import { ClientWatches, type WatchClient, type WatchId } from "./client_watches.ts";

/** The watches of all connections of a process. */
export class WireWatches {
  readonly #watches = new ClientWatches<Connection>();

  /**
   * Begins one.
   *
   * @param whyRefused why the user may not watch these keys now; asked before each batch of events
   * @throws {KvError} `bad_request` without an id, or if there are too many; `overloaded`
   */
  begin(
    database: Pick<Database, "watch">,
    request: Message<"watch">,
    connection: Connection,
    whyRefused: () => KvError | undefined,
    reply: ReplyTo,
  ): void {
    const { id } = request;
    if (id === undefined) {
      throw new KvError("bad_request", `watch: give an "id", which its events carry as "watch"`);
    }
    const begin = () => database.watch(request);
    this.#watches.begin(connection, clientOf(connection), id, begin, whyRefused);
    reply({ req_type: "ack", message: "watching" });
  }

  /** Ends one. @throws {KvError} `not_found` if there is none with this id */
  end({ watch: id }: Message<"unwatch">, connection: Connection, reply: ReplyTo): void {
    if (!this.#watches.end(connection, id)) {
      throw new KvError("not_found", "unwatch: this connection has no watch with this id");
    }
    reply({ req_type: "ack", message: "ended" });
  }

  /** The connection has ended. */
  onClose(connection: Connection): void {
    this.#watches.forget(connection);
  }

  /** The client has read what was sent. */
  onDrain(connection: Connection): void {
    this.#watches.onDrain(connection);
  }
}

function clientOf(connection: Connection): WatchClient {
  return {
    get queuedBytes() {
      return connection.queuedBytes;
    },
    tell(id, events) {
      for (const event of events) connection.send(eventMessage(id, userEvent(event)));
      connection.flush();
    },
    tellEnd(id, { code, message }) {
      connection.send({ req_type: "event", watch: id, type: "error", code, message });
    },
  };
}

function eventMessage(id: WatchId, event: WatchedEvent): Message<"event"> {
  const { type, entry } = event;
  return {
    req_type: "event",
    watch: id,
    type,
    ...(entry === undefined ? {} : changeDocument(entry)),
    token: event.token(),
  };
}
