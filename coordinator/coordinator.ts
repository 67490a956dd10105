/**
 * The coordinator at work: sockets, the register in which the cluster's document is kept, and the requests of clients.
 * What it does while it is the active one is `active_coordinator.ts`. Everything that it touches is given to it, so
 * that the simulator can run it as it is. It decides nothing about the cluster.
 *
 * @module
 */
import { VERSION } from "../shared/base/version.ts";
import { Admission } from "../shared/admission/admission.ts";
import type { Seat } from "../shared/admission/seat.ts";
import { Acceptor } from "../shared/server/acceptor.ts";
import { setPeriodic, type Timer } from "../shared/platform/clock.ts";
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import type { Connection, ConnectionHandlers } from "../shared/wire/connection.ts";
import { settingsShown } from "../shared/cluster/cluster_settings.ts";
import type { Database } from "../shared/database/database.ts";
import { failureOf, KvError } from "../shared/base/errors.ts";
import type { HttpServer } from "../shared/http/deno_http_server.ts";
import { HttpFrontEnd } from "../shared/http/front_end.ts";
import { type HealthReport, withAudit } from "../shared/http/protocol/health_report.ts";
import { NO_ORIGINS } from "../shared/http/protocol/origins.ts";
import { ASK_USAGE, askUsages } from "../shared/database/database_usages.ts";
import { QUOTA_ASK_TIMEOUT_MS } from "../shared/limits/cluster.ts";
import { CLOSE_LINGER_MS, STOP_GRACE_MS } from "../shared/limits/connections.ts";
import {
  COORDINATOR_DEAF_PAUSE_MS,
  COORDINATOR_PROMISE_BAR_MS,
  COORDINATOR_TICK_MS,
} from "../shared/limits/membership.ts";
import { ClusterWatch } from "../shared/console/cluster_watch.ts";
import { metricDocument } from "../shared/metrics/metric_document.ts";
import { collectAdmission } from "../shared/metrics/admission_metrics.ts";
import { MetricSet } from "../shared/metrics/metric_set.ts";
import { collectProcess } from "../shared/metrics/process_site.ts";
import { RequestMetrics } from "../shared/metrics/request_metrics.ts";
import { RequestTracing } from "../shared/tracing/request_tracing.ts";
import { SlowLog } from "../shared/metrics/slow_log.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { Message } from "../shared/wire/messages.ts";
import { randomId } from "../shared/platform/random.ts";
import { CoordinatorPool } from "../shared/routing/coordinator_pool.ts";
import { hello } from "../shared/wire/hello.ts";
import { DEFAULT_LIMITS } from "../shared/validation/request_checks.ts";
import { Draining } from "../shared/server/draining.ts";
import { greet, type Greeted } from "../shared/server/handshake.ts";
import { RequestServer } from "../shared/server/request_server.ts";
import { WireLogins } from "../shared/server/wire_logins.ts";
import type { Address, Listener, Stream } from "../shared/platform/transport.ts";
import { CoordinatorForwarding, notActive } from "./agreement/coordinator_forwarding.ts";
import { CoordinatorPeers } from "./agreement/coordinator_peers.ts";
import { ActiveCoordinator, notOnDisk } from "./active_coordinator.ts";
import { ClientRequests } from "./client_requests.ts";
import { clusterSettings } from "./state/cluster_settings.ts";
import { DiscoveryResponder } from "./discovery/discovery_responder.ts";
import { DatabaseOrders } from "./gateway/database_orders.ts";
import { Gateway } from "./gateway/gateway.ts";
import { collectCluster, collectCoordinators } from "./coordinator_metrics.ts";
import { coordinatorHealth, standbyHealth } from "./health.ts";
import { HeartbeatListener } from "./membership/heartbeat_listener.ts";
import type { ManagedRegister, RegisterEvents, Stamped } from "./register/register.ts";
import { RegisterRunner } from "./agreement/register_runner.ts";
import { isMember, membersOf } from "./register/coordinator_set.ts";
import { blankRecord } from "./register/register_record.ts";
import { type CoordinatorsReport, coordinatorsReport } from "./coordinators_report.ts";
import { CoordinatorsChanges } from "./change_coordinators.ts";
import type {
  CoordinatorDeps,
  CoordinatorOptions,
  CoordinatorSecurity,
  DiscoveryOptions,
} from "./coordinator_options.ts";
import {
  CLUSTER_DIFFERENCES,
  type ClusterDocument,
  parseClusterDocument,
} from "./state/cluster_document.ts";
import {
  type CoordinatorRecord,
  FIRST_ID,
  newClusterRecord,
  readRecord,
} from "./state/coordinator_record.ts";

