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
} from "../../shared/database/database.ts";
import { KvError } from "../../shared/base/errors.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import { SCAN_KEYS_DEFAULT } from "../../shared/limits/scans.ts";
import type { KeyRequest, Message, Reply, ReplyTo } from "../../shared/wire/messages.ts";
import type { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import { PartitionSet } from "../../shared/cluster/partition_set.ts";
import type { Random } from "../../shared/platform/random.ts";
import {
  checkKeyBounds,
  checkKeyRequest,
  type RequestLimits,
} from "../../shared/validation/request_checks.ts";
import { repeatOf } from "../../shared/operations/repeat.ts";
import type { NodeScans } from "../scans/node_scans.ts";

/** What the database needs of the node core. */
export interface DatabaseNode {
  readonly nodeId: NodeId;
  readonly scans: Pick<NodeScans, "scan" | "count">;
  map(): ClusterMap | undefined;
  execute(request: KeyRequest, reply: ReplyTo): void;
}

/** The way to other nodes: a router that knows this node's replicas as its own. */
export interface Forwarder {
  execute(request: KeyRequest, timeoutMs: number, done: ReplyTo): () => void;
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
}

/** A node's database. */
export class NodeDatabase implements Database {
  readonly #clock: Clock;
  readonly #options: NodeDatabaseOptions;
  readonly #cluster: ClusterDatabase;

  constructor(
    deps: { clock: Clock; random: Random; work: WorkScheduler },
    options: NodeDatabaseOptions,
  ) {
    this.#clock = deps.clock;
    this.#options = options;
    const { node, forwarder } = options;
    this.#cluster = new ClusterDatabase({
      ...deps,
      router: {
        map: () => node.map(),
        refresh: () => forwarder.refresh(),
        request: (to, message, timeoutMs, done) => {
          if (to === node.nodeId) this.#askHere(message as ScanMessage, done);
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
  run(request: KeyRequest, timeoutMs: number, done: ReplyTo): void {
    const beganMs = this.#clock.monotonicMs();
    const { node, forwarder, onForward } = this.#options;
    node.execute(request, (result) => {
      const unknown = isUnknown(result) && repeatOf(request) === "recognised";
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

  /** Scans and counts end. */
  close(): void {
    this.#cluster.close();
  }

  /** A piece of a scan or count, of this node's partitions. @throws {KvError} `bad_request` */
  serveNode(request: ScanMessage, reply: ReplyTo): void {
    checkKeyBounds(request);
    this.#askHere(request, reply);
  }

  #askHere(request: ScanMessage, reply: ReplyTo): void {
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

  #partitions(request: ScanMessage): PartitionSet {
    const map = this.map();
    if (map === undefined) {
      throw new KvError(
        "unavailable",
        `${request.req_type}: this node has not joined its cluster yet`,
      );
    }
    const { partitionCount } = map.settings;
    return request.partitions === undefined
      ? PartitionSet.all(partitionCount)
      : PartitionSet.fromText(request.partitions, partitionCount);
  }
}

/** A request of another node, or of a client that asks all nodes itself. */
type ScanMessage = Message<"scan_node" | "count_node">;

/** Whether another attempt, of a request that may be repeated, may find out what came of this one. */
function isUnknown(reply: Reply): boolean {
  return reply.req_type === "error" && reply.code === "outcome_unknown" && reply.settled !== true;
}

/** Whether the request is known not to have happened, and another node (or this one, later) can. */
function mayServeElsewhere(reply: Reply): boolean {
  return reply.req_type === "error" &&
    (reply.code === "not_primary" || reply.code === "unavailable");
}
