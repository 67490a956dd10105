/**
 * The node's front: accepted streams in, each request to whom it concerns. A request for a key is
 * tried on this node's own replica first, and passed on to the right node if that cannot answer;
 * a connection that another node has opened for replication is handed to the node core. What a request means is not
 * known here.
 *
 * Invariants: a request that another node has passed on is never passed on again, but for one that it asks
 * this node to pass on for it (`relay`, `of`), which goes to the node that is meant and no further; a message of a
 * peer is taken only on a connection that its `hello` made a peer's (`shared/server/handshake.ts`); a watched
 * read is answered by this node or not at all, since only its own commits are pushed.
 *
 * @module
 */
import type { Admission } from "../../shared/admission/admission.ts";
import type { Seat } from "../../shared/admission/seat.ts";
import { Acceptor } from "../../shared/server/acceptor.ts";
import { executeBatch } from "../../shared/server/batch.ts";
import { metricDocument } from "../../shared/metrics/metric_document.ts";
import { MetricSet } from "../../shared/metrics/metric_set.ts";
import { collectAdmission } from "../../shared/metrics/admission_metrics.ts";
import { RequestMetrics } from "../../shared/metrics/request_metrics.ts";
import type { RequestTracing } from "../../shared/tracing/request_tracing.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import { type ClusterMap, findNode, type NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Connection } from "../../shared/wire/connection.ts";
import {
  databaseDocument,
  type DatabaseList,
  databaseListing,
  databaseOrderOf,
  type DatabaseUsage,
  findDatabase,
  withDatabase,
  withoutDatabase,
} from "../../shared/cluster/databases.ts";
import { locateKey, nodeListings } from "../../shared/cluster/directory.ts";
import { failureOf, invariant, KvError } from "../../shared/base/errors.ts";
import { namedRequest } from "../../shared/database/named_request.ts";
import { CLOSE_LINGER_MS } from "../../shared/limits/connections.ts";
import { QUOTA_ASK_TIMEOUT_MS } from "../../shared/limits/cluster.ts";
import { REQUEST_TIMEOUT_MS } from "../../shared/limits/requests.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import {
  type DownstreamMessage,
  goes,
  isSecurityOrder,
  type KeyRequest,
  type Message,
  type PartRequest,
  type Reply,
  type ReplyTo,
  type Request,
  type SecurityOrder,
} from "../../shared/wire/messages.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import {
  checkKey,
  checkKeyRequest,
  checkPartRequest,
  type RequestLimits,
} from "../../shared/validation/request_checks.ts";
import { serveCount, serveDeleteMatching, serveScan } from "../../shared/server/scan_requests.ts";
import { WireWatches } from "../../shared/server/wire_watches.ts";
import { Draining } from "../../shared/server/draining.ts";
import { greet, type Greeted, type Identity } from "../../shared/server/handshake.ts";
import { type PeerHandlers, PeerServer } from "../../shared/server/peer_server.ts";
import { RequestServer, type TakeOver } from "../../shared/server/request_server.ts";
import { forUser } from "../../shared/database/for_user.ts";
import type { AccessControl } from "../../shared/security/access_control.ts";
import { notSecured, type SecurityKeeper } from "../../shared/security/security_keeper.ts";
import { admitRequest, WireLogins } from "../../shared/server/wire_logins.ts";
import { toErrorReply } from "../../shared/wire/error_reply.ts";
import { userOf } from "../../shared/wire/on_behalf.ts";
import type { Random } from "../../shared/platform/random.ts";
import type { Address, Stream } from "../../shared/platform/transport.ts";
import { DatabaseDirectory, type DatabaseWish } from "./database_directory.ts";
import { type DatabaseNode, type Forwarder, NodeDatabase } from "./node_database.ts";
import type { MachineQuestions } from "../workers/machine_questions.ts";
import { machineStats } from "../workers/machine_stats.ts";
import type { PeerConnection } from "../peers/upstream_connection.ts";
import type { StartThread } from "../resp/scripts/script_runner.ts";
import { RespServer } from "../resp/resp_server.ts";

