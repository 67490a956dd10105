/**
 * The client of a cluster: typed calls over a router that knows which node holds which key. It opens no
 * sockets, sets no timers and reads no clock of its own; `connect.ts` passes in the real ones. Each call ends
 * exactly once: with its result, with a {@linkcode KvError}, or with the reason of the caller's signal.
 *
 * @module
 */
import { ClusterDatabase } from "../../shared/database/cluster_database.ts";
import {
  type DatabaseDocument,
  type DatabaseSize,
  DEFAULT_DATABASE,
  demandDatabase,
  keyPrefixOf,
} from "../../shared/cluster/databases.ts";
import { Keyspace } from "../../shared/database/keyspace.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import {
  type KeyLocation,
  locateKey,
  type NodeListing,
  nodeListings,
} from "../../shared/cluster/directory.ts";
import type { Entry } from "../../shared/base/entry.ts";
import { decodeInner } from "../../shared/wire/codec.ts";
import { KvError } from "../../shared/base/errors.ts";
import { VALUE_BYTES_MAX } from "../../shared/limits/wire.ts";
import type {
  CertificateOrder,
  KeyRequest,
  Message,
  Reply,
  SecurityOrder,
} from "../../shared/wire/messages.ts";
import { operationOf } from "../../shared/arguments/request_words.ts";
import { onlyReads } from "../../shared/operations/repeat.ts";
import type { ValueFields } from "../../shared/schema/value_codec.ts";
import { Atomic } from "./atomic.ts";
import { Collection, type StandardSchema } from "./collection.ts";
import { Processes } from "./processes.ts";
import { Sender } from "./sender.ts";
import { type BackupOptions, type BackupSummary, runBackup } from "../backup/backup_run.ts";
import {
  type CallOptions,
  type CoordinatorsChange,
  type CoordinatorsReport,
  type CreateDatabaseOptions,
  type DeleteOptions,
  type ExpireOptions,
  type ForgetNodeOptions,
  type ForgottenNode,
  type KeyRouter,
  type KvClientDeps,
  type KvClientOptions,
  type KvEntry,
  type PingResult,
  type ProcessMetrics,
  type ProcessSlowRequests,
  type ProcessStats,
  type ReadOptions,
  replyError,
  type RequestTarget,
  type StoreOptions,
  withSignal,
  type WriteOptions,
} from "../calls/call.ts";
import type { ClientEvent } from "../calls/client_events.ts";
import { type KeyCall, KeyCalls } from "../calls/key_calls.ts";
import { quote } from "../../shared/operations/operation.ts";
import { type ManyResult, mapped, oneOf, runMany } from "./many.ts";
import {
  checkDeletion,
  checkSelection,
  deleteAll,
  type DeleteMatchingOptions,
  type KeySelection,
  type KeysOptions,
  type ScanOptions,
  scanPages,
  toKvEntry,
} from "./ordered_scan.ts";

import { type WatchEvent, watchEvents, type WatchOptions } from "./watching.ts";

const utf8 = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A key, its value, and perhaps its own options. */
export type PutManyEntry = readonly [
  key: string,
  value: string | Uint8Array,
  options?: StoreOptions,
];

/**
 * Talks to a cluster. Made by `connect`. Calls may overlap, and all calls to one node share a connection. An
 * open client keeps the process alive until it is closed.
 */
export class KvClient implements AsyncDisposable {
  readonly #deps: KvClientDeps;
  readonly #options: KvClientOptions;
  readonly #calls: KeyCalls;
  readonly #sender: Sender;
  readonly #processes: Processes;
  /** How many clients of databases were made of it. */
  #derived = 0;
  readonly #cluster: ClusterDatabase;
  readonly #database: Keyspace;

