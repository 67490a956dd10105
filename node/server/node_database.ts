/**
 * The database as a node has it: an operation on a key is tried on the node's own replica first and passed
 * on if that cannot answer; scans and counts ask the other nodes over the wire and this one directly.
 * Also the wire's requests for them, of clients and of other nodes.
 *
 * @module
 */
import type { Clock } from "../../shared/platform/clock.ts";
import { ClusterDatabase } from "../../shared/database/cluster_database.ts";
import type { ClusterMap, NodeId } from "../../shared/cluster/cluster_map.ts";
import type {
  CountRequest,
  Database,
  ScanPage,
  ScanRequest,
  Watch,
} from "../../shared/database/database.ts";
import { NO_VALUE } from "../../shared/base/entry.ts";
import { KvError } from "../../shared/base/errors.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import {
  isPartRequest,
  type KeyRequest,
  type Message,
  type Reply,
  type ReplyTo,
  type RoutedRequest,
} from "../../shared/wire/messages.ts";
import type { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import type { Random } from "../../shared/platform/random.ts";
import {
  checkKeyBounds,
  checkKeyRequest,
  type RequestLimits,
} from "../../shared/validation/request_checks.ts";
import { repeatOf } from "../../shared/operations/repeat.ts";
import { withLeadingKey } from "../../shared/validation/transaction_checks.ts";
import { isAbandoned } from "../../shared/wire/caller.ts";
import { SCAN_KEYS_DEFAULT, WATCH_WAIT_MS, WATCH_WAIT_MS_MAX } from "../../shared/limits/scans.ts";
import type { WatchRequest } from "../../shared/watch/watch_event.ts";
import {
  fromWirePosition,
  toWirePosition,
  type WatchPosition,
} from "../../shared/watch/watch_position.ts";
import { checkSelection } from "../../shared/watch/watch_selection.ts";
import type { NodeWatch } from "../watch/node_watch.ts";
import type { NodeScans } from "../scans/node_scans.ts";

/** What the database needs of the node core. */
export interface DatabaseNode {
  readonly nodeId: NodeId;
  readonly scans: Pick<NodeScans, "scan" | "count">;
  readonly watch: Pick<NodeWatch, "poll" | "close">;
  map(): ClusterMap | undefined;
  execute(request: RoutedRequest, reply: ReplyTo): void;
}

/** The way to other nodes: a router that knows this node's replicas as its own. */
export interface Forwarder {
  execute(request: RoutedRequest, timeoutMs: number, done: ReplyTo): () => void;
  request(node: NodeId, message: object, timeoutMs: number, done: ReplyTo): void;
  refresh(): Promise<ClusterMap>;
  /** Whether a node would probably answer. Default: yes. */
  mayReach?(node: NodeId): boolean;
}

/** What a database is given. */
export interface NodeDatabaseOptions {
  readonly node: DatabaseNode;
  readonly forwarder: Forwarder;
  readonly limits?: RequestLimits | undefined;
  /** A request is passed on to another node. */
  onForward(): void;
  /** When requests of this turn began, in monotonic milliseconds. Default: now. */
  readonly beganMs?: () => number;
}

/** A node's database. */
export class NodeDatabase implements Database {
  readonly #clock: Clock;
  readonly #beganMs: () => number;
  readonly #options: NodeDatabaseOptions;
  readonly #cluster: ClusterDatabase;

  constructor(
    deps: { clock: Clock; random: Random; work: WorkScheduler },
    options: NodeDatabaseOptions,
  ) {
    this.#clock = deps.clock;
    this.#beganMs = options.beganMs ?? (() => deps.clock.monotonicMs());
    this.#options = options;
    const { node, forwarder } = options;
    this.#cluster = new ClusterDatabase({
      ...deps,
      router: {
        map: () => node.map(),
        refresh: () => forwarder.refresh(),
        request: (to, message, timeoutMs, done) => {
          if (to === node.nodeId) this.#askHere(message as PieceMessage, done);
          else forwarder.request(to, message, timeoutMs, done);
        },
      },
      execute: (request, timeoutMs, done) => this.execute(request, timeoutMs, done),
    });
  }

  map(): ClusterMap | undefined {
    return this.#options.node.map();
  }

  execute(request: KeyRequest, timeoutMs: number, done: ReplyTo): void {
    checkKeyRequest(request, this.#options.limits);
    const timed = (request.timeout_ms ?? REQUEST_TIMEOUT_MS) === timeoutMs
      ? request
      : { ...request, timeout_ms: timeoutMs };
    this.run(timed, timeoutMs, done);
  }

  /** As `execute`, of a request that has been checked. */
  run(given: RoutedRequest, timeoutMs: number, done: ReplyTo): void {
    const request = given.req_type === "transaction" ? this.#wellLed(given) : given;
    const beganMs = this.#beganMs();
    const { node, forwarder, onForward } = this.#options;
    node.execute(request, (result) => {
      const unknown = isUnknown(result) && !isPartRequest(request) &&
        repeatOf(request) === "recognised";
      if (!unknown && !mayServeElsewhere(result)) {
        done(result);
        return;
      }
      onForward();
      const leftMs = beganMs + timeoutMs - this.#clock.monotonicMs();
      // In its client session a write may be repeated, at whoever is primary now.
      const next = unknown ? { ...request, again: true } : request;
      forwarder.execute(next, Math.max(1, leftMs), done);
    });
  }

  /** A transaction whose key nobody needs to stay: a client session is in the partition of its key. */
  #wellLed(request: Message<"transaction">): Message<"transaction"> {
    const map = this.map();
    if (map === undefined || request.session !== undefined) return request;
    return withLeadingKey(request, map.settings.partitionCount);
  }

  scan(
    request: ScanRequest,
    timeoutMs: number,
    done: (result: ScanPage | Message<"error">) => void,
  ): () => void {
    return this.#cluster.scan(request, timeoutMs, done);
  }

  count(
    request: CountRequest,
    timeoutMs: number,
    done: (result: number | Message<"error">) => void,
  ): () => void {
    return this.#cluster.count(request, timeoutMs, done);
  }

  watch(request: WatchRequest): Watch {
    return this.#cluster.watch(request);
  }

  /** How many watches there are. */
  get watchCount(): number {
    return this.#cluster.watchCount;
  }

  /** Watches end: this node is stopping. */
  closeWatches(): void {
    this.#cluster.closeWatches();
  }

  /** Scans, counts and watches end. */
  close(): void {
    this.#cluster.close();
  }

  /** A piece of a scan, count or watch, of this node's partitions. @throws {KvError} `bad_request` */
  serveNode(request: PieceMessage, reply: ReplyTo): void {
    if (request.req_type === "watch_node") checkSelection(request.req_type, request);
    else checkKeyBounds(request);
    this.#askHere(request, reply);
  }

  #askHere(request: PieceMessage, reply: ReplyTo): void {
    if (request.req_type === "watch_node") {
      this.#watchHere(request, reply);
      return;
    }
    const { scans } = this.#options.node;
    const partitions = this.#partitions(request);
    if (request.req_type === "count_node") {
      scans.count({ ...request, partitions }, request.timeout_ms, (result) => {
        if ("req_type" in result) return reply(result);
        const { count, covered, at, after } = result;
        reply({ req_type: "result", result: { count, partitions: covered.toText(), at, after } });
      });
      return;
    }
    const { limit = SCAN_KEYS_DEFAULT } = request;
    scans.scan({ ...request, partitions, limit }, request.timeout_ms, (result) => {
      if ("req_type" in result) return reply(result);
      const { entries, next, covered } = result;
      reply({
        req_type: "entries",
        entries: [],
        local_entries: entries,
        ...(next === undefined ? {} : { next }),
        partitions: covered.toText(),
      });
    });
  }

  #watchHere(request: Message<"watch_node">, reply: ReplyTo): void {
    const { partitionCount } = this.#joinedMap(request.req_type).settings;
    const { wait_ms: waitMs = WATCH_WAIT_MS } = request;
    const positions = new Map<number, WatchPosition | undefined>();
    for (const wire of request.positions) {
      if (wire[0] >= partitionCount) {
        throw new KvError(
          "bad_request",
          `watch_node: there is no partition ${wire[0]}: the cluster has ${partitionCount}`,
        );
      }
      positions.set(wire[0], fromWirePosition(wire));
    }
    const question = { selection: request, positions, isAbandoned: () => isAbandoned(request) };
    this.#options.node.watch.poll(question, Math.min(waitMs, WATCH_WAIT_MS_MAX), (answer) => {
      if ("req_type" in answer) {
        reply(answer);
        return;
      }
      const refused = new PartitionSet(partitionCount);
      for (const partition of answer.refused) refused.add(partition);
      const { reset, more } = answer;
      const entries = request.bare === true
        ? answer.entries.map((entry) => ({ ...entry, value: NO_VALUE }))
        : answer.entries;
      reply({
        req_type: "changes",
        entries: [],
        ...(entries.length === 0 ? {} : { local_entries: entries }),
        positions: [...answer.positions].map(([partition, position]) =>
          toWirePosition(partition, position)
        ),
        ...(refused.size === 0 ? {} : { refused: refused.toText() }),
        ...(reset ? { reset } : {}),
        ...(more ? { more } : {}),
      });
    });
  }

  #joinedMap(what: string): ClusterMap {
    const map = this.map();
    if (map !== undefined) return map;
    throw new KvError("unavailable", `${what}: this node has not joined its cluster yet`);
  }

  #partitions(request: ScanMessage): PartitionSet {
    const { partitionCount } = this.#joinedMap(request.req_type).settings;
    return request.partitions === undefined
      ? PartitionSet.all(partitionCount)
      : PartitionSet.fromText(request.partitions, partitionCount);
  }
}

/** A request of another node, or of a client that asks all nodes itself. */
type ScanMessage = Message<"scan_node" | "count_node">;
/** As {@linkcode ScanMessage}, or a watcher's question. */
type PieceMessage = ScanMessage | Message<"watch_node">;

/** Whether another attempt, of a request that may be repeated, may find out what came of this one. */
function isUnknown(reply: Reply): boolean {
  return reply.req_type === "error" && reply.code === "outcome_unknown" && reply.settled !== true;
}

/** Whether the request is known not to have happened, and another node (or this one, later) can. */
function mayServeElsewhere(reply: Reply): boolean {
  return reply.req_type === "error" &&
    (reply.code === "not_primary" || reply.code === "unavailable");
}
