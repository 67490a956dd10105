/**
 * The databases of a node that is a cluster by itself: it decides alone what a coordinator would decide, and keeps the
 * list in its folder.
 *
 * Invariant: a list is on disk before a map shows it.
 *
 * @module
 */
import { failureOf, invariant } from "../shared/base/errors.ts";
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import {
  type DatabaseList,
  findDatabase,
  NO_DATABASES,
  withDatabase,
  withoutDatabase,
} from "../shared/cluster/databases.ts";
import type { Message } from "../shared/wire/messages.ts";
import type { DatabaseWish } from "./server/database_directory.ts";

/** What it needs. */
export interface StandalonePorts {
  map(): ClusterMap | undefined;
  /** Keeps a list, if there is a folder. @throws {KvError} `storage_failed` */
  keep(databases: DatabaseList): Promise<void> | undefined;
  adopt(map: ClusterMap): void;
}

/** See the top of this file. */
export class StandaloneDatabases {
  readonly #ports: StandalonePorts;
  #changed: Promise<unknown> = Promise.resolve();

  constructor(ports: StandalonePorts) {
    this.#ports = ports;
  }

  /** Makes or drops a database, if that is not done already. @throws {KvError} as {@linkcode change} */
  carryOut(wish: DatabaseWish): Promise<void> {
    return this.change((databases) => {
      if ("look" in wish) return databases;
      if ("drop" in wish) {
        const { name, number } = wish.drop;
        const isThere = findDatabase(databases, name)?.number === number;
        return isThere ? withoutDatabase(databases, name) : databases;
      }
      const isThere = findDatabase(databases, wish.make.name) !== undefined;
      return isThere ? databases : withDatabase(databases, wish.make);
    });
  }

  /** One change after the other. @throws {KvError} what `change` throws; `storage_failed` */
  change(change: (databases: DatabaseList) => DatabaseList): Promise<void> {
    const turn = this.#changed.then(async () => {
      const map = this.#ports.map();
      invariant(map !== undefined, "a node that is a cluster by itself has a map");
      const databases = change(map.databases ?? NO_DATABASES);
      if (databases === map.databases) return;
      await this.#ports.keep(databases);
      this.#ports.adopt({ ...map, epoch: map.epoch + 1, databases });
    });
    this.#changed = turn.catch(failureOf);
    return turn;
  }
}

/** What a node of a cluster asks its coordinator for in place of that. */
export function databaseWanted(id: number, wish: DatabaseWish): Message<"database_wanted"> {
  const head = { req_type: "database_wanted", wish: id } as const;
  // No database has the number 0, so nothing is dropped.
  if ("look" in wish) return { ...head, database: wish.look, drop: 0 };
  if ("drop" in wish) return { ...head, database: wish.drop.name, drop: wish.drop.number };
  const { name, together, maxKeys, maxBytes } = wish.make;
  return { ...head, database: name, together, max_keys: maxKeys, max_bytes: maxBytes };
}
