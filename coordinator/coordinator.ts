/**
 * The coordinator at work: sockets, timers and the disk round the state machine of `cluster_controller.ts`,
 * and the requests of clients. Everything that it touches is given to it, so that the simulator can
 * run it as it is. It decides nothing about the cluster.
 *
 * @module
 */
import { Admission, type AdmissionOptions } from "../shared/admission/admission.ts";
import type { Seat } from "../shared/admission/seat.ts";
import { Acceptor } from "../shared/server/acceptor.ts";
import { type Clock, setPeriodic, type Timer } from "../shared/platform/clock.ts";
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import type { Connection } from "../shared/wire/connection.ts";
import { locateKey, nodeListings } from "../shared/cluster/directory.ts";
import type { Database } from "../shared/database/database.ts";
import type { DocumentStore } from "../shared/platform/document_store.ts";
import { toErrorReply } from "../shared/wire/error_reply.ts";
import { failureOf, KvError } from "../shared/base/errors.ts";
import type { HandleHttp, HttpServer } from "../shared/http/deno_http_server.ts";
import { HttpFrontEnd } from "../shared/http/front_end.ts";
import type { HealthReport } from "../shared/http/protocol/health_report.ts";
import { NO_ORIGINS, type OriginRules } from "../shared/http/protocol/origins.ts";
import {
  CLOSE_LINGER_MS,
  COORDINATOR_TICK_MS,
  FORCE_WAIT_MS,
  STOP_GRACE_MS,
} from "../shared/base/limits.ts";
import type { Logger } from "../shared/platform/logger.ts";
import {
  type Message,
  PROTOCOL_VERSION,
  type ReplyTo,
  type Request,
} from "../shared/wire/messages.ts";
import { type Random, randomId } from "../shared/platform/random.ts";
import { checkKey, DEFAULT_LIMITS } from "../shared/validation/request_checks.ts";
import { Draining } from "../shared/server/draining.ts";
import { RequestServer } from "../shared/server/request_server.ts";
import { serveCount, serveDeleteMatching, serveScan } from "../shared/server/scan_requests.ts";
import { SuspensionWatch } from "../shared/platform/suspension.ts";
import {
  type Address,
  formatAddress,
  type Listener,
  type Stream,
  type Transport,
} from "../shared/platform/transport.ts";
import { clusterSettings, type WantedSettings } from "./state/cluster_settings.ts";
import {
  DiscoveryResponder,
  type DiscoveryResponderOptions,
} from "./discovery/discovery_responder.ts";
import { Gateway } from "./gateway/gateway.ts";
import { ClusterController } from "./controller/cluster_controller.ts";
import type { Input } from "./controller/input.ts";
import { coordinatorHealth } from "./health.ts";
import { HeartbeatListener } from "./membership/heartbeat_listener.ts";
import type { SessionId } from "./state/member.ts";
import type { AuditLog } from "../shared/security/audit_log.ts";
import type { PasswordHasher } from "../shared/security/password.ts";
import { isSecurityOrder } from "../shared/security/security_admin.ts";
import type { SecurityDocument } from "../shared/security/security_document.ts";
import { notSecured, SecurityKeeper } from "../shared/security/security_keeper.ts";
import { WireLogins } from "../shared/server/wire_logins.ts";
import { place } from "./placement/placement.ts";
import { type Ready, writeLog } from "./state/ready.ts";
import { newCluster, parseStoredCluster, type StoredCluster } from "./state/stored_cluster.ts";

/** Nodes that are refused come again and again: of them all, one is logged in so long. */
const REFUSAL_LOG_MS = 60_000;

/** The world, as the coordinator sees it. */
export interface CoordinatorDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  /** Where the cluster map is kept. */
  readonly store: DocumentStore;
  /** The log of one part, such as `membership`. */
  logger(category: string): Logger;
}

