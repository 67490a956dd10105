/**
 * Has databases made and dropped for those who ask over HTTP, by the active coordinator: this one, or the one that it
 * passes the order on to. An order has been carried out when the gateway has the map that shows it, so that whoever was
 * answered can use the database here at once.
 *
 * Invariant: each call is answered once, and DATABASE_WAIT_MS after the active coordinator's answer at the latest.
 *
 * @module
 */
import type { KvError } from "../../shared/base/errors.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import {
  type DatabaseDocument,
  type DatabaseInfo,
  databaseInfo,
  databaseOfNumber,
  type DatabaseOrder,
  DEFAULT_DATABASE,
  findDatabase,
} from "../../shared/cluster/databases.ts";
import { DATABASE_WAIT_MS } from "../../shared/limits/cluster.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import type { Message, ReplyTo } from "../../shared/wire/messages.ts";
import { fromErrorReply } from "../../shared/wire/error_reply.ts";
import { ON_BEHALF, type OnBehalf } from "../../shared/wire/on_behalf.ts";

/** An order about a database. */
export type DatabaseRequest = Message<"database_create" | "database_drop"> & OnBehalf;

/** Takes the database; undefined for `default`. */
type Done = (outcome: DatabaseInfo | KvError | undefined) => void;

/** What it needs. */
export interface DatabaseOrdersPorts {
  readonly clock: Clock;
  map(): ClusterMap | undefined;
  /** Has it carried out by the active coordinator. */
  carryOut(request: DatabaseRequest, reply: ReplyTo): void;
}

/** An order that was carried out, but that no map here has shown yet. */
interface Waiting {
  /** Looks whether it is shown, and ends then. */
  look(): void;
  end(): void;
}

/** The orders of one coordinator's users. */
export class DatabaseOrders {
  readonly #ports: DatabaseOrdersPorts;
  readonly #waiting = new Set<Waiting>();

  constructor(ports: DatabaseOrdersPorts) {
    this.#ports = ports;
  }

  /** The database of this name, which is made if it is not there. @param together how it is made */
  ensure(name: string, together: boolean, done: Done, user?: string): void {
    const found = findDatabase(this.#ports.map()?.databases, name);
    if (found !== undefined || name === DEFAULT_DATABASE) return done(found);
    const request = { req_type: "database_create", database: name, if_absent: true } as const;
    this.#order({ ...request, ...(together ? { together } : {}), [ON_BEHALF]: user }, done);
  }

  /** Makes a database. @param done gets it, or `exists`, `bad_request`, `overloaded`, `unavailable` */
  create({ name, together, maxKeys, maxBytes }: DatabaseOrder, done: Done, user?: string): void {
    this.#order({
      req_type: "database_create",
      database: name,
      ...(together === true ? { together } : {}),
      ...(maxKeys === undefined ? {} : { max_keys: maxKeys }),
      ...(maxBytes === undefined ? {} : { max_bytes: maxBytes }),
      [ON_BEHALF]: user,
    }, done);
  }

  /** Drops a database. @param done gets it as it was, or `no_database`, `bad_request`, `unavailable` */
  drop(name: string, done: Done, user?: string): void {
    this.#order({ req_type: "database_drop", database: name, [ON_BEHALF]: user }, done);
  }

  /** There is a new map. */
  onMap(): void {
    for (const waiting of this.#waiting) waiting.look();
  }

  #order(request: DatabaseRequest, done: Done): void {
    this.#ports.carryOut(request, (reply) => {
      if (reply.req_type === "error") return done(fromErrorReply(reply));
      const document = (reply as Message<"result">).result as DatabaseDocument;
      this.#whenShown(databaseInfo(document), request.req_type === "database_drop", done);
    });
  }

  /** The order has been carried out, whether or not a map that shows it comes here in time. */
  #whenShown(about: DatabaseInfo, isGone: boolean, done: Done): void {
    const isShown = () => {
      const { databases } = this.#ports.map() ?? {};
      return databases !== undefined && databases.next > about.number &&
        (!isGone || databaseOfNumber(databases, about.number) === undefined);
    };
    const waiting: Waiting = {
      look: () => {
        if (isShown()) waiting.end();
      },
      end: () => {
        if (!this.#waiting.delete(waiting)) return;
        timer.cancel();
        done(about);
      },
    };
    const timer = this.#ports.clock.setTimer(DATABASE_WAIT_MS, () => waiting.end());
    this.#waiting.add(waiting);
    waiting.look();
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const waiting of this.#waiting) waiting.end();
  }
}
