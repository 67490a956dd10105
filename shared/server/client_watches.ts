/**
 * The watches of the connections of a front end that has several on one connection, told as fast as their clients read.
 *
 * Invariants: a watch ends with its connection, or when it is told to; no more than one batch of its events waits to be
 * sent; each batch is sent only if the user may still read these keys.
 *
 * @module
 */
import type { Watch } from "../database/database.ts";
import { KvError } from "../base/errors.ts";
import { REPLY_BYTES_PAUSE } from "../limits/admission.ts";
import { WATCHES_PER_CONNECTION_MAX } from "../limits/scans.ts";
import type { WatchedEvent } from "../watch/watch_event.ts";

/** What a client calls one of its watches. */
export type WatchId = number | string;

/** How a connection is told. */
export interface WatchClient {
  /** What it has not read. */
  readonly queuedBytes: number;
  tell(id: WatchId, events: readonly WatchedEvent[]): void;
  /** It has ended with an error. */
  tellEnd(id: WatchId, error: { readonly code: string; readonly message: string }): void;
}

/** What is known of a connection. */
interface Client {
  readonly watches: Map<WatchId, Watch>;
  /** What goes on when the client has read the last events. */
  held: (() => void)[];
}

/** The watches of all connections, `C`, of a front end. */
export class ClientWatches<C extends object> {
  readonly #clients = new Map<C, Client>();

  /**
   * Begins one.
   *
   * @param begin called if there is room
   * @param whyRefused why the user may not watch these keys now; asked before each batch of events
   * @throws {KvError} `bad_request` if the id is in use, or there are too many; what `begin` throws
   */
  begin(
    connection: C,
    client: WatchClient,
    id: WatchId,
    begin: () => Watch,
    whyRefused: () => KvError | undefined = () => undefined,
  ): void {
    const { watches = new Map<WatchId, Watch>() } = this.#clients.get(connection) ?? {};
    if (watches.has(id)) {
      throw new KvError("bad_request", "watch: this connection has a watch with this id");
    }
    if (watches.size >= WATCHES_PER_CONNECTION_MAX) {
      throw new KvError(
        "bad_request",
        `watch: a connection has at most ${WATCHES_PER_CONNECTION_MAX}; name several prefixes in one`,
      );
    }
    const watch = begin();
    watches.set(id, watch);
    if (!this.#clients.has(connection)) this.#clients.set(connection, { watches, held: [] });
    this.#next(connection, client, id, watch, whyRefused);
  }

  /** Ends one. @returns false if there is none with this id */
  end(connection: C, id: WatchId): boolean {
    const client = this.#clients.get(connection);
    const watch = client?.watches.get(id);
    if (client === undefined || watch === undefined) return false;
    watch.close();
    client.watches.delete(id);
    if (client.watches.size === 0) this.#clients.delete(connection);
    return true;
  }

  /** The connection has ended, or wants nothing any more. */
  forget(connection: C): void {
    for (const watch of this.#clients.get(connection)?.watches.values() ?? []) watch.close();
    this.#clients.delete(connection);
  }

  /** The client has read what was sent. */
  onDrain(connection: C): void {
    for (const goOn of this.#clients.get(connection)?.held.splice(0) ?? []) goOn();
  }

  #next(
    connection: C,
    client: WatchClient,
    id: WatchId,
    watch: Watch,
    whyRefused: () => KvError | undefined,
  ): void {
    watch.next((events) => {
      const refusal = "req_type" in events ? events : whyRefused();
      if (refusal !== undefined) {
        this.end(connection, id);
        client.tellEnd(id, refusal);
        return;
      }
      if ("req_type" in events) return;
      client.tell(id, events);
      const goOn = () => {
        // It may have been ended meanwhile.
        if (this.#clients.get(connection)?.watches.get(id) !== watch) return;
        this.#next(connection, client, id, watch, whyRefused);
      };
      if (client.queuedBytes <= REPLY_BYTES_PAUSE) goOn();
      else this.#clients.get(connection)?.held.push(goOn);
    });
  }
}
