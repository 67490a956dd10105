/**
 * The databases of a cluster: named keyspaces. Keys of one never meet those of another. The list is a part of the
 * cluster map, so that all processes have it; `default` is always there and is not in it.
 *
 * A row of a named database has a key of its own form, the *stored key*: `\0db/`, the database's number in six
 * digits, `/`, and the user's key. Of a database whose keys lie together the number is in braces, in place of the
 * slash: it is the `{tag}` of all its keys, so that they have one position on the ring (`position.ts`). So placement,
 * replication, transactions, expiry and backups know nothing of databases. No key of `default` begins with `\0db/`.
 *
 * Numbers are never given twice. So a row whose number is below `next` and not in the list is one of a database that
 * was dropped, and may be deleted by whoever finds it.
 *
 * @module
 */
import { KvError } from "../base/errors.ts";
import { compareKeys, greaterKey, prefixEnd, smallerKey } from "../base/key_order.ts";
import {
  DATABASE_NAME_CHARACTERS_MAX,
  DATABASE_NUMBER_MAX,
  DATABASES_MAX,
} from "../limits/cluster.ts";

/** The database that every cluster has. */
export const DEFAULT_DATABASE = "default";

/** A database. */
export interface DatabaseInfo {
  readonly name: string;
  /** From 1; its own for ever. */
  readonly number: number;
  /** All keys at one position of the ring; absent: each key at its own. */
  readonly together?: true;
  /** Writes that would make it have more keys, or more bytes of keys and values, are refused. */
  readonly maxKeys?: number;
  readonly maxBytes?: number;
}

/** All databases besides `default`, in the order of their numbers. */
export interface DatabaseList {
  /** The number that the next one gets. */
  readonly next: number;
  readonly list: readonly DatabaseInfo[];
}

/** How a database is to be. */
export type DatabaseOrder = Omit<DatabaseInfo, "number">;

export const NO_DATABASES: DatabaseList = { next: 1, list: [] };

/** Where the rows of named databases lie: from here, inclusive, to there, exclusive. */
export const NAMED_FROM = "\u0000db/";
export const NAMED_END = "\u0000db0";
const STORED_FORM = /^\0db\/(?:(\d{6})\/|\{(\d{6})\})(?=.)/s;
/** `\0db/`, six digits and a slash or braces. */
const SPREAD_LENGTH = 11;
const TOGETHER_LENGTH = 12;

/** What stands before the keys of a database; empty for `default`. */
export function keyPrefixOf(
  database: Pick<DatabaseInfo, "number" | "together"> | undefined,
): string {
  if (database === undefined) return "";
  const digits = String(database.number).padStart(6, "0");
  return database.together ? `${NAMED_FROM}{${digits}}` : `${NAMED_FROM}${digits}/`;
}

/** A key after all rows of named databases, and before all others that come after them. */
const PAST_NAMED = `${NAMED_FROM}\u{10ffff}`;

/** A part of a range of `default`: what is read of it in one go. */
export interface DefaultPart {
  readonly start: string | undefined;
  readonly end: string | undefined;
  /** After this part, the rest is read from this position on; undefined: there is no rest. */
  readonly then: string | undefined;
}

/**
 * The part of a range of `default` that comes next, so that the rows of named databases, which lie in its midst, are
 * not read.
 *
 * @param position what has been read already ends there; undefined: nothing has been read
 */
export function nextDefaultPart(
  { start, end }: { readonly start: string | undefined; readonly end: string | undefined },
  position: string | undefined,
  reverse: boolean,
): DefaultPart {
  const isAtOrAfter = (key: string | undefined, other: string) =>
    key !== undefined && compareKeys(key, other) >= 0;
  if (!reverse) {
    if (isAtOrAfter(position, NAMED_FROM) || isAtOrAfter(start, NAMED_FROM)) {
      return { start: greaterKey(start, NAMED_END), end, then: undefined };
    }
    if (end !== undefined && compareKeys(end, NAMED_FROM) <= 0) {
      return { start, end, then: undefined };
    }
    const hasRest = end === undefined || compareKeys(end, NAMED_END) > 0;
    return { start, end: NAMED_FROM, then: hasRest ? PAST_NAMED : undefined };
  }
  const isBelow = (key: string | undefined) =>
    key !== undefined && compareKeys(key, NAMED_END) <= 0;
  if (isBelow(position) || isBelow(end)) {
    return { start, end: smallerKey(end, NAMED_FROM), then: undefined };
  }
  const hasRest = !isAtOrAfter(start, NAMED_FROM);
  return { start: greaterKey(start, NAMED_END), end, then: hasRest ? NAMED_FROM : undefined };
}

