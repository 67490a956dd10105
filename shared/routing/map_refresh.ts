/**
 * Gets a newer cluster map: first from the process that the caller names, then from nodes of the
 * current map in random order, then from the seeds (nodes or coordinators). Only one round runs at a
 * time, however many callers want a map.
 *
 * @module
 */
import type { Clock, Timer } from "../platform/clock.ts";
import type { ClusterMap, NodeId } from "../cluster/cluster_map.ts";
import { fromErrorReply } from "../wire/error_reply.ts";
import { failureOf, KvError } from "../base/errors.ts";
import { LOGIN_TIMEOUT_MS } from "../limits/connections.ts";
import { MAP_REFRESH_GAP_MS, MAP_REQUEST_TIMEOUT_MS } from "../limits/requests.ts";
import type { Message, Reply } from "../wire/messages.ts";
import { toCoordinator } from "./coordinator_pool.ts";
import type { NodePool } from "./node_pool.ts";
import { type Random, randomBelow } from "../platform/random.ts";
import { RpcClient, type RpcClientDeps } from "../wire/rpc_client.ts";
import { type Address, formatAddress, isSameAddress } from "../platform/transport.ts";

/** What a refresh needs. */
export interface MapRefreshOptions {
  readonly deps: RpcClientDeps;
  readonly hello: Message<"hello">;
  readonly pool: NodePool;
  readonly seeds: readonly Address[];
  /** Asked before any other process. */
  readonly mapSource: (() => Promise<ClusterMap>) | undefined;
  /** This node, which is not asked. */
  readonly self: NodeId | undefined;
  current(): ClusterMap | undefined;
  /** A map has arrived; it may be an old one. */
  onMap(map: ClusterMap): void;
  /** A round has ended without any map. */
  onFail(error: KvError): void;
}

/** A process to ask. */
type Source = { node: NodeId } | { seed: Address };

/** Fetches maps. */
export class MapRefresh {
  readonly #options: MapRefreshOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  #running = false;
  #closed = false;
  #endedMs = -Infinity;
  #gapTimer: Timer | undefined;
  #first: NodeId | undefined;
  #errors: KvError[] = [];
  #seedClient: RpcClient | undefined;
  #promise: Promise<ClusterMap> | undefined;
  #settle: ((outcome: ClusterMap | KvError) => void) | undefined;

  constructor(options: MapRefreshOptions) {
    this.#options = options;
    this.#clock = options.deps.clock;
    this.#random = options.deps.random;
  }

  /** Begins a round soon, unless one is under way. `first` is asked before the others. */
  start(first?: NodeId): void {
    if (this.#running || this.#closed) return;
    this.#first = first ?? this.#first;
    if (this.#gapTimer !== undefined) return;
    const gapMs = this.#endedMs + MAP_REFRESH_GAP_MS - this.#clock.monotonicMs();
    if (gapMs <= 0) {
      this.#begin();
      return;
    }
    this.#gapTimer = this.#clock.setTimer(gapMs, () => {
      this.#gapTimer = undefined;
      this.#begin();
    });
  }

