/**
 * The cluster of a run: a coordinator, nodes and clients, each a simulated process on a host of its
 * own, made of the production classes; and what can be done to them. It starts again what has ended
 * by itself, as a supervisor would. Which things are done, and when, is the nemesis's business.
 *
 * @module
 */
import { KvClient } from "../../../client/library/kv_client.ts";
import { Coordinator } from "../../../coordinator/coordinator.ts";
import type { CoordinatorSecurity } from "../../../coordinator/coordinator_options.ts";
import type { CoordinatorSet } from "../../../coordinator/register/coordinator_set.ts";
import { type ClusterDocument } from "../../../coordinator/state/cluster_document.ts";
import { newClusterRecord, readRecord } from "../../../coordinator/state/coordinator_record.ts";
import type { StoredCluster } from "../../../coordinator/state/stored_cluster.ts";
import { MemoryFolder } from "../../../node/storage/memory/memory_folder.ts";
import type { NodeFolder } from "../../../node/node_folder.ts";
import { NodeRuntime } from "../../../node/node_runtime.ts";
import type { SecuredNode } from "../../../node/node_runtime_options.ts";
import type { FsyncMode } from "../../../node/storage/partition_store.ts";
import { ClusterDatabase } from "../../../shared/database/cluster_database.ts";
import type { ClusterMap, NodeId } from "../../../shared/cluster/cluster_map.ts";
import { invariant, KvError, toKvError } from "../../../shared/base/errors.ts";
import { DRAIN_TIMEOUT_MS } from "../../../shared/limits/membership.ts";
import { REQUEST_TIMEOUT_MS } from "../../../shared/limits/requests.ts";
import { PROTOCOL_VERSION, type Reply } from "../../../shared/wire/messages.ts";
import {
  type Random,
  randomBelow,
  randomFraction,
  randomId,
  SeededRandom,
} from "../../../shared/platform/random.ts";
import type { Address } from "../../../shared/platform/transport.ts";
import { AccessControl } from "../../../shared/security/access_control.ts";
import { AuditLog } from "../../../shared/security/audit_log.ts";
import { LoginThrottle } from "../../../shared/security/login/login_throttle.ts";
import { PasswordHasher } from "../../../shared/security/login/password.ts";
import type { HeldMemberIdentity } from "../../../shared/security/member_identity.ts";
import { MemberAuthority } from "../../../shared/security/members/member_authority.ts";
import {
  type JudgedDocument,
  judgedPart,
  parseJudgedDocument,
  setRole,
} from "../../../shared/security/security_document.ts";
import { type SeenMap, seenOf } from "../../../shared/security/map_seal.ts";
import { SecurityKeeper } from "../../../shared/security/security_keeper.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { Router } from "../../../shared/routing/router.ts";
import { RpcClient } from "../../../shared/wire/rpc_client.ts";
import type { Storage } from "../../../node/storage/storage.ts";
import { Coverage } from "../coverage.ts";
import type { Faults } from "../faults/faults.ts";
import { OneAddressRouter } from "./one_address_router.ts";
import { ChosenDocuments, RECORD_DOCUMENT } from "./chosen_documents.ts";
import {
  between,
  type ClockOptions,
  Scheduler,
  type SimProcess,
  spread,
  START_WALL_MS,
} from "./scheduler.ts";
import { Watcher, type WatcherDeps } from "../workload/watcher.ts";
import { Scanner, type ScannerDeps } from "../workload/scanner.ts";
import { SimDisk } from "./sim_disk.ts";
import { SimFolder } from "./sim_folder.ts";
import { SimNetwork } from "./sim_network.ts";
import { SimSecurity, type SimUser } from "./sim_security.ts";
import { Trace } from "../trace.ts";
import { wireDatabase } from "./wire_database.ts";
import type { WorkloadClient } from "../workload/workload.ts";

export const COORDINATOR_HOST = "coord";
const COORDINATOR_ADDRESS: Address = { host: COORDINATOR_HOST, port: 8080 };
const HEARTBEAT_PORT = 3769;
const NODE_PORT = 8081;
/** In a secured cluster. */
const PEER_PORT = 18_081;
/** Between the moment when who has opened a connection is told that its certificates end, and that end. */
const CERTIFICATE_GRACE_MS = 2_000;

/** What a cluster is like. */
export interface ClusterShape {
  readonly nodes: number;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly minInSync: number;
  readonly repairDelayMs: number;
  readonly expectNodes: number;
  /** "interval" only if no host loses its power. */
  readonly fsync: FsyncMode;
  /** `--storage memory`: a node that starts again is another one, and has nothing. */
  readonly memory: boolean;
  /** How long a tombstone is kept. */
  readonly tombstoneKeepMs: number;
  /** How many client sessions a partition remembers. Absent: as many as in production. */
  readonly clientSessionsMax?: number | undefined;
  /** How many of a partition's latest writes a primary remembers. Absent: as many as in production. */
  readonly recentWritesMax?: number | undefined;
  /** How many entries a piece of a transfer has. Absent: as many as in production. */
  readonly resyncRowsMax?: number | undefined;
  /** Each start of the coordinator takes the next, and after the last one the first. */
  readonly leases: readonly LeaseTimes[];
  /** Clients log in, members show certificates, and somebody tries to get through. */
  readonly secured: boolean;
  /** Default 1. Several only in a cluster that is not secured. */
  readonly coordinators?: number | undefined;
}

/** Settings of the coordinator that may change from start to start. */
export interface LeaseTimes {
  readonly leaseMs: number;
  readonly failureTimeoutMs: number;
}

