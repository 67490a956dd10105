/**
 * One database of the cluster, as its users see it: keys are theirs, and those of other databases do not exist. It
 * puts the database's prefix before each key of a request, and takes it away from what comes back
 * (`cluster/databases.ts`). The rest of the way, a key with its prefix is a key like any other.
 *
 * Invariant: no request leaves here with a key of another database, whatever a user gives as a key.
 *
 * @module
 */
import { failureOf, KvError } from "../base/errors.ts";
import type { ClusterMap } from "../cluster/cluster_map.ts";
import {
  type DatabaseInfo,
  DEFAULT_DATABASE,
  findDatabase,
  isNamedKey,
  keyPrefixOf,
  NAMED_END,
  noDatabase,
  userKeyOf,
} from "../cluster/databases.ts";
import { greaterKey } from "../base/key_order.ts";
import { keyField } from "../base/key_text.ts";
import { isObject } from "../cluster/map_shape.ts";
import type { WireEntry } from "../schema/reply_messages.ts";
import { fromWireKey, keyOfField, toWireKey } from "../schema/value_codec.ts";
import { badRequest } from "../operations/operation.ts";
import { toErrorReply } from "../wire/error_reply.ts";
import type { KeyRequest, Message, PlainRequest, Reply } from "../wire/messages.ts";
import type { WatchedEvent, WatchRequest } from "../watch/watch_event.ts";
import type { WatchSelection } from "../watch/watch_selection.ts";
import type { CountRequest, Database, ScanPage, ScanRequest, Watch } from "./database.ts";

/** A database by its name. */
export class Keyspace implements Database {
  readonly name: string;
  readonly #inner: Database;
  readonly #refresh: (() => Promise<unknown>) | undefined;

  /**
   * @param inner the whole cluster, with stored keys
   * @param refresh asks for a newer map than `inner` knows; absent: maps come by themselves
   */
  constructor(
    inner: Database,
    name: string = DEFAULT_DATABASE,
    refresh?: () => Promise<unknown>,
  ) {
    this.#inner = inner;
    this.#refresh = refresh;
    this.name = name;
  }

  /** What stands before each stored key; "" for `default`, and for a database that is not known here. */
  get prefix(): string {
    return this.name === DEFAULT_DATABASE ? "" : this.#prefix() ?? "";
  }

  map(): ClusterMap | undefined {
    return this.#inner.map();
  }

  execute(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): void {
    if (this.name === DEFAULT_DATABASE) {
      checkDefaultKeys(request);
      this.#inner.execute(request, timeoutMs, done);
      return;
    }
    const prefix = this.#prefix();
    if (prefix === undefined) return done(toErrorReply(noDatabase(this.name)));
    this.#inner.execute(
      storedRequest(request, prefix),
      timeoutMs,
      (reply) => done(userReply(reply)),
    );
  }

  scan(
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    if (this.name === DEFAULT_DATABASE) {
      return this.#inner.scan(ofDefault(request), timeoutMs, done);
    }
    return this.#ranged((prefix, end) => {
      const { after } = request;
      const stored = {
        ...storedBounds(request, prefix),
        ...(after === undefined ? {} : { after: prefix + after }),
      };
      return this.#inner.scan(
        stored,
        timeoutMs,
        (page) => end("req_type" in page ? userError(page) : userPage(page)),
      );
    }, done);
  }

  count(
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    if (this.name === DEFAULT_DATABASE) {
      return this.#inner.count(ofDefault(request), timeoutMs, done);
    }
    return this.#ranged(
      (prefix, end) => this.#inner.count(storedBounds(request, prefix), timeoutMs, end),
      done,
    );
  }

  /** @throws {KvError} `bad_request`, `forbidden`, `no_database` */
  watch(request: WatchRequest): Watch {
    if (this.name === DEFAULT_DATABASE) {
      for (const key of [...request.keys ?? [], ...request.prefixes ?? []]) {
        checkDefaultKey(key, "watch");
      }
      return this.#inner.watch(request);
    }
    const prefix = this.#prefix();
    if (prefix === undefined) throw noDatabase(this.name);
    const inner = this.#inner.watch({ ...request, ...storedSelection(request, prefix) });
    return {
      next: (done) =>
        inner.next((events) =>
          done("req_type" in events ? userError(events) : events.map(userEvent))
        ),
      close: () => inner.close(),
    };
  }

  /**
   * Scans or counts. If there is no such database, as far as is known here or by whoever is asked, that may be an old
   * map: it is asked for anew, once, and then all of it is done again.
   */
  #ranged<T extends object | number>(
    run: (prefix: string, done: (result: T | Message<"error">) => void) => () => void,
    done: (result: T | Message<"error">) => void,
  ): () => void {
    let cancelled = false;
    let cancel = () => {};
    const attempt = (refresh: (() => Promise<unknown>) | undefined): void => {
      const end = (result: T | Message<"error">) => {
        if (refresh === undefined || !isNoDatabase(result)) return done(result);
        refresh().then(() => {
          if (!cancelled) attempt(undefined);
        }, (error) => {
          if (!cancelled) done(toErrorReply(failureOf(error)));
        });
      };
      const prefix = this.#prefix();
      if (prefix === undefined) end(toErrorReply(noDatabase(this.name)));
      else cancel = run(prefix, end);
    };
    attempt(this.#refresh);
    return () => {
      cancelled = true;
      cancel();
    };
  }

  /** What stands before each key; undefined if there is no such database by the newest map known here. */
  #prefix(): string | undefined {
    const found: DatabaseInfo | undefined = findDatabase(this.#inner.map()?.databases, this.name);
    return found === undefined ? undefined : keyPrefixOf(found);
  }
}

