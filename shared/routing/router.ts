/**
 * Sends a request for a key to the node that has it, and sends it again if that is safe. It is used by the
 * client library, by nodes (to pass on requests for other nodes' keys) and by the gateway.
 *
 * If a node cannot be reached from here, another node may reach it. Then the request goes through that node
 * (`relay`), a replica's node if possible, which passes it on to the primary itself and to no other node. So a
 * request takes at most three hops, and never goes in a circle.
 *
 * Invariants: `done` is called once for each request, by its deadline (and a scan's length). A write is sent
 * again only if it is known not to have happened, or if it names a client session (which makes repeating it
 * harmless), whichever way the attempts take. A read may be sent again after any error that another node, or a
 * later attempt, may not have.
 *
 * @module
 */
import type { Clock, Timer } from "../platform/clock.ts";
import {
  type ClusterMap,
  type NodeId,
  type PartitionConfig,
  whyNoPrimary,
} from "../cluster/cluster_map.ts";
import { errorReply } from "../operations/operation.ts";
import { KvError } from "../base/errors.ts";
import { DEADLINE_SCAN_MS } from "../limits/connections.ts";
import {
  READ_ATTEMPT_TIMEOUT_MS,
  RETRY_MS_MAX,
  RETRY_MS_MIN,
  RETRY_SCAN_MS,
} from "../limits/requests.ts";
import { isAbandoned, isHeavy } from "../wire/caller.ts";
import { MapRefresh } from "./map_refresh.ts";
import { hello } from "../wire/hello.ts";
import type { Message, Reply, ReplyTo, RoutedRequest } from "../wire/messages.ts";
import { type NodeConnectionHandlers, NodePool } from "./node_pool.ts";
import { Targets } from "./targets.ts";
import {
  finalReply,
  hintOf,
  lateReply,
  requestNow,
  type Task,
  taskOf,
  unansweredReply,
} from "./task.ts";
import { partitionOf } from "../cluster/position.ts";
import { type Random } from "../platform/random.ts";
import { backoffMs } from "../scheduling/backoff.ts";
import type { RpcClientDeps } from "../wire/rpc_client.ts";
import { mayRepeat } from "../operations/repeat.ts";
import { withLeadingKey } from "../validation/transaction_checks.ts";
import type { Address } from "../platform/transport.ts";

/** A node's own partitions. */
export interface LocalNode {
  readonly nodeId: NodeId;
  execute(request: RoutedRequest, reply: (reply: Reply) => void): void;
}

/** Options of a {@linkcode Router}. */
export interface RouterOptions {
  readonly role: Message<"hello">["role"];
  /** What `hello` says beyond protocol and role. */
  readonly hello?: { node?: NodeId; cluster_id?: string; user?: string; secret?: string };
  /** Where to get the first map: nodes or coordinators. */
  readonly seeds?: readonly Address[];
  /** Asked for a map before any node or seed. */
  readonly mapSource?: () => Promise<ClusterMap>;
  readonly local?: LocalNode;
  /** A newer map was adopted. */
  onMap?(map: ClusterMap): void;
  /** Told about connections to nodes. */
  readonly connections?: NodeConnectionHandlers | undefined;
}

/** What is asked of each node by itself, and may go by way of another one. */
const PIECES: readonly unknown[] = ["scan_node", "count_node", "watch_node"];
const CLOSED = "this client is closed";

/** Routes requests by key. */
export class Router {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #options: RouterOptions;
  readonly #local: LocalNode | undefined;
  readonly #pool: NodePool;
  readonly #targets: Targets;
  readonly #refresh: MapRefresh;
  readonly #hello: Message<"hello">;
  #map: ClusterMap | undefined;
  /** Tasks that wait for a retry or a map. */
  readonly #waiting = new Set<Task>();
  /** Tasks that this node itself has not answered; other nodes' deadlines are kept by RpcClient. */
  readonly #atLocal = new Set<Task>();
  #scanTimer: Timer | undefined;
  #closed = false;

