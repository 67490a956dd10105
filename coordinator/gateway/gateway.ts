/**
 * The gateway: takes the requests of simple clients at the coordinator and passes them on to the
 * nodes that have the keys, with a cache of values in front for reads that ask for it by
 * `consistency: "cached"`. All others, those that say nothing included, go past the cache.
 *
 * Invariant: what `value_cache.ts` says of a value in the cache. A cached read is at most
 * GATEWAY_TRUST_MS old: the node that is to say when the value changes has answered a ping that was
 * sent no longer ago, and what it said before that answer has come. A connection that the other side
 * has forgotten, or a gateway that stood still for a while, alone or with its whole machine, is no reason
 * to believe an old value.
 *
 * @module
 */
import { executeBatch } from "../../shared/server/batch.ts";
import { ClusterDatabase } from "../../shared/database/cluster_database.ts";
import { type ClusterMap, type NodeId, partitionConfig } from "../../shared/cluster/cluster_map.ts";
import { endOfRead } from "../../shared/wire/error_reply.ts";
import { KvError } from "../../shared/base/errors.ts";
import {
  GATEWAY_CACHE_BYTES_MAX,
  GATEWAY_TRUST_MS,
  READ_ATTEMPT_TIMEOUT_MS,
  REQUEST_TIMEOUT_MS,
} from "../../shared/base/limits.ts";
import type { KeyRequest, Message, Reply } from "../../shared/wire/messages.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { partitionOf } from "../../shared/cluster/position.ts";
import { checkKeyRequest, checkScan } from "../../shared/validation/request_checks.ts";
import { Router } from "../../shared/routing/router.ts";
import { SuspensionWatch } from "../../shared/platform/suspension.ts";
import type { RpcClientDeps } from "../../shared/wire/rpc_client.ts";
import { onlyReads } from "../../shared/operations/repeat.ts";
import { transactionKeys, whyCrossing } from "../../shared/validation/transaction_checks.ts";
import { ValueCache } from "./value_cache.ts";

type ReplyTo = (reply: Reply) => void;

/** Passes requests on. */
export class Gateway {
  readonly #deps: RpcClientDeps;
  readonly #router: Router;
  readonly #cache: ValueCache;
  /** The whole cluster, for whoever serves another protocol here. */
  readonly database: ClusterDatabase;
  readonly #suspensions: SuspensionWatch;
  /** What nodes answered before this moment may have been said before a suspension. */
  #trustFromMs = -Infinity;
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
      onPush: (message) => {
        if (message.req_type !== "invalidate") return;
        for (const key of message.keys) this.#cache.invalidate(key);
      },
      keepAlive: true,
      onNodeDown: (node) => this.#cache.dropNode(node),
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
    this.#cache.adoptMap(this.#map, map);
    this.#map = map;
    this.#router.adopt(map);
  }

  /** A request for a key. @throws {KvError} where it is malformed */
  execute(request: KeyRequest, reply: ReplyTo): void {
    if (request.req_type === "watch_get") {
      throw new KvError(
        "bad_request",
        "watch_get: ask the key's primary; a gateway watches itself",
      );
    }
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
    // The primary will say that the key has changed. A reader that was answered here sees it sooner.
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
   * @param checkRights throws what one of them is refused with
   * @throws {KvError} where it is malformed
   */
  executeBatch(
    batch: Message<"batch">,
    checkRights: (request: KeyRequest) => void,
    reply: ReplyTo,
  ): void {
    executeBatch(this.#deps.clock, batch, (one, answer) => {
      checkRights(one);
      this.execute(one, answer);
    }, reply);
  }

  /** A piece of a partition, from its primary. */
  scanPartition(request: Message<"scan_partition">, reply: ReplyTo): void {
    checkScan(request);
    const map = this.#map;
    const primary = map?.partitions[request.partition]?.primary;
    if (map !== undefined && request.partition >= map.settings.partitionCount) {
      throw new KvError(
        "bad_request",
        `scan_partition: "partition" must be less than ${map.settings.partitionCount}`,
      );
    }
    if (primary === undefined) {
      throw new KvError("unavailable", `scan_partition: nobody serves it now; try again`);
    }
    const { id: _, ...rest } = request;
    this.#router.request(primary, rest, request.timeout_ms ?? REQUEST_TIMEOUT_MS, reply);
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
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (this.#suspensions.lostMs() > 0) this.#trustFromMs = nowMs;
    const sinceMs = Math.max(nowMs - GATEWAY_TRUST_MS, this.#trustFromMs);
    const trusts = (node: NodeId) => this.#router.provenMs(node) >= sinceMs;
    const cached = this.#cache.get(key, clock.monotonicMs(), trusts);
    if (cached !== undefined) {
      // A replica: the server puts the request's id into what it is given.
      reply({ ...cached });
      return;
    }
    const strong: Message<"get"> = { ...request, consistency: "strong" };
    const partition = this.#map && partitionOf(key, this.#map.settings.partitionCount);
    const primary = this.#map && partition !== undefined
      ? partitionConfig(this.#map, partition).primary
      : undefined;
    if (!this.#cache.enabled || partition === undefined || primary === undefined) {
      this.#router.execute(strong, timeoutMs, reply);
      return;
    }
    const startMs = this.#deps.clock.monotonicMs();
    const read = this.#cache.beginRead(key, partition, primary, startMs);
    const attemptMs = Math.min(timeoutMs, READ_ATTEMPT_TIMEOUT_MS);
    const watched = { req_type: "watch_get", key, timeout_ms: attemptMs };
    this.#router.request(primary, watched, attemptMs, (result) => {
      if (result.req_type === "data") {
        const { id: _, ...value } = result;
        this.#cache.endRead(read, value);
        reply(result);
        return;
      }
      this.#cache.endRead(read, undefined);
      const final = result.req_type !== "error" || result.code === "not_found";
      const leftMs = startMs + timeoutMs - this.#deps.clock.monotonicMs();
      if (final) reply(result);
      else if (leftMs <= 0) reply(endOfRead(result));
      // It may have moved meanwhile: the router finds out where to.
      else this.#router.execute(strong, leftMs, reply);
    });
  }
}