/** What the server needs of the node core. */
export interface ServerNode extends DatabaseNode {
  backupPartition(request: Message<"backup_partition">, reply: ReplyTo): void;
  /** A node has opened a connection to this one for replication, and its `hello` was accepted. */
  acceptPeer(node: NodeId, connection: PeerConnection): PeerHandlers<DownstreamMessage>;
  stats(): Record<string, unknown>;
  /** What named databases have in the partitions that it is primary of. */
  databaseUsage(): DatabaseUsage;
  collect(set: MetricSet): void;
}

/** The machine of which a node is a worker. */
export interface ServedMachine {
  readonly questions: MachineQuestions;
  /** The number of this worker. */
  readonly worker: number;
  /** The port that all of them share. */
  readonly address: Address;
}

/** What a server is given. */
export interface NodeServerOptions {
  readonly node: ServerNode;
  readonly forwarder: Forwarder;
  /** The cluster that the data folder belongs to; undefined before the first one. */
  clusterId(): string | undefined;
  readonly limits?: RequestLimits | undefined;
  /** What is written is gone with the process. Default false. */
  readonly memory?: boolean;
  /** Where it listens. */
  address?(): Address | undefined;
  /** What everything from outside is bounded by. */
  readonly admission: Admission;
  /** Users, roles and tokens, if the node is secured, and keeps them itself. */
  readonly security?: SecurityKeeper | undefined;
  /** By what it judges clients, if it is a node of a secured cluster, whose coordinator keeps them. */
  readonly access?: AccessControl | undefined;
  /** How databases are made. Absent: there is `default` alone. */
  readonly databases?: {
    /** Asks whoever keeps the list; what comes of it is in a later map. */
    want(id: number, wish: DatabaseWish): void;
    /** Changes the list, if this node is a cluster by itself. */
    change?(change: (databases: DatabaseList) => DatabaseList): Promise<void>;
  };
  /** Starts the thread in which scripts of Redis clients run. Absent: they are refused. */
  readonly startScriptThread?: StartThread | undefined;
  /** More for `stats`. */
  stats?(): Record<string, unknown>;
  /** Of a worker: the machine, for those who come by {@linkcode NodeServer.acceptShared}. */
  readonly machine?: ServedMachine | undefined;
  /** Counts requests; the process has one. Default: one of its own. */
  readonly requestMetrics?: RequestMetrics | undefined;
  /** Makes spans of requests that are part of a trace. Default: nobody does. */
  readonly tracing?: RequestTracing | undefined;
  /** All numbers of the process. Default: those of this server. */
  metrics?(): MetricSet;
}

/** Serves the JSON wire on every stream that it is given. */
export class NodeServer {
  /** The whole cluster, for whoever serves another protocol here. */
  readonly database: NodeDatabase;
  readonly #deps: { clock: Clock; log: Logger; work: WorkScheduler; metrics: RequestMetrics };
  readonly #options: NodeServerOptions;
  readonly #node: ServerNode;
  readonly #acceptor: Acceptor;
  /** For the port that the workers of a machine share. */
  readonly #sharedAcceptor: Acceptor;
  readonly #resp: RespServer;
  readonly #draining: Draining;
  /** The databases, for whoever makes sure that one is there. */
  readonly databases: DatabaseDirectory;
  /** Of a secured node. */
  readonly #logins: WireLogins | undefined;
  /** What this process is, to whoever says hello. */
  readonly #greeted: Greeted;
  readonly #watches = new WireWatches();
  readonly #counts = { requests: 0, forwarded: 0 };