  constructor(deps: RpcClientDeps, options: RouterOptions) {
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#options = options;
    this.#local = options.local;
    const greeting = this.#hello = hello(options.role, options.hello);
    this.#pool = new NodePool(deps, greeting, {
      // Perhaps it has failed, and others know.
      onSilence: () => this.#refresh.start(),
      connections: options.connections,
    });
    this.#targets = new Targets(this.#pool, deps.random, options.local?.nodeId);
    this.#refresh = new MapRefresh({
      deps,
      hello: greeting,
      pool: this.#pool,
      seeds: options.seeds ?? [],
      mapSource: options.mapSource,
      self: options.local?.nodeId,
      current: () => this.#map,
      onMap: (map) => this.adopt(map),
      onFail: (error) => this.#onNoMap(error),
    });
  }

  /** The newest map known here. */
  map(): ClusterMap | undefined {
    return this.#map;
  }

  /** Accepts a map if it is newer than the current one and of the same cluster. */
  adopt(map: ClusterMap): void {
    if (this.#closed) return;
    const before = this.#map;
    if (before !== undefined) {
      if (map.epoch <= before.epoch) return;
      if (map.settings.clusterId !== before.settings.clusterId) return;
    }
    this.#map = map;
    // A node of another cluster may have this address by now: it must not get our requests.
    this.#hello.cluster_id ??= map.settings.clusterId;
    this.#pool.adopt(map);
    this.#options.onMap?.(map);
    for (const task of [...this.#waiting]) {
      const target = this.#configOf(task);
      // A task that waited for any map at all goes on in any case; if its partition has no primary, it goes to its retries.
      const moved = target?.primary !== undefined && target.primary !== task.target;
      if (before === undefined || moved) this.#attempt(task);
    }
  }

  /** Asks for the map; the one returned is the newest known here. @throws {KvError} */
  refresh(): Promise<ClusterMap> {
    return this.#refresh.promise();
  }

  /**
   * Carries out a request at the right node within `timeoutMs`. Returns a function that gives it up: `done` is then
   * not called any more, and what was sent may still happen.
   */
  execute(request: RoutedRequest, timeoutMs: number, done: ReplyTo): () => void {
    const task = taskOf(this.#wellLed(request), this.#clock.monotonicMs(), timeoutMs, done);
    if (this.#closed) this.#clock.defer(() => this.#endClosed(task));
    else this.#attempt(task);
    return () => this.#forget(task);
  }

  /** A transaction whose key nobody needs to stay, by the key by which it is led best. */
  #wellLed(request: RoutedRequest): RoutedRequest {
    if (request.req_type !== "transaction" || request.session !== undefined) return request;
    const count = this.#map?.settings.partitionCount;
    return count === undefined ? request : withLeadingKey(request, count);
  }

  /** Whether a node would probably answer: it is in the map, and the last attempt to reach it has not failed. */
  mayReach(node: NodeId): boolean {
    const client = this.#closed ? undefined : this.#pool.client(node);
    return client !== undefined && !client.isDoubtful;
  }

  /** Sends any request to one node; a piece of a scan through another node if necessary. */
  request(node: NodeId, message: object, timeoutMs: number, done: ReplyTo): void {
    const client = this.#closed ? undefined : this.#pool.client(node);
    if (client !== undefined) {
      const isPiece = "req_type" in message && !("of" in message) &&
        PIECES.includes(message.req_type);
      const via = isPiece ? this.#targets.wayRound(this.#map, node, undefined) : undefined;
      const piece: object = via === undefined ? message : { ...message, of: node };
      const way = via === undefined ? client : this.#pool.client(via) ?? client;
      way.request(piece, timeoutMs, done);
      return;
    }
    const reply = errorReply(
      "unavailable",
      this.#closed ? CLOSED : `node ${node} is not in the cluster map`,
    );
    this.#clock.defer(() => done(reply));
  }

  /** Ends all connections and requests: a write that may have happened as `outcome_unknown`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#scanTimer?.cancel();
    this.#refresh.close();
    this.#pool.close();
    // Requests that were sent end with their connections.
    const left = [...this.#waiting, ...this.#atLocal];
    this.#clock.defer(() => {
      for (const task of left) this.#endClosed(task);
    });
  }

  /** A reply of `unavailable` promises that the request did not happen. */
  #endClosed(task: Task): void {
    if (this.#atLocal.has(task) && !task.isRead) task.unknown = true;
    this.#finish(task, finalReply(task, errorReply("unavailable", CLOSED)));
  }

  #attempt(task: Task): void {
    if (task.finished) return;
    this.#waiting.delete(task);
    if (isAbandoned(task.request)) {
      this.#giveUp(task);
      return;
    }
    const map = this.#map;
    if (map === undefined) {
      this.#wait(task, Infinity);
      this.#refresh.start();
      return;
    }
    const { partitionCount } = map.settings;
    const partition = partitionOf(task.request.key, partitionCount);
    const config = map.partitions[partition];
    const target = this.#targets.choose(task, config);
    task.target = target;
    task.attempts++;
    if (target === undefined) {
      this.#onReply(task, errorReply("unavailable", whyNoPrimary(map, partition)));
    } else if (target === this.#local?.nodeId) {
      this.#executeHere(task, this.#local);
    } else {
      this.#send(task, target, config);
    }
  }

  #executeHere(task: Task, local: LocalNode): void {
    const request = requestNow(task, this.#clock);
    if (request === undefined) {
      this.#giveUp(task);
      return;
    }
    let answered = false;
    local.execute(request, (reply) => {
      if (answered) return;
      answered = true;
      this.#atLocal.delete(task);
      this.#onReply(task, reply);
    });
    if (answered || task.finished) return;
    this.#atLocal.add(task);
    this.#setScan(DEADLINE_SCAN_MS);
  }

  #send(task: Task, target: NodeId, config: PartitionConfig | undefined): void {
    const { request } = task;
    const mayGoRound = !("relay" in request && request.relay === true);
    const via = mayGoRound ? this.#targets.wayRound(this.#map, target, config) : undefined;
    const to = via ?? target;
    const client = isHeavy(request) ? this.#pool.heavyClient(to) : this.#pool.client(to);
    if (client === undefined) {
      this.#onReply(task, errorReply("unavailable", `node ${target} is not in the cluster map`));
      return;
    }
    const leftMs = task.deadlineMs - this.#clock.monotonicMs();
    // The node that goes round may not get there either: what may be repeated is repeated another way. A long
    // reply takes its time: if it were asked for again, the node would have to make it twice.
    const isShort = (task.isRead && !isHeavy(request)) ||
      (via !== undefined && task.repeat === "recognised");
    const timeoutMs = isShort ? Math.min(leftMs, READ_ATTEMPT_TIMEOUT_MS) : leftMs;
    if (timeoutMs <= 0) {
      this.#giveUp(task);
      return;
    }
    task.target = via ?? target;
    // The receiver must answer itself or name the right node, and not pass the request on.
    const message = {
      ...request,
      id: undefined,
      forwarded: via === undefined ? true : undefined,
      relay: via === undefined ? undefined : true,
      timeout_ms: Math.ceil(timeoutMs),
      ...(task.unknown ? { again: true } : {}),
    };
    client.request(message, timeoutMs, (reply) => this.#onReply(task, reply));
  }

  #onReply(task: Task, reply: Reply): void {
    if (task.finished) return;
    const isFinal = reply.req_type !== "error" || reply.settled === true;
    if (isFinal || isAbandoned(task.request) || !mayRepeat(task.repeat, reply.code)) {
      this.#finish(task, finalReply(task, reply));
      return;
    }
    task.last = reply;
    if (reply.code === "outcome_unknown" && !task.isRead) task.unknown = true;
    if (this.#closed) {
      this.#endClosed(task);
      return;
    }
    const { target } = task;
    if (reply.code === "not_primary" && target !== undefined) {
      this.#refresh.start(target === this.#local?.nodeId ? undefined : target);
      const hint = hintOf(reply);
      // A hint is followed at once, but a hint's hint is not: two nodes may point at each other.
      if (hint !== undefined && hint !== target && !task.hintUsed) {
        task.hintUsed = true;
        task.hint = hint;
        this.#attempt(task);
        return;
      }
    } else {
      this.#refresh.start();
    }
    const inTime = this.#clock.monotonicMs() < task.deadlineMs;
    if (inTime && this.#targets.hasUntried(task, this.#configOf(task))) {
      this.#attempt(task);
      return;
    }
    task.tried = undefined;
    this.#waitForRetry(task);
  }

  #configOf({ request }: Task): PartitionConfig | undefined {
    const map = this.#map;
    return map?.partitions[partitionOf(request.key, map.settings.partitionCount)];
  }

  #waitForRetry(task: Task): void {
    const pauseMs = backoffMs(RETRY_MS_MIN, RETRY_MS_MAX, task.attempts - 1, this.#random);
    this.#wait(task, this.#clock.monotonicMs() + pauseMs);
  }

  #wait(task: Task, retryMs: number): void {
    task.retryMs = retryMs;
    task.hintUsed = false;
    this.#waiting.add(task);
    this.#setScan(RETRY_SCAN_MS);
  }

  #onNoMap(error: KvError): void {
    if (this.#map !== undefined || this.#closed) return;
    for (const task of this.#waiting) {
      task.last = errorReply("unavailable", error.message);
      if (task.retryMs !== Infinity) continue;
      task.attempts++;
      this.#waitForRetry(task);
    }
  }

  #setScan(delayMs: number): void {
    if (this.#closed) return;
    this.#scanTimer ??= this.#clock.setTimer(delayMs, this.#scan);
  }

  readonly #scan = (): void => {
    this.#scanTimer = undefined;
    const now = this.#clock.monotonicMs();
    for (const task of [...this.#waiting]) {
      if (task.deadlineMs <= now) {
        this.#giveUp(task);
      } else if (task.retryMs <= now) {
        this.#attempt(task);
      }
    }
    for (const task of this.#atLocal) {
      if (task.deadlineMs <= now) this.#finish(task, unansweredReply(task, now));
    }
    if (this.#waiting.size > 0) this.#setScan(RETRY_SCAN_MS);
    else if (this.#atLocal.size > 0) this.#setScan(DEADLINE_SCAN_MS);
  };

  /** The deadline has passed. */
  #giveUp(task: Task): void {
    this.#finish(task, lateReply(task, this.#clock.monotonicMs()));
  }

  #finish(task: Task, reply: Reply): void {
    if (task.finished) return;
    this.#forget(task);
    task.done(reply);
  }

  #forget(task: Task): void {
    task.finished = true;
    this.#waiting.delete(task);
    this.#atLocal.delete(task);
  }
}