/** A defect, or what a test of the checkers has put instead of one. */
export interface Sabotage {
  /** Stands between a node and its disk. */
  storage?(storage: Storage, host: string): Storage;
  /** A node has been made, and serves nobody yet. */
  node?(runtime: NodeRuntime, world: World): void;
  coordinator?(coordinator: Coordinator, world: World): void;
}

/** What a host is doing as a whole. */
type Target = "run" | "rest" | "leave";

/** What a host keeps of a secured cluster. */
interface SecuredHost {
  /** What the node shows, and to whom. */
  identity: HeldMemberIdentity | undefined;
  /** The node that its certificate names; a new node gets another one. */
  certified: NodeId | undefined;
  /** What it has kept of users and revoked certificates. */
  judged: JudgedDocument | undefined;
  /** The map that it has noted last. */
  seen: SeenMap | undefined;
}

/** A node's host: its disk, and its process while one runs. */
export interface NodeHost extends SecuredHost {
  readonly name: string;
  readonly disk: SimDisk;
  nodeId: NodeId | undefined;
  process: SimProcess | undefined;
  /** While it serves. */
  runtime: NodeRuntime | undefined;
  target: Target;
  /** It has left for good. */
  gone: boolean;
}

/** The host of a coordinator. */
export interface CoordinatorHost {
  /** Another one once its disk was emptied for a new coordinator. */
  id: string;
  readonly name: string;
  readonly disk: SimDisk;
  /** What it shows in a secured run. */
  identity: HeldMemberIdentity | undefined;
  /** Of its latest time of being active, in a secured run. */
  keeper: SecurityKeeper | undefined;
  process: SimProcess | undefined;
  coordinator: Coordinator | undefined;
  /** It was taken out, and is not to run. */
  retired: boolean;
}

/** Whom a client asks: the nodes themselves, the coordinator, or one node. */
export type ClientKind = "library" | "gateway" | "node";

/** The cluster. */
export class World {
  readonly scheduler: Scheduler;
  readonly network: SimNetwork;
  readonly coverage: Coverage;
  readonly trace: Trace;
  readonly faults: Faults;
  readonly shape: ClusterShape;
  readonly hosts: NodeHost[] = [];
  /** The coordinator's host, or that of the first of several. */
  readonly first: CoordinatorHost;
  /** Those of further coordinators. */
  readonly standbys: CoordinatorHost[] = [];
  /** What the coordinator's process runs on: its disk, or an old copy. */
  #coordinatorOn: SimDisk;
  readonly clientProcesses: SimProcess[] = [];
  /** Nodes whose disks are gone for good. */
  readonly replaced = new Set<NodeId>();
  /** Something that must never happen has happened. */
  defect: Error | undefined;
  /** Told of each process that has ended. */
  onProcessEnded: (host: NodeHost) => void = () => {};
  /** Of a secured cluster. */
  readonly security: SimSecurity | undefined;
  readonly #securityRandom: Random;
  #changesOfUsers = 0;
  /** What the disks of coordinators have. */
  readonly documents: ChosenDocuments;
  readonly #sabotage: Sabotage;
  #hostNext = 1;
  #coordinatorRuns = 0;
  #coordinatorIds = 1;

  constructor(
    faults: Faults,
    shape: ClusterShape,
    options: { recording: boolean; sabotage?: Sabotage | undefined; scheduler: Scheduler },
  ) {
    this.scheduler = options.scheduler;
    this.coverage = new Coverage();
    this.trace = new Trace(this.scheduler, this.coverage, options.recording);
    this.network = new SimNetwork(this.scheduler, this.coverage, faults.network);
    this.faults = faults;
    this.shape = shape;
    this.#sabotage = options.sabotage ?? {};
    // From a random source of its own: runs that are not secured go on as they did.
    const random = this.#securityRandom = new SeededRandom(0x5ec);
    this.security = shape.secured ? new SimSecurity(random, START_WALL_MS) : undefined;
    this.documents = new ChosenDocuments(
      this.areSeveral,
      this.coverage,
      () => this.allCoordinatorHosts.map(({ disk }) => disk),
    );
    this.first = this.#coordinatorHost("c1", COORDINATOR_HOST);
    this.#coordinatorOn = this.coordinatorDisk;
    while (this.standbys.length < (shape.coordinators ?? 1) - 1) this.addCoordinator(undefined);
    if (this.areSeveral) this.#foundCluster();
    this.trace.onSuspicious = (process, event, fields) => {
      const { partition, error } = fields;
      if (typeof partition !== "number" || this.#isExplained(partition, String(error))) return;
      this.#fail(
        `${process.name} logs "${event}" of partition ${partition}, and no fault has damaged it`,
        new KvError("corrupt", JSON.stringify(fields)),
      );
    };
  }