  /** @param given `work` gives heavy work its turns; the process has one; default: one of its own */
  constructor(
    given: { clock: Clock; random: Random; log: Logger; work?: WorkScheduler | undefined },
    options: NodeServerOptions,
  ) {
    const deps = {
      ...given,
      work: given.work ?? new WorkScheduler(given.clock),
      metrics: options.requestMetrics ?? new RequestMetrics(given.clock),
      tracing: options.tracing,
    };
    this.#deps = deps;
    this.#options = options;
    this.#node = options.node;
    this.#greeted = {
      kind: "node",
      secured: (options.security ?? options.access) !== undefined,
      nodeId: options.node.nodeId,
      clusterId: () => options.clusterId(),
      hasPlace: (node) => {
        const map = options.node.map();
        return map !== undefined && findNode(map, node) !== undefined;
      },
    };
    this.#draining = new Draining(deps.clock);
    this.database = new NodeDatabase(deps, {
      node: options.node,
      forwarder: options.forwarder,
      limits: options.limits,
      onForward: () => this.#counts.forwarded++,
      // The turn's time, which its first request has looked at already.
      beganMs: () => deps.metrics.beganMs(),
    });
    this.databases = new DatabaseDirectory({
      clock: deps.clock,
      map: () => options.node.map(),
      want: (id, wish) => options.databases?.want(id, wish),
    });
    const access = options.security?.access ?? options.access;
    if (access !== undefined) {
      access.databases = () => options.node.map()?.databases;
    }
    this.#logins = access === undefined ? undefined : new WireLogins(access);
    this.#resp = new RespServer({
      ...deps,
      database: this.database,
      access,
      budget: options.admission.requests,
      limits: options.limits,
      draining: this.#draining,
      startScriptThread: options.startScriptThread,
      node: {
        nodeId: options.node.nodeId,
        persistent: options.memory !== true,
        address: () => options.address?.(),
        clientsMax: () => options.admission.clientsMax,
        isReachable: (node) => this.#mayReach(node),
        askOthers: (message, timeoutMs, done) => this.#askOthers(message, timeoutMs, done),
        stats: () => this.stats(),
        metrics: () => this.#metrics(),
        databaseUsage: () => options.node.databaseUsage(),
        machine: options.machine,
      },
      databases: this.databases,
    });
    this.#acceptor = new Acceptor(
      {
        json: (stream, seat) => this.#serve(stream, seat, false),
        other: this.#resp,
      },
      options.admission,
    );
    this.#sharedAcceptor = new Acceptor(
      {
        json: (stream, seat) => this.#serve(stream, seat, true),
        other: {
          accept: (stream, seat) => this.#resp.accept(stream, seat, true),
          refusal: (error) => this.#resp.refusal(error),
        },
      },
      options.admission,
    );
  }

  /** Requests that are not answered yet. */
  get outstanding(): number {
    return this.#draining.outstanding;
  }

  /** The node follows a new map. */
  onMap(map: ClusterMap): void {
    this.databases.onMap(map);
  }

  /** What all other nodes' partitions have of databases; a node that does not answer is left out. */
  askUsage(done: (usages: readonly DatabaseUsage[]) => void): void {
    this.#askOthers(
      { req_type: "database_usage" },
      QUOTA_ASK_TIMEOUT_MS,
      (replies) =>
        done(
          replies.flatMap((reply) =>
            reply.req_type === "result" ? [reply.result as DatabaseUsage] : []
          ),
        ),
    );
  }

  /** Takes a stream from a listener. */
  accept(stream: Stream): void {
    this.#acceptor.accept(stream);
  }

  /** As {@linkcode accept}, at the port that the workers of a machine share: it is asked as the machine. */
  acceptShared(stream: Stream): void {
    this.#sharedAcceptor.accept(stream);
  }

  /**
   * Ends the connections of clients in good order, within STOP_GRACE_MS. Those of nodes that keep replicas
   * here in step go on until {@linkcode close}.
   *
   * @returns how many were left when the time was over
   */
  drain(): Promise<number> {
    this.#resp.close();
    this.database.closeWatches();
    this.#node.watch.close();
    return this.#draining.drain();
  }

  /** Closes every connection, after what was sent is out. @returns when they are gone, or will not go */
  async close(): Promise<void> {
    this.#resp.close();
    this.database.close();
    this.databases.close();
    const acceptors = [this.#acceptor, this.#sharedAcceptor];
    for (const one of acceptors) one.closeAll(true);
    await Promise.all(acceptors.map((one) => one.whenEmpty(this.#deps.clock, CLOSE_LINGER_MS)));
  }

  /** @param isShared whether it came by the port that the workers of a machine share */
  #serve(stream: Stream, seat: Seat, isShared: boolean): void {
    const machine = isShared ? this.#options.machine : undefined;
    const server = new RequestServer(stream, this.#deps, {
      onRequest: (request, reply, connection) => {
        if (machine === undefined || request.req_type !== "stats") {
          return this.#onRequest(request, reply, connection);
        }
        this.#counts.requests++;
        admitRequest(request, connection, this.#logins);
        machine.questions.ask(
          "stats",
          (answers) => reply({ req_type: "result", result: machineStats(answers, machine.worker) }),
        );
      },
      onHello: (hello, connection, isFirst) => {
        const takeOver = this.#onHello(hello, connection, seat, isFirst);
        // A peer's connection has no request whose answer somebody would miss.
        if (takeOver instanceof Function) this.#draining.delete(server);
        return takeOver;
      },
      onClose: (_, connection) => {
        this.#draining.delete(server);
        this.#watches.onClose(connection);
      },
      onDrain: (connection) => this.#watches.onDrain(connection),
    }, { budget: this.#options.admission.requests, seat });
    this.#draining.add(server);
  }

  #onRequest(request: Request, reply: ReplyTo, connection: Connection): void {
    const named = namedRequest(request, this.#node.map());
    if (named !== undefined) {
      return this.#onRequest(named.request, named.replyTo(reply), connection);
    }
    this.#counts.requests++;
    admitRequest(request, connection, this.#logins);
    if (isSecurityOrder(request)) return this.#onSecurityOrder(request, reply, connection);
    switch (request.req_type) {
      case "hello":
        return invariant(false, "a hello is judged before it is a request");
      case "cert_list":
      case "cert_revoke":
      case "cert_rotate":
      case "get_authorities":
        return reply({ req_type: "result", result: this.#authorities(request) });
      case "join":
      case "force":
      case "forget_node":
      case "coordinators":
      case "coordinators_change":
        throw new KvError(
          "bad_request",
          `${request.req_type}: this is a node, not a coordinator; name the coordinator's address`,
        );
      case "databases":
        return reply({
          req_type: "result",
          result: databaseListing(this.#map(request.req_type).databases),
        });
      case "database_usage":
        return reply({ req_type: "result", result: this.#node.databaseUsage() });
      case "database_create":
      case "database_drop":
        return this.#onDatabaseOrder(request, reply);
      case "backup_partition":
        return this.#node.backupPartition(request, reply);
      case "scan":
        return serveScan(this.database, request, reply);
      case "count":
        return serveCount(this.database, request, reply);
      case "delete_matching":
        return serveDeleteMatching(
          { ...this.#deps, database: this.database },
          request,
          reply,
        );
      case "watch":
        return this.#watches.begin(
          this.database,
          request,
          connection,
          () => this.#logins?.whyRefused(request, connection),
          reply,
        );
      case "unwatch":
        return this.#watches.end(request, connection, reply);
      case "scan_node":
      case "count_node":
      case "watch_node":
        return this.#onPiece(request, reply);
      case "batch":
        return executeBatch(this.#deps.clock, request, (given, done) => {
          const named = namedRequest(given, this.#node.map());
          const [one, answer] = named === undefined
            ? [given, done]
            : [named.request, named.replyTo(done)];
          this.#logins?.admit(one, connection, undefined);
          checkKeyRequest(one, this.#options.limits);
          this.#executeKey(one, answer, connection);
        }, reply);
      case "ping":
        return reply({ req_type: "ack", message: "pong" });
      case "get_map":
        return reply({ req_type: "map", map: this.#map(request.req_type) });
      case "list_nodes":
        return reply({ req_type: "result", result: nodeListings(this.#map(request.req_type)) });
      case "get_nodes_for_key": {
        checkKey(request.key, this.#options.limits, request.req_type);
        const location = locateKey(this.#map(request.req_type), request.key);
        return reply({ req_type: "result", result: location });
      }
      case "stats":
        return reply({ req_type: "result", result: this.stats() });
      case "prepare_part":
      case "read_part":
      case "finish_part":
      case "transaction_status":
        return this.#onPart(request, reply, connection);
      case "metrics":
        return reply({ req_type: "result", result: metricDocument(this.#metrics()) });
      case "slow_requests": {
        const { slow } = this.#deps.metrics;
        return reply({ req_type: "result", result: slow.newest(request.limit ?? undefined) });
      }
      case "announce":
        return reply({ req_type: "ack", message: "noted" });
      case "pubsub":
        return reply({ req_type: "result", result: this.#resp.pubSub.serve(request) });
      default:
        checkKeyRequest(request, this.#options.limits);
        return this.#executeKey(request, reply, connection);
    }
  }

  /** What everybody may know, to know this cluster by. */
  #authorities(request: Request): { cluster: string; authorities: readonly string[] } {
    const access = this.#options.security?.access ?? this.#options.access;
    if (access === undefined) throw notSecured(request);
    const { cluster, authorities } = access.document;
    return { cluster, authorities };
  }

  #onSecurityOrder(order: SecurityOrder, reply: ReplyTo, connection: Connection): void {
    const { security } = this.#options;
    const by = this.#logins?.principalOf(connection);
    if (this.#logins !== undefined && security === undefined) {
      throw new KvError(
        "bad_request",
        `${order.req_type}: the coordinator keeps the users of this cluster; name its address`,
      );
    }
    if (security === undefined || by === undefined) throw notSecured(order);
    security.order(order, { principal: by, remote: connection.remote }, reply);
  }

  /** An order about a database. In a cluster it is the coordinator's. */
  #onDatabaseOrder(
    order: Message<"database_create" | "database_drop">,
    reply: ReplyTo,
  ): void {
    const { req_type: what, database: name } = order;
    const { change } = this.#options.databases ?? {};
    if (change === undefined) {
      throw new KvError(
        "bad_request",
        `${what}: this is a node, not a coordinator; name the coordinator's address`,
      );
    }
    const before = findDatabase(this.#map(what).databases, name);
    change((databases) => {
      if (order.req_type === "database_drop") return withoutDatabase(databases, name);
      const isThere = order.if_absent === true && findDatabase(databases, name) !== undefined;
      return isThere ? databases : withDatabase(databases, databaseOrderOf(order));
    }).then(() => {
      const about = findDatabase(this.#node.map()?.databases, name) ?? before;
      reply({ req_type: "result", result: about === undefined ? {} : databaseDocument(about) });
    }, (error) => reply(toErrorReply(failureOf(error))));
  }

  #executeKey(given: KeyRequest, reply: ReplyTo, connection: Connection): void {
    const user = userOf(given);
    // What a member passes on is in its user's session already.
    const isNew = user !== undefined && connection.member === undefined;
    const request = isNew ? forUser(given, user) : given;
    if (request.forwarded === true) {
      this.#node.execute(request, reply);
      return;
    }
    this.database.run(request, request.timeout_ms ?? REQUEST_TIMEOUT_MS, reply);
  }

  /** Of another node that takes part in a transaction. */
  #onPart(request: PartRequest, reply: ReplyTo, connection: Connection): void {
    const peer = connection.peer as Identity | undefined;
    if (peer?.role !== "node") {
      throw new KvError("bad_request", `${request.req_type}: only nodes send it to each other`);
    }
    // Who is in no map is no part of the cluster, or not any more.
    if (findNode(this.#map(request.req_type), peer.node) === undefined) {
      throw new KvError(
        "forbidden",
        `${request.req_type}: the map does not know node ${peer.node}`,
      );
    }
    checkPartRequest(request, this.#options.limits);
    if (request.forwarded === true) this.#node.execute(request, reply);
    else this.database.run(request, request.timeout_ms ?? REQUEST_TIMEOUT_MS, reply);
  }

  /** A piece of a scan, of this node's partitions, or of another's that the sender cannot reach. */
  #onPiece(request: Message<"scan_node" | "count_node" | "watch_node">, reply: ReplyTo): void {
    const { id: _, of, ...piece } = request;
    // JSON null stands for an absent field.
    if (typeof of !== "string" || of === this.#node.nodeId) {
      this.database.serveNode(request, reply);
      return;
    }
    this.#counts.forwarded++;
    const timeoutMs = request.timeout_ms ?? REQUEST_TIMEOUT_MS;
    this.#options.forwarder.request(of, { ...piece, of }, timeoutMs, reply);
  }

  /** @returns who takes the connection over if it is a peer's; in a secured node, the login */
  #onHello(
    hello: Message<"hello">,
    connection: Connection,
    seat: Seat,
    isFirst: boolean,
  ): TakeOver | Promise<void> | undefined {
    this.#counts.requests++;
    const { role, rights, node } = greet(hello, this.#greeted, { connection, seat, isFirst });
    if (role === "client") return this.#logins?.logIn(hello, connection);
    if (rights !== "replication" || node === undefined) return undefined;
    return (frames) =>
      new PeerServer(
        connection,
        this.#deps.log,
        { name: `node ${node}`, takes: (message) => goes(message, "downstream"), frames },
        (peer) => this.#node.acceptPeer(node, peer),
      );
  }

  #mayReach(node: NodeId): boolean {
    return this.#options.forwarder.mayReach?.(node) ?? true;
  }

  #askOthers(message: object, timeoutMs: number, done: (replies: readonly Reply[]) => void): void {
    const { nodeId } = this.#node;
    const others = (this.#node.map()?.nodes ?? []).filter(({ id, state }) =>
      id !== nodeId && state === "up" && this.#mayReach(id)
    );
    const replies: Reply[] = [];
    if (others.length === 0) this.#deps.clock.defer(() => done(replies));
    for (const { id } of others) {
      this.#options.forwarder.request(id, message, timeoutMs, (reply) => {
        replies.push(reply);
        if (replies.length === others.length) done(replies);
      });
    }
  }

  #map(what: string): ClusterMap {
    const map = this.#node.map();
    if (map === undefined) {
      throw new KvError("unavailable", `${what}: this node has not joined its cluster yet`, {
        detail: { joining: true },
      });
    }
    return map;
  }

  #metrics(): MetricSet {
    const all = this.#options.metrics?.();
    if (all !== undefined) return all;
    const own = new MetricSet();
    this.collect(own);
    return own;
  }

  /** Puts what is known here into a set. @param httpUnderWay requests of HTTP that are not answered */
  collect(set: MetricSet, httpUnderWay = 0): void {
    this.#deps.metrics.collect(set);
    const resp = this.#resp.outstanding;
    set.set("kv_requests_in_flight", this.outstanding - resp, "wire");
    set.set("kv_requests_in_flight", resp, "resp");
    set.set("kv_requests_in_flight", httpUnderWay, "http");
    set.set("kv_forwarded_requests_total", this.#counts.forwarded);
    set.set("kv_watches", this.database.watchCount);
    set.set("kv_resp_connections", this.#resp.sessions.size);
    set.set("kv_resp_connections_total", this.#resp.connections);
    set.set("kv_resp_commands_total", this.#resp.commands);
    collectAdmission(set, this.#options.admission.stats());
    this.#node.collect(set);
  }

  /** What `stats` says of this node. */
  stats(): Record<string, unknown> {
    const access = this.#options.security?.access ?? this.#options.access;
    return {
      ...this.#node.stats(),
      ...this.#options.admission.stats(),
      ...(access === undefined ? {} : { audit_failure: access.auditFailure ?? null }),
      ...this.#options.stats?.(),
      requests: this.#counts.requests,
      forwarded: this.#counts.forwarded,
    };
  }
}