/** Whether a key has the form, or the beginning, of a row of a named database. */
export function isNamedKey(key: string): boolean {
  return key.startsWith(NAMED_FROM);
}

/** The number of the database of a stored key; 0: it is a key of `default`; undefined: it is none. */
export function databaseNumberOf(key: string): number | undefined {
  if (!isNamedKey(key)) return 0;
  const found = STORED_FORM.exec(key);
  return found === null ? undefined : Number(found[1] ?? found[2]);
}

/**
 * Why nobody is served who names a key, or a range that begins there, by this list of databases; undefined: it is of
 * `default`, or of a database that is there.
 *
 * `unavailable`: the database is newer than the list; `no_database`: it was dropped; `bad_request`: no row has this form.
 */
export function whyNotServed(
  key: string,
  databases: DatabaseList | undefined,
): KvError | undefined {
  if (!isNamedKey(key)) return undefined;
  // A range may begin with what stands before the keys alone.
  const number = databaseNumberOf(`${key}k`);
  if (number === undefined || number === 0) {
    return new KvError("bad_request", `keys that begin with "\\u0000db/" are not for users`);
  }
  if (number >= (databases?.next ?? 1)) {
    return new KvError("unavailable", "this node has not heard of the database yet");
  }
  const found = databaseOfNumber(databases, number);
  if (found === undefined) return new KvError("no_database", "the database was dropped");
  if (key.startsWith(keyPrefixOf(found))) return undefined;
  return new KvError("bad_request", `the database ${found.name} has no such rows`);
}

/** Whether a prefix is what stands before the keys of a named database, and nothing else. */
export function isWholeDatabase(prefix: string): boolean {
  return isNamedKey(prefix) && userKeyOf(`${prefix}k`) === "k";
}

/** The user's key of a stored key; other keys as they are. */
export function userKeyOf(key: string): string {
  if (!isNamedKey(key) || !STORED_FORM.test(key)) return key;
  return key.slice(key.charCodeAt(4) === 0x7b ? TOGETHER_LENGTH : SPREAD_LENGTH);
}

/** Whether all keys of a range are of one database whose keys lie together: then they have the position of `start`. */
export function isWithinTogether(
  { start, end }: { readonly start: string | undefined; readonly end: string | undefined },
): boolean {
  if (start === undefined || end === undefined || !isNamedKey(start)) return false;
  const prefix = start.slice(0, TOGETHER_LENGTH);
  const after = prefixEnd(prefix);
  return /^\0db\/\{\d{6}\}$/.test(prefix) && after !== undefined && compareKeys(end, after) <= 0;
}

/** Whether a name can be a database's. */
export function isDatabaseName(name: unknown): name is string {
  return typeof name === "string" && name.length <= DATABASE_NAME_CHARACTERS_MAX &&
    /^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name);
}

/** @throws {KvError} `bad_request` for what cannot be a database's name */
export function checkDatabaseName(name: unknown): void {
  if (isDatabaseName(name)) return;
  throw new KvError(
    "bad_request",
    `a database's name has 1 to ${DATABASE_NAME_CHARACTERS_MAX} letters, digits, ".", "_" and "-", ` +
      `and begins with a letter or digit; given ${JSON.stringify(String(name).slice(0, 64))}`,
  );
}

/** The database of this name; undefined if there is none. */
export function findDatabase(
  databases: DatabaseList | undefined,
  name: string,
): DatabaseInfo | undefined {
  return databases === undefined ? undefined : byName(databases).get(name);
}