  /** The map with which the current round, or a new one, ends. @throws {KvError} */
  promise(): Promise<ClusterMap> {
    if (this.#closed) return Promise.reject(closedError());
    this.#promise ??= new Promise((resolve, reject) => {
      this.#settle = (outcome) => outcome instanceof KvError ? reject(outcome) : resolve(outcome);
    });
    const promise = this.#promise;
    this.start();
    return promise;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#gapTimer?.cancel();
    this.#seedClient?.close();
    this.#tell(closedError());
  }

  #begin(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#errors = [];
    const sources = this.#sources();
    this.#first = undefined;
    const { mapSource } = this.#options;
    if (mapSource === undefined) {
      this.#ask(sources, 0);
      return;
    }
    mapSource().then(
      (map) => this.#onMap(map, sources, 0),
      (error) => {
        this.#errors.push(failureOf(error));
        this.#ask(sources, 0);
      },
    );
  }

  #sources(): Source[] {
    const { seeds, self, pool, current } = this.#options;
    const nodes = (current.call(this.#options)?.nodes ?? []).filter(({ id }) => id !== self);
    const others = (up: boolean): Source[] =>
      this.#shuffled(
        nodes.filter(({ id, state }) => id !== this.#first && (state !== "down") === up)
          .map(({ id }) => ({ node: id })),
      );
    const first = this.#first === undefined || pool.node(this.#first) === undefined
      ? []
      : [{ node: this.#first }];
    const coordinators = current.call(this.#options)?.coordinators ?? [];
    const further = coordinators.map(({ host, port }) => ({ host, port }))
      .filter((address) => !seeds.some((seed) => isSameAddress(seed, address)));
    const seedSources = this.#shuffled([...seeds, ...further].map((seed): Source => ({ seed })));
    // Nodes that are said to be down come last, because asking them mostly ends in a time-out.
    return [...first, ...others(true), ...seedSources, ...others(false)];
  }

  #shuffled<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = randomBelow(this.#random, i + 1);
      const [a, b] = [list[i], list[j]];
      if (a !== undefined && b !== undefined) [list[i], list[j]] = [b, a];
    }
    return list;
  }

  #ask(sources: readonly Source[], at: number): void {
    if (this.#closed) return;
    const source = sources[at];
    if (source === undefined) {
      this.#end(this.#failure());
      return;
    }
    const client = "node" in source ? this.#options.pool.client(source.node) : this.#seed(source);
    if (client === undefined) {
      this.#ask(sources, at + 1);
      return;
    }
    const epoch = this.#options.current()?.epoch;
    const request = epoch === undefined ? { req_type: "get_map" } : { req_type: "get_map", epoch };
    const { secret } = this.#options.hello;
    const timeoutMs = secret === undefined ? MAP_REQUEST_TIMEOUT_MS : LOGIN_TIMEOUT_MS;
    client.request(request, timeoutMs, (reply) => {
      this.#onReply(reply, sources, at);
    });
  }

  /** A connection to a seed is kept only while it is asked. Only clients have seeds that are no coordinators. */
  #seed({ seed }: { seed: Address }): RpcClient {
    const { deps, hello } = this.#options;
    this.#seedClient?.close();
    this.#seedClient = new RpcClient(deps, seed, hello, {}, toCoordinator(hello));
    return this.#seedClient;
  }

  #onReply(reply: Reply, sources: readonly Source[], at: number): void {
    if (this.#closed) return;
    const map = this.#options.current();
    if (reply.req_type === "map") {
      this.#onMap(reply.map, sources, at + 1);
      return;
    }
    // "You have the newest that I know of."
    if (reply.req_type === "ack" && map !== undefined) {
      this.#end(map);
      return;
    }
    this.#errors.push(
      reply.req_type === "error"
        ? fromErrorReply(reply)
        : new KvError("internal", `a request for the map was answered by "${reply.req_type}"`),
    );
    this.#ask(sources, at + 1);
  }

  #onMap(map: ClusterMap, sources: readonly Source[], next: number): void {
    if (this.#closed) return;
    this.#options.onMap(map);
    const current = this.#options.current();
    // This process has an older map than ours: another one may have a newer map.
    if (current !== undefined && map.epoch >= current.epoch) this.#end(current);
    else this.#ask(sources, next);
  }

  #failure(): KvError {
    const current = this.#options.current();
    const texts = [...new Set(this.#errors.map(({ message }) => message))];
    const what = current === undefined ? "no cluster map" : "no newer cluster map";
    const tried = this.#options.seeds.map(formatAddress).join(", ");
    const why = texts.length > 0 ? texts.join("; ") : `nobody to ask (seeds: ${tried || "none"})`;
    const code = this.#errors.length === 1 ? this.#errors[0]?.code : undefined;
    const isJoining = this.#errors.some(({ detail }) => detail?.joining === true);
    return new KvError(
      code ?? "unavailable",
      `${what}: ${why}`,
      isJoining ? { detail: { joining: true } } : {},
    );
  }

  #end(outcome: ClusterMap | KvError): void {
    this.#running = false;
    this.#endedMs = this.#clock.monotonicMs();
    this.#seedClient?.close();
    this.#seedClient = undefined;
    this.#tell(outcome);
    if (outcome instanceof KvError) this.#options.onFail(outcome);
  }

  #tell(outcome: ClusterMap | KvError): void {
    const settle = this.#settle;
    this.#settle = undefined;
    this.#promise = undefined;
    settle?.(outcome);
  }
}

function closedError(): KvError {
  return new KvError("unavailable", "this client is closed");
}
