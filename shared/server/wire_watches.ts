/**
 * The watches of connections of the JSON wire: `event` messages, sent as fast as their client reads them.
 *
 * Invariants: a watch ends with its connection, or when it is told to; no more than one answer of it waits to be sent;
 * each batch of events is sent only if the user may still read these keys.
 *
 * @module
 */
import type { Database, Watch } from "../database/database.ts";
import { KvError } from "../base/errors.ts";
import { REPLY_BYTES_PAUSE } from "../limits/admission.ts";
import { WATCHES_PER_CONNECTION_MAX } from "../limits/scans.ts";
import { changeDocument, type WatchedEvent } from "../watch/watch_event.ts";
import type { Connection } from "../wire/connection.ts";
import type { Message, ReplyTo } from "../wire/messages.ts";

/** The id of the request that began a watch. */
type WatchId = number | string;

/** The watches of all connections of a process. */
export class WireWatches {
  readonly #byConnection = new Map<Connection, Map<WatchId, Watch>>();

  /** What goes on when the client has read the last events. */
  readonly #onRead = new Map<Connection, (() => void)[]>();

  /**
   * Begins one.
   *
   * @param whyRefused why the user may not watch these keys now; asked before each batch of events
   * @throws {KvError} `bad_request` without an id, or if there are too many
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
    const watches = this.#byConnection.get(connection) ?? new Map<WatchId, Watch>();
    if (watches.has(id)) {
      throw new KvError("bad_request", `watch: this connection has a watch with this id`);
    }
    if (watches.size >= WATCHES_PER_CONNECTION_MAX) {
      throw new KvError(
        "bad_request",
        `watch: a connection has at most ${WATCHES_PER_CONNECTION_MAX}; name several prefixes in one`,
      );
    }
    const one = database.watch(request);
    watches.set(id, one);
    this.#byConnection.set(connection, watches);
    reply({ req_type: "ack", message: "watching" });
    this.#next(one, id, connection, whyRefused);
  }

  /** Ends one. @throws {KvError} `not_found` if there is none with this id */
  end({ watch: id }: Message<"unwatch">, connection: Connection, reply: ReplyTo): void {
    const one = this.#byConnection.get(connection)?.get(id);
    if (one === undefined) {
      throw new KvError("not_found", "unwatch: this connection has no watch with this id");
    }
    this.#forget(id, connection);
    reply({ req_type: "ack", message: "ended" });
  }

  /** The connection has ended. */
  onClose(connection: Connection): void {
    for (const watch of this.#byConnection.get(connection)?.values() ?? []) watch.close();
    this.#byConnection.delete(connection);
    this.#onRead.delete(connection);
  }

  /** The client has read what was sent. */
  onDrain(connection: Connection): void {
    const held = this.#onRead.get(connection) ?? [];
    this.#onRead.delete(connection);
    for (const goOn of held) goOn();
  }

  #forget(id: WatchId, connection: Connection): void {
    const watches = this.#byConnection.get(connection);
    watches?.get(id)?.close();
    watches?.delete(id);
    if (watches?.size === 0) this.#byConnection.delete(connection);
  }

  #next(
    one: Watch,
    id: WatchId,
    connection: Connection,
    whyRefused: () => KvError | undefined,
  ): void {
    one.next((events) => {
      const refusal = "req_type" in events ? events : whyRefused();
      if (refusal !== undefined) {
        const { code, message } = refusal;
        this.#forget(id, connection);
        connection.send({ req_type: "event", watch: id, type: "error", code, message });
        return;
      }
      if ("req_type" in events) return;
      for (const event of events) connection.send(eventMessage(id, event));
      connection.flush();
      const goOn = () => this.#next(one, id, connection, whyRefused);
      if (connection.queuedBytes <= REPLY_BYTES_PAUSE) goOn();
      else {
        const held = this.#onRead.get(connection);
        if (held === undefined) this.#onRead.set(connection, [goOn]);
        else held.push(goOn);
      }
    });
  }
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