/** The database of this number; undefined if there is none. */
export function databaseOfNumber(
  databases: DatabaseList | undefined,
  number: number,
): DatabaseInfo | undefined {
  return databases === undefined ? undefined : byNumber(databases).get(number);
}

/** Whether a database of one list is not in a later one. */
export function lacksDatabaseOf(
  before: DatabaseList | undefined,
  after: DatabaseList | undefined,
): boolean {
  return before !== undefined && before !== after &&
    before.list.some(({ number }) => databaseOfNumber(after, number) === undefined);
}

const NAMES = new WeakMap<DatabaseList, ReadonlyMap<string, DatabaseInfo>>();
const NUMBERS = new WeakMap<DatabaseList, ReadonlyMap<number, DatabaseInfo>>();

/** Made once for each list, which is never changed in place. */
function byName(databases: DatabaseList): ReadonlyMap<string, DatabaseInfo> {
  let known = NAMES.get(databases);
  if (known === undefined) {
    known = new Map(databases.list.map((database) => [database.name, database]));
    NAMES.set(databases, known);
  }
  return known;
}

function byNumber(databases: DatabaseList): ReadonlyMap<number, DatabaseInfo> {
  let known = NUMBERS.get(databases);
  if (known === undefined) {
    known = new Map(databases.list.map((database) => [database.number, database]));
    NUMBERS.set(databases, known);
  }
  return known;
}

/** @throws {KvError} `no_database` */
export function demandDatabase(databases: DatabaseList | undefined, name: string): DatabaseInfo {
  const found = findDatabase(databases, name);
  if (found === undefined) throw noDatabase(name);
  return found;
}

export function noDatabase(name: string): KvError {
  return new KvError(
    "no_database",
    `there is no database ${
      JSON.stringify(name.slice(0, 64))
    }; kv-client database create makes one`,
  );
}

/**
 * The list with one more.
 *
 * @throws {KvError} `bad_request`, `exists`, `overloaded` if there are as many as there may be
 */
