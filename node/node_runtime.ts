/**
 * A whole node put together: folder, core, server, router, session with the coordinator, heartbeats.
 * It is all of `kv-node` but for the process: `main.ts` gives it the real clock, network and folder,
 * the simulator its own. It has no rules of its own.
 *
 * @module
 */
import { VERSION } from "../shared/base/version.ts";
import { sleep } from "../shared/platform/clock.ts";
import type { ClusterMap } from "../shared/cluster/cluster_map.ts";
import { failureOf, invariant, isDamage, KvError } from "../shared/base/errors.ts";
import { fromErrorReply } from "../shared/wire/error_reply.ts";
import { ASK_USAGE, askUsages } from "../shared/database/database_usages.ts";
import { QUOTA_ASK_TIMEOUT_MS } from "../shared/limits/cluster.ts";
import { STOP_GRACE_MS } from "../shared/limits/connections.ts";
import { ClusterWatch } from "../shared/console/cluster_watch.ts";
import { metricDocument } from "../shared/metrics/metric_document.ts";
import { MetricSet } from "../shared/metrics/metric_set.ts";
import { collectProcess, type ProcessSite } from "../shared/metrics/process_site.ts";
import { RequestMetrics } from "../shared/metrics/request_metrics.ts";
import { RequestTracing } from "../shared/tracing/request_tracing.ts";
import { SlowLog } from "../shared/metrics/slow_log.ts";
import type { Logger } from "../shared/platform/logger.ts";
import { randomId } from "../shared/platform/random.ts";
import { Admission } from "../shared/admission/admission.ts";
import type { HandleHttp, HttpServer } from "../shared/http/deno_http_server.ts";
import type { HttpSite } from "../shared/http/endpoints/endpoint.ts";
import { HttpFrontEnd } from "../shared/http/front_end.ts";
import { type HealthReport, withAudit } from "../shared/http/protocol/health_report.ts";
import { NO_ORIGINS } from "../shared/http/protocol/origins.ts";
import { problemResponse } from "../shared/http/protocol/problem.ts";
import { DEFAULT_LIMITS } from "../shared/validation/request_checks.ts";
import type { AccessControl } from "../shared/security/access_control.ts";
import { CoordinatorPool } from "../shared/routing/coordinator_pool.ts";
import { Router } from "../shared/routing/router.ts";
import { hello } from "../shared/wire/hello.ts";
import {
  type Address,
  formatAddress,
  type Listener,
  type Stream,
  type Transport,
} from "../shared/platform/transport.ts";
import { CoordinatorSession, type Locate } from "./membership/coordinator_session.ts";
import { HeartbeatSender } from "./membership/heartbeat_sender.ts";
import { MapKeeper } from "./membership/map_keeper.ts";
import { SeededKeyHash } from "./storage/key_hash.ts";
import { Node } from "./node.ts";
import type {
  NodeMembership,
  NodeRuntimeDeps,
  NodeRuntimeOptions,
  SharedFrontEnds,
} from "./node_runtime_options.ts";
import { databaseWanted, StandaloneDatabases } from "./standalone_databases.ts";
import { type NodeFolder, openData } from "./node_folder.ts";
import { GroupCommit } from "./storage/partition_store.ts";
import { RowCache } from "./storage/row_cache.ts";
import type { DatabaseWish } from "./server/database_directory.ts";
import { NodeServer } from "./server/node_server.ts";
import { machineHealth, workersNow } from "./workers/machine_health.ts";
import { MachineQuestions } from "./workers/machine_questions.ts";
import { machineExposition } from "./workers/machine_stats.ts";
import {
  joinStandalone,
  refuseStandaloneFolder,
  standaloneMap,
} from "./membership/standalone_cluster.ts";