/** What a coordinator is told. */
export interface CoordinatorOptions {
  readonly listen: Address;
  readonly heartbeats: Address;
  readonly settings: WantedSettings;
  readonly repairDelayMs: number;
  readonly expectNodes: number;
  /** See {@linkcode ControllerOptions}. */
  readonly acceptEpoch?: number | undefined;
  readonly cacheEntries: number;
  /** Opens the port of the HTTP front end, given the TCP port. Absent: no HTTP. */
  openHttp?(tcpPort: number, handle: HandleHttp, admission: Admission): HttpServer | undefined;
  /** Bounds on what comes from outside. Default: those of `limits.ts`. */
  readonly admission?: AdmissionOptions | undefined;
  /** Which web pages may use it. Default: none. */
  readonly origins?: OriginRules | undefined;
  /** How nodes and clients find it that were told of none; by default they cannot. */
  readonly discovery?: DiscoveryOptions | undefined;
  /** The cluster is secured: who asks for something must have logged in, and have the right to. */
  readonly secure?: SecureOptions | undefined;
}

/** What a coordinator of a secured cluster is given. */
export interface SecureOptions {
  readonly hasher: PasswordHasher;
  readonly audit: AuditLog;
  /** The users and roles that a cluster begins with which has none. */
  first(): Promise<SecurityDocument>;
}

/** See {@linkcode DiscoveryResponderOptions}. */
export type DiscoveryOptions = Pick<
  DiscoveryResponderOptions,
  "mode" | "port" | "secret" | "advertiseHost" | "interfaces"
>;

/** Who is at the other end, as its `hello` said. */
class Peer {
  readonly role: Message<"hello">["role"];

  constructor(hello: Message<"hello">) {
    this.role = hello.role;
  }
}

/** A running coordinator. */
export class Coordinator {
  readonly #deps: CoordinatorDeps;
  readonly #log: Logger;
  readonly #controller: ClusterController;
  readonly #controllerLog: Logger;
  /** Of a secured cluster. */
  readonly #security: SecurityKeeper | undefined;
  readonly #logins: WireLogins | undefined;
  readonly #gateway: Gateway;
  readonly #acceptor: Acceptor;
  readonly #draining: Draining;
  readonly #sessions = new Map<Connection, SessionId>();
  readonly #connections = new Map<SessionId, Connection>();
  #sessionNext = 1;
  #listener: Listener | undefined;
  #heartbeats: HeartbeatListener | undefined;
  #discovery: DiscoveryResponder | undefined;
  #ticks: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  /** The last whole map as text: many sessions may be sent the same one. */
  #mapText: { map: ClusterMap; text: string } | undefined;
  readonly admission: Admission;
  readonly #frontEnd: HttpFrontEnd;
  #http: HttpServer | undefined;
  #requests = 0;
  #refusalLoggedMs = -Infinity;
  /** The map is on disk as it is. */
  #mapShown: boolean;
  /** Why the last write of the map failed, where it did. */
  #persistFailure: string | undefined;

