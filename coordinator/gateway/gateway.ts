/**
 * The gateway: takes the requests of simple clients at the coordinator and passes them on to the
 * nodes that have the keys, with a cache of values in front for reads that ask for it by
 * `consistency: "cached"`. All others, those that say nothing included, go past the cache.
 *
 * Invariant: what `value_cache.ts` says of a value in the cache: a cached read is at most
 * GATEWAY_CACHE_AGE_MS_MAX old, and sees what was written through this gateway before it.
 *
 * @module
 */
import { executeBatch } from "../../shared/server/batch.ts";
import { ClusterDatabase } from "../../shared/database/cluster_database.ts";
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import { KvError } from "../../shared/base/errors.ts";
import { GATEWAY_CACHE_BYTES_MAX, REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import type { KeyRequest, Message, ReplyTo } from "../../shared/wire/messages.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { checkKeyRequest } from "../../shared/validation/request_checks.ts";
import { Router } from "../../shared/routing/router.ts";
import { SuspensionWatch } from "../../shared/platform/suspension.ts";
import type { RpcClientDeps } from "../../shared/wire/rpc_client.ts";
import { onlyReads } from "../../shared/operations/repeat.ts";
import { transactionKeys, whyCrossing } from "../../shared/validation/transaction_checks.ts";
import { ValueCache } from "./value_cache.ts";

/** Passes requests on. */
export class Gateway {
  readonly #deps: RpcClientDeps;
  readonly #router: Router;
  readonly #cache: ValueCache;
  /** The whole cluster, for whoever serves another protocol here. */
  readonly database: ClusterDatabase;
  readonly #suspensions: SuspensionWatch;
  /** Gives heavy work its turns: one for the process. */
  readonly work: WorkScheduler;
  #map: ClusterMap | undefined;

  constructor(deps: RpcClientDeps, options: { clusterId: string; cacheEntries: number }) {
    this.#deps = deps;
    this.#suspensions = new SuspensionWatch(deps.clock);
    this.#cache = new ValueCache(options.cacheEntries, GATEWAY_CACHE_BYTES_MAX);
    this.#router = new Router(deps, {
      role: "gateway",
      hello: { cluster_id: options.clusterId },
      // The newest map is always given to it; asking for one gives what there is.
      mapSource: () =>
        this.#map === undefined
          ? Promise.reject(new KvError("unavailable", "the cluster has no map yet"))
          : Promise.resolve(this.#map),
    });
    this.work = new WorkScheduler(deps.clock);
    this.database = new ClusterDatabase({
      work: this.work,
      clock: deps.clock,
      random: deps.random,
      router: this.#router,
      execute: (request, timeoutMs, done) =>
        this.execute({ ...request, timeout_ms: timeoutMs }, done),
    });
  }

  /** A map was published. */
  adopt(map: ClusterMap): void {
    this.#map = map;
    this.#router.adopt(map);
  }

  /** A request for a key. @throws {KvError} if it is malformed */
  execute(request: KeyRequest, reply: ReplyTo): void {
    checkKeyRequest(request);
    const { id: _, ...rest } = request;
    const { timeout_ms: timeoutMs = REQUEST_TIMEOUT_MS } = request;
    if (rest.req_type === "get" && rest.consistency === "cached") {
      this.#cachedRead(rest, timeoutMs, reply);
      return;
    }
    const partitionCount = this.#map?.settings.partitionCount;
    const crossing = partitionCount === undefined ? undefined : whyCrossing(rest, partitionCount);
    if (crossing !== undefined) {
      reply(crossing);
      return;
    }
    if (onlyReads(rest)) {
      this.#router.execute(rest, timeoutMs, reply);
      return;
    }
    // Before, for reads under way and to come: they may find either value. After, for those that found the old one.
    this.#invalidate(rest);
    this.#router.execute(rest, timeoutMs, (result) => {
      this.#invalidate(rest);
      reply(result);
    });
  }

  #invalidate(request: KeyRequest): void {
    if (request.req_type !== "transaction") this.#cache.invalidate(request.key);
    else for (const key of transactionKeys(request)) this.#cache.invalidate(key);
  }

  /**
   * Requests that have nothing to do with each other.
   *
   * @param admit gives each request as it is to be carried out; what it throws is that request's answer
   * @throws {KvError} if the batch is malformed
   */
  executeBatch(
    batch: Message<"batch">,
    admit: (request: KeyRequest) => KeyRequest,
    reply: ReplyTo,
  ): void {
    executeBatch(this.#deps.clock, batch, (one, answer) => {
      this.execute(admit(one), answer);
    }, reply);
  }

  /** Asks a node for something that is not about a key. */
  request(node: NodeId, message: object, timeoutMs: number, done: ReplyTo): void {
    this.#router.request(node, message, timeoutMs, done);
  }

  stats(): Record<string, unknown> {
    return this.#cache.stats();
  }

  close(): void {
    this.database.close();
    this.#router.close();
  }

  #cachedRead(request: Message<"get">, timeoutMs: number, reply: ReplyTo): void {
    const { key } = request;
    // A machine that is suspended stops its monotonic clock: what was read before is older than it seems.
    if (this.#suspensions.lostMs() > 0) this.#cache.clear();
    const nowMs = this.#deps.clock.monotonicMs();
    const cached = this.#cache.get(key, nowMs);
    if (cached !== undefined) {
      // Copied, since the server puts the request's id into what it is given.
      reply({ ...cached });
      return;
    }
    const read = this.#cache.beginRead(key, nowMs);
    this.#router.execute({ ...request, consistency: "strong" }, timeoutMs, (result) => {
      if (result.req_type === "data") {
        const { id: _, ...value } = result;
        this.#cache.endRead(read, value);
      } else this.#cache.endRead(read, undefined);
      reply(result);
    });
  }
}
