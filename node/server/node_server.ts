/**
 * The node's front: accepted streams in, each request to whom it concerns. A request for a key is
 * tried on this node's own replica first, and passed on to the right node where that cannot answer;
 * messages of other nodes go to the node core. What a request means is not known here.
 *
 * Invariants: a request that another node has passed on is never passed on again, but for one that it asks
 * this node to pass on for it (`relay`, `of`), which goes to the node that is meant and no further; a message of a
 * peer is believed only on a connection whose `hello` named a node of the same cluster; a watched
 * read is answered by this node or not at all, since only its own commits are pushed.
 *
 * @module
 */
import type { Admission } from "../../shared/admission/admission.ts";
import type { Seat } from "../../shared/admission/seat.ts";
import { Acceptor } from "../../shared/server/acceptor.ts";
import { executeBatch } from "../../shared/server/batch.ts";
import type { Clock } from "../../shared/platform/clock.ts";
import { type ClusterMap, findNode, type NodeId } from "../../shared/cluster/cluster_map.ts";
import type { Connection } from "../../shared/wire/connection.ts";
import { locateKey, nodeListings } from "../../shared/cluster/directory.ts";
import { toErrorReply } from "../../shared/wire/error_reply.ts";
import { KvError } from "../../shared/base/errors.ts";
import { CLOSE_LINGER_MS, REQUEST_TIMEOUT_MS } from "../../shared/base/limits.ts";
import type { Logger } from "../../shared/platform/logger.ts";
import {
  type KeyRequest,
  type Message,
  MESSAGES,
  PROTOCOL_VERSION,
  type ReplyTo,
  type Request,
} from "../../shared/wire/messages.ts";
import { WorkScheduler } from "../../shared/scheduling/work_scheduler.ts";
import {
  checkKey,
  checkKeyRequest,
  type RequestLimits,
} from "../../shared/validation/request_checks.ts";
import { serveCount, serveDeleteMatching, serveScan } from "../../shared/server/scan_requests.ts";
import { Draining } from "../../shared/server/draining.ts";
import { RequestServer } from "../../shared/server/request_server.ts";
import { isSecurityOrder } from "../../shared/security/security_admin.ts";
import type { SecurityKeeper } from "../../shared/security/security_keeper.ts";
import { WireLogins } from "../../shared/server/wire_logins.ts";
import type { Random } from "../../shared/platform/random.ts";
import { whyCrossing } from "../../shared/validation/transaction_checks.ts";
import type { Address, Stream } from "../../shared/platform/transport.ts";
import { type DatabaseNode, type Forwarder, NodeDatabase } from "./node_database.ts";
import { RespServer } from "../resp/resp_server.ts";

/** To a node or an operator who was given a wrong address. */
const NOT_A_COORDINATOR = "this is a node, not a coordinator; name the coordinator's address";

/** What the server needs of the node core. */
export interface ServerNode extends DatabaseNode {
  backupPartition(request: Message<"backup_partition">, reply: ReplyTo): void;
  onPeerMessage(message: Message, from: NodeId, connection: Connection): void;
  onPeerConnectionClosed(connection: Connection): void;
  stats(): Record<string, unknown>;
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
}

/** Who is at the other end, as its `hello` said. */
class Peer {
  readonly role: Message<"hello">["role"];
  readonly node: NodeId | undefined;

  constructor(hello: Message<"hello">) {
    this.role = hello.role;
    this.node = hello.node;
  }
}

/** Serves the JSON wire on every stream that it is given. */
export class NodeServer {
  /** The whole cluster, for whoever serves another protocol here. */
  readonly database: NodeDatabase;
  readonly #deps: { clock: Clock; log: Logger; work: WorkScheduler };
  readonly #options: NodeServerOptions;
  readonly #node: ServerNode;
  readonly #acceptor: Acceptor;
  readonly #resp: RespServer;
  readonly #draining: Draining;
  /** Of a secured node. */
  readonly #logins: WireLogins | undefined;
  readonly #counts = { requests: 0, forwarded: 0 };