/** A running node. */
export class NodeRuntime {
  /** Where it listens. */
  readonly address: Address;
  /** The port of its HTTP front end; 0 if it has none. */
  readonly httpPort: number;
  readonly node: Node;
  readonly server: NodeServer;
  readonly admission: Admission;
  /**
   * Settles when the node cannot go on: another run of it is newer, its cluster is another one; or, with
   * `corrupt`, its database has to be repaired, which the next start with the same folder does.
   */
  readonly failed: Promise<KvError>;
  readonly #deps: NodeRuntimeDeps;
  readonly #log: Logger;
  /** For clients, and for other members if the cluster is secured. */
  readonly #listeners: readonly Listener[];
  readonly #peerPort: number | undefined;
  readonly #membership: NodeMembership | undefined;
  /** Of a secured process. */
  readonly #access: AccessControl | undefined;
  readonly #http: readonly HttpServer[];
  readonly #frontEnd: HttpFrontEnd;
  /** Answers at the port that is shared: as the machine. */
  readonly #machineFrontEnd: HttpFrontEnd | undefined;
  /** Asks the other workers of the machine. */
  readonly #machine: MachineQuestions | undefined;
  readonly #requestMetrics: RequestMetrics;
  readonly #tracing: RequestTracing | undefined;
  readonly #process: ProcessSite | undefined;
  readonly #folder: NodeFolder;
  /** Those of a node that is a cluster by itself. */
  readonly #ownDatabases: StandaloneDatabases;
  readonly #router: Router;
  /** To ask the coordinators how they are. */
  readonly #coordinators: CoordinatorPool;
  readonly #session: CoordinatorSession | undefined;
  readonly #heartbeats: HeartbeatSender | undefined;
  readonly #mapKeeper: MapKeeper | undefined;
  readonly #left: Promise<void>;
  #repairNeeded = false;
  /** Tells this process from another one with the same folder. */
  readonly #instance: string;
  #onLeft: () => void = () => {};
  #onSessionDown: () => void = () => {};
  #onFailed: (error: KvError) => void = () => {};

  /**
   * Listens, opens the folder, and begins to serve and to look for its cluster.
   *
   * @throws {KvError} `address_in_use`, or what the folder says
   */
  static async start(deps: NodeRuntimeDeps, options: NodeRuntimeOptions): Promise<NodeRuntime> {
    // The port is taken first, since the folder may be named after it. Who connects meanwhile waits.
    const admission = new Admission(
      { clock: deps.clock, log: deps.logger("admission") },
      options.admission,
    );
    const early: Stream[] = [];
    let accept = (stream: Stream): void => {
      if (early.length < admission.clientsMax) early.push(stream);
      else stream.close();
    };
    const onStream = (stream: Stream) => accept(stream);
    const listener = await listenOnFirstFree(deps.transport, options.listen, onStream);
    const listeners: Listener[] = [listener];
    let peerPort: number | undefined;
    let folder: NodeFolder | undefined;
    const http: HttpServer[] = [];
    let handle: HandleHttp = () =>
      Promise.resolve(problemResponse(new KvError("unavailable", "this node is starting")));
    const { secured, shared } = options;
    let runtime: NodeRuntime;
    // What goes between members.
    const transport = secured?.transport ?? deps.transport;
    try {
      if (secured !== undefined) {
        const addresses = secured.listen(listener.address.port);
        const peerListener = await listenOnFirstFree(secured.transport, addresses, onStream);
        listeners.push(peerListener);
        peerPort = peerListener.address.port;
      }
      const ownHttp = options.openHttp?.(
        listener.address.port,
        (request, account) => handle(request, account),
        admission,
      );
      if (ownHttp !== undefined) http.push(ownHttp);
      const { cluster } = options;
      const standalone = "standalone" in cluster;
      const log = deps.logger("storage");
      const open = async () => folder = await options.openFolder(listener.address.port);
      folder = await open();
      if (standalone) await joinStandalone(folder, deps.random, cluster.partitionCount);
      else refuseStandaloneFolder(folder);
      const data = await openData(folder, { standalone, log, reopen: open });
      folder = data.folder;
      const { opened } = data;
      const queue = new GroupCommit(folder.storage, deps.clock, {
        fsync: options.fsync,
        // In memory there is nothing to be faster than.
        cache: options.memory || options.cacheBytes === 0
          ? undefined
          : new RowCache(options.cacheBytes, new SeededKeyHash(deps.random)),
        onError: (error) => {
          log.error("the disk refused a write", { error: error.message });
          if (isDamage(error)) node.onNeedsRepair(error);
        },
        onRecovered: () => log.info("the disk takes writes again"),
      });
      const { clock, random } = deps;
      const tracing = RequestTracing.ofProcess(VERSION, { "kv.node": folder.nodeId });
      const node: Node = new Node(
        { clock, random, transport, log: deps.logger("node"), queue, opened, tracing },
        {
          nodeId: folder.nodeId,
          standalone,
          keptMap: standalone ? undefined : folder.keptMap,
          ...(options.tombstoneKeepMs === undefined
            ? {}
            : { tombstoneKeepMs: options.tombstoneKeepMs }),
          clientSessionsMax: options.clientSessionsMax,
          recentWritesMax: options.recentWritesMax,
          resyncRowsMax: options.resyncRowsMax,
        },
      );
      runtime = new NodeRuntime(
        { ...deps, transport },
        options,
        { listeners, peerPort, http, admission },
        folder,
        node,
        tracing,
      );
      handle = (request, account) => runtime.#frontEnd.handle(request, account);
      accept = (stream) => runtime.server.accept(stream);
      for (const stream of early.splice(0)) accept(stream);
      runtime.#begin(options);
    } catch (error) {
      await Promise.all(listeners.map((one) => one.close()));
      await Promise.all(http.map((one) => one.close(0)));
      for (const stream of early) stream.close();
      await folder?.close();
      throw error;
    }
    if (shared === undefined) return runtime;
    // Last: until now the other workers have served who came.
    try {
      const onShared = (stream: Stream) => runtime.server.acceptShared(stream);
      listeners.push(await deps.transport.listen(shared.listen, onShared, { shared: true }));
      const machine = runtime.#machineFrontEnd;
      const machineHttp = shared.openHttp?.(
        (request, account) =>
          machine?.handle(request, account) ?? runtime.#frontEnd.handle(request, account),
        admission,
      );
      if (machineHttp !== undefined) http.push(machineHttp);
      return runtime;
    } catch (error) {
      await runtime.close();
      throw error;
    }
  }

