/**
 * Sends one client's requests on keys: with its deadline and its defaults, in a client session if a write needs one to
 * be repeated, and to the gateway if a read may come from its cache. It does not know what requests mean.
 *
 * Invariant: each call ends once, with its reply or with the reason of its signal.
 *
 * @module
 */
import type { Traced } from "../../shared/tracing/request_tracing.ts";
import { KvError } from "../../shared/base/errors.ts";
import { READ_ATTEMPT_TIMEOUT_MS, REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import type { ClusterMap } from "../../shared/cluster/cluster_map.ts";
import {
  DEFAULT_DATABASE,
  demandDatabase,
  findDatabase,
  keyPrefixOf,
} from "../../shared/cluster/databases.ts";
import { checkDefaultKeys, storedRequest, userReply } from "../../shared/database/keyspace.ts";
import { ClientSessions } from "../../shared/database/client_sessions.ts";
import { harmsTwice } from "../../shared/operations/repeat.ts";
import { endOfRead } from "../../shared/wire/error_reply.ts";
import type { Acks, KeyRequest, Reply } from "../../shared/wire/messages.ts";
import {
  type CallOptions,
  type KvClientDeps,
  type KvClientOptions,
  type ReadOptions,
  withSignal,
  type WriteOptions,
} from "../calls/call.ts";

/** See the top of this file. */
export class Sender {
  readonly #deps: KvClientDeps;
  readonly #options: KvClientOptions;
  readonly #sessions: ClientSessions | undefined;
  #closed = false;

  constructor(deps: KvClientDeps, options: KvClientOptions) {
    this.#deps = deps;
    this.#options = options;
    const { clientId, clock, router } = deps;
    this.#sessions = clientId === undefined ? undefined : new ClientSessions({
      clock,
      map: () => router.map(),
      name: () => clientId,
      send: (request, timeoutMs, done) => router.execute(request, timeoutMs, done),
    });
  }

  /** The newest map that a node or the coordinator has. @throws {KvError} `unavailable`, `bad_request` */
  async map(): Promise<ClusterMap> {
    this.checkOpen();
    return await this.#deps.router.refresh();
  }

  /** A read, as fresh as the call or the client says. */
  read(request: KeyRequest, options: ReadOptions): Promise<Reply> {
    const consistency = options.consistency ?? this.#options.consistency;
    const full = consistency === undefined ? request : { ...request, consistency };
    return this.execute(full as KeyRequest, options);
  }

  /** A write; in a client session if it needs one to be repeated, and this client has a name. */
  write(request: KeyRequest, options: WriteOptions): Promise<Reply> {
    const full = { ...request, ...this.#acksOf(options) };
    const sessions = this.#sessions;
    if (sessions === undefined || !harmsTwice(request)) return this.execute(full, options);
    this.checkOpen();
    const timeoutMs = this.timeoutMs(options);
    return this.#inDatabase((prefix) => {
      const stored = storedKeys(full, prefix);
      return this.#observed(
        request,
        (trace) =>
          withSignal(
            options.signal,
            (done) => sessions.execute({ ...stored, ...trace }, timeoutMs, done),
          ),
      );
    });
  }

  /** Any request, unchanged but for its database. */
  async execute(request: KeyRequest, options: CallOptions): Promise<Reply> {
    return await this.#inDatabase((prefix) =>
      this.#executeStored(storedKeys(request, prefix), options)
    );
  }

  /**
   * Carries out a request of stored keys, with what stands before the keys of this client's database. If there is no
   * such database as far as is known here, or not any more, that is asked anew once.
   *
   * @throws {KvError} `no_database`
   */
  async #inDatabase(run: (prefix: string) => Promise<Reply>): Promise<Reply> {
    const { database: name = DEFAULT_DATABASE } = this.#options;
    if (name === DEFAULT_DATABASE) return await run("");
    this.checkOpen();
    const { router } = this.#deps;
    const known = findDatabase(router.map()?.databases, name);
    let reply: Reply | undefined;
    if (known !== undefined) {
      reply = await run(keyPrefixOf(known));
      if (reply.req_type !== "error" || reply.code !== "no_database") return userReply(reply);
    }
    const { databases } = await router.refresh();
    const found = demandDatabase(databases, name);
    if (reply !== undefined && found.number === known?.number) return reply;
    return userReply(await run(keyPrefixOf(found)));
  }

  #executeStored(request: KeyRequest, options: CallOptions): Promise<Reply> {
    this.checkOpen();
    const { router, coordinator } = this.#deps;
    const timeoutMs = this.timeoutMs(options);
    const timed = { ...request, timeout_ms: timeoutMs };
    const isCached = "consistency" in timed && timed.consistency === "cached";
    return this.#observed(request, (trace) =>
      withSignal(options.signal, (done) => {
        const traced = { ...timed, ...trace };
        return coordinator === undefined || !isCached
          ? router.execute(traced, timeoutMs, done)
          : this.#cachedRead(traced, timeoutMs, done);
      }));
  }

  /** @param call is given what the request says of its span */
  #observed(
    { req_type }: KeyRequest,
    call: (trace: Traced | undefined) => Promise<Reply>,
  ): Promise<Reply> {
    const { trace } = this.#deps;
    if (trace === undefined) return call(undefined);
    return trace.observe(
      req_type,
      (traceparent) => call(traceparent === undefined ? undefined : { traceparent }),
      (reply) => reply.req_type === "error" ? reply.code : undefined,
    );
  }

  /** @throws {KvError} `bad_request` */
  timeoutMs(options: CallOptions): number {
    const timeoutMs = options.timeoutMs ?? this.#options.timeoutMs ?? REQUEST_TIMEOUT_MS;
    if (!(timeoutMs > 0) || !Number.isFinite(timeoutMs)) {
      throw new KvError(
        "bad_request",
        `timeoutMs must be a number that is more than 0, given ${timeoutMs}`,
      );
    }
    return Math.ceil(timeoutMs);
  }

  /** @throws {KvError} `bad_request`; not `unavailable`, because a caller that tries again after that would do so for ever */
  checkOpen(): void {
    if (this.#closed) throw new KvError("bad_request", "the client has been closed; connect again");
  }

  /** Ends the connections. Later calls are refused. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#deps.router.close();
    this.#deps.events?.close();
    this.#deps.coordinator?.close();
    if (this.#deps.administrator !== this.#deps.coordinator) this.#deps.administrator?.close();
  }

  /** The cache is the gateway's. Without the gateway, the key's primary answers instead, with a newer value. */
  #cachedRead(request: KeyRequest, timeoutMs: number, done: (reply: Reply) => void): () => void {
    const { clock, router, coordinator } = this.#deps;
    let cancel = () => {};
    let cancelled = false;
    const endMs = clock.monotonicMs() + timeoutMs;
    const attemptMs = Math.min(timeoutMs, READ_ATTEMPT_TIMEOUT_MS);
    coordinator?.request({ ...request, timeout_ms: attemptMs }, attemptMs, (reply) => {
      if (cancelled) return;
      const leftMs = Math.ceil(endMs - clock.monotonicMs());
      if (reply.req_type !== "error" || reply.code === "not_found") done(reply);
      else if (leftMs <= 0) done(endOfRead(reply));
      else cancel = router.execute({ ...request, timeout_ms: leftMs } as KeyRequest, leftMs, done);
    });
    return () => {
      cancelled = true;
      cancel();
    };
  }

  #acksOf(options: WriteOptions): { acks?: Acks } {
    const acks = options.acks ?? this.#options.acks;
    return acks === undefined ? {} : { acks };
  }
}

/** @param prefix what stands before the keys of the database @throws {KvError} `bad_request` */
function storedKeys<R extends KeyRequest>(request: R, prefix: string): R {
  if (prefix !== "") return storedRequest(request, prefix);
  checkDefaultKeys(request);
  return request;
}