  /** @param given `work` gives heavy work its turns; the process has one; default: one of its own */
  constructor(
    given: { clock: Clock; random: Random; log: Logger; work?: WorkScheduler | undefined },
    options: NodeServerOptions,
  ) {
    const deps = { ...given, work: given.work ?? new WorkScheduler(given.clock) };
    this.#deps = deps;
    this.#options = options;
    this.#node = options.node;
    this.#draining = new Draining(deps.clock);
    this.database = new NodeDatabase(deps, {
      node: options.node,
      forwarder: options.forwarder,
      limits: options.limits,
      onForward: () => this.#counts.forwarded++,
    });
    const { security } = options;
    this.#logins = security === undefined ? undefined : new WireLogins(security.access);
    this.#resp = new RespServer({
      ...deps,
      database: this.database,
      access: security?.access,
      budget: options.admission.requests,
      limits: options.limits,
      draining: this.#draining,
      node: {
        nodeId: options.node.nodeId,
        persistent: options.memory !== true,
        address: () => options.address?.(),
        clientsMax: () => options.admission.clientsMax,
        stats: () => this.#stats(),
      },
    });
    this.#acceptor = new Acceptor(
      {
        json: (stream, seat) => this.#serve(stream, seat),
        other: this.#resp,
      },
      options.admission,
    );
  }

  /** Requests that are not answered yet. */
  get outstanding(): number {
    return this.#draining.outstanding;
  }

  /** Takes a stream from a listener. */
  accept(stream: Stream): void {
    this.#acceptor.accept(stream);
  }

  /**
   * Ends the connections of clients in good order, within STOP_GRACE_MS. Those of nodes that keep replicas
   * here in step go on until {@linkcode close}.
   *
   * @returns how many were left when the time was over
   */
  drain(): Promise<number> {
    return this.#draining.drain();
  }

  /** Closes every connection, after what was sent is out. @returns when they are gone, or will not go */
  async close(): Promise<void> {
    this.database.close();
    this.#acceptor.closeAll(true);
    await this.#acceptor.whenEmpty(this.#deps.clock, CLOSE_LINGER_MS);
  }

  #serve(stream: Stream, seat: Seat): void {
    const server = new RequestServer(stream, this.#deps, {
      onRequest: (request, reply, connection) => {
        if (request.req_type === "hello") this.#onHello(request, reply, connection, seat);
        else this.#onRequest(request, reply, connection);
      },
      onOther: (message, connection) => {
        this.#onOther(message, connection);
        // A peer's stream of writes: it has no request that somebody would miss the answer of.
        this.#draining.delete(server);
      },
      onClose: (_reason, connection) => {
        this.#draining.delete(server);
        if (connection.peer instanceof Peer && connection.peer.node !== undefined) {
          this.#node.onPeerConnectionClosed(connection);
        }
      },
    }, { budget: this.#options.admission.requests, seat });
    this.#draining.add(server);
  }

  #onRequest(
    request: Exclude<Request, Message<"hello">>,
    reply: ReplyTo,
    connection: Connection,
  ): void {
    this.#counts.requests++;
    this.#logins?.check(request, connection);
    switch (request.req_type) {
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
      case "scan_node":
      case "count_node":
        return this.#onPiece(request, reply);
      case "batch":
        return executeBatch(this.#deps.clock, request, (one, answer) => {
          this.#logins?.check(one, connection);
          checkKeyRequest(one, this.#options.limits);
          this.#executeKey(one, answer);
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
        return reply({ req_type: "result", result: this.#stats() });
      default:
        checkKeyRequest(request, this.#options.limits);
        return this.#executeKey(request, reply);
    }
  }

  #executeKey(request: KeyRequest, reply: ReplyTo): void {
    const map = this.#node.map();
    const crossing = map && whyCrossing(request, map.settings.partitionCount);
    if (crossing !== undefined) {
      reply(crossing);
      return;
    }
    if (request.forwarded === true) {
      this.#node.execute(request, reply);
      return;
    }
    this.database.run(request, request.timeout_ms ?? REQUEST_TIMEOUT_MS, reply);
  }

  /** A piece of a scan, of this node's partitions, or of another's that the sender cannot reach. */
  #onPiece(request: Message<"scan_node" | "count_node">, reply: ReplyTo): void {
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

  #onHello(
    hello: Message<"hello">,
    reply: ReplyTo,
    connection: Connection,
    seat: Seat,
  ): void {
    this.#counts.requests++;
    const refusal = connection.peer === undefined
      ? this.#whyRefused(hello)
      : new KvError("bad_request", "hello: said already on this connection");
    if (refusal !== undefined) {
      reply(toErrorReply(refusal));
      // Whatever it sends behind its hello was meant for somebody else.
      connection.close(true);
      return;
    }
    if (this.#logins !== undefined) {
      this.#logins.logIn(hello, connection, reply);
      return;
    }
    this.#seatPeer(hello, seat);
    connection.peer = new Peer(hello);
    reply({ req_type: "ack", message: "hello" });
  }

  /** A node that the map names, and the coordinator's gateway, have places of their own. */
  #seatPeer({ role, node }: Message<"hello">, seat: Seat): void {
    const map = this.#node.map();
    if (role === "gateway") seat.becomePeer("the coordinator");
    else if (role === "node" && map !== undefined && findNode(map, node) !== undefined) {
      seat.becomePeer(`node ${node}`);
    }
  }

  #whyRefused(hello: Message<"hello">): KvError | undefined {
    if (hello.protocol !== PROTOCOL_VERSION) {
      return new KvError(
        "wrong_version",
        `hello: this node speaks protocol version ${PROTOCOL_VERSION}, the caller ${hello.protocol}; upgrade the older of the two`,
      );
    }
    const ours = this.#options.clusterId();
    if (ours !== undefined && hello.cluster_id !== undefined && hello.cluster_id !== ours) {
      return new KvError(
        "wrong_cluster",
        `hello: this node belongs to cluster ${ours}, the caller to ${hello.cluster_id}`,
      );
    }
    // What it answers and acknowledges would be taken for the word of the node that is looked for.
    const { nodeId } = this.#node;
    if (hello.to !== undefined && hello.to !== nodeId) {
      return new KvError(
        "unavailable",
        `hello: this is node ${nodeId}, the caller looks for ${hello.to}; it is elsewhere or gone`,
      );
    }
    if (hello.role !== "node") return undefined;
    if (hello.cluster_id === undefined) {
      return new KvError(
        "bad_request",
        `hello: ${NOT_A_COORDINATOR} (a peer names its cluster, in "cluster_id")`,
      );
    }
    // Data of a cluster must not reach a folder that is not noted down to belong to it.
    if (ours === undefined) {
      return new KvError("unavailable", "hello: this node has not joined its cluster yet");
    }
    if (hello.node === undefined) {
      return new KvError("bad_request", 'hello: a node must say which one it is, in "node"');
    }
    return undefined;
  }

  #onOther(message: Message, connection: Connection): void {
    const { peer } = connection;
    const { direction } = MESSAGES[message.req_type];
    const isPeers = direction === "peer";
    this.#logins?.check(message, connection);
    if (isSecurityOrder(message)) {
      const { security } = this.#options;
      if (security !== undefined) {
        this.#logins?.order(message, connection, security);
        return;
      }
    }
    if (direction === "member") {
      throw new KvError("bad_request", `${message.req_type}: ${NOT_A_COORDINATOR}`);
    }
    if (!isPeers || !(peer instanceof Peer) || peer.role !== "node" || peer.node === undefined) {
      throw new KvError(
        "bad_request",
        isPeers
          ? `${message.req_type}: only for nodes, after a hello that says so`
          : `${message.req_type}: not a request`,
      );
    }
    this.#node.onPeerMessage(message, peer.node, connection);
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

  #stats(): Record<string, unknown> {
    return {
      ...this.#node.stats(),
      ...this.#options.admission.stats(),
      requests: this.#counts.requests,
      forwarded: this.#counts.forwarded,
    };
  }
}
