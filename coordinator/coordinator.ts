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
import type { Connection, ConnectionHandlers } from "../shared/wire/connection.ts";
import { settingsShown } from "../shared/cluster/cluster_settings.ts";
import { locateKey, nodeListings } from "../shared/cluster/directory.ts";
import type { Database } from "../shared/database/database.ts";
import type { DocumentStore } from "../shared/platform/document_store.ts";
import { toErrorReply } from "../shared/wire/error_reply.ts";
import { failureOf, invariant, KvError } from "../shared/base/errors.ts";
import type { HandleHttp, HttpServer } from "../shared/http/deno_http_server.ts";
import { HttpFrontEnd } from "../shared/http/front_end.ts";
import type { HealthReport } from "../shared/http/protocol/health_report.ts";
import { NO_ORIGINS, type OriginRules } from "../shared/http/protocol/origins.ts";
import { CLOSE_LINGER_MS, STOP_GRACE_MS } from "../shared/limits/connections.ts";
import { COORDINATOR_TICK_MS, FORCE_WAIT_MS } from "../shared/limits/membership.ts";
import type { Logger } from "../shared/platform/logger.ts";
import {
  type CertificateOrder,
  isCertificateOrder,
  isSecurityOrder,
  type KeyRequest,
  type Message,
  type ReplyTo,
  type Request,
  type SecurityOrder,
} from "../shared/wire/messages.ts";
import { type Random, randomId } from "../shared/platform/random.ts";
import { checkKey, DEFAULT_LIMITS } from "../shared/validation/request_checks.ts";
import { Draining } from "../shared/server/draining.ts";
import { greet, type Greeted } from "../shared/server/handshake.ts";
import { RequestServer } from "../shared/server/request_server.ts";
import { serveCount, serveDeleteMatching, serveScan } from "../shared/server/scan_requests.ts";
import type { MemberAuthority } from "../shared/security/members/member_authority.ts";
import { notSecured, type SecurityKeeper } from "../shared/security/security_keeper.ts";
import { admitRequest, WireLogins } from "../shared/server/wire_logins.ts";
import { forUser } from "../shared/database/for_user.ts";
import { userOf } from "../shared/wire/on_behalf.ts";
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
import { MemberSessions } from "./member_sessions.ts";
import { place } from "./placement/placement.ts";
import { type Ready, writeLog } from "./state/ready.ts";
import { newCluster, parseStoredCluster, type StoredCluster } from "./state/stored_cluster.ts";

/** Nodes that are refused come again and again: of them all, one is logged in this long. */
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
  /** Bounds on what comes from outside. Default: those of `shared/limits/admission.ts`. */
  readonly admission?: AdmissionOptions | undefined;
  /** Which web pages may use it. Default: none. */
  readonly origins?: OriginRules | undefined;
  /** How nodes and clients find it that were told of none; by default they cannot. */
  readonly discovery?: DiscoveryOptions | undefined;
  /** Nodes show certificates, and seal their heartbeats. Default: whether there are users (`security`). */
  readonly secured?: boolean | undefined;
  /** The id of the cluster, if it is a new one. Default: a random one. */
  readonly clusterId?: string | undefined;
  /** Users, roles, tokens and members' certificates of a secured cluster. Absent: everybody may everything. */
  readonly security?: CoordinatorSecurity | undefined;
}

/** What a secured coordinator keeps. */
export interface CoordinatorSecurity {
  readonly keeper: SecurityKeeper;
  readonly members: MemberAuthority;
}

/** See {@linkcode DiscoveryResponderOptions}. */
export type DiscoveryOptions = Pick<
  DiscoveryResponderOptions,
  "mode" | "port" | "secret" | "advertiseHost" | "interfaces" | "identity"
>;