/** A selection of a user's keys with what stands before them in store. */
export function storedSelection(
  { keys, prefixes }: WatchSelection,
  prefix: string,
): { keys: string[]; prefixes: string[] } {
  // JSON null stands for an absent field.
  const stored = (texts: readonly string[] | null | undefined) =>
    (texts ?? []).map((text) => prefix + text);
  return { keys: stored(keys), prefixes: stored(prefixes) };
}

/** An event as the database's user has it. */
export function userEvent(event: WatchedEvent): WatchedEvent {
  const { entry } = event;
  if (entry === undefined) return event;
  const shown = { ...entry, key: userKeyOf(entry.key) };
  return { type: event.type, entry: shown, token: () => event.token() };
}

function isNoDatabase(result: object | number): boolean {
  return typeof result === "object" && "req_type" in result &&
    (result as Message<"error">).code === "no_database";
}

/**
 * A request for a user's keys with the keys that are stored.
 *
 * @param prefix of the database; not empty
 */
export function storedRequest<R extends KeyRequest>(request: R, prefix: string): R {
  const { database: _, ...rest } = request as R & { database?: string };
  const stored = { ...rest, key: prefix + request.key } as unknown as R;
  if (request.key === "") throw badRequest(request, "a key must not be empty");
  if (request.req_type === "read_ranges") {
    const ranges = request.ranges.map((range) => ({
      ...range,
      start: prefix + range.start,
      end: prefix + range.end,
    }));
    return { ...stored, ranges } as unknown as R;
  }
  if (stored.req_type !== "transaction") return stored;
  const { requests, checks } = request as Message<"transaction">;
  return {
    ...stored,
    requests: (requests as readonly PlainRequest[]).map((step) => storedRequest(step, prefix)),
    ...(checks === undefined || checks === null
      ? {}
      : { checks: checks.map(([key, version]) => [prefix + key, version] as const) }),
  } as unknown as R;
}

/** @throws {KvError} `bad_request` for a key that would be one of a named database */
export function checkDefaultKeys(request: KeyRequest): void {
  checkDefaultKey(request.key, request.req_type);
  if (request.req_type === "read_ranges") {
    for (const { start } of request.ranges) checkDefaultKey(start, request.req_type);
  }
  if (request.req_type !== "transaction") return;
  for (const { key } of request.requests) checkDefaultKey(key, request.req_type);
  for (const [key] of request.checks ?? []) checkDefaultKey(key, request.req_type);
}

/** @throws {KvError} `bad_request` */
export function checkDefaultKey(key: string, what: string): void {
  if (typeof key !== "string" || !isNamedKey(key)) return;
  throw new KvError(
    "bad_request",
    `${what}: keys of the database default that begin with "\\u0000db/" are not for users`,
  );
}

/** A reply as the database's user has it. */
export function userReply(reply: Reply): Reply {
  switch (reply.req_type) {
    case "entries":
      return userEntries(reply);
    case "error":
      return userError(reply);
    case "result":
      return userResult(reply);
    default:
      return reply;
  }
}

/** A page, or what several ranges have. */
function userEntries(reply: Message<"entries">): Message<"entries"> {
  const { entries, local_entries: local, next } = reply;
  return {
    ...reply,
    entries: entries.map(([key, ...rest]) =>
      [toWireKey(userKeyOf(fromWireKey(key))), ...rest] as unknown as WireEntry
    ),
    ...(local === undefined
      ? {}
      : { local_entries: local.map((entry) => ({ ...entry, key: userKeyOf(entry.key) })) }),
    ...(next === undefined ? {} : { next: userKeyOf(next) }),
  };
}

/** The key whose check has failed, or at which a deletion has ended. */
function userError(reply: Message<"error">): Message<"error"> {
  const { detail } = reply;
  if (!isObject(detail)) return reply;
  return { ...reply, detail: userFields(detail, ["key", "after"]) };
}

/** The key at which a deletion has ended; the replies inside of a transaction's reply. */
function userResult(reply: Message<"result">): Message<"result"> {
  const { result } = reply;
  if (Array.isArray(result)) return { ...reply, result: result.map(userReply) };
  return isObject(result) ? { ...reply, result: userFields(result, ["next"]) } : reply;
}

function userFields(document: object, names: readonly string[]): object {
  const fields = { ...document } as { [name: string]: unknown };
  for (const name of names) {
    const key = keyOfField(name, document);
    if (key === undefined || !isNamedKey(key)) continue;
    delete fields[name];
    delete fields[`${name}64`];
    Object.assign(fields, keyField(name, userKeyOf(key)));
  }
  return fields;
}

function userPage({ entries, next }: ScanPage): ScanPage {
  return {
    entries: entries.map((entry) => ({ ...entry, key: userKeyOf(entry.key) })),
    // A page may end at a prefix alone, before the first key.
    next: next === undefined ? undefined : userKeyOf(next),
  };
}

/** A selection of the user's keys as one of stored keys. @param prefix of the database; not empty */
export function storedBounds<R extends CountRequest>(request: R, prefix: string): R {
  const { prefix: begins = "", start, end } = request;
  return {
    ...request,
    prefix: prefix + (begins ?? ""),
    // JSON null stands for an absent field.
    start: typeof start === "string" ? prefix + start : undefined,
    end: typeof end === "string" ? prefix + end : undefined,
  };
}

/** A selection of keys of `default` that can show nothing else. */
function ofDefault<R extends CountRequest>(request: R): R {
  const { prefix = "", start = "" } = request;
  if (!isNamedKey(prefix) && !isNamedKey(start)) return request;
  return { ...request, start: greaterKey(start, NAMED_END) };
}
