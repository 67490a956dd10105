/**
 * Has databases made and dropped for the clients of this node, by whoever keeps the list: the coordinator, or this node
 * if it is a cluster by itself. An order has been carried out when the keeper has told the epoch of the map that shows it,
 * and the node follows that map or a later one: earlier ones, which the node may just be reading, show how things were
 * before the order, perhaps another database of that name. For the same reason nothing is refused, or chosen to be dropped,
 * because of what the node's own map has, or lacks: the keeper is asked first which map is the newest, and the node judges
 * by that one.
 *
 * Invariant: each call is answered once, within DATABASE_WAIT_MS.
 *
 * @module
 */
import { failureOf, KvError } from "../../shared/base/errors.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import {
  type DatabaseInfo,
  type DatabaseList,
  type DatabaseOrder,
  DEFAULT_DATABASE,
  findDatabase,
  NO_DATABASES,
  noDatabase,
  withDatabase,
  withoutDatabase,
} from "../../shared/cluster/databases.ts";
import { DATABASE_ASK_MS, DATABASE_WAIT_MS } from "../../shared/limits/cluster.ts";
import type { Clock, Timer } from "../../shared/platform/clock.ts";

/** What the keeper of the list is asked for. */
export type DatabaseWish =
  /** Nothing but the epoch of the newest map. */
  | { readonly look: string }
  | { readonly make: DatabaseOrder }
  | { readonly drop: DatabaseInfo };

/** What it needs. */
export interface DirectoryPorts {
  readonly clock: Clock;
  map(): ClusterMap | undefined;
  /** Asks for it; {@linkcode DatabaseDirectory.onDecided} is told what came of it, or nothing comes of it. */
  want(id: number, wish: DatabaseWish): void;
}

/** Takes the database; undefined for `default`. */
type Done = (outcome: DatabaseInfo | KvError | undefined) => void;

/** A wish that no map has fulfilled yet. */
interface Waiting {
  readonly id: number;
  readonly wish: DatabaseWish;
  readonly untilMs: number;
  readonly done: Done;
  /** Maps from this epoch on show what came of it; undefined until that is told. */
  epoch: number | undefined;
  timer: Timer;
}

/** The databases as one node knows them. */
export class DatabaseDirectory {
  readonly #ports: DirectoryPorts;
  readonly #waiting = new Map<number, Waiting>();
  #wishes = 0;
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
    const order = { name, ...(together ? { together } : {}) };
    const refusal = whyNot(() => withDatabase(NO_DATABASES, order));
    if (refusal !== undefined) done(refusal);
    else this.#want({ make: order }, done);
  }

  /** Makes a database. `done` gets it, or `exists`, `bad_request`, `overloaded`, `unavailable`. */
  create(order: DatabaseOrder, done: Done): void {
    const { name } = order;
    const refusal = whyNot(() => withDatabase(NO_DATABASES, order));
    if (refusal !== undefined) return done(refusal);
    this.#look(name, done, (found) => {
      if (found === undefined) this.#want({ make: order }, done);
      else done(whyNot(() => withDatabase(this.list, order)));
    });
  }

  /** Drops a database. `done` gets it as it was, or `no_database`, `bad_request`, `unavailable`. */
  drop(name: string, done: Done): void {
    if (name === DEFAULT_DATABASE) {
      return done(whyNot(() => withoutDatabase(NO_DATABASES, name)));
    }
    this.#look(name, done, (found) => {
      if (found === undefined) done(noDatabase(name));
      // The number says which one is meant, so a wish that is repeated does not drop another one of this name.
      else this.#want({ drop: found }, done);
    });
  }

  /** `then` gets the database as the newest map has it. */
  #look(
    name: string,
    failed: (error: KvError) => void,
    then: (found: DatabaseInfo | undefined) => void,
  ): void {
    this.#want({ look: name }, (outcome) => {
      if (outcome instanceof KvError) failed(outcome);
      else then(outcome);
    });
  }

  /** There is a new map. */
  onMap(map: ClusterMap): void {
    for (const waiting of this.#waiting.values()) this.#judge(waiting, map);
  }

  /**
   * The keeper of the list has done what was wanted.
   *
   * @param outcome the epoch of the map that shows it, or why nothing was done
   */
  onDecided(id: number, outcome: number | KvError): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    if (outcome instanceof KvError) return this.#end(waiting, outcome);
    // The first answer: a wish that was repeated may have been fulfilled, and undone by somebody, before the second.
    waiting.epoch ??= outcome;
    const map = this.#ports.map();
    if (map !== undefined) this.#judge(waiting, map);
  }

  close(): void {
    this.#closed = true;
    for (const waiting of this.#waiting.values()) this.#end(waiting, unavailable());
  }

  #judge(waiting: Waiting, { epoch, databases }: ClusterMap): void {
    const { wish } = waiting;
    if (waiting.epoch === undefined || epoch < waiting.epoch) return;
    if ("look" in wish) return this.#end(waiting, findDatabase(databases, wish.look));
    const found = findDatabase(databases, "drop" in wish ? wish.drop.name : wish.make.name);
    const outcome = "make" in wish
      ? found
      : found?.number === wish.drop.number
      ? undefined
      : wish.drop;
    if (outcome !== undefined) return this.#end(waiting, outcome);
    // Who decided it was not the coordinator any more, or somebody has undone it at once: it is asked for again.
    waiting.epoch = undefined;
  }

  #want(wish: DatabaseWish, done: Done): void {
    if (this.#closed) return done(unavailable());
    const { clock } = this.#ports;
    const waiting: Waiting = {
      id: ++this.#wishes,
      wish,
      epoch: undefined,
      untilMs: clock.monotonicMs() + DATABASE_WAIT_MS,
      done,
      timer: clock.setTimer(DATABASE_ASK_MS, () => this.#askAgain(waiting)),
    };
    this.#waiting.set(waiting.id, waiting);
    this.#ports.want(waiting.id, wish);
  }

  /** The coordinator's session may have ended meanwhile. */
  #askAgain(waiting: Waiting): void {
    const { clock } = this.#ports;
    if (clock.monotonicMs() >= waiting.untilMs) return this.#end(waiting, unavailable());
    waiting.timer = clock.setTimer(DATABASE_ASK_MS, () => this.#askAgain(waiting));
    if (waiting.epoch === undefined) this.#ports.want(waiting.id, waiting.wish);
  }

  #end(waiting: Waiting, outcome: DatabaseInfo | KvError | undefined): void {
    if (!this.#waiting.delete(waiting.id)) return;
    waiting.timer.cancel();
    waiting.done(outcome);
  }
}

/** What an order is refused with. */
function whyNot(order: () => unknown): KvError | undefined {
  try {
    order();
    return undefined;
  } catch (error) {
    return failureOf(error);
  }
}

function unavailable(): KvError {
  return new KvError(
    "unavailable",
    "no coordinator has changed the list of databases in time; try again",
  );
}
