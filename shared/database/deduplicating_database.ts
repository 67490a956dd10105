/**
 * A database in which what would do harm twice happens once: such a request goes in a client session
 * (`client_sessions.ts`). For front ends whose visitors know nothing of those.
 *
 * @module
 */
import type { Clock } from "../platform/clock.ts";
import type { ClusterMap } from "../cluster/cluster_map.ts";
import type { CountRequest, Database, ScanPage, ScanRequest, Watch } from "./database.ts";
import { ClientSessions } from "./client_sessions.ts";
import type { KeyRequest, Message, Reply } from "../wire/messages.ts";
import type { WatchRequest } from "../watch/watch_event.ts";
import { harmsTwice } from "../operations/repeat.ts";

/**
 * Whether a request gets a client session here. A plain write and a plain deletion get none, whatever
 * they answer: a session costs a second entry, and they are the most frequent requests.
 */
function isDeduplicated(request: KeyRequest): boolean {
  if (request.req_type !== "put" && request.req_type !== "delete") return harmsTwice(request);
  return request.previous === true || request.if_version !== undefined;
}

/** See the top of this file. */
export class DeduplicatingDatabase implements Database {
  readonly #inner: Database;
  readonly #sessions: ClientSessions;

  /** @param name gives, when it is first needed, what nobody else's client sessions begin with */
  constructor(inner: Database, clock: Clock, name: () => string) {
    this.#inner = inner;
    this.#sessions = new ClientSessions({
      clock,
      map: () => inner.map(),
      name,
      send: (request, timeoutMs, done) => {
        inner.execute(request, timeoutMs, done);
        return stays;
      },
    });
  }

  map(): ClusterMap | undefined {
    return this.#inner.map();
  }

  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    const once = isDeduplicated(request) && this.#hasOthers() &&
      !("session" in request && request.session !== undefined);
    if (once) this.#sessions.execute(request, timeoutMs, done);
    else this.#inner.execute(request, timeoutMs, done);
  }

  scan(
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    return this.#inner.scan(request, timeoutMs, done);
  }

  count(
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    return this.#inner.count(request, timeoutMs, done);
  }

  watch(request: WatchRequest): Watch {
    return this.#inner.watch(request);
  }

  /** If there is no other node, nobody can take a request up again. */
  #hasOthers(): boolean {
    return (this.map()?.nodes.length ?? 0) > 1;
  }
}

/** What a database was asked for cannot be given up. */
function stays(): void {}
