/**
 * A database in which what would do harm twice happens once: such a request gets a client session, so that whoever
 * loses its answer on the way may send it again (rule W8 of docs/replication.md). For front ends whose visitors know
 * nothing of client sessions.
 *
 * Invariant: a client session has one request at a time.
 *
 * @module
 */
import type { ClusterMap } from "../cluster/cluster_map.ts";
import type { CountRequest, Database, ScanPage, ScanRequest } from "./database.ts";
import { ClientSessions } from "./client_sessions.ts";
import type { KeyRequest, Message, Reply } from "../wire/messages.ts";
import { partitionOf } from "../cluster/position.ts";
import { harmsTwice } from "../operations/repeat.ts";

/**
 * Whether a request gets a client session here. A plain write and a plain deletion go without, whatever they
 * answer: a session costs a second entry, and theirs is the busiest way.
 */
function isDeduplicated(request: KeyRequest): boolean {
  if (request.req_type !== "put" && request.req_type !== "delete") return harmsTwice(request);
  return request.previous === true || request.if_version !== undefined;
}

/** See the module. */
export class DeduplicatingDatabase implements Database {
  readonly #inner: Database;
  readonly #makeName: () => string;
  #name: string | undefined;
  /** By partition: each remembers the client sessions that it has seen, so each has its own, and few. */
  readonly #sessions = new Map<number, ClientSessions>();

  /** @param name gives, when it is first needed, what nobody else's client sessions begin with */
  constructor(inner: Database, name: () => string) {
    this.#inner = inner;
    this.#makeName = name;
  }

  map(): ClusterMap | undefined {
    return this.#inner.map();
  }

  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    const deduplicated = isDeduplicated(request) && this.#hasOthers() &&
      !("session" in request && request.session !== undefined);
    if (deduplicated) this.#executeOnce(request, timeoutMs, done);
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

  #executeOnce(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    const sessions = this.#sessionsFor(request.key);
    const session = sessions.take();
    let held = true;
    const give = () => {
      if (held) sessions.give(session);
      held = false;
    };
    try {
      this.#inner.execute({ ...request, ...session }, timeoutMs, (reply) => {
        give();
        done(reply);
      });
    } catch (error) {
      give();
      throw error;
    }
  }

  #sessionsFor(key: string): ClientSessions {
    const partition = partitionOf(key, this.map()?.settings.partitionCount ?? 1);
    let sessions = this.#sessions.get(partition);
    if (sessions === undefined) {
      this.#name ??= this.#makeName();
      sessions = new ClientSessions(`${this.#name}.${partition}`);
      this.#sessions.set(partition, sessions);
    }
    return sessions;
  }

  /** Where there is no other node, nobody can take a request up again. */
  #hasOthers(): boolean {
    return (this.map()?.nodes.length ?? 0) > 1;
  }
}
