/**
 * Has databases made and dropped for the clients of this node, by whoever keeps the list: the coordinator, or this node
 * if it is a cluster by itself. An order is carried out when the node follows a map that shows it.
 *
 * Invariant: each call is answered once, within DATABASE_WAIT_MS.
 *
 * @module
 */
import { KvError } from "../../shared/base/errors.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import {
  type DatabaseInfo,
  type DatabaseList,
  type DatabaseOrder,
  DEFAULT_DATABASE,
  demandDatabase,
  findDatabase,
  NO_DATABASES,
  withDatabase,
} from "../../shared/cluster/databases.ts";
import { DATABASE_ASK_MS, DATABASE_WAIT_MS } from "../../shared/limits/cluster.ts";
import type { Clock, Timer } from "../../shared/platform/clock.ts";

/** What the keeper of the list is asked for. */
export type DatabaseWish =
  | { readonly make: DatabaseOrder }
  | { readonly drop: string };

/** What it needs. */
export interface DirectoryPorts {
  readonly clock: Clock;
  map(): ClusterMap | undefined;
  /** Asks for it. It will be in a later map; or nothing comes of it. */
  want(wish: DatabaseWish): void;
}

/** Takes the database; undefined for `default`. */
type Done = (outcome: DatabaseInfo | KvError | undefined) => void;

/** A wish that no map has fulfilled yet. */
interface Waiting {
  readonly wish: DatabaseWish;
  readonly untilMs: number;
  /** The outcome, if the list shows it. */
  readonly outcomeOf: (databases: DatabaseList | undefined) => DatabaseInfo | undefined;
  readonly done: Done;
  timer: Timer;
}

/** The databases as one node knows them. */
export class DatabaseDirectory {
  readonly #ports: DirectoryPorts;
  readonly #waiting = new Set<Waiting>();
  #closed = false;

  constructor(ports: DirectoryPorts) {
    this.#ports = ports;
  }

  /** All that are known. */
  get list(): DatabaseList {
    return this.#ports.map()?.databases ?? NO_DATABASES;
  }

  /**
   * The database of this name, which is made if it is not there.
   *
   * @param together how it is made; one that is there stays as it is
   * @param done gets the database; undefined for `default`; or `bad_request`, `unavailable`. It may be called before
   * this returns
   */
  ensure(name: string, together: boolean, done: Done): void {
    if (name === DEFAULT_DATABASE) return done(undefined);
    const found = findDatabase(this.list, name);
    if (found !== undefined) return done(found);
    this.create({ name, ...(together ? { together } : {}) }, done);
  }

  /** Makes a database. `done` gets it, or `exists`, `bad_request`, `overloaded`, `unavailable`. */
  create(order: DatabaseOrder, done: Done): void {
    try {
      withDatabase(this.list, order);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return done(error);
    }
    this.#want({ make: order }, (databases) => findDatabase(databases, order.name), done);
  }

  /** Drops a database. `done` gets it as it was, or `no_database`, `bad_request`, `unavailable`. */
  drop(name: string, done: Done): void {
    let before: DatabaseInfo;
    try {
      before = demandDatabase(this.list, name);
    } catch (error) {
      if (!(error instanceof KvError)) throw error;
      return done(error);
    }
    const { number } = before;
    const isGone = (databases: DatabaseList | undefined) =>
      findDatabase(databases, name)?.number === number ? undefined : before;
    this.#want({ drop: name }, isGone, done);
  }

  /** There is a new map. */
  onMap({ databases }: ClusterMap): void {
    for (const waiting of this.#waiting) {
      const outcome = waiting.outcomeOf(databases);
      if (outcome !== undefined) this.#end(waiting, outcome);
    }
  }

  close(): void {
    this.#closed = true;
    for (const waiting of this.#waiting) this.#end(waiting, unavailable());
  }

  #want(wish: DatabaseWish, outcomeOf: Waiting["outcomeOf"], done: Done): void {
    if (this.#closed) return done(unavailable());
    const { clock } = this.#ports;
    const waiting: Waiting = {
      wish,
      untilMs: clock.monotonicMs() + DATABASE_WAIT_MS,
      outcomeOf,
      done,
      timer: clock.setTimer(DATABASE_ASK_MS, () => this.#askAgain(waiting)),
    };
    this.#waiting.add(waiting);
    this.#ports.want(wish);
  }

  /** The coordinator's session may have ended meanwhile. */
  #askAgain(waiting: Waiting): void {
    const { clock } = this.#ports;
    if (clock.monotonicMs() >= waiting.untilMs) return this.#end(waiting, unavailable());
    waiting.timer = clock.setTimer(DATABASE_ASK_MS, () => this.#askAgain(waiting));
    this.#ports.want(waiting.wish);
  }

  #end(waiting: Waiting, outcome: DatabaseInfo | KvError): void {
    if (!this.#waiting.delete(waiting)) return;
    waiting.timer.cancel();
    waiting.done(outcome);
  }
}

function unavailable(): KvError {
  return new KvError(
    "unavailable",
    "no coordinator has changed the list of databases in time; try again",
  );
}