/** Nodes that are refused come again and again: of them all, one is logged in this long. */
const REFUSAL_LOG_MS = 60_000;

/** A running coordinator. */
export class Coordinator {
  readonly #deps: CoordinatorDeps;
  readonly #options: CoordinatorOptions;
  readonly #log: Logger;
  readonly #clusterId: string;
  readonly #gateway: Gateway;
  readonly #databaseOrders: DatabaseOrders;
  readonly #acceptor: Acceptor;
  readonly #draining: Draining;
  readonly #secured: boolean;
  readonly #security: CoordinatorSecurity | undefined;
  /** Of a secured cluster. */
  readonly #logins: WireLogins | undefined;
  readonly #clientRequests: ClientRequests;
  readonly #peers: CoordinatorPeers<ClusterDocument>;
  readonly #forwarding: CoordinatorForwarding;
  /** The other coordinators, to ask them how they are. */
  readonly #others: CoordinatorPool;
  readonly #changes: CoordinatorsChanges;
  #register: ManagedRegister<ClusterDocument> | undefined;
  /** The same, if the coordinators keep the document themselves. */
  #runner: RegisterRunner<ClusterDocument> | undefined;
  /** While it is the active one. */
  #active: ActiveCoordinator | undefined;
  /** The map of the newest document that is known to be chosen. */
  #map: ClusterMap | undefined;
  #listener: Listener | undefined;
  #heartbeats: HeartbeatListener | undefined;
  #discovery: DiscoveryResponder | undefined;
  #ticks: Timer | undefined;
  #closed = false;
  readonly admission: Admission;
  readonly #frontEnd: HttpFrontEnd;
  readonly #requestMetrics: RequestMetrics;
  readonly #tracing: RequestTracing | undefined;
  #http: HttpServer | undefined;
  #requests = 0;
  #onCoordinators: (addresses: readonly Address[]) => void = () => {};
  /** Whom it has been told of. */
  #coordinatorsText = "";
  #refusalLoggedMs = -Infinity;
  /** When it had its right last. */
  #rightMs = 0;

  /**
   * Reads the record, or makes a new cluster (a secured one's record must be there), and listens.
   *
   * @throws {KvError} `bad_config`, `address_in_use`, `corrupt`, `wrong_version`, `storage_failed`
   */
  static async start(deps: CoordinatorDeps, options: CoordinatorOptions): Promise<Coordinator> {
    const { service } = options;
    const found = service === undefined ? await readRecord(deps.store) : undefined;
    const before = (service?.found ?? found?.accepted?.document.body)?.cluster.map.settings;
    const clusterId = before?.clusterId ?? options.clusterId ?? randomId(deps.random);
    // What contradicts the cluster is told at once.
    clusterSettings(options.settings, before, clusterId);
    const coordinator = new Coordinator(deps, options, clusterId);
    try {
      await coordinator.#listen();
      await coordinator.#begin(found);
    } catch (error) {
      await coordinator.close();
      throw error;
    }
    return coordinator;
  }