  constructor(deps: KvClientDeps, options: KvClientOptions = {}) {
    this.#deps = deps;
    this.#options = options;
    this.#calls = new KeyCalls(options);
    this.#sender = new Sender(deps, options);
    this.#processes = new Processes(deps, this.#sender);
    const { clock, router } = deps;
    this.#cluster = new ClusterDatabase({
      clock,
      router,
      execute: (request, timeoutMs, done) => router.execute(request, timeoutMs, done),
    });
    this.#database = new Keyspace(this.#cluster, options.database, () => router.refresh());
  }

  /**
   * The same client for one database, which must be there: its calls see that database's keys alone. It shares this
   * client's connections, and ends with it.
   *
   * @example
   * ```ts
   * await kv.createDatabase("orders", { ifAbsent: true });
   * const orders = kv.database("orders");
   * await orders.put("1", "two chairs");
   * console.log(await orders.getText("1"), await kv.getText("1")); // two chairs undefined
   * ```
   */
  database(name: string): KvClient {
    const { router, ...deps } = this.#deps;
    const shared: KeyRouter = {
      map: () => router.map(),
      refresh: () => router.refresh(),
      execute: (request, timeoutMs, done) => router.execute(request, timeoutMs, done),
      request: (node, message, timeoutMs, done) => router.request(node, message, timeoutMs, done),
      // The connections are those of the client that it was made of.
      close: () => {},
    };
    const { coordinator, administrator, events: _, ...rest } = deps;
    const stays = (target: RequestTarget | undefined) =>
      target && {
        request: (message: object, timeoutMs: number, done: (reply: Reply) => void) =>
          target.request(message, timeoutMs, done),
        ...(target.requestAt && { requestAt: target.requestAt.bind(target) }),
        close: () => {},
      };
    return new KvClient(
      {
        ...rest,
        router: shared,
        coordinator: stays(coordinator),
        administrator: stays(administrator),
        clientId: rest.clientId && `${rest.clientId}-${++this.#derived}`,
      },
      { ...this.#options, database: name },
    );
  }

  /**
   * The databases of the cluster, `default` first.
   *
   * @example
   * ```ts
   * const databases = await kv.databases();
   * console.log(databases[0]?.name); // default
   * ```
   */
  databases(options: CallOptions = {}): Promise<DatabaseDocument[]> {
    return this.#processes.databases(options);
  }

  /**
   * Makes a database.
   *
   * @throws {KvError} `exists` unless `ifAbsent` is given; `bad_request`, `unavailable`, …
   *
   * @example
   * ```ts
   * const { name, placement } = await kv.createDatabase("carts", { together: true, ifAbsent: true });
   * console.log(name, placement); // carts together
   * ```
   */
  createDatabase(name: string, options: CreateDatabaseOptions = {}): Promise<DatabaseDocument> {
    return this.#processes.createDatabase(name, options);
  }

  /**
   * What a named database has: keys (expired ones that are not removed yet included), about how many bytes its rows take,
   * each counted once, and how many keys expire. Undefined if a node does not know it yet, since it has just started, and
   * for `default`.
   *
   * @throws {KvError} `no_database`, `unavailable`, …
   *
   * @example
   * ```ts
   * await kv.createDatabase("blobs", { ifAbsent: true });
   * console.log((await kv.databaseSize("blobs"))?.bytes !== -1); // true
   * ```
   */
  databaseSize(name: string, options: CallOptions = {}): Promise<DatabaseSize | undefined> {
    return this.#processes.databaseSize(name, options);
  }

  /**
   * Drops a database. Its keys are gone when this ends; their space comes back in time.
   *
   * @throws {KvError} `no_database`; `bad_request`, `unavailable`, …
   *
   * @example
   * ```ts
   * await kv.createDatabase("scratch", { ifAbsent: true });
   * await kv.dropDatabase("scratch");
   * ```
   */
  dropDatabase(name: string, options: CallOptions = {}): Promise<void> {
    return this.#processes.dropDatabase(name, options);
  }

  /**
   * Creates or replaces a key.
   *
   * @returns the key's new version
   * @throws {KvError} `outcome_unknown` if the answer was lost and the write may have happened;
   * `unavailable` or `timeout` if it did not happen; `key_too_large`, `value_too_large`,
   * `bad_request`, `not_enough_replicas`, …
   *
   * @example
   * ```ts
   * const version = await kv.put("username", "alice", { ttlMs: 60_000 });
   * console.log(version > 0); // true
   * ```
   */
  async put(
    key: string,
    value: string | Uint8Array,
    options: StoreOptions = {},
  ): Promise<number> {
    return await this.#change(this.#calls.store("put", key, value, options), options);
  }

  /**
   * Replaces a key that exists.
   *
   * @returns the key's new version
   * @throws {KvError} `not_found` if it does not exist; otherwise as {@linkcode put}
   *
   * @example
   * ```ts
   * await kv.put("username", "alice");
   * await kv.update("username", "bob");
   * console.log(await kv.getText("username")); // bob
   * ```
   */
  async update(
    key: string,
    value: string | Uint8Array,
    options: StoreOptions = {},
  ): Promise<number> {
    return await this.#change(this.#calls.store("update", key, value, options), options);
  }

  /**
   * Creates a key that does not exist.
   *
   * @returns the key's new version
   * @throws {KvError} `exists` if it exists; otherwise as {@linkcode put}
   *
   * @example
   * ```ts
   * await kv.delete("username");
   * const version = await kv.create("username", "alice");
   * await kv.put("username", "bob", { ifVersion: version });
   * ```
   */
  async create(
    key: string,
    value: string | Uint8Array,
    options: StoreOptions = {},
  ): Promise<number> {
    return await this.#change(this.#calls.store("create", key, value, options), options);
  }

  /**
   * As {@linkcode put}, with the value's JSON text. @throws {TypeError} if it has none
   *
   * @example
   * ```ts
   * await kv.putJson("user:7", { name: "Zoë" });
   * console.log(await kv.getJson("user:7")); // { name: "Zoë" }
   * ```
   */
  async putJson(key: string, value: unknown, options: StoreOptions = {}): Promise<number> {
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError("putJson: the value cannot be written as JSON");
    return await this.put(key, text, options);
  }

  /**
   * Deletes a key. @returns whether it existed @throws {KvError} as {@linkcode put}
   *
   * @example
   * ```ts
   * await kv.put("username", "alice");
   * console.log(await kv.delete("username"), await kv.delete("username")); // true false
   * ```
   */
  async delete(key: string, options: DeleteOptions = {}): Promise<boolean> {
    return await this.#change(this.#calls.delete(key, options), options);
  }

  /**
   * Adds to a key's integer; a key that does not exist counts as 0. It happens exactly once, even if an answer
   * is lost on the way.
   *
   * @param by a whole number; beyond 2^53 give a bigint
   * @returns the new number
   * @throws {KvError} `not_an_integer` if the value is not an integer of 64 bits, `out_of_range` if the sum
   * is not; otherwise as {@linkcode put}
   *
   * @example
   * ```ts
   * await kv.delete("visits");
   * console.log(await kv.increment("visits"), await kv.increment("visits", 9)); // 1n 10n
   * ```
   */
  async increment(
    key: string,
    by: number | bigint = 1,
    options: WriteOptions = {},
  ): Promise<bigint> {
    return await this.#change(this.#calls.increment(key, by), options);
  }

  /**
   * As {@linkcode increment}, with a number that may have a fraction. @throws {KvError} `not_a_float`, …
   *
   * @example
   * ```ts
   * await kv.put("price", "1.5");
   * console.log(await kv.incrementFloat("price", 0.25)); // 1.75
   * ```
   */
  async incrementFloat(key: string, by: number, options: WriteOptions = {}): Promise<number> {
    return await this.#change(this.#calls.incrementFloat(key, by), options);
  }

  /**
   * Adds bytes at the end of a value; a key that does not exist counts as empty.
   *
   * @returns the new length in bytes
   * @throws {KvError} `value_too_large`; otherwise as {@linkcode put}
   *
   * @example
   * ```ts
   * await kv.put("log", "one,");
   * console.log(await kv.append("log", "two")); // 7
   * ```
   */
  async append(
    key: string,
    value: string | Uint8Array,
    options: WriteOptions = {},
  ): Promise<number> {
    return await this.#change(this.#calls.append(key, value), options);
  }

  /**
   * Sets when a key expires.
   *
   * @returns whether it was set: false if there is no such key, or `when` does not allow it
   * @throws {KvError} `bad_request` without an expiry; otherwise as {@linkcode put}
   *
   * @example
   * ```ts
   * await kv.put("session:9", "bob");
   * console.log(await kv.expire("session:9", { ttlMs: 60_000 })); // true
   * ```
   */
  async expire(key: string, options: ExpireOptions): Promise<boolean> {
    return await this.#change(this.#calls.expire(key, options), options);
  }

  /**
   * Removes a key's expiry. @returns whether it had one @throws {KvError} as {@linkcode put}
   *
   * @example
   * ```ts
   * await kv.put("session:9", "bob", { ttlMs: 60_000 });
   * console.log(await kv.persist("session:9")); // true
   * ```
   */
  async persist(key: string, options: WriteOptions = {}): Promise<boolean> {
    return await this.#change(this.#calls.persist(key), options);
  }

  /**
   * The value of a key, or undefined if there is no such key.
   *
   * @throws {KvError} `unavailable`, `timeout`, `corrupt`, `bad_request`, …
   *
   * @example
   * ```ts
   * await kv.put("bytes", new Uint8Array([1, 2]));
   * console.log(await kv.get("bytes"), await kv.get("nobody")); // Uint8Array(2) [ 1, 2 ] undefined
   * ```
   */
  async get(key: string, options: ReadOptions = {}): Promise<Uint8Array | undefined> {
    return (await this.getEntry(key, options))?.value;
  }

  /**
   * As {@linkcode get}, as text.
   *
   * @throws {KvError} `bad_request` if the value is not valid UTF-8
   *
   * @example
   * ```ts
   * await kv.put("username", "alice");
   * console.log(await kv.getText("username")); // alice
   * ```
   */
  async getText(key: string, options: ReadOptions = {}): Promise<string | undefined> {
    const value = await this.get(key, options);
    if (value === undefined) return undefined;
    try {
      return strictUtf8.decode(value);
    } catch (cause) {
      const text = `getText: the value of ${quote(key)} is not valid UTF-8; read it with get()`;
      throw new KvError("bad_request", text, { cause });
    }
  }

  /**
   * As {@linkcode get}, parsed as JSON.
   *
   * @throws {KvError} `bad_request` if the value is not JSON
   *
   * @example
   * ```ts
   * await kv.putJson("user:7", { name: "Zoë" });
   * console.log(await kv.getJson("user:7", { consistency: "strong" })); // { name: "Zoë" }
   * ```
   */
  async getJson(key: string, options: ReadOptions = {}): Promise<unknown> {
    const text = await this.getText(key, options);
    if (text === undefined) return undefined;
    try {
      return JSON.parse(text);
    } catch (cause) {
      const text = `getJson: the value of ${quote(key)} is not JSON; read it with get()`;
      throw new KvError("bad_request", text, { cause });
    }
  }

  /**
   * As {@linkcode get}, with version and times.
   *
   * @example
   * ```ts
   * const version = await kv.put("page", "<p>hi</p>", { contentType: "text/html" });
   * const entry = await kv.getEntry("page");
   * console.log(entry?.version === version, entry?.contentType); // true text/html
   * ```
   */
  async getEntry(key: string, options: ReadOptions = {}): Promise<KvEntry | undefined> {
    return await this.#read(this.#calls.get(key), options);
  }

  /**
   * Whether the key exists.
   *
   * @example
   * ```ts
   * await kv.put("username", "alice");
   * console.log(await kv.exists("username")); // true
   * ```
   */
  async exists(key: string, options: ReadOptions = {}): Promise<boolean> {
    return await this.#read(this.#calls.exists(key), options);
  }

  /**
   * Carries out any operation of the table `shared/operations/table.ts`, as on the JSON wire
   * (docs/operations-reference.md). A write that depends on the current value is carried out once, even if an
   * answer is lost on the way.
   *
   * @param given the request; fields that the table does not have are left out
   * @returns the reply: `ack`, `data` or `result`, as the operation's row says
   * @throws {KvError} the error with which the cluster refused it, including `not_found`
   *
   * @example
   * ```ts
   * const reply = await kv.execute({ req_type: "put", key: "city", value: "Bern" });
   * console.log(reply.req_type); // ack
   * ```
   */
  async execute(
    given: KeyRequest,
    options: ReadOptions & WriteOptions = {},
  ): Promise<Exclude<Reply, { req_type: "error" }>> {
    // Read as a server would read it: what JSON cannot carry must not be lost on the way there.
    const request = decodeInner(given);
    const { req_type, key } = request;
    this.#calls.checkKey(req_type, key);
    this.#checkRequestValue(request);
    const consistency = options.consistency ?? this.#options.consistency;
    const reads = consistency !== undefined && "consistency" in operationOf(req_type).fields;
    const full = reads ? { consistency, ...request } as KeyRequest : request;
    const acks = "acks" in request && typeof request.acks === "string" ? request.acks : undefined;
    const writing = acks === undefined ? options : { ...options, acks };
    const reply = onlyReads(request) || "session" in request
      ? await this.#sender.execute(full, options)
      : await this.#sender.write(full, writing);
    if (reply.req_type === "error") throw replyError(reply, req_type);
    return reply;
  }

  /**
   * Begins a transaction: operations that all happen or none, and of which no reader sees a part.
   *
   * @example
   * ```ts ignore
   * const outcome = await kv.atomic().check("{7}a", version).put("{7}a", "x").delete("{7}b").commit();
   * if (!outcome.ok) console.log(`${outcome.key} has version ${outcome.version} by now`);
   * ```
   */
  atomic(): Atomic {
    return new Atomic(this.#calls, (request, options) =>
      // One that only reads is sent again by the router as it is.
      onlyReads(request)
        ? this.#sender.execute(request, options)
        : this.#sender.write(request, options));
  }

  /**
   * As {@linkcode getEntry} for any number of keys, each by itself: not as of one moment. The result has an
   * outcome for each key, in order; an error of one key does not affect the others.
   *
   * @throws the reason of the signal
   *
   * @example
   * ```ts
   * await kv.put("a", "1");
   * const [a] = await kv.getMany(["a", "b"]);
   * console.log(a?.ok && a.value?.key); // a
   * ```
   */
  getMany(
    keys: Iterable<string>,
    options: ReadOptions = {},
  ): Promise<ManyResult<KvEntry | undefined>[]> {
    return runMany(mapped(keys, (key) => oneOf(key, 0, () => this.getEntry(key, options))));
  }

  /**
   * As {@linkcode put} for any number of entries (a `Map` of keys and values works), each by itself: some may
   * be written while others are not. Two entries for one key have no order. `options` apply to all; an entry's
   * own options take precedence.
   *
   * @example
   * ```ts
   * const results = await kv.putMany([["a", "1"], ["b", "2", { ttlMs: 60_000 }]]);
   * console.log(results.every(({ ok }) => ok)); // true
   * ```
   */
  putMany(
    entries: Iterable<PutManyEntry>,
    options: StoreOptions = {},
  ): Promise<ManyResult<number>[]> {
    return runMany(mapped(entries, ([key, value, own]) => {
      const all = own === undefined ? options : { ...options, ...own };
      // A value of a wrong type has no length either; `put` refuses it.
      return oneOf(key, value?.length ?? 0, () => this.put(key, value, all));
    }));
  }

  /**
   * As {@linkcode delete} for any number of keys, each by itself.
   *
   * @example
   * ```ts
   * await kv.put("a", "1");
   * const [a] = await kv.deleteMany(["a"]);
   * console.log(a?.ok && a.value); // true
   * ```
   */
  deleteMany(
    keys: Iterable<string>,
    options: WriteOptions = {},
  ): Promise<ManyResult<boolean>[]> {
    return runMany(mapped(keys, (key) => oneOf(key, 0, () => this.delete(key, options))));
  }

  /**
   * The cluster map, newest that a node or the coordinator has. @throws {KvError} `unavailable`
   *
   * @example
   * ```ts
   * const { settings } = await kv.clusterMap();
   * console.log(settings.replicationFactor > 0); // true
   * ```
   */
  clusterMap(): Promise<ClusterMap> {
    return this.#sender.map();
  }

  /**
   * The members of the cluster, and what each holds. @throws {KvError} `unavailable`
   *
   * @example
   * ```ts
   * for (const { id, state } of await kv.listNodes()) console.log(id !== "", state);
   * // true up
   * // true up
   * // true up
   * ```
   */
  async listNodes(): Promise<NodeListing[]> {
    return nodeListings(await this.clusterMap());
  }

  /**
   * The nodes that hold a key. @throws {KvError} `unavailable`, `bad_request`
   *
   * @example
   * ```ts
   * const { partition, nodes } = await kv.nodesForKey("username");
   * console.log(partition >= 0, nodes.length); // true 3
   * ```
   */
  async nodesForKey(key: string): Promise<KeyLocation> {
    this.#calls.checkKey("nodesForKey", key);
    const map = await this.clusterMap();
    const { database: name = DEFAULT_DATABASE } = this.#options;
    if (name === DEFAULT_DATABASE) return locateKey(map, key);
    return locateKey(map, keyPrefixOf(demandDatabase(map.databases, name)) + key);
  }

  /**
   * The counters of each coordinator and of each node; asks all of them at once.
   *
   * @example
   * ```ts
   * const stats = await kv.stats();
   * console.log(stats.every(({ error }) => error === undefined)); // true
   * ```
   */
  stats(options: CallOptions = {}): Promise<ProcessStats[]> {
    return this.#processes.stats(options);
  }

  /**
   * The metrics of each coordinator and of each node, as docs/metrics.md lists them; asks all of them at once.
   *
   * @example
   * ```ts
   * const processes = await kv.metrics();
   * console.log(processes.every(({ metrics }) => metrics?.kv_info !== undefined)); // true
   * ```
   */
  metrics(options: CallOptions = {}): Promise<ProcessMetrics[]> {
    return this.#processes.metrics(options);
  }

  /**
   * The newest slow requests of each coordinator and of each node, with their keys.
   *
   * @param limit of each process
   *
   * @example
   * ```ts
   * const slow = (await kv.slowRequests(10)).flatMap(({ requests = [] }) => requests);
   * console.log(slow.every(({ elapsedMs }) => elapsedMs > 50)); // true
   * ```
   */
  slowRequests(limit: number, options: CallOptions = {}): Promise<ProcessSlowRequests[]> {
    return this.#processes.slowRequests(limit, options);
  }

  /**
   * Asks each coordinator and each node whether they are there.
   *
   * @example
   * ```ts
   * for (const { id, elapsedMs } of await kv.ping()) {
   *   if (elapsedMs === undefined) console.log(`${id} does not answer`);
   * }
   * ```
   */
  ping(options: CallOptions = {}): Promise<PingResult[]> {
    return this.#processes.ping(options);
  }

  /**
   * Removes a node that is down and will not come back from the cluster's list of nodes. If it comes back all
   * the same, it is a new node; in a secured cluster it needs a new token to join.
   *
   * @throws {KvError} `bad_request` if it is up, is not in the cluster, or alone holds acknowledged writes and
   * `force` was not given; `unavailable` if it is not known yet whether it is down, or there is no coordinator
   *
   * @example
   * ```ts ignore
   * const { forced } = await kv.forgetNode("0123456789abcdef");
   * console.log(forced.length); // 0
   * ```
   */
  forgetNode(id: string, options: ForgetNodeOptions = {}): Promise<ForgottenNode> {
    return this.#processes.forget(id, options);
  }

  /**
   * The coordinators, and how they stand; with `change`, after other ones have taken over.
   *
   * @throws {KvError} `bad_request` if a name is nobody's, or none would be left; `unavailable` if none is active,
   * another change is under way, or this client was given a node's address
   *
   * @example
   * ```ts
   * const { coordinators } = await kv.coordinators();
   * console.log(coordinators.map(({ id, role }) => `${id} ${role}`)); // [ "c1 active" ]
   * ```
   */
  coordinators(
    change?: CoordinatorsChange,
    options: CallOptions = {},
  ): Promise<CoordinatorsReport> {
    return this.#processes.coordinators(change, options);
  }

  /**
   * Gives an administrator's order about users, roles, tokens and members' certificates; docs/protocol.md has them.
   *
   * @returns what the order answers
   * @throws {KvError} `forbidden` without the right to; `bad_request` if the cluster is not secured; what the order
   * is refused with
   *
   * @example
   * ```ts ignore
   * await kv.administer({ req_type: "user_add", user: "alice", password: "correct horse", roles: [] });
   * ```
   */
  administer(
    order: SecurityOrder | CertificateOrder,
    options: CallOptions = {},
  ): Promise<unknown> {
    return this.#processes.administer(order, options);
  }

  /**
   * The entries of the whole cluster in the order of their keys' UTF-8 bytes, or backwards. It is not a
   * snapshot: a key that is written meanwhile may be returned or not; a key that exists throughout is returned
   * exactly once, whatever fails or moves. Memory does not grow with the result.
   *
   * `options.timeoutMs` bounds the time without progress.
   *
   * @throws {KvError} `unavailable`, `timeout`, `bad_request`, …
   *
   * @example
   * ```ts
   * await kv.putMany([["x:1", "a"], ["x:2", "b"]]);
   * for await (const { key, value } of kv.scan({ prefix: "x:" })) console.log(key, value.length);
   * // x:1 1
   * // x:2 1
   * ```
   */
  async *scan(options: ScanOptions = {}): AsyncGenerator<KvEntry, void, void> {
    for await (const page of this.#pages(options)) {
      for (const entry of page) yield toKvEntry(entry);
    }
  }

  /**
   * As {@linkcode scan}, but only the keys.
   *
   * @example
   * ```ts
   * await kv.putMany([["x:1", "a"], ["x:2", "b"]]);
   * for await (const key of kv.keys({ prefix: "x:", reverse: true, limit: 1 })) console.log(key); // x:2
   * ```
   */
  async *keys(options: KeysOptions = {}): AsyncGenerator<string, void, void> {
    for await (const page of this.#pages({ ...options, values: false })) {
      for (const { key } of page) yield key;
    }
  }

  /**
   * The number of keys, or of keys in a selection. `options.timeoutMs` bounds the time without progress.
   *
   * @throws {KvError} as {@linkcode scan}
   *
   * @example
   * ```ts
   * await kv.putMany([["x:1", "a"], ["x:2", "b"]]);
   * console.log(await kv.count({ prefix: "x:" })); // 2
   * ```
   */
  async count(options: KeySelection & CallOptions = {}): Promise<number> {
    this.#sender.checkOpen();
    const { prefix, start, end } = options;
    checkSelection("count", options);
    const timeoutMs = this.#sender.timeoutMs(options);
    const result = await withSignal<number | Message<"error">>(
      options.signal,
      (done) => this.#database.count({ prefix, start, end }, timeoutMs, done),
    );
    if (typeof result !== "number") throw replyError(result, "count");
    return result;
  }

  /**
   * Deletes the keys of a selection, in batches. A key that is written meanwhile may be deleted or not.
   *
   * @returns how many were deleted
   * @throws {KvError} `bad_request` if the selection leaves out no key, such as `{}` or `{ prefix: "" }`: use
   * {@linkcode flushAll} for that; otherwise as {@linkcode delete}. Keys deleted before an error stay deleted
   *
   * @example
   * ```ts
   * await kv.putMany([["x:1", "a"], ["x:2", "b"]]);
   * console.log(await kv.deleteMatching({ prefix: "x:" })); // 2
   * ```
   */
  async deleteMatching(
    selection: KeySelection,
    options: DeleteMatchingOptions = {},
  ): Promise<number> {
    checkDeletion(selection);
    return await this.#deleteAll(selection, options);
  }

  /**
   * Deletes every key. @returns how many were deleted @throws {KvError} as {@linkcode delete}
   *
   * @example
   * ```ts
   * await kv.put("username", "alice");
   * console.log(await kv.flushAll() > 0, await kv.count()); // true 0
   * ```
   */
  async flushAll(options: DeleteMatchingOptions = {}): Promise<number> {
    await this.announce("flush_all", options);
    return await this.#deleteAll({}, options);
  }

  /**
   * Has a secured cluster's audit log say what is about to be done by requests for single keys. Does nothing if the
   * cluster is not secured.
   *
   * @throws {KvError} `unavailable`, `timeout`, `unauthorized`
   *
   * @example
   * ```ts
   * await kv.announce("flush_all");
   * ```
   */
  announce(what: "restore" | "flush_all", options: CallOptions = {}): Promise<void> {
    return this.#processes.announce(what, options);
  }

  async #deleteAll(
    { prefix, start, end }: KeySelection,
    options: DeleteMatchingOptions,
  ): Promise<number> {
    const { onProgress = () => {}, ...write } = options;
    const { timeoutMs, signal } = options;
    return await deleteAll(
      this.#pages({ prefix, start, end, timeoutMs, signal, values: false }),
      (key) => this.delete(key, write),
      onProgress,
    );
  }

  /**
   * Writes a backup of the whole cluster: each partition as it was at one moment, while others write.
   * The format is docs/backup.md; `kv-client restore` reads it.
   *
   * @throws {KvError} `unavailable` if a partition cannot be read for too long
   *
   * @example
   * ```ts
   * let bytes = 0;
   * await kv.backup((part) => {
   *   bytes += part.length;
   *   return Promise.resolve();
   * });
   * console.log(bytes > 0); // true
   * ```
   */
  async backup(
    write: (bytes: Uint8Array) => Promise<void>,
    options: BackupOptions = {},
  ): Promise<BackupSummary> {
    this.#sender.checkOpen();
    return await runBackup(this.#deps, write, options);
  }

  /**
   * The changes of keys as they are committed, of each key in order. A watch goes on by itself after failures, from
   * where it was; it ends with the loop, the signal, or the client. A loop that is too slow is not told every version
   * of a key, but always the newest. docs/watch.md says what is promised.
   *
   * @throws {KvError} `bad_request` if nothing is selected, or the token is none; `forbidden`; `unavailable` when the
   * client is closed
   *
   * @example
   * ```ts
   * await kv.put("flag:dark", "on");
   * for await (const event of kv.watch({ prefix: "flag:", snapshot: true })) {
   *   if (event.type === "put") console.log(event.key, event.version > 0); // flag:dark true
   *   if (event.type === "level") break;
   * }
   * ```
   */
  watch(options: WatchOptions): AsyncGenerator<WatchEvent, void, void> {
    this.#sender.checkOpen();
    return watchEvents(this.#database, options);
  }

  /**
   * Values of one type under one prefix of keys, stored as JSON.
   *
   * @param schema checks what is written and read: any of the Standard Schema specification, as those of zod and valibot
   *
   * @example
   * ```ts
   * const carts = kv.collection<{ items: string[] }>("cart:");
   * await carts.put("7", { items: ["tea"] });
   * console.log((await carts.get("7"))?.items[0]); // tea
   * ```
   */
  collection<Output, Input = Output>(
    prefix: string,
    schema?: StandardSchema<Input, Output>,
  ): Collection<Output, Input> {
    return new Collection(this, prefix, schema);
  }

  /**
   * What happens to the connections, from now on and until the client is closed. A client connects to a node when it
   * first has a request for it.
   *
   * @example
   * ```ts
   * const events = kv.events();
   * await kv.put("username", "alice");
   * for await (const { type } of events) {
   *   if (type === "connected") break;
   * }
   * ```
   */
  events(): AsyncIterableIterator<ClientEvent> {
    const { events } = this.#deps;
    if (events === undefined) throw new KvError("bad_request", "events: this client has none");
    return events.read();
  }

  /**
   * Ends the client and its connections. Calls under way end with an error, later ones with `bad_request`.
   *
   * @example
   * ```ts
   * kv.close();
   * ```
   */
  close(): void {
    this.#cluster.close();
    this.#sender.close();
  }

  /** As {@linkcode close}, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }

  #pages(options: ScanOptions): AsyncGenerator<readonly Entry[], void, void> {
    checkSelection("scan", options);
    const timeoutMs = this.#sender.timeoutMs(options);
    return scanPages(this.#database, options, timeoutMs, () => this.#sender.checkOpen());
  }

  async #change<T>(call: KeyCall<T>, options: WriteOptions): Promise<T> {
    return call.read(await this.#sender.write(call.request, options));
  }

  async #read<T>(call: KeyCall<T>, options: ReadOptions): Promise<T> {
    return call.read(await this.#sender.read(call.request, options));
  }

  #checkRequestValue(request: KeyRequest): void {
    const { value, value64, bytes: raw } = request as ValueFields;
    const bytesMax = this.#options.valueBytesMax ?? VALUE_BYTES_MAX;
    const bytes = raw !== undefined
      ? raw.length
      : value64 !== undefined
      ? Math.floor(value64.length * 3 / 4) - 2
      : value !== undefined && value.length * 3 > bytesMax
      ? utf8.encode(value).length
      : 0;
    if (bytes <= bytesMax) return;
    throw new KvError(
      "value_too_large",
      `${request.req_type}: the value of ${quote(request.key)} has ${bytes} bytes; at most ` +
        `${bytesMax} are allowed`,
    );
  }
}
