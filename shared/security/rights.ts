/**
 * What a user may do: the rights of its roles, put together, and asked about single keys and ranges of keys.
 * Pure. What a request asks for is `demands.ts`; who has which roles is `security_document.ts`.
 *
 * Invariants: nothing is allowed that no grant allows; a range is allowed only if every key that could be
 * in it is. `write` does not include `read`. `admin` is for a whole database, and includes all; so is `monitor`, which includes none.
 *
 * @module
 */
import { compareKeys, prefixEnd } from "../base/key_order.ts";
import type { KvError } from "../base/errors.ts";
import {
  type DatabaseList,
  databaseNumberOf,
  databaseOfNumber,
  isNamedKey,
  userKeyOf,
  whyNotServed,
} from "../cluster/databases.ts";
import type { KeyRange } from "../base/key_range.ts";

/**
 * What may be done with keys; `admin`: with the cluster, its users and all keys; `monitor`: to see how the cluster is and
 * what it does, and no keys.
 */
export type Right = "read" | "write" | "admin" | "monitor";

export const RIGHTS: readonly Right[] = ["read", "write", "admin", "monitor"];

/** A right that is on keys, and not on the cluster. */
export type KeyRight = Exclude<Right, "admin" | "monitor">;

/** Whether a right is for a whole database: its prefix is empty. */
export function isWhole(right: Right): right is Exclude<Right, KeyRight> {
  return right === "admin" || right === "monitor";
}

/** The database that every request is for as long as there are no others. */
export const DATABASE_DEFAULT = "default";
/** In a grant: every database. */
export const EVERY_DATABASE = "*";

/** A right on the keys of a database that begin with a prefix; "": on all of them. */
export interface Grant {
  readonly database: string;
  readonly prefix: string;
  readonly right: Right;
}

/** Keys from `start`, inclusive, to `end`, exclusive; undefined: behind the last there is. */
interface Span {
  readonly start: string;
  readonly end: string | undefined;
}

/** The rights of one user: in `default`, and by stored keys in named databases (`cluster/databases.ts`). */
export class Rights {
  readonly isAdmin: boolean;
  /** Whether every key may be read and written: then no request on keys has to be looked at. */
  readonly hasAllKeys: boolean;
  /** It may see what the cluster does; an administrator may. */
  readonly mayMonitor: boolean;
  readonly #spans: { readonly [R in "read" | "write"]: readonly Span[] };

  readonly #grants: readonly Grant[];
  readonly #databases: () => DatabaseList | undefined;
  /** Those in named databases that were asked about, by the names. */
  readonly #named = new Map<string, Rights>();

  /**
   * @param grants those of all roles of the user; others' databases are passed over
   * @param databases those that there are, as far as is known
   */
  constructor(
    grants: Iterable<Grant>,
    database = DATABASE_DEFAULT,
    databases: () => DatabaseList | undefined = () => undefined,
  ) {
    this.#grants = [...grants];
    this.#databases = databases;
    const ours = this.#grants.filter((grant) =>
      grant.database === database || grant.database === EVERY_DATABASE
    );
    this.isAdmin = ours.some(({ right }) => right === "admin");
    this.mayMonitor = this.isAdmin || ours.some(({ right }) => right === "monitor");
    const all: Span[] = [{ start: "", end: undefined }];
    const spansOf = (right: Right) =>
      joined(ours.filter((grant) => grant.right === right).map(({ prefix }) => spanOf(prefix)));
    this.#spans = this.isAdmin
      ? { read: all, write: all }
      : { read: spansOf("read"), write: spansOf("write") };
    const isEvery = (right: Right) =>
      ours.some((grant) =>
        grant.database === EVERY_DATABASE && grant.right === right && grant.prefix === ""
      );
    this.hasAllKeys = this.isAdmin || (isEvery("read") && isEvery("write"));
  }

  /** O(log grants). */
  allowsKey(right: "read" | "write", key: string): boolean {
    if (isNamedKey(key)) return this.isAdmin || this.#allowsNamedKey(right, key);
    const span = lastBefore(this.#spans[right], key);
    return span !== undefined && isBefore(key, span.end);
  }

  /** Whether every key of the range is allowed. In a range that can have no key there is nothing to refuse. */
  allowsRange(right: "read" | "write", range: KeyRange): boolean {
    if (range.empty) return true;
    if (isNamedKey(range.start ?? "")) return this.isAdmin || this.#allowsNamedRange(right, range);
    const span = lastBefore(this.#spans[right], range.start ?? "");
    if (span === undefined) return false;
    if (range.end === undefined) return span.end === undefined;
    return isBefore(range.start ?? "", span.end) &&
      (span.end === undefined || compareKeys(range.end, span.end) <= 0);
  }

  /** Why nobody at all is served who names a key, or a range that begins there; undefined if somebody may be. */
  whyNotServed(key: string): KvError | undefined {
    return whyNotServed(key, this.#databases());
  }

  #allowsNamedKey(right: "read" | "write", key: string): boolean {
    const user = userKeyOf(key);
    return user !== key && this.#inDatabaseOf(key)?.allowsKey(right, user) === true;
  }

  /** A range of the keys of one named database; one of several is refused. */
  #allowsNamedRange(right: "read" | "write", { start = "", end }: KeyRange): boolean {
    // A range may begin with what stands before the keys, which alone is no key.
    const prefix = userKeyOf(`${start}k`) === "k"
      ? start
      : start.slice(0, start.length - userKeyOf(start).length);
    const last = prefixEnd(prefix);
    if (end === undefined || last === undefined || compareKeys(end, last) > 0) return false;
    const range = {
      start: start.slice(prefix.length),
      end: end === last ? undefined : end.slice(prefix.length),
      empty: false,
    };
    return this.#inDatabaseOf(`${prefix}k`)?.allowsRange(right, range) === true;
  }

  #inDatabaseOf(key: string): Rights | undefined {
    const number = databaseNumberOf(key) ?? 0;
    const name = databaseOfNumber(this.#databases(), number)?.name;
    if (name === undefined) return undefined;
    let rights = this.#named.get(name);
    if (rights === undefined) {
      rights = new Rights(this.#grants, name);
      this.#named.set(name, rights);
    }
    return rights;
  }
}

function spanOf(prefix: string): Span {
  return { start: prefix, end: prefix === "" ? undefined : prefixEnd(prefix) };
}

function isBefore(key: string, end: string | undefined): boolean {
  return end === undefined || compareKeys(key, end) < 0;
}

/** In order, without overlaps; what touches is one span, so that a range over both is inside of one. */
function joined(spans: readonly Span[]): Span[] {
  const result: Span[] = [];
  for (const span of spans.toSorted((a, b) => compareKeys(a.start, b.start))) {
    const last = result.at(-1);
    if (last === undefined || (last.end !== undefined && compareKeys(span.start, last.end) > 0)) {
      result.push(span);
    } else if (
      last.end !== undefined && (span.end === undefined || !isBefore(span.end, last.end))
    ) {
      result[result.length - 1] = { start: last.start, end: span.end };
    }
  }
  return result;
}

/** The last span that begins at the key or before it. */
function lastBefore(spans: readonly Span[], key: string): Span | undefined {
  let low = 0;
  let high = spans.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const span = spans[middle];
    if (span !== undefined && compareKeys(span.start, key) <= 0) low = middle + 1;
    else high = middle;
  }
  return spans[low - 1];
}