  /**
   * Reads the map, or makes a new cluster, and listens.
   *
   * @throws {KvError} `bad_config`, `address_in_use`, `corrupt`, `wrong_version`, `storage_failed`
   */
  static async start(deps: CoordinatorDeps, options: CoordinatorOptions): Promise<Coordinator> {
    const document = await readMap(deps.store);
    const found = document === undefined ? undefined : parseStoredCluster(document);
    const before = found?.map.settings;
    const settings = clusterSettings(options.settings, before, randomId(deps.random));
    const stored = found === undefined
      ? newCluster(settings)
      : { ...found, map: { ...found.map, settings } };
    const secured = await secure(stored, options);
    const changed = before === undefined || secured !== stored ||
      JSON.stringify(before) !== JSON.stringify(settings);
    const coordinator = new Coordinator(deps, options, { stored: secured, changed });
    try {
      await coordinator.#listen(options);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
    return coordinator;
  }

  private constructor(
    deps: CoordinatorDeps,
    options: CoordinatorOptions,
    cluster: { stored: StoredCluster; changed: boolean },
  ) {
    const { clusterId } = cluster.stored.map.settings;
    this.#deps = deps;
    this.#log = deps.logger("coordinator");
    this.admission = new Admission(
      { clock: deps.clock, log: deps.logger("admission") },
      options.admission,
    );
    this.#gateway = new Gateway(deps, { clusterId, cacheEntries: options.cacheEntries });
    const { security } = cluster.stored;
    if (options.secure !== undefined && security !== undefined) {
      this.#security = new SecurityKeeper({
        ...deps,
        ...options.secure,
        write: (document) => {
          const { refusal } = this.#step({ type: "secure", document });
          if (refusal !== undefined) throw refusal;
        },
      }, security);
      this.#logins = new WireLogins(this.#security.access);
    }
    this.#frontEnd = new HttpFrontEnd({
      ...deps,
      log: deps.logger("http"),
      work: this.#gateway.work,
    }, {
      limits: DEFAULT_LIMITS,
      health: () => this.health(),
      database: this.#gateway.database,
      requests: this.admission.requests,
      access: this.#security?.access,
    }, options.origins ?? NO_ORIGINS);
    this.#draining = new Draining(deps.clock);
    this.#acceptor = new Acceptor(
      { json: (stream, seat) => this.#serve(stream, seat) },
      this.admission,
    );
    this.#controllerLog = deps.logger("membership");
    this.#controller = new ClusterController({
      ...cluster,
      place,
      repairDelayMs: options.repairDelayMs,
      expectNodes: options.expectNodes,
      generation: randomId(deps.random),
      acceptEpoch: options.acceptEpoch,
    }, deps.clock.monotonicMs());
    this.#mapShown = !cluster.changed;
    if (this.#mapShown) this.#gateway.adopt(this.#controller.published);
  }

  /** Where clients and nodes reach it. */
  get address(): Address {
    return this.#listener?.address ?? { host: "", port: 0 };
  }

  get heartbeatPort(): number {
    return this.#heartbeats?.address.port ?? 0;
  }

  /** The port of its HTTP front end; 0 where it has none. */
  get httpPort(): number {
    return this.#http?.address.port ?? 0;
  }

  /** Whether the whole cluster can serve, as far as is known here. */
  health(): HealthReport {
    return coordinatorHealth(this.#controller.stats(), {
      published: this.#mapShown,
      persistFailure: this.#persistFailure,
      minInSync: this.map.settings.minInSync,
    });
  }

  /** The whole cluster, for whoever serves another protocol here. */
  get database(): Database {
    return this.#gateway.database;
  }

  /** The UDP port of discovery; undefined where nobody can find it so. */
  get discoveryPort(): number | undefined {
    return this.#discovery?.port;
  }

  /** The published map. */
  get map(): ClusterMap {
    return this.#controller.published;
  }

  /** The state of the cluster and of the gateway; what `stats` answers. */
  stats(): Record<string, unknown> {
    const { clusterId, clusterName, replicationFactor } = this.map.settings;
    return {
      role: "coordinator",
      cluster_id: clusterId,
      cluster_name: clusterName,
      replication_factor: replicationFactor,
      ...this.#controller.stats(),
      ...this.admission.stats(),
      requests: this.#requests,
      cache: this.#gateway.stats(),
    };
  }

  /**
   * Stops listening, answers what clients have asked (within STOP_GRACE_MS), ends all connections, and
   * waits for a write of the map that is under way.
   */
  async close(): Promise<void> {
    this.#listener?.close();
    this.#discovery?.close();
    this.#http?.retire();
    const httpClosed = this.#http?.close(STOP_GRACE_MS);
    // Until then members are looked after: what was asked may need a failover.
    const left = await this.#draining.drain();
    if (left > 0) this.#log.warn("clients that did not end are cut off", { connections: left });
    await httpClosed;
    this.#closed = true;
    this.#ticks?.cancel();
    this.#heartbeats?.close();
    this.#gateway.close();
    this.#acceptor.closeAll(true);
    await this.#acceptor.whenEmpty(this.#deps.clock, CLOSE_LINGER_MS);
    await this.#writing;
  }

  async #listen(options: CoordinatorOptions): Promise<void> {
    const { listen, heartbeats, discovery } = options;
    const { clock, transport } = this.#deps;
    // The one that is more often in use first, so that the message is about that.
    this.#listener = await transport.listen(listen, (stream) => this.#acceptor.accept(stream));
    this.#http = options.openHttp?.(
      this.address.port,
      (request, account) => this.#frontEnd.handle(request, account),
      this.admission,
    );
    this.#heartbeats = await HeartbeatListener.open(
      transport,
      heartbeats,
      (message) =>
        this.#closed ? undefined : this.#step({
          type: "heartbeat",
          session: undefined,
          message,
        }).acknowledgement,
    );
    if (discovery !== undefined) await this.#openDiscovery(listen.host, discovery);
    this.#step({ type: "start", heartbeatPort: this.heartbeatPort });
    const suspensions = new SuspensionWatch(clock);
    this.#ticks = setPeriodic(clock, COORDINATOR_TICK_MS, () => {
      this.#step({ type: "stood_still", ms: suspensions.lostMs() });
      this.#step({ type: "tick" });
    });
  }

  async #openDiscovery(host: string, discovery: DiscoveryOptions): Promise<void> {
    const { clock, random, transport, logger } = this.#deps;
    const { clusterId, clusterName } = this.map.settings;
    this.#discovery = await DiscoveryResponder.open(
      { clock, transport, log: logger("discovery") },
      {
        ...discovery,
        cluster: clusterId,
        name: clusterName,
        instance: randomId(random),
        address: { host, port: this.address.port },
      },
    );
  }

  #now(): number {
    return this.#deps.clock.monotonicMs();
  }

  /** The controller takes an input, and all that it asks for is done, in its order. */
  #step(input: Input): Ready {
    const ready = this.#controller.step(input, this.#now());
    writeLog(this.#controllerLog, ready.log);
    if (ready.published !== undefined) this.#show(ready.published);
    for (const { sessions, message } of ready.messages) {
      const text = this.#encode(message);
      for (const session of sessions) this.#connections.get(session)?.sendText(text);
    }
    for (const session of ready.closed) this.#connections.get(session)?.close(true);
    if (ready.document !== undefined) this.#persist(ready.document);
    return ready;
  }

  /** As {@linkcode #step}. @throws {KvError} if what was asked for is refused */
  #ask(input: Input): Ready {
    const ready = this.#step(input);
    if (ready.refusal !== undefined) throw ready.refusal;
    return ready;
  }

  #show(map: ClusterMap): void {
    this.#mapShown = true;
    this.#gateway.adopt(map);
    this.#log.debug("published a map", { epoch: map.epoch });
  }

  #persist(document: StoredCluster): void {
    const { epoch } = document.map;
    // Both ends are called later, and what they throw is a defect that must end the process.
    this.#writing = this.#deps.store.write(document).then(
      () => {
        this.#persistFailure = undefined;
        if (document.security !== undefined) this.#security?.persisted(document.security);
        if (!this.#closed) this.#step({ type: "persisted", epoch });
      },
      (cause) => {
        const error = failureOf(cause);
        this.#persistFailure = error.message;
        if (!this.#closed) this.#step({ type: "persist_failed", epoch, error });
      },
    );
  }

  #encode(message: Message): string {
    if (message.req_type !== "registered") return JSON.stringify(message);
    const { map, ...rest } = message;
    if (this.#mapText?.map !== map) this.#mapText = { map, text: JSON.stringify(map) };
    return `${JSON.stringify(rest).slice(0, -1)},"map":${this.#mapText.text}}`;
  }

  #serve(stream: Stream, seat: Seat): void {
    const { work } = this.#gateway;
    const server = new RequestServer(stream, { clock: this.#deps.clock, log: this.#log, work }, {
      onRequest: (request, reply, connection) => {
        if (request.req_type === "hello") this.#onHello(request, reply, connection, seat);
        else this.#onRequest(request, reply, connection);
      },
      onOther: (message, connection) => {
        this.#onOther(message, connection);
        // A node's session: it has no request that somebody would miss the answer of.
        if (this.#sessions.has(connection)) this.#draining.delete(server);
      },
      onClose: (_reason, connection) => {
        this.#draining.delete(server);
        const session = this.#sessions.get(connection);
        if (session === undefined) return;
        this.#sessions.delete(connection);
        this.#connections.delete(session);
        if (!this.#closed) this.#step({ type: "session_closed", session });
      },
    }, { budget: this.admission.requests, seat });
    this.#draining.add(server);
  }

  #onRequest(
    request: Exclude<Request, Message<"hello">>,
    reply: ReplyTo,
    connection: Connection,
  ): void {
    this.#requests++;
    this.#logins?.check(request, connection);
    switch (request.req_type) {
      case "scan":
        return serveScan(this.#gateway.database, request, reply);
      case "count":
        return serveCount(this.#gateway.database, request, reply);
      case "delete_matching":
        return serveDeleteMatching(
          { clock: this.#deps.clock, work: this.#gateway.work, database: this.#gateway.database },
          request,
          reply,
        );
      case "backup_partition":
      case "scan_node":
      case "count_node":
        throw new KvError(
          "bad_request",
          `${request.req_type}: ask a node; the coordinator has no keys`,
        );
      case "batch":
        return this.#gateway.executeBatch(
          request,
          (one) => this.#logins?.check(one, connection),
          reply,
        );
      case "ping":
        return reply({ req_type: "ack", message: "pong" });
      case "get_map":
        return reply({ req_type: "map", map: this.#publishedMap(request.req_type) });
      case "list_nodes": {
        const map = this.#publishedMap(request.req_type);
        return reply({ req_type: "result", result: nodeListings(map) });
      }
      case "get_nodes_for_key": {
        checkKey(request.key, undefined, request.req_type);
        const map = this.#publishedMap(request.req_type);
        return reply({ req_type: "result", result: locateKey(map, request.key) });
      }
      case "stats":
        return reply({ req_type: "result", result: this.stats() });
      default:
        return this.#gateway.execute(request, reply);
    }
  }

  #publishedMap(what: string): ClusterMap {
    if (this.#mapShown) return this.map;
    throw new KvError("unavailable", `${what}: the cluster's map is not on disk yet`);
  }

  #onHello(
    hello: Message<"hello">,
    reply: ReplyTo,
    connection: Connection,
    seat: Seat,
  ): void {
    this.#requests++;
    if (hello.protocol !== PROTOCOL_VERSION) {
      throw new KvError(
        "wrong_version",
        `hello: this coordinator speaks protocol version ${PROTOCOL_VERSION}, the caller ` +
          `${hello.protocol}; upgrade the older of the two`,
      );
    }
    const { clusterId } = this.map.settings;
    // JSON null stands for an absent field.
    if (typeof hello.cluster_id === "string" && hello.cluster_id !== clusterId) {
      this.#logRefusal(hello.node ?? undefined, hello.cluster_id);
      throw new KvError(
        "wrong_cluster",
        `hello: this coordinator leads cluster ${clusterId}, the caller belongs to ` +
          `${hello.cluster_id}; name its coordinator, or use another data folder`,
      );
    }
    if (this.#logins !== undefined) {
      this.#logins.logIn(hello, connection, reply);
      return;
    }
    // So that no number of clients keeps a node from its session.
    if (hello.role === "node") seat.becomePeer(`node ${hello.node}`);
    connection.peer = new Peer(hello);
    reply({ req_type: "ack", message: "hello" });
  }

  /** A message of a node, or of an operator. @throws {KvError} which is answered */
  #onOther(message: Message, connection: Connection): void {
    this.#logins?.check(message, connection);
    if (isSecurityOrder(message)) {
      if (this.#security === undefined) throw notSecured(message);
      this.#logins?.order(message, connection, this.#security);
      return;
    }
    if (message.req_type === "force") return this.#onForce(message, connection);
    if (message.req_type === "forget_node") return this.#onForgetNode(message, connection);
    if (!(connection.peer instanceof Peer) || connection.peer.role !== "node") {
      throw new KvError(
        "bad_request",
        `${message.req_type}: only for nodes, after a hello that says so`,
      );
    }
    const session = this.#sessionOf(connection);
    switch (message.req_type) {
      case "register":
        this.#ask({ type: "register", session, message });
        return;
      case "heartbeat": {
        const { acknowledgement } = this.#step({ type: "heartbeat", session, message });
        if (acknowledgement !== undefined) connection.send(acknowledgement);
        return;
      }
      case "caught_up":
      case "lagging":
      case "damaged":
      case "drained":
      case "resumed":
        this.#step({ type: "report", session, message });
        return;
      case "disk":
        this.#step({ type: "disk", session, writable: message.writable });
        return;
      case "leave":
        this.#step({ type: "leave", session, stopping: message.stopping === true });
        return;
      default:
        throw new KvError("bad_request", `${message.req_type}: not for a coordinator`);
    }
  }

  /** Somebody will look here for why a node of theirs does not come. */
  #logRefusal(node: string | undefined, cluster: string): void {
    if (node === undefined || this.#now() < this.#refusalLoggedMs + REFUSAL_LOG_MS) return;
    this.#refusalLoggedMs = this.#now();
    this.#log.warn("a node of another cluster was refused", {
      node,
      cluster,
      ours: this.map.settings.clusterId,
    });
  }

  /** An operator's order; if it names no node, it is carried out once the nodes have told what they hold by now. */
  #onForce(message: Message<"force">, connection: Connection): void {
    const node = message.node ?? undefined;
    const partition = message.partition ?? undefined;
    this.#order(
      message,
      connection,
      node === undefined,
      () => this.#ask({ type: "force", partition, node }).forced,
    );
  }

  /** An operator's order. */
  #onForgetNode(message: Message<"forget_node">, connection: Connection): void {
    const { node } = message;
    const force = message.force === true;
    this.#order(message, connection, force, () => {
      return { node, forced: this.#ask({ type: "forget_node", node, force }).forced };
    });
  }

  /** @param asking whether nodes first tell what they hold by now, if that may be asked for */
  #order(
    { id, ...order }: Message<"force" | "forget_node">,
    connection: Connection,
    asking: boolean,
    carryOut: () => unknown,
  ): void {
    this.#log.warn("an operator gives an order", {
      from: formatAddress(connection.remote),
      order: JSON.stringify(order),
    });
    const answer = () => connection.send({ req_type: "result", id, result: carryOut() });
    if (!asking || !this.#step({ type: "ask_what_is_held" }).asked) return answer();
    this.#deps.clock.setTimer(FORCE_WAIT_MS, () => {
      if (this.#closed) return;
      try {
        answer();
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        connection.send({ ...toErrorReply(error), id });
      }
    });
  }

  #sessionOf(connection: Connection): SessionId {
    const known = this.#sessions.get(connection);
    if (known !== undefined) return known;
    const session = this.#sessionNext++;
    this.#sessions.set(connection, session);
    this.#connections.set(session, connection);
    return session;
  }
}

/**
 * The document with users and roles, if the cluster is to be secured.
 *
 * @throws {KvError} `bad_config` if it is secured and was not asked to be
 */
async function secure(stored: StoredCluster, options: CoordinatorOptions): Promise<StoredCluster> {
  if (options.secure === undefined) {
    if (stored.security === undefined) return stored;
    throw new KvError("bad_config", "this cluster is secured, and cannot be served otherwise");
  }
  if (stored.security !== undefined) return stored;
  return { ...stored, security: await options.secure.first() };
}

async function readMap(store: DocumentStore): Promise<unknown | undefined> {
  try {
    return await store.read();
  } catch (error) {
    const { code, message } = failureOf(error);
    if (code !== "corrupt") throw error;
    throw new KvError(
      code,
      `the cluster map is damaged: ${message}; put back a copy of its folder`,
      {
        cause: error,
      },
    );
  }
}