/** A running coordinator. */
export class Coordinator {
  readonly #deps: CoordinatorDeps;
  readonly #log: Logger;
  readonly #controller: ClusterController;
  readonly #controllerLog: Logger;
  readonly #gateway: Gateway;
  readonly #acceptor: Acceptor;
  readonly #draining: Draining;
  readonly #sessions: MemberSessions;
  readonly #secured: boolean;
  readonly #security: CoordinatorSecurity | undefined;
  /** Of a secured cluster. */
  readonly #logins: WireLogins | undefined;
  #listener: Listener | undefined;
  #heartbeats: HeartbeatListener | undefined;
  #discovery: DiscoveryResponder | undefined;
  #ticks: Timer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  readonly admission: Admission;
  readonly #frontEnd: HttpFrontEnd;
  #http: HttpServer | undefined;
  #requests = 0;
  #refusalLoggedMs = -Infinity;
  /** The map is on disk as it is. */
  #mapShown: boolean;
  /** Why the last write of the map failed, if it did. */
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
    const newId = options.clusterId ?? randomId(deps.random);
    const settings = clusterSettings(options.settings, before, newId);
    const stored = found === undefined
      ? newCluster(settings)
      : { ...found, map: { ...found.map, settings } };
    const changed = before === undefined || JSON.stringify(before) !== JSON.stringify(settings);
    const coordinator = new Coordinator(deps, options, { stored, changed });
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
    const { security } = options;
    this.#security = security;
    this.#secured = options.secured ?? security !== undefined;
    this.#logins = security === undefined ? undefined : new WireLogins(security.keeper.access);
    this.#gateway = new Gateway(deps, { clusterId, cacheEntries: options.cacheEntries });
    this.#frontEnd = new HttpFrontEnd({
      ...deps,
      log: deps.logger("http"),
      work: this.#gateway.work,
    }, {
      limits: DEFAULT_LIMITS,
      health: () => this.health(),
      database: this.#gateway.database,
      requests: this.admission.requests,
      access: security?.keeper.access,
    }, options.origins ?? NO_ORIGINS);
    this.#draining = new Draining(deps.clock);
    this.#acceptor = new Acceptor(
      { json: (stream, seat) => this.#serve(stream, seat) },
      this.admission,
    );
    this.#controllerLog = deps.logger("membership");
    const isClosed = () => this.#closed;
    this.#sessions = new MemberSessions(
      { log: this.#log, random: deps.random },
      {
        step: (input) => this.#step(input),
        publishedMap: (what) => this.#publishedMap(what),
        get closed() {
          return isClosed();
        },
      },
      security === undefined ? undefined : {
        get document() {
          return security.keeper.access.document;
        },
        renew: (message, caller, done) => security.members.renew(message, caller, done),
      },
    );
    security?.keeper.access.onChange(() => this.#sessions.tellSecurity());
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

  /** The port of its HTTP front end; 0 if it has none. */
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

  /** The UDP port of discovery; undefined if nobody can find it that way. */
  get discoveryPort(): number | undefined {
    return this.#discovery?.port;
  }

  /** The published map. */
  get map(): ClusterMap {
    return this.#controller.published;
  }

  /** The state of the cluster and of the gateway; what `stats` answers. */
  stats(): Record<string, unknown> {
    const { settings } = this.map;
    return {
      role: "coordinator",
      cluster_id: settings.clusterId,
      ...settingsShown(settings),
      ...this.#controller.stats(),
      ...this.admission.stats(),
      ...(this.#secured ? { refused_heartbeats: this.#heartbeats?.refused ?? 0 } : {}),
      requests: this.#requests,
      cache: this.#gateway.stats(),
    };
  }

  /**
   * Stops listening, answers what clients have asked (within STOP_GRACE_MS), ends all connections, and
   * waits for a write of the map that is under way.
   */
  async close(): Promise<void> {
    // Before anybody is asked to go, who would come again at once.
    await this.#listener?.close();
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
    // The TCP port first: it is the one that is more often in use, and the message is about it then.
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
      this.#secured ? this.#sessions.channels : undefined,
    );
    // At once: whoever registers is told the port for heartbeats.
    this.#step({ type: "start", heartbeatPort: this.heartbeatPort });
    const suspensions = new SuspensionWatch(clock);
    this.#ticks = setPeriodic(clock, COORDINATOR_TICK_MS, () => {
      this.#step({ type: "stood_still", ms: suspensions.lostMs() });
      this.#step({ type: "tick" });
    });
    if (discovery !== undefined) await this.#openDiscovery(listen.host, discovery);
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
    for (const { sessions, message } of ready.messages) this.#sessions.send(sessions, message);
    for (const session of ready.closed) this.#sessions.close(session);
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
        if (!this.#closed) this.#step({ type: "persisted", epoch });
      },
      (cause) => {
        const error = failureOf(cause);
        this.#persistFailure = error.message;
        if (!this.#closed) this.#step({ type: "persist_failed", epoch, error });
      },
    );
  }

  #serve(stream: Stream, seat: Seat): void {
    const { work } = this.#gateway;
    const server = new RequestServer(stream, { clock: this.#deps.clock, log: this.#log, work }, {
      onRequest: (request, reply, connection) => this.#onRequest(request, reply, connection),
      onHello: (hello, connection, isFirst) => {
        const takeOver = this.#onHello(hello, connection, seat, isFirst);
        // A node's session has no request whose answer somebody would miss.
        if (takeOver instanceof Function) this.#draining.delete(server);
        return takeOver;
      },
      onClose: () => this.#draining.delete(server),
    }, { budget: this.admission.requests, seat });
    this.#draining.add(server);
  }

  #onRequest(
    request: Request,
    reply: ReplyTo,
    connection: Connection,
  ): void {
    this.#requests++;
    admitRequest(request, connection, this.#logins);
    if (isSecurityOrder(request) || isCertificateOrder(request)) {
      return this.#onSecurityOrder(request, reply, connection);
    }
    switch (request.req_type) {
      case "get_authorities":
        if (this.#security === undefined) throw notSecured(request);
        return reply({ req_type: "result", result: this.#security.members.authorities });
      case "join":
        if (this.#security === undefined) throw notSecured(request);
        return this.#security.members.join(request, connection.remote, reply);
      case "hello":
        return invariant(false, "a hello is judged before it is a request");
      case "force":
        return this.#onForce(request, reply, connection);
      case "forget_node":
        return this.#onForgetNode(request, reply, connection);
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
          (one) => {
            this.#logins?.admit(one, connection, undefined);
            return ofItsUser(one);
          },
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
      case "announce":
        return reply({ req_type: "ack", message: "noted" });
      default:
        return this.#gateway.execute(ofItsUser(request), reply);
    }
  }

  #onSecurityOrder(
    order: SecurityOrder | CertificateOrder,
    reply: ReplyTo,
    connection: Connection,
  ): void {
    const principal = this.#logins?.principalOf(connection);
    if (this.#security === undefined || principal === undefined) throw notSecured(order);
    const { keeper, members } = this.#security;
    const by = { principal, remote: connection.remote };
    if (isCertificateOrder(order)) members.order(order, by, reply);
    else keeper.order(order, by, reply);
  }

  #publishedMap(what: string): ClusterMap {
    if (this.#mapShown) return this.map;
    throw new KvError("unavailable", `${what}: the cluster's map is not on disk yet`);
  }

  /** @returns who takes the connection over if it is a node's session; in a secured cluster, a client's login */
  #onHello(
    hello: Message<"hello">,
    connection: Connection,
    seat: Seat,
    isFirst: boolean,
  ): (() => ConnectionHandlers) | Promise<void> | undefined {
    this.#requests++;
    const { clusterId } = this.map.settings;
    const greeted: Greeted = {
      kind: "coordinator",
      secured: this.#security !== undefined,
      clusterId: () => clusterId,
      hasPlace: () => true,
    };
    try {
      const { role, rights, node } = greet(hello, greeted, { connection, seat, isFirst });
      if (role === "client") return this.#logins?.logIn(hello, connection);
      if (rights !== "membership" || node === undefined) return undefined;
      return () => this.#sessions.accept(node, connection);
    } catch (error) {
      if (failureOf(error).code === "wrong_cluster") this.#logRefusal(hello);
      throw error;
    }
  }

  /** Somebody will look here for why a node of theirs does not come. */
  #logRefusal({ node, cluster_id: cluster }: Message<"hello">): void {
    if (typeof node !== "string" || this.#now() < this.#refusalLoggedMs + REFUSAL_LOG_MS) return;
    this.#refusalLoggedMs = this.#now();
    this.#log.warn("a node of another cluster was refused", {
      node,
      cluster,
      ours: this.map.settings.clusterId,
    });
  }

  /** An operator's order; if it names no node, it is carried out once the nodes have told what they hold by now. */
  #onForce(message: Message<"force">, reply: ReplyTo, connection: Connection): void {
    const node = message.node ?? undefined;
    const partition = message.partition ?? undefined;
    this.#order(
      message,
      { reply, connection },
      node === undefined,
      () => this.#ask({ type: "force", partition, node }).forced,
    );
  }

  /** An operator's order. */
  #onForgetNode(message: Message<"forget_node">, reply: ReplyTo, connection: Connection): void {
    const { node } = message;
    const force = message.force === true;
    this.#order(message, { reply, connection }, force, () => {
      return { node, forced: this.#ask({ type: "forget_node", node, force }).forced };
    });
  }

  /** @param asking whether nodes first tell what they hold by now, if that may be asked for */
  #order(
    { id: _, ...order }: Message<"force" | "forget_node">,
    { reply, connection }: { reply: ReplyTo; connection: Connection },
    asking: boolean,
    carryOut: () => unknown,
  ): void {
    this.#log.warn("an operator gives an order", {
      from: formatAddress(connection.remote),
      order: JSON.stringify(order),
    });
    const answer = () => reply({ req_type: "result", result: carryOut() });
    if (!asking || !this.#step({ type: "ask_what_is_held" }).asked) return answer();
    this.#deps.clock.setTimer(FORCE_WAIT_MS, () => {
      if (this.#closed) return;
      try {
        answer();
      } catch (error) {
        if (!(error instanceof KvError)) throw error;
        reply(toErrorReply(error));
      }
    });
  }
}

/** A request whose user, if it has one, is known. */
function ofItsUser(request: KeyRequest): KeyRequest {
  const user = userOf(request);
  return user === undefined ? request : forUser(request, user);
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