export function withDatabase(databases: DatabaseList, order: DatabaseOrder): DatabaseList {
  checkOrder(order);
  const { name, together, maxKeys, maxBytes } = order;
  if (name === DEFAULT_DATABASE || findDatabase(databases, name) !== undefined) {
    throw new KvError("exists", `database create: the database ${name} is there already`);
  }
  if (databases.list.length >= DATABASES_MAX || databases.next > DATABASE_NUMBER_MAX) {
    throw new KvError(
      "overloaded",
      `database create: a cluster may have ${DATABASES_MAX} databases, and ${DATABASE_NUMBER_MAX} in its life`,
    );
  }
  const made: DatabaseInfo = {
    name,
    number: databases.next,
    ...(together === true ? { together } : {}),
    ...(maxKeys === undefined ? {} : { maxKeys }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
  return { next: databases.next + 1, list: [...databases.list, made] };
}

/** The list without one. @throws {KvError} `no_database`, `bad_request` */
export function withoutDatabase(databases: DatabaseList, name: string): DatabaseList {
  if (name === DEFAULT_DATABASE) {
    throw new KvError(
      "bad_request",
      "database drop: default is always there; flush-all empties it",
    );
  }
  const dropped = demandDatabase(databases, name);
  return { ...databases, list: databases.list.filter((database) => database !== dropped) };
}

/** @throws {KvError} `bad_request` */
function checkOrder({ name, maxKeys, maxBytes }: DatabaseOrder): void {
  checkDatabaseName(name);
  for (const [what, quota] of Object.entries({ max_keys: maxKeys, max_bytes: maxBytes })) {
    if (quota === undefined || isQuota(quota)) continue;
    throw new KvError("bad_request", `database create: "${what}" must be a whole number from 1`);
  }
}

/** What `database_create` asks for. JSON null stands for an absent field. */
export function databaseOrderOf(
  { database, together, max_keys, max_bytes }: {
    readonly database: string;
    readonly together?: boolean | undefined;
    readonly max_keys?: number | undefined;
    readonly max_bytes?: number | undefined;
  },
): DatabaseOrder {
  return {
    name: database,
    ...(together === true ? { together } : {}),
    ...(typeof max_keys === "number" ? { maxKeys: max_keys } : {}),
    ...(typeof max_bytes === "number" ? { maxBytes: max_bytes } : {}),
  };
}

/** A database as clients are told of it. */
export interface DatabaseDocument {
  readonly name: string;
  /** 0 for `default`. */
  readonly number: number;
  readonly placement: "spread" | "together";
  readonly max_keys?: number;
  readonly max_bytes?: number;
}

export function databaseDocument(
  { name, number, together, maxKeys, maxBytes }: DatabaseInfo,
): DatabaseDocument {
  return {
    name,
    number,
    placement: together ? "together" : "spread",
    ...(maxKeys === undefined ? {} : { max_keys: maxKeys }),
    ...(maxBytes === undefined ? {} : { max_bytes: maxBytes }),
  };
}

/** The database of a document. */
export function databaseInfo(
  { name, number, placement, max_keys: maxKeys, max_bytes: maxBytes }: DatabaseDocument,
): DatabaseInfo {
  return {
    name,
    number,
    ...(placement === "together" ? { together: true } : {}),
    ...(maxKeys === undefined ? {} : { maxKeys }),
    ...(maxBytes === undefined ? {} : { maxBytes }),
  };
}

/** What named databases have in some partitions. */
export interface DatabaseUsage {
  /** All of the partitions have been counted. */
  readonly known: boolean;
  readonly databases: readonly (readonly [
    number: number,
    keys: number,
    bytes: number,
    expiring: number,
  ])[];
  /**
   * How many keys of `default` expire; of a partition that has not been read through yet, those that expire next.
   */
  readonly defaultExpiring?: number;
}

/** What one database has. */
export interface DatabaseSize {
  readonly keys: number;
  readonly bytes: number;
  /** How many of the keys expire. */
  readonly expiring: number;
}

/** What the usages of all nodes say of one database; undefined if some have not been counted yet. */
export function sizeOfDatabase(
  usages: readonly DatabaseUsage[],
  number: number,
): DatabaseSize | undefined {
  if (usages.some(({ known }) => !known)) return undefined;
  const size = { keys: 0, bytes: 0, expiring: 0 };
  for (const [of, keys, bytes, expiring] of usages.flatMap(({ databases }) => databases)) {
    if (of !== number) continue;
    size.keys += keys;
    size.bytes += bytes;
    size.expiring += expiring;
  }
  return size;
}

/** All databases, `default` first. */
export function databaseListing(databases: DatabaseList = NO_DATABASES): DatabaseDocument[] {
  return [{ name: DEFAULT_DATABASE, number: 0 }, ...databases.list].map(databaseDocument);
}

function isQuota(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0;
}

/** Form of what {@linkcode databaseListing} gives, without `default`. */
export function isDatabaseListing(value: unknown): value is DatabaseDocument[] {
  return Array.isArray(value) && value.length <= DATABASES_MAX && value.every((item) => {
    if (typeof item !== "object" || item === null) return false;
    const { name, number, placement, max_keys, max_bytes } = item;
    return isDatabaseName(name) && isQuota(number) && number <= DATABASE_NUMBER_MAX &&
      (placement === "spread" || placement === "together") &&
      (max_keys === undefined || isQuota(max_keys)) &&
      (max_bytes === undefined || isQuota(max_bytes));
  });
}

/** Form of a `DatabaseList`. */
export function isDatabaseList(value: unknown): value is DatabaseList {
  if (typeof value !== "object" || value === null) return false;
  const { next, list } = value as Record<string, unknown>;
  if (!isQuota(next) || !Array.isArray(list) || list.length > DATABASES_MAX) return false;
  let last = 0;
  return list.every((item) => {
    if (typeof item !== "object" || item === null) return false;
    const { name, number, together, maxKeys, maxBytes } = item;
    const isNext = isQuota(number) && number > last && number < (next as number) &&
      number <= DATABASE_NUMBER_MAX;
    last = number;
    return isNext && isDatabaseName(name) && (together === undefined || together === true) &&
      (maxKeys === undefined || isQuota(maxKeys)) && (maxBytes === undefined || isQuota(maxBytes));
  });
}
