/**
 * A database of Deno KV: a database of this store whose keys lie together in one partition, so that any commit is local to
 * it and any read is of one moment. Its keys are the bytes that Deno encodes, in the order of these bytes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type DatabaseInfo, DEFAULT_DATABASE } from "../cluster/databases.ts";
import { KvError } from "../base/errors.ts";
import { DATABASES_MAX } from "../limits/cluster.ts";

/** One database. */
export class KvDatabase {
  readonly name: string;
  readonly number: number;

  /** @throws {KvError} `bad_request` for a database whose keys do not lie together; undefined is `default` */
  constructor(
    database: Pick<DatabaseInfo, "name" | "number"> & { readonly together?: boolean } | undefined,
  ) {
    if (database?.together !== true) throw keysAreSpread(database?.name ?? DEFAULT_DATABASE);
    this.name = database.name;
    this.number = database.number;
  }

  /** A UUID that no other database has, in no cluster; nor another one of the same name, made after this one was dropped. */
  id(clusterId: string): string {
    return idOf(this.number, clusterId);
  }
}

/** Why a database is none of Deno KV. */
export function keysAreSpread(name: string): KvError {
  return new KvError(
    "bad_request",
    `the keys of the database ${name} are spread over the partitions, and Deno KV needs ` +
      "them together: use another name, or make a database with --together",
  );
}

function idOf(number: number, clusterId: string): string {
  const hex = createHash("sha256").update(`deno-kv\0${clusterId}\0${number}`).digest("hex");
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `8${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ];
  return parts.join("-");
}

/** A map that is a moment old lacks no more than so many. */
const LATER_DATABASES = 100;

/** The ids of databases that were asked for: each request names one, and to make it takes longer than to read a key. */
export class KvDatabaseIds {
  readonly #ids = new Map<number, string>();
  #clusterId = "";

  /**
   * Whether an id is that of a database which was made after those that are known here: whoever names it has heard of it
   * from a node that knows more.
   *
   * @param next the number that the next database is believed to get
   */
  isOfLater(id: string, next: number, clusterId: string): boolean {
    for (let number = next; number < next + LATER_DATABASES; number++) {
      if (idOf(number, clusterId) === id) return true;
    }
    return false;
  }

  /** As {@linkcode KvDatabase.id}. */
  of(database: KvDatabase, clusterId: string): string {
    if (clusterId !== this.#clusterId || this.#ids.size > DATABASES_MAX) this.#ids.clear();
    this.#clusterId = clusterId;
    const known = this.#ids.get(database.number);
    if (known !== undefined) return known;
    const id = database.id(clusterId);
    this.#ids.set(database.number, id);
    return id;
  }
}
