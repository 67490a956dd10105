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

/** The rights of one user in one database. */
export class Rights {
  readonly isAdmin: boolean;
  /** Whether every key may be read and written: then no request on keys has to be looked at. */
  readonly hasAllKeys: boolean;
  /** It may see what the cluster does; an administrator may. */
  readonly mayMonitor: boolean;
  readonly #spans: { readonly [R in "read" | "write"]: readonly Span[] };

  /** @param grants those of all roles of the user; others' databases are passed over */
  constructor(grants: Iterable<Grant>, database = DATABASE_DEFAULT) {
    const ours = [...grants].filter((grant) =>
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
    const { read, write } = this.#spans;
    this.hasAllKeys = isEverything(read) && isEverything(write);
  }

  /** O(log grants). */
  allowsKey(right: "read" | "write", key: string): boolean {
    const span = lastBefore(this.#spans[right], key);
    return span !== undefined && isBefore(key, span.end);
  }

  /** Whether every key of the range is allowed. In a range that can have no key there is nothing to refuse. */
  allowsRange(right: "read" | "write", range: KeyRange): boolean {
    if (range.empty) return true;
    const span = lastBefore(this.#spans[right], range.start ?? "");
    if (span === undefined) return false;
    if (range.end === undefined) return span.end === undefined;
    return isBefore(range.start ?? "", span.end) &&
      (span.end === undefined || compareKeys(range.end, span.end) <= 0);
  }
}

function spanOf(prefix: string): Span {
  return { start: prefix, end: prefix === "" ? undefined : prefixEnd(prefix) };
}

function isEverything([first]: readonly Span[]): boolean {
  return first?.start === "" && first.end === undefined;
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