  /**
   * Whether a fault explains that replicas of a partition differ, or that one cannot be trusted. A difference
   * is healed by what finds it; if nothing has damaged a disk, it is a bug that nothing else would tell of.
   */
  #isExplained(partition: number, error: string): boolean {
    return error.includes("it cannot be read") ||
      this.hosts.some(({ disk }) => disk.everVanished || disk.everFlipped.has(partition));
  }

  get nowMs(): number {
    return this.scheduler.nowMs;
  }

  /** By how much the dates of two processes may differ. */
  get clocksMs(): number {
    const { rates, wallOffsetMs } = this.faults;
    return rates.wallJump > 0 ? Infinity : 2 * wallOffsetMs;
  }

  /** Whether the cluster has several coordinators, or had them at first. */
  get areSeveral(): boolean {
    return (this.shape.coordinators ?? 1) > 1;
  }

  /** The disk of the first host, ... */
  get coordinatorDisk(): SimDisk {
    return this.first.disk;
  }

  /** ... its process, ... */
  get coordinatorProcess(): SimProcess | undefined {
    return this.first.process;
  }

  /** ... and the coordinator there. */
  get firstCoordinator(): Coordinator | undefined {
    return this.first.coordinator;
  }

  /** All hosts of coordinators, those included that were taken out. */
  get allCoordinatorHosts(): CoordinatorHost[] {
    return [this.first, ...this.standbys];
  }

  /** All coordinators that run, by host. */
  get coordinators(): { name: string; process: SimProcess; coordinator: Coordinator }[] {
    const all: { name: string; process: SimProcess; coordinator: Coordinator }[] = [];
    for (const { name, process, coordinator } of this.allCoordinatorHosts) {
      if (process !== undefined && coordinator !== undefined) {
        all.push({ name, process, coordinator });
      }
    }
    return all;
  }

  /** The active coordinator, or the first one if there is none. */
  get coordinator(): Coordinator | undefined {
    const active = this.coordinators.find(({ coordinator, process }) =>
      coordinator.isActive && process.running && coordinator.coordinators().right
    );
    return active?.coordinator ?? this.firstCoordinator;
  }

  /** The names of the hosts of coordinators that are to run. */
  get coordinatorHosts(): string[] {
    return this.allCoordinatorHosts.flatMap(({ name, retired }) => retired ? [] : [name]);
  }

  /** The set of the newest document that a majority's disks have, if there are several coordinators. */
  get coordinatorSet(): CoordinatorSet | undefined {
    return this.documents.set;
  }

  /** The document on the coordinator's disk, or the newest that a majority's disks have; undefined before the first. */
  get document(): ClusterDocument | undefined {
    return this.documents.newest;
  }

  get persisted(): StoredCluster | undefined {
    return this.document?.cluster;
  }

  get map(): ClusterMap | undefined {
    return this.persisted?.map;
  }

  hostOf(id: NodeId | undefined): NodeHost | undefined {
    return id === undefined ? undefined : this.hosts.find(({ nodeId }) => nodeId === id);
  }

  /** Hosts that have not left for good. */
  get members(): NodeHost[] {
    return this.hosts.filter(({ gone }) => !gone);
  }

  /** A process with a clock of its own. */
  spawn(name: string, host: string): SimProcess {
    const { random } = this.scheduler;
    const { drift, wallOffsetMs } = this.faults;
    const clock: ClockOptions = {
      offsetMs: between(random, 0, 50),
      wallOffsetMs: between(random, -wallOffsetMs, wallOffsetMs),
      drift: drift * (randomBelow(random, 3) === 0
        // Extremes are worth more than the middle.
        ? (randomFraction(random) < 0.5 ? -1 : 1)
        : between(random, -1, 1)),
    };
    return this.scheduler.spawn(name, host, clock);
  }

  // The coordinator.

  /**
   * Starts all that are to run.
   *
   * @param disk an old copy, if somebody has put one in the place of the first one's own
   * @param acceptEpoch the operator goes on from the document of this epoch, although nodes have seen later ones
   */
  startCoordinator(disk = this.coordinatorDisk, acceptEpoch?: number): void {
    for (const host of this.standbys) if (!host.retired) this.startStandby(host);
    if (!this.first.retired) this.startFirst(disk, acceptEpoch);
  }

  /** As {@linkcode startCoordinator}, the one on the first host alone. */
  startFirst(disk = this.coordinatorDisk, acceptEpoch?: number): void {
    if (this.first.process !== undefined) return;
    this.#coordinatorOn = disk;
    const { leases } = this.shape;
    const times = leases[this.#coordinatorRuns % leases.length];
    if ((this.map?.settings.leaseMs ?? 0) > (times?.leaseMs ?? 0)) {
      this.coverage.hit("fault: lease shortened");
    }
    this.#start(this.first, disk, times, acceptEpoch);
  }

  startStandby(host: CoordinatorHost): void {
    if (host.process === undefined) this.#start(host, host.disk, this.shape.leases[0]);
  }

  #start(
    host: CoordinatorHost,
    disk: SimDisk,
    times: LeaseTimes | undefined,
    acceptEpoch?: number,
  ): void {
    const { name } = host;
    this.network.powerOn(name);
    const process = host.process = this.spawn(`${name}#${++this.#coordinatorRuns}`, name);
    const isOld = disk !== host.disk;
    this.trace.add(process.name, `the process starts${isOld ? " on an old document" : ""}`);
    const { identity } = host;
    const start = (security?: CoordinatorSecurity) =>
      Coordinator.start({
        clock: process.clock,
        random: process.random,
        transport: identity === undefined
          ? this.network.transport(process)
          : this.network.transport(process, { identity, clients: true }),
        store: disk.document(process, RECORD_DOCUMENT),
        logger: (category) => this.trace.logger(process, category),
      }, {
        ...(this.areSeveral ? { id: host.id, join: this.#toJoin(host) } : {}),
        ...(this.areSeveral ? { clusterId: this.#severalId } : {}),
        listen: { host: name, port: COORDINATOR_ADDRESS.port },
        heartbeats: { host: name, port: HEARTBEAT_PORT },
        settings: this.#settings(times),
        repairDelayMs: this.shape.repairDelayMs,
        expectNodes: this.shape.expectNodes,
        acceptEpoch,
        cacheEntries: 16,
        ...(security === undefined ? {} : { security }),
      });
    const started = this.security === undefined || identity === undefined
      ? start()
      : this.#openSecurity(this.security, identity, { process, host, disk }, times).then(start);
    started.then((coordinator) => {
      if (!process.alive) return;
      host.coordinator = coordinator;
      this.#sabotage.coordinator?.(coordinator, this);
      if (isOld) this.#watchOldDocument(process, coordinator);
    }, (error) => this.#fail(`${name} does not start: ${toKvError(error).message}`, error));
  }

  /** Where the others are, for a folder that has no document. */
  #toJoin(host: CoordinatorHost): Address[] {
    if (host.disk.documents.get(RECORD_DOCUMENT)?.includes('"accepted":') === true) return [];
    return this.coordinatorHosts.filter((name) => name !== host.name)
      .map((name) => ({ host: name, port: COORDINATOR_ADDRESS.port }));
  }

  /** One more, or one with an empty disk again: it waits for an operator's word. */
  addCoordinator(host: CoordinatorHost | undefined): CoordinatorHost {
    const id = `c${++this.#coordinatorIds}`;
    if (host === undefined) {
      const name = `${COORDINATOR_HOST}${this.standbys.length + 2}`;
      const added = this.#coordinatorHost(id, name);
      this.standbys.push(added);
      return added;
    }
    host.disk.wipe();
    host.id = id;
    host.retired = false;
    host.identity = this.security?.identityOf(id, "coordinator");
    return host;
  }

  #coordinatorHost(id: string, name: string): CoordinatorHost {
    const identity = this.areSeveral
      ? this.security?.identityOf(id, "coordinator")
      : this.security?.identityOf(randomId(this.#securityRandom), "coordinator");
    return {
      id,
      name,
      disk: this.#disk(name),
      identity,
      keeper: undefined,
      process: undefined,
      coordinator: undefined,
      retired: false,
    };
  }

  /** Several coordinators have been added already: all their disks have the first document. */
  #foundCluster(): void {
    const hosts = this.allCoordinatorHosts;
    const voters = hosts.map(({ id, name }) => ({
      id,
      folder: `f-${id}`,
      address: { host: name, port: COORDINATOR_ADDRESS.port },
    }));
    const [first] = voters;
    invariant(first !== undefined, "there is a first coordinator");
    const settings = this.#settings(this.shape.leases[0]);
    const security = this.security?.document;
    const { accepted, ...rest } = newClusterRecord(first, {
      clusterId: this.#severalId,
      settings,
      ...(security === undefined ? {} : { security }),
    });
    invariant(accepted !== undefined, "a new cluster has a document");
    const document = { ...accepted.document, set: { voters, joint: false } };
    hosts.forEach(({ id, disk }) => {
      const record = { ...rest, id, folder: `f-${id}`, accepted: { ...accepted, document } };
      disk.documents.set(RECORD_DOCUMENT, JSON.stringify(record));
    });
  }

  killStandby(host: CoordinatorHost, power: boolean): void {
    const { process } = host;
    if (process === undefined) return;
    this.trace.add(process.name, power ? "killed" : "loses its power");
    process.kill();
    this.network.processDied(process, power);
    host.disk.crash(power);
    host.process = undefined;
    host.coordinator = undefined;
  }

  /** In good order. */
  stopStandby(host: CoordinatorHost, then: () => void): void {
    const { coordinator, process } = host;
    if (coordinator === undefined || process === undefined) return;
    this.trace.add(process.name, "is told to stop");
    const ended = () => {
      if (host.process !== process) return;
      this.killStandby(host, true);
      then();
    };
    coordinator.close().then(ended, (error) => {
      this.#fail(`${host.name} does not stop`, error);
      ended();
    });
  }

  /** As the coordinator's program does it: reads the document, or begins with the first one. */
  async #openSecurity(
    { document: first }: SimSecurity,
    identity: HeldMemberIdentity,
    on: { readonly process: SimProcess; readonly host: CoordinatorHost; readonly disk: SimDisk },
    times: LeaseTimes | undefined,
  ): Promise<CoordinatorSecurity> {
    const { process, host, disk } = on;
    const store = disk.document(process, RECORD_DOCUMENT);
    const kept = await readRecord(store);
    if (kept === undefined && !this.areSeveral) {
      await store.write(newClusterRecord(
        { id: "c1", folder: randomId(process.random), address: COORDINATOR_ADDRESS },
        {
          clusterId: this.security?.clusterId ?? "",
          settings: this.#settings(times),
          security: first,
        },
      ));
    }
    // One that joins is given, with its certificate, what nodes are given.
    const joined = this.areSeveral ? judgedPart(this.document?.security ?? first) : first;
    const document = kept?.accepted?.document.body.security ?? joined;
    const { clock, random } = process;
    const audit = new AuditLog(clock, () => {});
    const hasher = new PasswordHasher();
    const access = new AccessControl(
      { clock, hasher, throttle: new LoginThrottle(), audit },
      document,
    );
    const revoke = ({ revoked }: JudgedDocument) =>
      identity.setRevoked(revoked.map(({ serial }) => serial));
    access.onChange(revoke);
    revoke(document);
    return {
      access,
      adopt: (next) => access.adopt(next),
      unlisted: () => undefined,
      openOffice: (held, write) => {
        const keeper = new SecurityKeeper({ clock, random, hasher, audit, access, write }, held);
        host.keeper = keeper;
        return { keeper, members: new MemberAuthority({ clock, keeper, audit }) };
      },
    };
  }

  #settings(times: LeaseTimes | undefined) {
    return {
      partitionCount: this.shape.partitions,
      replicationFactor: this.shape.replicationFactor,
      minInSync: this.shape.minInSync,
      ...times,
    };
  }

  /** Of the coordinator that is active, in a secured run. */
  get #keeper(): SecurityKeeper | undefined {
    const active = this.coordinator;
    return this.allCoordinatorHosts.find(({ coordinator }) => coordinator === active)?.keeper;
  }

  get #severalId(): string {
    return this.security?.clusterId ?? "several";
  }

  /** An administrator changes a role, in a secured cluster whose coordinator runs. */
  changeUsers(): void {
    if (this.coordinator === undefined || this.#keeper === undefined) return;
    const prefix = `changed-${++this.#changesOfUsers}:`;
    const grants = [{ database: "default", prefix, right: "read" }] as const;
    this.#keeper.carryOut(
      Promise.resolve((document) => ({
        document: setRole(document, { name: "changed", grants }),
        result: null,
      })),
      {
        what: "role_set",
        whyRefused: () => undefined,
        audited: { event: "changed", what: "role_set", name: "changed" },
        caller: { user: "root", from: COORDINATOR_HOST },
      },
      ({ req_type: type }) => {
        if (type === "result") this.coverage.hit("fault: users changed");
      },
    );
  }

  /** The certificate of a member of a secured cluster ends; it has had its next one for a while. */
  endCertificate(): void {
    const { security } = this;
    if (security === undefined) return;
    const hosts = [...this.members, ...this.allCoordinatorHosts];
    const host = hosts[randomBelow(this.#securityRandom, hosts.length)];
    const identity = host?.identity;
    if (host?.process === undefined || identity === undefined) return;
    const { id, role } = JSON.parse(identity.current().certificate);
    identity.renew(security.identityOf(id, role).current());
    this.coverage.hit("fault: certificate ends");
    this.network.expire(host.process, CERTIFICATE_GRACE_MS);
  }

  /** A node that runs and does not judge as the coordinator says. */
  get whoJudgesByOldUsers(): string | undefined {
    // If an old copy was put back, nodes have a later version than the coordinator.
    const version = this.#keeper?.document.version ?? 0;
    const behind = this.members.find(({ runtime, judged }) =>
      runtime !== undefined && (judged?.version ?? 0) < version
    );
    return behind &&
      `${behind.name} judges by users of version ${behind.judged?.version}, and there is version ${version}`;
  }

  killCoordinator(power: boolean): void {
    const process = this.coordinatorProcess;
    if (process === undefined) return;
    this.trace.add(process.name, power ? "killed" : "loses its power");
    process.kill();
    this.network.processDied(process, power);
    this.#coordinatorOn.crash(power);
    this.first.process = undefined;
    this.first.coordinator = undefined;
  }

  /** In good order. */
  stopCoordinator(then: () => void): void {
    const { firstCoordinator: coordinator, coordinatorProcess: process } = this;
    if (coordinator === undefined || process === undefined) return;
    this.trace.add(process.name, "is told to stop");
    const ended = () => {
      if (this.coordinatorProcess !== process) return;
      this.killCoordinator(true);
      then();
    };
    coordinator.close().then(ended, (error) => {
      this.#fail("the coordinator does not stop", error);
      ended();
    });
  }

  /** All nodes that run have seen later maps than the coordinator's document has. */
  #watchOldDocument(process: SimProcess, coordinator: Coordinator): void {
    if (!process.alive) return;
    const { nodes, stale_document: stale } = coordinator.stats() as {
      nodes: { up: number };
      stale_document: string | null;
    };
    if (nodes.up > 0) this.#fail("a coordinator with an old document has let a node in", undefined);
    if (stale !== null) this.coverage.hit("coordinator: old document refused");
    this.scheduler.after(50, undefined, () => this.#watchOldDocument(process, coordinator));
  }

  // Nodes.

  addHost(): NodeHost {
    const name = `n${this.#hostNext++}`;
    const host: NodeHost = {
      name,
      disk: this.#disk(name),
      nodeId: undefined,
      process: undefined,
      runtime: undefined,
      target: "run",
      identity: undefined,
      certified: undefined,
      judged: undefined,
      seen: undefined,
      gone: false,
    };
    this.hosts.push(host);
    return host;
  }

  startNode(host: NodeHost): void {
    if (host.process !== undefined || host.gone) return;
    host.target = "run";
    this.network.powerOn(host.name);
    const process = this.spawn(host.name, host.name);
    host.process = process;
    this.coverage.hit("node: started");
    this.trace.add(host.name, "the process starts");
    const sabotage = this.#sabotage;
    this.#startRuntime(process, host, async () => {
      const folder = this.shape.memory
        // What a dead process had in memory is gone; see `#end`.
        ? withStorage(
          new MemoryFolder(process.clock, process.random),
          host.disk.memory(process),
        )
        : await SimFolder.open(host.disk, process);
      host.nodeId = folder.nodeId;
      this.#certify(host, folder.nodeId);
      return sabotage.storage === undefined
        ? folder
        : withStorage(folder, sabotage.storage(folder.storage, host.name));
    }).then((runtime) => {
      if (!process.alive) return;
      host.runtime = runtime;
      this.trace.add(host.name, `runs as node ${host.nodeId}`);
      sabotage.node?.(runtime, this);
      runtime.failed.then((error) => {
        if (process.alive) this.#onFailed(host, process, error);
      });
    }, (error) => {
      if (!process.alive) return;
      this.#onFailed(host, process, toKvError(error));
    });
  }

  #startRuntime(
    process: SimProcess,
    of: SecuredHost,
    openFolder: () => Promise<NodeFolder>,
  ): Promise<NodeRuntime> {
    return NodeRuntime.start({
      clock: process.clock,
      random: process.random,
      transport: this.network.transport(process),
      logger: (category) => this.trace.logger(process, category),
    }, {
      listen: [{ host: process.host, port: NODE_PORT }],
      openFolder,
      memory: this.shape.memory,
      fsync: this.shape.fsync,
      cacheBytes: this.scheduler.random.uint32() % 2 === 0 ? 0 : 8 * 1024,
      tombstoneKeepMs: this.shape.tombstoneKeepMs,
      clientSessionsMax: this.shape.clientSessionsMax,
      recentWritesMax: this.shape.recentWritesMax,
      resyncRowsMax: this.shape.resyncRowsMax,
      weight: 1,
      secured: this.security === undefined ? undefined : this.#secureNode(process, of),
      cluster: {
        locate: (use) =>
          process.clock.defer(() =>
            use(this.#firstHosts.map((host) => ({ host, port: COORDINATOR_ADDRESS.port })))
          ),
      },
    });
  }

  /** Whom operators have named to nodes: those that there were at first. The map names the others. */
  get #firstHosts(): string[] {
    return this.allCoordinatorHosts.slice(0, this.shape.coordinators ?? 1).map(({ name }) => name);
  }

  /** The node's certificate, which a machine gets when it joins. */
  #certify(host: SecuredHost, id: NodeId): void {
    const { security } = this;
    if (security === undefined || host.certified === id) return;
    host.certified = id;
    const { identity } = host;
    const made = security.identityOf(id, "node");
    if (identity === undefined) host.identity = made;
    else identity.renew(made.current());
  }

  /** As the node's program does it. */
  #secureNode(process: SimProcess, host: SecuredHost): SecuredNode {
    const { security } = this;
    invariant(security !== undefined, "the run is secured");
    // It gets its certificate when its folder is open, before it connects to anybody.
    const identity = host.identity ??= security.identityOf(randomId(process.random), "node");
    const access = new AccessControl({
      clock: process.clock,
      hasher: new PasswordHasher(),
      throttle: new LoginThrottle(),
      audit: new AuditLog(process.clock, () => {}),
    }, host.judged ?? judgedPart(security.document));
    const adopt = (document: JudgedDocument) => {
      host.judged = document;
      identity.setRevoked(document.revoked.map(({ serial }) => serial));
    };
    access.onChange(adopt);
    adopt(access.document);
    return {
      access,
      // How certificates are renewed is not simulated: see `endCertificate`.
      membership: {
        start: () => {},
        stop: () => {},
        get seen() {
          return host.seen;
        },
        noteSeen: (map, done) =>
          process.clock.defer(() => {
            host.seen = seenOf(map);
            done();
          }),
        onCertificate: () => {},
        onSecurity: ({ document }) => access.adopt(parseJudgedDocument(document)),
      },
      transport: this.network.transport(process, { identity, clients: false }),
      listen: () => [{ host: process.host, port: PEER_PORT }],
    };
  }

  /** Where clients of a secured cluster get in, and where members do: the coordinator's port is both. */
  get ports(): { readonly clients: Address[]; readonly members: Address[] } {
    const coordinator = { host: COORDINATOR_HOST, port: COORDINATOR_ADDRESS.port };
    const of = (port: number) => this.members.map(({ name: host }) => ({ host, port }));
    return {
      clients: [coordinator, ...of(NODE_PORT)],
      members: [coordinator, ...of(PEER_PORT)],
    };
  }

  /** What a client's `hello` says. */
  #login(user: SimUser): { secret?: string } {
    return this.security === undefined ? {} : { secret: this.security.tokenOf(user) };
  }

  /** A new machine, with an empty disk, comes at the address of one that does not run. */
  replaceNode(host: NodeHost): void {
    if (host.nodeId !== undefined) this.replaced.add(host.nodeId);
    host.disk.wipe();
    host.nodeId = undefined;
    host.seen = undefined;
    this.startNode(host);
  }

  /**
   * Somebody starts a process on an old copy of a node's folder, on a host of its own. It must be
   * refused, whether the node itself runs or not, and must never serve.
   *
   * @param disk the copy, older than the node's last start
   * @returns ends the process, wherever it is
   */
  startOnOldFolder(disk: SimDisk): () => void {
    const process = this.spawn(disk.name, disk.name);
    this.trace.add(disk.name, "a process starts on an old copy of a folder");
    const end = () => {
      if (!process.alive) return;
      process.kill();
      this.network.processDied(process, true);
    };
    // The copy is of the whole machine: it has a certificate of the node.
    const own: SecuredHost = {
      identity: undefined,
      certified: undefined,
      judged: undefined,
      seen: undefined,
    };
    this.#startRuntime(process, own, async () => {
      const folder = await SimFolder.open(disk, process);
      this.#certify(own, folder.nodeId);
      return folder;
    }).then((runtime) => {
      if (!process.alive) return;
      runtime.failed.then((error) => {
        if (!process.alive) return;
        if (error.code === "stale_incarnation") this.coverage.hit("node: old folder refused");
        else this.#fail(`${disk.name}, on an old folder, ends with ${error.message}`, error);
        end();
      });
      const watch = () => {
        if (!process.alive) return;
        if (runtime.node.hasLease || runtime.up) {
          this.#fail(`${disk.name} was let in with an old folder`, undefined);
        }
        this.scheduler.after(50, undefined, watch);
      };
      watch();
    }, (error) => this.#fail(`${disk.name}, on an old folder, does not start`, error));
    return end;
  }

  /** It has ended with an error. A supervisor starts it again; only a disk's errors are its right. */
  #onFailed(host: NodeHost, process: SimProcess, error: KvError): void {
    if (error.code === "corrupt") this.coverage.hit("node: starts again for a repair");
    else if (error.code === "storage_failed") this.coverage.hit("node: start failed");
    else {
      this.#fail(`node ${host.name} cannot go on: ${error.message}`, error);
      return;
    }
    this.trace.add(host.name, `ends: ${error.message}`);
    this.#end(host, process, true);
    this.scheduler.after(1_000, undefined, () => {
      if (host.target === "run") this.startNode(host);
    });
  }

  /** @param power false: its system does not even close its connections, and forgets what was not synced */
  killNode(host: NodeHost, power: boolean): void {
    const { process } = host;
    if (process === undefined) return;
    this.trace.add(host.name, power ? "killed" : "loses its power");
    this.#end(host, process, power);
  }

  /** In good order. */
  stopNode(host: NodeHost, then: () => void): void {
    const { runtime, process } = host;
    if (runtime === undefined || process === undefined || host.target !== "run") return;
    host.target = "rest";
    this.trace.add(host.name, "is told to stop");
    const ended = () => {
      if (!process.alive) return;
      this.#end(host, process, true);
      then();
    };
    runtime.stop(DRAIN_TIMEOUT_MS).then(ended, (error) => {
      if (!isOfDisk(toKvError(error))) this.#fail(`${host.name}: stop`, error);
      ended();
    });
  }

  /** For good, once others have what it holds. */
  leaveNode(host: NodeHost): void {
    const { runtime, process } = host;
    if (runtime === undefined || process === undefined || host.target !== "run") return;
    host.target = "leave";
    this.trace.add(host.name, "is told to leave");
    const ended = () => {
      if (!process.alive) return;
      this.coverage.hit("node: left");
      this.#end(host, process, true);
      host.gone = true;
    };
    runtime.leave().then(ended, (error) => {
      if (!isOfDisk(toKvError(error))) this.#fail(`${host.name}: leave`, error);
      ended();
    });
  }

  /**
   * Somebody who is no node says hello to a node as one, and then sends what a primary sends, of each partition
   * and in this term or a later one. Nobody may believe any of it.
   */
  claimPartitions(host: NodeHost, random: Random): void {
    const { map } = this;
    if (map === undefined) return;
    const stranger = randomId(random);
    const process = this.spawn("stranger", "stranger");
    const say = (connection: Connection) => {
      const { clusterId: cluster_id } = map.settings;
      const hello = { req_type: "hello", protocol: PROTOCOL_VERSION, role: "peer", cluster_id };
      connection.send({ ...hello, node: stranger });
      map.partitions.forEach(({ term: known, inSync, learners }, p) => {
        const term = known + randomBelow(random, 3);
        const config = { term, primary: stranger, inSync: [stranger, ...inSync], learners };
        const stream = 1_000_000 + randomBelow(random, 1_000);
        const about = { p, term, stream };
        connection.send({ req_type: "resync_query", p, config, epoch: map.epoch + 1, stream });
        connection.send({ req_type: "new_term", p, config, epoch: map.epoch + 1, stream });
        connection.send({ req_type: "resync_begin", ...about, next: 1_000_000, full: false });
        connection.send({
          req_type: "resync_end",
          ...about,
          last: 999_999,
          commit: 1,
          watermark: 0,
        });
        const entry = ["of a stranger", 1_000_000, term, 0, 1, 0, "1"];
        connection.send({ req_type: "append", parts: [[p, term, stream, 0, [entry]]] });
      });
    };
    this.network.transport(process).connect(
      { host: host.name, port: NODE_PORT },
      REQUEST_TIMEOUT_MS,
      (stream) =>
        say(
          new Connection(stream, process.clock, {
            onMessage: () => {},
            onInvalid: () => {},
            onClose: () => {},
          }),
        ),
      () => {},
    );
    this.scheduler.after(spread(random, 100, 10_000), undefined, () => {
      process.kill();
      this.network.processDied(process, true);
    });
  }

  /** An operator's order, as `kv-coordinator --force` gives it. */
  force(partition: number, then: (reply: Reply) => void, node?: NodeId): void {
    this.#order({ req_type: "force", partition, node }, then);
  }

  /** An operator's word that a node will not come back. */
  forgetNode(node: NodeId, force: boolean, then: (reply: Reply) => void): void {
    this.#order({ req_type: "forget_node", node, force }, then);
  }

  /** An operator's word about who is to be a coordinator, given to the one on a host. */
  orderCoordinators(
    change: { readonly add?: readonly string[]; readonly remove?: readonly string[] },
    host: string,
    then: (reply: Reply) => void,
  ): void {
    this.#order({ req_type: "coordinators_change", ...change }, then, host);
  }

  #order(order: object, then: (reply: Reply) => void, host = COORDINATOR_HOST): void {
    const process = this.spawn("operator", "operator");
    const { clock, random } = process;
    const rpc = new RpcClient(
      { clock, random, transport: this.network.transport(process) },
      { host, port: COORDINATOR_ADDRESS.port },
      {
        req_type: "hello",
        protocol: PROTOCOL_VERSION,
        role: "client",
        ...this.#login("root"),
      },
    );
    rpc.request(order, REQUEST_TIMEOUT_MS, (reply) => {
      rpc.close();
      then(reply);
    });
  }

  // Clients.

  /** @param named whether the cluster knows its requests again, so that they may be repeated */
  addClient(
    index: number,
    kind: ClientKind,
    concurrency: number,
    named: boolean,
  ): WorkloadClient {
    return this.#addClient(index, kind, concurrency, named).client;
  }

  /** A client that scans: it merges the nodes' pages itself, or has another do so. */
  addScanner(
    index: number,
    kind: ClientKind,
    deps: Pick<ScannerDeps, "random" | "history" | "leisure">,
  ): { scanner: Scanner; client: WorkloadClient } {
    const { client, router, newRouter } = this.#addClient(index, kind, 1, true);
    const { kv, clock } = client;
    const database = kind === "library"
      ? new ClusterDatabase({
        clock,
        random: deps.random,
        router,
        execute: (request, timeoutMs, done) => router.execute(request, timeoutMs, done),
      })
      : wireDatabase(router);
    const nowMs = () => this.nowMs;
    const backups = newRouter("library");
    return {
      scanner: new Scanner({ ...deps, kv, clock, database, nowMs, router: backups }),
      client,
    };
  }

  /** A client that watches all keys. */
  addWatcher(
    index: number,
    slow: boolean,
    deps: Pick<WatcherDeps, "random" | "committed" | "isForced" | "prefix">,
  ): Watcher {
    const { client, router } = this.#addClient(index, "library", 1, true);
    const { clock, name } = client;
    const database = new ClusterDatabase({
      clock,
      random: deps.random,
      router,
      execute: (request, timeoutMs, done) => router.execute(request, timeoutMs, done),
    });
    return new Watcher({
      ...deps,
      name: `watcher ${name}`,
      clock,
      slow,
      partitions: this.shape.partitions,
      watch: (request) => database.watch(request),
      close: () => {
        database.close();
        client.kv.close();
      },
    });
  }

  #addClient(index: number, kind: ClientKind, concurrency: number, named: boolean) {
    const name = `c${index}`;
    const process = this.spawn(name, name);
    this.clientProcesses.push(process);
    const { clock, random } = process;
    const deps = { clock, random, transport: this.network.transport(process) };
    const coordinator = { host: COORDINATOR_HOST, port: COORDINATOR_ADDRESS.port };
    const nodes = this.hosts.map((host) => ({ host: host.name, port: NODE_PORT }));
    const seeds = [coordinator, ...nodes];
    const newRouter = (kind: ClientKind) =>
      kind === "library"
        ? new Router(deps, { role: "client", seeds, hello: this.#login("app") })
        : new OneAddressRouter(
          deps,
          kind === "gateway" ? coordinator : nodes[index % nodes.length] ?? coordinator,
          this.#login("app"),
        );
    const router = newRouter(kind);
    let sessions = 0;
    const client: WorkloadClient = {
      name,
      kv: new KvClient({ clock, router, clientId: named ? name : undefined }),
      clock,
      concurrency,
      gateway: kind === "gateway",
      open: () =>
        new KvClient({
          clock,
          router: newRouter(kind),
          clientId: named ? `${name}-${++sessions}` : undefined,
        }),
    };
    return { client, router, newRouter };
  }

  /** Ends everything cleanly; resolves when all has ended. */
  async closeAll(): Promise<void> {
    const closing: Promise<unknown>[] = [];
    for (const { runtime } of this.members) {
      if (runtime !== undefined) closing.push(runtime.close());
    }
    for (const { coordinator } of this.coordinators) closing.push(coordinator.close());
    await Promise.all(closing);
  }

  /** How long something stays as it is. */
  outageMs(): number {
    return spread(this.scheduler.random, 50, this.faults.outageMsMax);
  }

  #end(host: NodeHost, process: SimProcess, power: boolean): void {
    process.kill();
    this.network.processDied(process, power);
    host.disk.crash(power);
    if (this.shape.memory) {
      host.disk.wipe();
      host.nodeId = undefined;
    }
    host.process = undefined;
    host.runtime = undefined;
    this.onProcessEnded(host);
  }

  #disk(name: string): SimDisk {
    return new SimDisk(name, this.scheduler, this.coverage);
  }

  #fail(what: string, cause: unknown): void {
    this.defect ??= new KvError("internal", what, { cause });
  }
}

function isOfDisk({ code }: KvError): boolean {
  return code === "storage_failed" || code === "corrupt";
}

function withStorage(folder: NodeFolder, storage: Storage): NodeFolder {
  return {
    nodeId: folder.nodeId,
    incarnation: folder.incarnation,
    get clusterId() {
      return folder.clusterId;
    },
    get partitionCount() {
      return folder.partitionCount;
    },
    storage,
    get repaired() {
      return folder.repaired;
    },
    joinCluster: (id: string, count: number) => folder.joinCluster(id, count),
    keptMap: folder.keptMap,
    keepMap: (map: ClusterMap) => folder.keepMap(map),
    requestRepair: () => folder.requestRepair(),
    repairDone: () => folder.repairDone(),
    close: () => folder.close(),
  };
}