  private constructor(
    deps: NodeRuntimeDeps,
    options: NodeRuntimeOptions,
    { listeners, peerPort, http, admission }: {
      /** That for clients first. Further ones may be added until the node has begun. */
      listeners: readonly Listener[];
      peerPort: number | undefined;
      http: readonly HttpServer[];
      admission: Admission;
    },
    folder: NodeFolder,
    node: Node,
    tracing: RequestTracing | undefined,
  ) {
    this.admission = admission;
    this.#deps = deps;
    this.#log = deps.logger("node");
    const [listener] = listeners;
    invariant(listener !== undefined, "a node listens");
    this.#listeners = listeners;
    this.#peerPort = peerPort;
    this.#membership = options.secured?.membership;
    this.#access = options.security?.access ?? options.secured?.access;
    this.#http = http;
    this.httpPort = http[0]?.address.port ?? 0;
    this.#folder = folder;
    this.address = listener.address;
    this.node = node;
    this.#instance = randomId(deps.random);
    this.failed = new Promise((resolve) => this.#onFailed = resolve);
    this.#left = new Promise((resolve) => this.#onLeft = resolve);
    const { clock, random, transport } = deps;
    this.#requestMetrics = new RequestMetrics(clock, new SlowLog(options.slowRequestMs));
    this.#tracing = tracing;
    this.#process = options.process;
    this.#router = new Router({ clock, random, transport }, {
      role: "node",
      hello: { node: folder.nodeId },
      local: { nodeId: folder.nodeId, execute: (request, reply) => node.execute(request, reply) },
    });
    this.#coordinators = new CoordinatorPool({ clock, random, transport }, () =>
      hello("node", {
        node: folder.nodeId,
        ...(folder.clusterId === undefined ? {} : { cluster_id: folder.clusterId }),
      }));
    node.route = (request, timeoutMs, done) => this.#router.execute(request, timeoutMs, done);
    this.#ownDatabases = new StandaloneDatabases({
      map: () => node.map(),
      keep: (databases) => folder.keepDatabases?.(databases),
      adopt: (map) => this.#adopt(map),
    });
    const { shared } = options;
    this.#machine = shared && this.#askMachine(shared);
    const { work } = node;
    this.server = new NodeServer({ clock, random, log: deps.logger("server"), work }, {
      node,
      forwarder: this.#router,
      clusterId: () => folder.clusterId,
      limits: options.limits,
      memory: options.memory,
      address: () => this.address,
      admission,
      security: options.security,
      startScriptThread: deps.startScriptThread,
      access: options.secured?.access,
      requestMetrics: this.#requestMetrics,
      tracing: this.#tracing,
      metrics: () => this.metrics(),
      machine: this.#machine && shared && {
        questions: this.#machine,
        worker: shared.worker,
        address: shared.listen,
      },
      databases: {
        want: (id, wish) => this.#wantDatabase(id, wish),
        ...("standalone" in options.cluster
          ? { change: (change) => this.#ownDatabases.change(change) }
          : {}),
      },
      stats: () => ({
        ...(this.coordinator === undefined ? {} : { coordinator: formatAddress(this.coordinator) }),
        ...(options.secured === undefined || this.#heartbeats === undefined
          ? {}
          : { refused_acknowledgements: this.#heartbeats.refused }),
        ...(shared === undefined ? {} : { worker: shared.worker, workers: shared.workers }),
      }),
    });
    node.askUsage = (done) => this.server.askUsage(done);
    const site = this.#httpSite(options, admission);
    this.#frontEnd = this.#makeFrontEnd(options, site);
    this.#machineFrontEnd = shared && this.#makeFrontEnd(options, {
      ...site,
      health: () => machineHealth(this.health(), shared.worker, shared.health()),
      metricsText: () =>
        new Promise((resolve) => {
          this.#machine?.ask("metrics", (answers) => resolve(machineExposition(answers)));
        }),
    });
    node.onDropNoted = () => this.#heartbeats?.beat();
    node.onNeedsRepair = (error) => this.#needRepair(error, "standalone" in options.cluster);
    if ("standalone" in options.cluster) return;
    this.#mapKeeper = new MapKeeper({ clock, log: deps.logger("storage") }, {
      keptEpoch: folder.keptMap?.epoch ?? 0,
      write: (map) => folder.keepMap(map),
    });
    this.#heartbeats = this.#makeHeartbeats(options.secured !== undefined);
    this.#session = this.#makeSession(options, options.cluster.locate, this.#heartbeats);
  }

  /** What `/metrics` shows. */
  metrics(): MetricSet {
    const set = new MetricSet();
    collectProcess(set, this.#process, {
      role: "node",
      id: this.#folder.nodeId,
      cluster: this.#folder.clusterId ?? "",
      health: this.health(),
    });
    set.set("kv_node_registered", this.up);
    this.server.collect(set, this.#frontEnd.underWay + (this.#machineFrontEnd?.underWay ?? 0));
    return set;
  }

  /** How it is. */
  health(): HealthReport {
    const report = this.node.health(this.up, this.#session?.refusal);
    return this.#access === undefined ? report : withAudit(report, this.#access.auditFailure);
  }

  /** The coordinator with which the node was registered last. */
  get coordinator(): Address | undefined {
    return this.#session?.registeredAt;
  }

  /** Whether the node is registered with its coordinator, or needs none. */
  get up(): boolean {
    return this.#session?.up ?? true;
  }

  /**
   * Ends it in good order: hands its primaries over if there is a node to take them, within
   * `drainTimeoutMs`, answers what it is still doing, and closes the folder.
   */
  async stop(drainTimeoutMs: number): Promise<void> {
    const session = this.#session;
    for (const http of this.#http) http.retire();
    if (session?.up && drainTimeoutMs > 0) {
      session.leave(true);
      const end = await Promise.race([
        this.#left,
        new Promise<string>((resolve) => {
          this.#onSessionDown = () => resolve("the coordinator is gone");
        }),
        sleep(this.#deps.clock, drainTimeoutMs).then(() => `${drainTimeoutMs} ms have passed`),
      ]);
      if (typeof end === "string") {
        this.#log.warn("not all partitions were handed over; stopping", { reason: end });
      }
    }
    await this.close();
  }

  /**
   * Asks to leave the cluster for good, waits for as long as that takes, then ends.
   *
   * @param givenUp fulfilled when it is not to be waited for any longer
   * @returns whether it has ended; if not, it goes on as it was, and is to be stopped
   */
  async leave(givenUp?: Promise<unknown>): Promise<boolean> {
    if (this.#session !== undefined) {
      this.#session.leave(false);
      const left = this.#left.then(() => true);
      const end = givenUp === undefined ? left : Promise.race([left, givenUp.then(() => false)]);
      if (!await end) return false;
    }
    await this.close();
    return true;
  }

  /**
   * Ends it without handing anything over; everything acknowledged is on disk, and what was asked is
   * answered (within STOP_GRACE_MS).
   */
  async close(): Promise<void> {
    // Before anybody is asked to go, who would come again at once.
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    this.#membership?.stop();
    for (const http of this.#http) http.retire();
    this.#frontEnd.endStreams();
    this.#machineFrontEnd?.endStreams();
    // No answer of the HTTP front end comes later than the node can give it.
    const httpClosed = Promise.all(this.#http.map((http) => http.close(STOP_GRACE_MS)));
    const left = await this.server.drain();
    if (left > 0) this.#log.warn("clients that did not end are cut off", { connections: left });
    await httpClosed;
    // The coordinator hears of it first: the others are to wait for this replica no longer than they must.
    this.#session?.close();
    this.#heartbeats?.stop();
    this.#router.close();
    this.#coordinators.close();
    await this.server.close();
    await this.#mapKeeper?.close();
    // What cannot be written any more must not keep the folder locked and its database open.
    let failure: unknown;
    try {
      await this.node.close();
    } catch (error) {
      failure = error;
    }
    try {
      await this.#folder.close();
    } catch (error) {
      failure ??= error;
    }
    if (failure !== undefined) throw failure;
  }

  /**
   * The database has rows that cannot be read, so that they cannot be deleted, nor files with them be
   * compacted. The node is started again, as after a failure, and the database repaired before it is opened.
   */
  #needRepair(cause: KvError, standalone: boolean): void {
    if (this.#repairNeeded) return;
    this.#repairNeeded = true;
    if (standalone) {
      this.#log.error(
        "the database has rows that cannot be read, and nobody else has them: save what can be read with " +
          "kv-client backup, and restore that into a node with a new data folder",
        { error: cause.message },
      );
      return;
    }
    this.#log.error(
      "the database has rows that cannot be read: the node starts again and repairs it",
      {
        error: cause.message,
      },
    );
    this.#folder.requestRepair().then(
      () => this.#onFailed(new KvError("corrupt", cause.message, { cause })),
      (error) => {
        // It is asked for again when the rows are to be deleted again.
        this.#repairNeeded = false;
        this.#log.warn("a repair cannot be noted", { error: failureOf(error).message });
      },
    );
  }

  #begin(options: NodeRuntimeOptions): void {
    if (this.#session !== undefined) {
      this.#session.start();
      return;
    }
    const { nodeId, incarnation, clusterId = "", partitionCount = 0 } = this.#folder;
    this.#adopt(standaloneMap({
      clusterId,
      partitionCount,
      databases: this.#folder.databases,
      node: {
        id: nodeId,
        ...this.#advertised(options),
        httpPort: this.httpPort,
        weight: options.weight,
        incarnation,
        state: "up",
      },
    }));
  }

  #advertised(options: NodeRuntimeOptions): { host: string; port: number; zone: string } {
    const { host: listening, port } = this.address;
    const host = options.advertiseHost ?? options.listen[0]?.host ?? listening;
    return { host, port, zone: options.zone ?? host };
  }

  /** A database is to be made or dropped for a client. */
  #wantDatabase(id: number, wish: DatabaseWish): void {
    if (this.#session !== undefined) this.#session.send(databaseWanted(id, wish));
    else {
      this.#ownDatabases.carryOut(wish).then(
        () => this.server.databases.onDecided(id, this.node.map()?.epoch ?? 0),
        (error) => this.server.databases.onDecided(id, failureOf(error)),
      );
    }
  }

  #adopt(map: ClusterMap): void {
    this.node.applyMap(map);
    this.server.onMap(map);
    this.#mapKeeper?.keep(map);
    this.#router.adopt(map);
    this.#coordinators.keep(map.coordinators ?? []);
  }

  #askMachine(shared: SharedFrontEnds): MachineQuestions {
    return new MachineQuestions({
      own: shared.worker,
      workers: () => workersNow(this.health(), shared.worker, shared.health()),
      ask: (node, message, timeoutMs, done) => this.#router.request(node, message, timeoutMs, done),
      answer: (question) =>
        question === "stats" ? this.server.stats() : metricDocument(this.metrics()),
    });
  }

  #makeFrontEnd(options: NodeRuntimeOptions, site: HttpSite): HttpFrontEnd {
    const { clock, random, logger } = this.#deps;
    const deps = { clock, random, log: logger("http"), work: this.node.work };
    return new HttpFrontEnd(
      { ...deps, metrics: this.#requestMetrics, tracing: this.#tracing },
      site,
      options.origins ?? NO_ORIGINS,
    );
  }

  #httpSite(options: NodeRuntimeOptions, admission: Admission): HttpSite {
    const { clock } = this.#deps;
    const watch = new ClusterWatch(clock, {
      secured: (options.security ?? options.secured) !== undefined,
      self: this.node.nodeId,
      map: () => this.node.map(),
      health: () => this.health(),
      own: () => metricDocument(this.metrics()),
      ask: (node, message, timeoutMs, done) => this.#router.request(node, message, timeoutMs, done),
      coordinator: () => undefined,
      askCoordinator: "standalone" in options.cluster
        ? undefined
        : (address, message, timeoutMs, done) =>
          this.#coordinators.client(address).request(message, timeoutMs, done),
    });
    return {
      limits: options.limits ?? DEFAULT_LIMITS,
      health: () => this.health(),
      metrics: () => this.metrics(),
      snapshot: () => watch.snapshot(),
      database: this.server.database,
      databases: this.server.databases,
      askUsages: (done) => {
        const { nodeId } = this.node;
        askUsages(this.node.map(), (id, reply) => {
          if (id !== nodeId) this.#router.request(id, ASK_USAGE, QUOTA_ASK_TIMEOUT_MS, reply);
          else reply({ req_type: "result", result: this.node.databaseUsage() });
        }, done);
      },
      requests: admission.requests,
      access: this.#access,
    };
  }

  #makeHeartbeats(secured: boolean): HeartbeatSender {
    const { clock, transport, logger } = this.#deps;
    const { nodeId, incarnation } = this.#folder;
    return new HeartbeatSender({ clock, transport, log: logger("heartbeat") }, {
      node: nodeId,
      instance: this.#instance,
      incarnation,
      epoch: () => this.node.storedEpoch,
      mapEpoch: () => this.node.map()?.epoch ?? 0,
      unserved: () => this.node.unservedCount(),
      batch: () => this.node.syncedBatch,
      sendOverSession: (message) => this.#session?.send(message) ?? false,
      onAck: (sent, ack) => this.node.onHeartbeatAck(sent, ack),
      secured,
    });
  }

  #makeSession(
    options: NodeRuntimeOptions,
    locate: Locate,
    heartbeats: HeartbeatSender,
  ): CoordinatorSession {
    const { clock, random, transport, logger } = this.#deps;
    const folder = this.#folder;
    const membership = options.secured?.membership;
    const session = new CoordinatorSession(
      { clock, random, transport, log: logger("session") },
      {
        identity: {
          node: folder.nodeId,
          instance: this.#instance,
          incarnation: folder.incarnation,
          ...this.#advertised(options),
          peerPort: this.#peerPort,
          httpPort: this.httpPort,
          weight: options.weight,
          memory: options.memory,
          clusterName: "name" in options.cluster ? options.cluster.name : undefined,
        },
        node: this.node,
        locate,
        clusterId: () => folder.clusterId,
        joinCluster: ({ settings }, done) => {
          folder.joinCluster(settings.clusterId, settings.partitionCount).then(
            () => done(undefined),
            (error) => done(failureOf(error)),
          );
        },
        noteSeen: membership && ((map, done) => membership.noteSeen(map, done)),
        securityVersion: options.secured && (() => options.secured?.access.document.version ?? 0),
        noted: membership && (() => membership.seen),
        onMap: (map) => {
          const isFirst = this.node.map() === undefined;
          this.#adopt(map);
          // It counts as alive from here on: the coordinator is not to wait for that.
          if (isFirst) heartbeats.beat();
        },
        onRegistered: (start) => heartbeats.start(start),
        onMistrust: () => heartbeats.pause(),
        onHeartbeatAck: (ack) => heartbeats.onSessionAck(ack),
        onSecurity: (message) => membership?.onSecurity(message),
        onCertificate: (message) => membership?.onCertificate(message),
        onDatabaseDecided: ({ wish, epoch, code, message }) =>
          this.server.databases.onDecided(
            wish,
            epoch ??
              fromErrorReply({
                req_type: "error",
                code: code ?? "unavailable",
                message: message ?? "",
              }),
          ),
        onDown: () => {
          heartbeats.onSessionDown();
          this.#onSessionDown();
        },
        onLeft: () => this.#onLeft(),
        onFatal: (error) => this.#onFailed(error),
      },
    );
    this.node.coordinator = { send: (message) => void session.send(message) };
    membership?.start((message) => session.send(message));
    return session;
  }
}

/** @throws {KvError} the last reason, if none is free */
async function listenOnFirstFree(
  transport: Transport,
  addresses: readonly Address[],
  onStream: (stream: Stream) => void,
): Promise<Listener> {
  let inUse: KvError | undefined;
  for (const address of addresses) {
    try {
      return await transport.listen(address, onStream);
    } catch (error) {
      inUse = failureOf(error);
      if (inUse.code !== "address_in_use") throw inUse;
    }
  }
  throw inUse ?? new KvError("bad_config", "no address to listen on was given");
}