  private constructor(deps: CoordinatorDeps, options: CoordinatorOptions, clusterId: string) {
    this.#deps = deps;
    this.#options = options;
    this.#clusterId = clusterId;
    this.#log = deps.logger("coordinator");
    this.admission = new Admission(
      { clock: deps.clock, log: deps.logger("admission") },
      options.admission,
    );
    const { security } = options;
    this.#security = security;
    this.#secured = options.secured ?? security !== undefined;
    this.#logins = security === undefined ? undefined : new WireLogins(security.access);
    if (security !== undefined) {
      security.access.databases = () => this.#gateway.database.map()?.databases;
    }
    this.#gateway = new Gateway(deps, { clusterId, cacheEntries: options.cacheEntries });
    this.#databaseOrders = new DatabaseOrders({
      clock: deps.clock,
      map: () => this.#gateway.database.map(),
      carryOut: (request, reply) => this.#clientRequests.orderDatabase(request, reply),
    });
    this.#tracing = RequestTracing.ofProcess(VERSION, { "kv.role": "coordinator" });
    this.#requestMetrics = new RequestMetrics(deps.clock, new SlowLog(options.slowRequestMs));
    this.#others = new CoordinatorPool(deps, () => hello("gateway", { cluster_id: clusterId }));
    const watch = new ClusterWatch(deps.clock, {
      secured: this.#secured,
      self: undefined,
      map: () => this.#map !== undefined && this.#map.epoch > 0 ? this.#map : undefined,
      health: () => this.health(),
      own: () => metricDocument(this.metrics()),
      ask: (node, message, timeoutMs, done) =>
        this.#gateway.request(node, message, timeoutMs, done),
      coordinator: () => this.coordinators().coordinator,
      askCoordinator: (address, message, timeoutMs, done) =>
        this.#others.client(address).request(message, timeoutMs, done),
    });
    this.#frontEnd = new HttpFrontEnd({
      ...deps,
      metrics: this.#requestMetrics,
      tracing: this.#tracing,
      log: deps.logger("http"),
      work: this.#gateway.work,
    }, {
      limits: DEFAULT_LIMITS,
      health: () => this.health(),
      metrics: () => this.metrics(),
      snapshot: () => watch.snapshot(),
      database: this.#gateway.database,
      requests: this.admission.requests,
      access: security?.access,
      databases: this.#databaseOrders,
      askUsages: (done) =>
        askUsages(
          this.#map,
          (id, reply) => this.#gateway.request(id, ASK_USAGE, QUOTA_ASK_TIMEOUT_MS, reply),
          done,
        ),
    }, options.origins ?? NO_ORIGINS);
    this.#draining = new Draining(deps.clock);
    this.#acceptor = new Acceptor(
      { json: (stream, seat) => this.#serve(stream, seat) },
      this.admission,
    );
    const isActive = () => this.isActive;
    this.#forwarding = new CoordinatorForwarding(deps, clusterId);
    this.#changes = new CoordinatorsChanges(deps.clock, {
      register: () => this.#register,
      holder: () => this.#holder,
    });
    this.#peers = new CoordinatorPeers<ClusterDocument>(
      { ...deps, log: deps.logger("register"), clusterId },
      {
        parseBody: parseClusterDocument,
        onEnvelope: (envelope) => this.#runner?.receive(envelope),
        unlisted: () => security?.unlisted(),
        onUnlisted: (id, certificate) =>
          this.#active?.office?.members.note({ ...certificate, id, role: "coordinator" }),
      },
    );
    this.#clientRequests = new ClientRequests({
      clock: deps.clock,
      log: this.#log,
      gateway: this.#gateway,
      logins: this.#logins,
      authorities: () => this.#authorities(),
      get isActive() {
        return isActive();
      },
      passOn: (request, reply, peer) => this.#forwarding.passOn(this.#holder, request, reply, peer),
      coordinators: () => this.coordinators(),
      changeCoordinators: (change, done) => this.#changes.order(change, done),
      active: (what) => this.#activeFor(what),
      publishedMap: (what) => this.#publishedMap(what),
      stats: () => this.stats(),
      metrics: () => this.metrics(),
      slowRequests: (limit) => this.#requestMetrics.slow.newest(limit),
    });
    security?.access.onChange(() => this.#active?.sessions.tellSecurity());
  }

  /** Told where the coordinators are: at once, and after each change. */
  set onCoordinators(then: (addresses: readonly Address[]) => void) {
    this.#onCoordinators = then;
    this.#coordinatorsText = "";
    this.#tellCoordinators();
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

  /** Whether it is the coordinator that acts. */
  get isActive(): boolean {
    return this.#active !== undefined;
  }

  /** Whether the whole cluster can serve, as far as is known here. */
  health(): HealthReport {
    const active = this.#active;
    const map = this.#map;
    const published = map !== undefined && map.epoch > 0;
    const about = {
      published,
      persistFailure: this.#register?.state.diskFailure,
      report: this.coordinators(),
    };
    const report = active === undefined || map === undefined
      ? standbyHealth({ ...about, epoch: map?.epoch ?? 0 })
      : coordinatorHealth(active.stats(), {
        ...about,
        minInSync: map.settings.minInSync,
        newerUsers: active.office?.keeper.newerSeen,
      });
    const access = this.#security?.access;
    return access === undefined ? report : withAudit(report, access.auditFailure);
  }

  /** What `/metrics` shows. */
  metrics(): MetricSet {
    const set = new MetricSet();
    const report = this.coordinators();
    collectProcess(set, this.#options.process, {
      role: "coordinator",
      id: report.coordinator,
      cluster: this.#clusterId,
      health: this.health(),
    });
    this.#requestMetrics.collect(set);
    set.set("kv_requests_in_flight", this.#draining.outstanding, "wire");
    set.set("kv_requests_in_flight", this.#frontEnd.underWay, "http");
    collectAdmission(set, this.admission.stats());
    collectCoordinators(set, report, this.#deps.clock.wallMs());
    this.#register?.metrics.collect(set);
    set.set("kv_cluster_document_failing", this.#register?.state.diskFailure !== undefined);
    const active = this.#active;
    if (active === undefined || this.#map === undefined) return set;
    collectCluster(set, {
      stats: active.stats(),
      map: this.#map,
      sessions: active.sessions.size,
    });
    return set;
  }

  /** How the coordinators stand; what `coordinators` answers. */
  coordinators(): CoordinatorsReport {
    return coordinatorsReport(this.#register?.state, this.hasRight, {
      monotonicMs: this.#deps.clock.monotonicMs(),
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

  /** The newest map that is known to be chosen. */
  get map(): ClusterMap | undefined {
    return this.#map;
  }

  /** The state of the cluster and of the gateway; what `stats` answers. */
  stats(): Record<string, unknown> {
    const settings = this.#map?.settings;
    return {
      role: "coordinator",
      active: this.isActive,
      cluster_id: this.#clusterId,
      ...(settings === undefined ? {} : settingsShown(settings)),
      epoch: this.#map?.epoch ?? 0,
      stale_document: null,
      coordinators: this.coordinators(),
      ...this.#active?.stats(),
      ...this.admission.stats(),
      ...(this.#secured ? { refused_heartbeats: this.#heartbeats?.refused ?? 0 } : {}),
      ...(this.#security === undefined ? {} : {
        audit_failure: this.#security.access.auditFailure ?? null,
        newer_users_seen: this.#active?.office?.keeper.newerSeen ?? null,
      }),
      requests: this.#requests,
      cache: this.#gateway.stats(),
    };
  }

  /**
   * Stops listening, answers what clients have asked (within STOP_GRACE_MS), ends all connections, and
   * waits for a write of the record that is under way.
   */
  async close(): Promise<void> {
    // Before anybody is asked to go, who would come again at once.
    await this.#listener?.close();
    const register = this.#register;
    // Another one takes over, and need not wait for the end of this one's right.
    if (register?.hasOthers === true && this.isActive) register.release(STOP_GRACE_MS * 2);
    this.#discovery?.close();
    this.#http?.retire();
    this.#frontEnd.endStreams();
    const httpClosed = this.#http?.close(STOP_GRACE_MS);
    // Until then members are looked after: what was asked may need a failover.
    const left = await this.#draining.drain();
    if (left > 0) this.#log.warn("clients that did not end are cut off", { connections: left });
    await httpClosed;
    this.#closed = true;
    this.#ticks?.cancel();
    this.#endActivity();
    this.#peers.close();
    this.#forwarding.close();
    this.#others.close();
    this.#heartbeats?.close();
    this.#databaseOrders.close();
    this.#gateway.close();
    this.#acceptor.closeAll(true);
    await this.#acceptor.whenEmpty(this.#deps.clock, CLOSE_LINGER_MS);
    await this.#register?.close();
  }

  async #listen(): Promise<void> {
    const { listen, heartbeats, openHttp } = this.#options;
    const { transport } = this.#deps;
    // The TCP port first: it is the one that is more often in use, and the message is about it then.
    this.#listener = await transport.listen(listen, (stream) => this.#acceptor.accept(stream));
    this.#http = openHttp?.(
      this.address.port,
      (request, account) => this.#frontEnd.handle(request, account),
      this.admission,
    );
    this.#heartbeats = await HeartbeatListener.open(transport, heartbeats, () => this.#active);
  }

  /** The record of the first coordinator of a new cluster, or of one that joins. */
  #newRecord(): CoordinatorRecord {
    const { id = FIRST_ID, settings, join = [] } = this.#options;
    const folder = randomId(this.#deps.random);
    if (join.length > 0) return blankRecord(id, folder);
    const member = { id, folder, address: this.#advertised };
    return newClusterRecord(member, { clusterId: this.#clusterId, settings });
  }

  /** Where others reach it. */
  get #advertised(): Address {
    const { listen, advertiseHost } = this.#options;
    return { host: advertiseHost ?? listen.host, port: this.address.port };
  }

  async #begin(found: CoordinatorRecord | undefined): Promise<void> {
    const { clock } = this.#deps;
    this.#register = this.#openRegister(found, {
      onHeld: (held) => this.#beginActivity(held),
      onLost: () => this.#endActivity(),
      onChosen: ({ document }) => {
        this.#adopt(document);
        this.#tellCoordinators();
      },
      onHolder: () => {},
      onMembers: () => this.#tellCoordinators(),
    });
    this.#ticks = setPeriodic(clock, COORDINATOR_TICK_MS, () => {
      this.#active?.tick();
      this.#letGo();
      this.#changes.tick();
    });
    await this.#register.start();
    const { listen, discovery } = this.#options;
    if (discovery !== undefined) await this.#openDiscovery(listen.host, discovery);
  }

  #openRegister(
    found: CoordinatorRecord | undefined,
    events: RegisterEvents<ClusterDocument>,
  ): ManagedRegister<ClusterDocument> {
    const { clock, random, store, logger } = this.#deps;
    const { service, id = FIRST_ID, join } = this.#options;
    if (service !== undefined) {
      const member = { id, folder: randomId(random), address: this.#advertised };
      return service.open(member, events);
    }
    const record = found ?? this.#newRecord();
    this.#runner = new RegisterRunner<ClusterDocument>(
      { clock, random, store, log: logger("register") },
      {
        record,
        address: this.#advertised,
        differences: CLUSTER_DIFFERENCES,
        peers: join,
        send: (message) => this.#peers.send(message),
      },
      events,
    );
    return this.#runner;
  }

  /** This coordinator is the active one from now on. */
  #beginActivity(held: Stamped<ClusterDocument>): void {
    const register = this.#register;
    if (register === undefined || this.#closed) return;
    this.#endActivity();
    const { clock, random, logger } = this.#deps;
    const { repairDelayMs, expectNodes, acceptEpoch } = this.#options;
    const { cluster } = held.document;
    const before = cluster.map.settings;
    const settings = this.#settingsAfter(before);
    const changed = cluster.map.epoch === 0 || JSON.stringify(before) !== JSON.stringify(settings);
    const active = new ActiveCoordinator(
      {
        clock,
        random,
        logger,
        register,
        checkRight: (what) => void this.#activeFor(what),
        onLost: (reason) => this.#giveUp(reason),
        onDeaf: () => this.#standAside(),
        openOffice: this.#security?.openOffice,
      },
      held,
      {
        stored: { ...cluster, map: { ...cluster.map, settings } },
        changed,
        heartbeatPort: this.heartbeatPort,
        repairDelayMs,
        expectNodes,
        acceptEpoch,
        secured: this.#secured,
      },
    );
    this.#active = active;
    active.start();
    this.#tellCoordinators();
  }

  /** What this coordinator was told counts, unless it contradicts the cluster. */
  #settingsAfter(before: ClusterMap["settings"]): ClusterMap["settings"] {
    try {
      return clusterSettings(this.#options.settings, before, this.#clusterId);
    } catch (error) {
      const { message } = failureOf(error);
      this.#log.error("settings that contradict the cluster's are left out", { error: message });
      return before;
    }
  }

  #endActivity(): void {
    this.#active?.close();
    this.#active = undefined;
  }

  /** Somebody else has written into the register. */
  #giveUp(reason: string): void {
    this.#log.warn("this coordinator stands down", { reason });
    this.#register?.release();
  }

  /** Another coordinator may hear the nodes, and this one hears of none. Rule G15. */
  #standAside(): void {
    const set = this.#register?.set;
    if (set === undefined || membersOf(set).length < 2 || !this.hasRight) return;
    this.#log.warn("no node is heard of here any more: another coordinator may act");
    this.#register?.release(COORDINATOR_DEAF_PAUSE_MS);
  }

  /** The map says where the coordinators are. */
  #tellCoordinators(): void {
    const set = this.#register?.set;
    if (set === undefined) return;
    const members = membersOf(set);
    const coordinators = members.map(({ id, address }) => ({ id, ...address }));
    this.#active?.step({ type: "coordinators", coordinators });
    const text = JSON.stringify(coordinators);
    if (text === this.#coordinatorsText) return;
    this.#coordinatorsText = text;
    const addresses = members.map(({ address }) => address);
    this.#others.keep(addresses);
    this.#onCoordinators(addresses);
  }

  /** A document was chosen, by whomever. */
  #adopt({ cluster, security }: ClusterDocument): void {
    this.#map = cluster.map;
    if (security !== undefined) this.#security?.adopt(security);
    if (cluster.map.epoch === 0) return;
    this.#gateway.adopt(cluster.map);
    this.#databaseOrders.onMap();
    this.#log.debug("a map is chosen", { epoch: cluster.map.epoch });
  }

  async #openDiscovery(host: string, discovery: DiscoveryOptions): Promise<void> {
    const { clock, random, transport, logger } = this.#deps;
    const nameNow = () => this.#map?.settings.clusterName ?? "";
    this.#discovery = await DiscoveryResponder.open(
      { clock, transport, log: logger("discovery") },
      {
        ...discovery,
        cluster: this.#clusterId,
        get name() {
          return nameNow();
        },
        instance: randomId(random),
        address: { host, port: this.address.port },
      },
    );
  }

  #activeFor(what: string): ActiveCoordinator {
    if (this.#active === undefined) throw notActive(what, this.#holder);
    if (this.#mayAct) return this.#active;
    throw new KvError(
      "unavailable",
      `${what}: this coordinator does not reach a majority of the coordinators now; try again, or another one`,
    );
  }

  /** Whether it may give leases at this moment. */
  get hasRight(): boolean {
    return this.#register?.hasRight() ?? false;
  }

  /** Whether it may act. One that is alone need not ask anybody. */
  get #mayAct(): boolean {
    const register = this.#register;
    return register !== undefined && (register.hasRight() || !register.hasOthers);
  }

  /**
   * Nodes are let go if it has had no right for so long that another one may act: they look for that one, and this one
   * would not know of it while the others cannot reach it.
   */
  #letGo(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#active === undefined || this.#mayAct) this.#rightMs = nowMs;
    else if (nowMs >= this.#rightMs + COORDINATOR_PROMISE_BAR_MS) this.#active.sessions.closeAll();
  }

  /** Where the active coordinator is, as far as is known here; undefined if it would be this one. */
  get #holder(): Address | undefined {
    const state = this.#register?.state;
    const { set, holder, member, role } = state ?? {};
    // One that was taken out hears of nobody any more. After a restart it knows only the set that it was in.
    const isOut = set !== undefined && member !== undefined &&
      (role === "removed" || !isMember(set, member.folder));
    if (isOut) return set.voters.find(({ folder }) => folder !== member.folder)?.address;
    return holder?.folder === member?.folder ? undefined : holder?.address;
  }

  #publishedMap(what: string): ClusterMap {
    if (this.#active !== undefined) return this.#active.publishedMap(what);
    if (this.#map !== undefined && this.#map.epoch > 0) return this.#map;
    throw notOnDisk(what);
  }

  #authorities(): { cluster: string; authorities: readonly string[] } | undefined {
    if (this.#security === undefined) return undefined;
    const { cluster, authorities } = this.#security.access.document;
    return { cluster, authorities };
  }

  #serve(stream: Stream, seat: Seat): void {
    const { work } = this.#gateway;
    const metrics = this.#requestMetrics;
    const tracing = this.#tracing;
    const deps = { clock: this.#deps.clock, log: this.#log, work, metrics, tracing };
    const server = new RequestServer(stream, deps, {
      onRequest: (request, reply, connection) => {
        this.#requests++;
        this.#clientRequests.take(request, reply, connection);
      },
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

  /** @returns who takes the connection over if it is a node's session; in a secured cluster, a client's login */
  #onHello(
    hello: Message<"hello">,
    connection: Connection,
    seat: Seat,
    isFirst: boolean,
  ): (() => ConnectionHandlers) | Promise<void> | undefined {
    this.#requests++;
    const greeted: Greeted = {
      kind: "coordinator",
      secured: this.#security !== undefined,
      clusterId: () => this.#clusterId,
      hasPlace: () => true,
    };
    try {
      const { role, rights, node } = greet(hello, greeted, { connection, seat, isFirst });
      if (rights === "agreement") return () => this.#peers.accept(connection);
      if (role === "client") return this.#logins?.logIn(hello, connection);
      if (rights !== "membership" || node === undefined) return undefined;
      const { sessions } = this.#activeFor("hello");
      return () => sessions.accept(node, connection);
    } catch (error) {
      if (failureOf(error).code === "wrong_cluster") this.#logRefusal(hello);
      throw error;
    }
  }

  /** An operator will look here for the reason why a node does not come. */
  #logRefusal({ node, cluster_id: cluster }: Message<"hello">): void {
    const nowMs = this.#deps.clock.monotonicMs();
    if (typeof node !== "string" || nowMs < this.#refusalLoggedMs + REFUSAL_LOG_MS) return;
    this.#refusalLoggedMs = nowMs;
    this.#log.warn("a node of another cluster was refused", {
      node,
      cluster,
      ours: this.#clusterId,
    });
  }
}
