/**
 * The core of a node: its replicas (`node_replicas.ts`), its lease, its map, its conversations with other nodes
 * (`peers/`) and the work that time brings, put together. Clients, the coordinator's session and the heartbeats
 * are around it (`server/`, `membership/`); the rules of replication are below it (`replication/`). It has no
 * socket and no file of its own.
 *
 * @module
 */
import { ByteBudget } from "../shared/base/byte_budget.ts";
import { type Clock, setPeriodic, type Timer } from "../shared/platform/clock.ts";
import { TurnTime } from "../shared/platform/turn_time.ts";
import {
  type ClusterMap,
  findNode,
  type NodeId,
  whyNoPrimary,
} from "../shared/cluster/cluster_map.ts";
import type { KvError } from "../shared/base/errors.ts";
import {
  DIGEST_INTERVAL_MS,
  IN_FLIGHT_BYTES_MAX,
  NODE_TICK_MS,
  RECENT_WRITES_MAX,
  REPORT_REPEAT_MS,
  RESYNC_CHUNK_ROWS,
  SCRUB_INTERVAL_MS,
  TOMBSTONE_KEEP_MS,
} from "../shared/limits/replication.ts";
import { CLIENT_SESSIONS_MAX } from "../shared/limits/requests.ts";
import {
  DISK_CHECK_MS,
  JOURNAL_KEPT_AWAY_MS,
  JOURNAL_KEPT_MS,
  partitionShare,
} from "../shared/limits/storage.ts";
import type { MetricSet } from "../shared/metrics/metric_set.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { HealthReport } from "../shared/http/protocol/health_report.ts";
import type { PeerHandlers } from "../shared/server/peer_server.ts";
import {
  type DownstreamMessage,
  type HeldPartition,
  isPartRequest,
  type Message,
  type PartRequest,
  type Reply,
  type ReplyTo,
  type RoutedRequest,
} from "../shared/wire/messages.ts";
import {
  type DatabaseSize,
  type DatabaseUsage,
  lacksDatabaseOf,
  whyNotServed,
} from "../shared/cluster/databases.ts";
import type { ReadRange } from "../shared/operations/ranges.ts";
import type { VersionCheck } from "../shared/operations/transaction.ts";
import { partitionOf } from "../shared/cluster/position.ts";
import { WorkScheduler } from "../shared/scheduling/work_scheduler.ts";
import type { RequestTracing } from "../shared/tracing/request_tracing.ts";
import { type Random, randomId } from "../shared/platform/random.ts";
import type { Transport } from "../shared/platform/transport.ts";
import { ResyncCounts } from "./replication/resync_counts.ts";
import { BackupSnapshots } from "./scans/backup_snapshots.ts";
import { DroppedDatabases } from "./maintenance/dropped_databases.ts";
import { ExpirySweep } from "./maintenance/expiry_sweep.ts";
import { DatabaseQuotas, type Growth } from "./server/database_quotas.ts";
import { QuotaGate } from "./server/quota_gate.ts";
import { countPartitions, nodeHealth } from "./server/node_health.ts";
import { DiskHealth } from "./maintenance/disk_health.ts";
import { Compaction } from "./maintenance/compaction.ts";
import { Scrubber } from "./maintenance/scrubber.ts";
import { Lease, type Moment } from "./membership/lease.ts";
import { NodeScans } from "./scans/node_scans.ts";
import { NodeWatch } from "./watch/node_watch.ts";
import { errorReply } from "../shared/operations/operation.ts";
import type { GroupCommit, OpenedPartitions } from "./storage/partition_store.ts";
import { Peers } from "./peers/peers.ts";
import type { PeerConnection } from "./peers/upstream_connection.ts";
import { NodeReplicas } from "./node_replicas.ts";
import { ReadConfirmations } from "./requests/read_confirmations.ts";
import type { Replica, ReplicaOwner } from "./replication/replica.ts";
import { Retries } from "./replication/retries.ts";
import { ClientSessionCounts } from "./requests/client_session_table.ts";
import { TransactionCounts } from "./transactions/transaction_counts.ts";
import { collectNode } from "./server/node_metrics.ts";
import { replicaStats } from "./server/replica_stats.ts";
import { ReportOutbox } from "./membership/report_outbox.ts";
import { TransferPacer } from "./replication/transfer_pacer.ts";

/** How many of the things that fail again and again `stats` lists. */
const STATS_RETRIES_MAX = 16;

/** What a node is given. */
export interface NodeDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly log: Logger;
  readonly queue: GroupCommit;
  /** What the disk held when it was opened. */
  readonly opened: OpenedPartitions;
  /** Of a process that traces requests. */
  readonly tracing?: RequestTracing | undefined;
}

/** Who a node is. */
export interface NodeOptions {
  readonly nodeId: NodeId;
  /** A one-node cluster without a coordinator: its lease never ends. */
  readonly standalone?: boolean;
  /** The newest map that an earlier process of the node has kept: whom it followed. Default: none. */
  readonly keptMap?: ClusterMap | undefined;
  /** Default {@linkcode TOMBSTONE_KEEP_MS}. */
  readonly tombstoneKeepMs?: number;
  /** How many client sessions each partition remembers. Default: its share of {@linkcode CLIENT_SESSIONS_MAX}. */
  readonly clientSessionsMax?: number | undefined;
  /** How many of a partition's latest writes are remembered for replicas that lack them. Default {@linkcode RECENT_WRITES_MAX}. */
  readonly recentWritesMax?: number | undefined;
  /** Entries in one piece of a transfer to another replica. Default {@linkcode RESYNC_CHUNK_ROWS}. */
  readonly resyncRowsMax?: number | undefined;
}

/** The way to the coordinator; what is sent while it is down is dropped. */
export interface CoordinatorLink {
  send(message: object): void;
}

/** The core of a node. */
export class Node {
  readonly nodeId: NodeId;
  coordinator: CoordinatorLink | undefined;
  /** The way to other partitions, for transactions over several of them. */
  route: (request: PartRequest, timeoutMs: number, done: ReplyTo) => void = (request, _, done) =>
    done(errorReply("unavailable", `${request.req_type}: this node reaches no other`));
  /** Told when the database has rows that cannot be read, and are to be deleted. */
  onNeedsRepair: (error: KvError) => void = () => {};
  /** It goes by a map that lacks a database of the one before, and the coordinator may be waiting for that. Rule C13. */
  onDropNoted: () => void = () => {};
  /** Told when this node has stopped being the primary of a partition. */
  onPrimaryLost: (partition: number) => void = () => {};
  readonly #deps: NodeDeps;
  /** Gives heavy work its turns: one for the process. */
  readonly work: WorkScheduler;
  /** Scans and counts of all that this node is primary of. */
  readonly scans: NodeScans;
  /** Watches of all that this node is primary of. */
  readonly watch: NodeWatch;
  readonly #standalone: boolean;
  /** What an earlier process went by. It vouches for whom to follow until a map comes, and for nothing else. */
  readonly keptMap: ClusterMap | undefined;
  readonly #owner: ReplicaOwner;
  readonly #lease: Lease;
  readonly #disk = new DiskHealth();
  readonly #replicas: NodeReplicas;
  readonly #peers: Peers;
  readonly #confirmations: ReadConfirmations;
  readonly #outbox: ReportOutbox;
  readonly #retries: Retries;
  readonly #resynced = new ResyncCounts();
  readonly #snapshots: BackupSnapshots;
  readonly #scrubber: Scrubber;
  readonly #expiry: ExpirySweep;
  readonly #dropped: DroppedDatabases;
  readonly #quotas: QuotaGate;
  /** Asks all other nodes for what their partitions have of databases; set by whoever can reach them. */
  askUsage: (done: (usages: readonly DatabaseUsage[]) => void) => void = (done) => done([]);
  readonly #compaction: Compaction;
  readonly #timers: Timer[] = [];
  #map: ClusterMap | undefined;
  #storedEpoch = 0;
  #lastStream = 0;
  /** What nobody else's attempts at transactions begin with. */
  #attemptsName: string | undefined;
  #attempts = 0;
  #lastTickMs: number;
  #digestCursor = 0;
  #expired = 0;
  readonly #clientSessionCounts = new ClientSessionCounts();
  readonly #transactionCounts = new TransactionCounts();
  #scrubCursor = 0;

  constructor(deps: NodeDeps, options: NodeOptions) {
    const { clock, log } = deps;
    this.#deps = deps;
    this.work = deps.queue.work;
    this.nodeId = options.nodeId;
    this.#standalone = options.standalone ?? false;
    this.keptMap = options.keptMap;
    this.#lease = new Lease(() => this.#map?.settings.leaseMs ?? 0);
    this.#outbox = new ReportOutbox((report) => this.coordinator?.send(report));
    this.#snapshots = new BackupSnapshots(clock, deps.random);
    this.#confirmations = new ReadConfirmations({
      nowMs: () => clock.monotonicMs(),
      defer: (callback) => clock.defer(callback),
      primary: (partition) => this.#replicas.get(partition)?.primary,
      ask: (node, message) => this.#peers.send(node, message),
    });
    const { random, transport } = deps;
    this.#peers = new Peers({ clock, random, transport, log }, {
      nodeId: options.nodeId,
      map: () => this.#map,
      replica: (partition) => this.#replicas.get(partition),
      replicas: () => this.#replicas.values(),
      primaries: () => this.#replicas.primaries(),
      isClearing: (partition) => this.#replicas.isClearing(partition),
      openVouched: (message, from) => this.#replicas.openVouched(message, from),
      confirmations: this.#confirmations,
      onUnlinked: (node) => this.#owner.transfers.forget(node),
    });
    const retries = this.#retries = new Retries(log, () => clock.monotonicMs());
    const minInSync = () => this.#map?.settings.minInSync ?? 1;
    const turn = new TurnTime(clock);
    this.#owner = {
      self: options.nodeId,
      log,
      recentWritesMax: this.#standalone ? 0 : options.recentWritesMax ?? RECENT_WRITES_MAX,
      resyncRowsMax: options.resyncRowsMax ?? RESYNC_CHUNK_ROWS,
      get minInSync() {
        return minInSync();
      },
      downstream: this.#peers,
      inFlight: new ByteBudget(IN_FLIGHT_BYTES_MAX),
      // There is no replica before there is a map, or one that was kept.
      partitionCount: () => (this.#map ?? this.keptMap)?.settings.partitionCount ?? 1,
      clientSessionsMax: () =>
        options.clientSessionsMax ??
          partitionShare(CLIENT_SESSIONS_MAX, this.#owner.partitionCount()),
      clientSessionCounts: this.#clientSessionCounts,
      transactionCounts: this.#transactionCounts,
      replicas: () => {
        const map = this.#map;
        return map === undefined
          ? Infinity
          : Math.min(map.settings.replicationFactor, map.nodes.length);
      },
      nowMs: () => turn.monotonicMs(),
      wallMs: () => turn.wallMs(),
      route: (request, timeoutMs, done) => this.route(request, timeoutMs, done),
      nextAttempt: () => {
        this.#attemptsName ??= randomId(random);
        return `${this.#attemptsName}.${++this.#attempts}`;
      },
      later: (ms, then) => ms === 0 ? clock.defer(then) : clock.setTimer(ms, then),
      random,
      hasLease: () => this.hasLease,
      diskFailingMs: () => this.#disk.failingMs(clock.monotonicMs()),
      nextStream: () => ++this.#lastStream,
      report: (report) => this.#outbox.add(report),
      confirmReads: (partition) => this.#confirmations.want(partition),
      expired: (entries) => this.#expired += entries,
      resynced: (node, entries, source) => this.#resynced.note(node, entries, source),
      retries,
      needsRepair: (error) => this.onNeedsRepair(error),
      transfers: new TransferPacer(clock),
      tracing: deps.tracing,
      // Not those of heavy work: most of what has waited is not heavy, and should not wait for what is.
      releases: new WorkScheduler(clock),
      notPrimary: (partition) => this.#notPrimary(partition),
    };
    this.#replicas = new NodeReplicas({
      ports: this.#owner,
      queue: deps.queue,
      opened: deps.opened,
      keptMap: options.keptMap,
      map: () => this.#map,
      hasLease: () => this.hasLease,
      isDiskWell: () => this.#disk.writable,
      onTerm: (partition, term) => this.#outbox.onTerm(partition, term),
      onPrimaryLost: (partition) => {
        this.watch.onPrimaryLost(partition);
        this.onPrimaryLost(partition);
      },
      onCleared: () => this.#peers.updateLinks(),
    });
    this.#scrubber = new Scrubber({
      retries,
      wallMs: () => clock.wallMs(),
      tombstoneKeepMs: options.tombstoneKeepMs ?? TOMBSTONE_KEEP_MS,
    });
    this.#compaction = new Compaction({
      storage: deps.queue.storage,
      retries,
      log,
      nowMs: () => clock.monotonicMs(),
      isDiskWell: () => this.#disk.writable && deps.queue.failure === undefined,
      partitionCount: () => this.#map?.partitions.length ?? 0,
      liveBytes: (partition) => this.#replicas.liveBytes(partition),
    });
    this.#expiry = new ExpirySweep(retries, clock, () => this.#replicas.primaries());
    this.#quotas = this.#quotaGate(clock);
    this.#dropped = new DroppedDatabases(
      retries,
      clock,
      () => this.#replicas.primaries(),
      () => this.#map?.databases,
    );
    this.scans = new NodeScans({
      work: this.work,
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      primary: (partition) => this.#replicas.get(partition)?.primary,
      databases: () => this.#map?.databases,
      onDamaged: (partition, error) =>
        this.#replicas.get(partition)?.onReadFailed("scan", error) ?? true,
    });
    this.watch = new NodeWatch({
      clock,
      partitionCount: () => this.#owner.partitionCount(),
      primary: (partition) => this.#replicas.get(partition)?.primary,
      onDamaged: (partition, error) => {
        this.#replicas.get(partition)?.onReadFailed("watch", error);
      },
    });
    this.#lastTickMs = clock.monotonicMs();
    this.#timers.push(
      setPeriodic(clock, SCRUB_INTERVAL_MS, () => this.#scrub()),
      setPeriodic(clock, DISK_CHECK_MS, () => deps.queue.check()),
      setPeriodic(clock, NODE_TICK_MS, () => this.#tick()),
      setPeriodic(clock, REPORT_REPEAT_MS, () => {
        this.#outbox.repeat();
        this.#replicas.clearSurplus();
      }),
    );
  }

  /** The newest whole map that this node has seen. */
  map(): ClusterMap | undefined {
    return this.#map;
  }

  /** Whether this node may answer reads of what it holds without asking anybody. */
  get hasLease(): boolean {
    if (this.#standalone) return true;
    const { clock } = this.#deps;
    const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
    return this.#lease.isValid(now, this.#map?.epoch ?? -1);
  }

  // The coordinator.

  /** A whole map. One that is not newer is ignored. */
  applyMap(map: ClusterMap): void {
    const before = this.#map;
    if (before !== undefined && map.epoch <= before.epoch) return;
    this.#map = map;
    map.partitions.forEach((config, partition) => {
      if (config !== before?.partitions[partition]) {
        this.#replicas.adopt(partition, config, map.epoch);
      }
    });
    this.#peers.updateLinks();
    this.#deps.queue.whenWritten((error) => {
      if (error !== undefined) return;
      this.#storedEpoch = Math.max(this.#storedEpoch, map.epoch);
      if (lacksDatabaseOf(before?.databases, map.databases)) this.onDropNoted();
    });
  }

  /** The newest map whose assignments of primaries this node's disk knows; 0 for none. */
  get storedEpoch(): number {
    return this.#storedEpoch;
  }

  /** The number of the last batch in its database when this process opened it. */
  get openedBatch(): number {
    return this.#deps.queue.openedBatch;
  }

  /** The number of the last batch that is surely in its database. */
  get syncedBatch(): number {
    return this.#deps.queue.syncedBatch;
  }

  /** A heartbeat of this node was acknowledged. */
  onHeartbeatAck(sent: Moment, { epoch, lease }: { epoch: number; lease: boolean }): void {
    this.#lease.require(epoch);
    if (lease) this.#lease.renew(sent);
  }

  /** (Re)registered: what was reported and not acted on is said again. */
  onCoordinatorUp(): void {
    if (!this.#disk.writable) this.#reportDisk();
    this.#outbox.repeat();
  }

  #reportDisk(): void {
    this.coordinator?.send({ req_type: "disk", writable: this.#disk.writable });
  }

  #lookAtDisk(nowMs: number): void {
    const { failure } = this.#deps.queue;
    if (!this.#disk.look(failure !== undefined, nowMs)) return;
    const { log } = this.#deps;
    if (this.#disk.writable) log.info("the disk is well: this node takes part in writes again");
    else {
      log.error(
        "the disk takes no writes: primaries are handed over where another replica can write",
        {
          error: failure?.message,
        },
      );
    }
    this.#reportDisk();
  }

  onHandover(partition: number, term: number, to: NodeId): void {
    this.#replicas.get(partition)?.primary?.drain(term, to);
  }

  /** What this node's disk holds, for registration. */
  held(): HeldPartition[] {
    return this.#replicas.held();
  }

  // Clients.

  /** A request for a key, answered here if this node's replica can; else `not_primary`. */
  execute(request: RoutedRequest, reply: ReplyTo): void {
    const map = this.#map;
    if (map === undefined) {
      reply(
        errorReply("unavailable", `${request.req_type}: this node has not joined its cluster yet`),
      );
      return;
    }
    const refusal = whyNoDatabase(request, map);
    if (refusal !== undefined) {
      reply(refusal);
      return;
    }
    const partition = partitionOf(request.key, map.settings.partitionCount);
    const replica = this.#replicas.get(partition);
    if (replica === undefined) return reply(this.#notPrimary(partition));
    // What is a part of a transaction was judged with it.
    if (isPartRequest(request) || !replica.primary || !this.#quotas.concerns(request)) {
      replica.execute(request, reply);
      return;
    }
    this.#quotas.pass(request, reply, () => replica.execute(request, reply));
  }

  #quotaGate(clock: Clock): QuotaGate {
    const quotas = new DatabaseQuotas({
      nowMs: () => clock.monotonicMs(),
      own: (number) => this.#ownUsage(number),
      nodes: () => this.#map?.nodes.length ?? 1,
      askOthers: (done) => this.askUsage(done),
    });
    return new QuotaGate({
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      partitionCount: () => this.#map?.settings.partitionCount ?? 1,
      databases: () => this.#map?.databases,
      store: (partition) => this.#replicas.get(partition)?.primary?.store,
      route: (request, timeoutMs, done) => this.route(request, timeoutMs, done),
    }, quotas);
  }

  /** A page of a snapshot of a partition, for backups. */
  backupPartition(request: Message<"backup_partition">, reply: ReplyTo): void {
    const replica = this.#replicas.get(request.partition);
    const count = this.#map?.settings.partitionCount;
    if (typeof request.snapshot === "string") this.#snapshots.nextPage(request, reply);
    else if (count !== undefined && request.partition >= count) {
      reply(errorReply(
        "bad_request",
        `backup_partition: "partition" is ${request.partition}, the cluster has 0 to ${count - 1}`,
      ));
    } else if (replica === undefined) reply(this.#notPrimary(request.partition));
    else this.#snapshots.open(replica, request, reply);
  }

  #notPrimary(partition: number): Reply {
    const map = this.#map;
    const config = map?.partitions[partition];
    const primary = map === undefined ? undefined : findNode(map, config?.primary);
    if (map === undefined || primary === undefined) {
      return errorReply("unavailable", whyNoPrimary(map, partition), { partition });
    }
    if (primary.id === this.nodeId) {
      return errorReply("unavailable", `partition ${partition} is damaged on this node`, {
        partition,
      });
    }
    return errorReply("not_primary", `partition ${partition} is served by ${primary.id}`, {
      partition,
      primary: primary.id,
      host: primary.host,
      port: primary.port,
      epoch: map.epoch,
    });
  }

  // Peers.

  /** A node has opened a connection to this one for replication, and its `hello` was accepted. */
  acceptPeer(node: NodeId, connection: PeerConnection): PeerHandlers<DownstreamMessage> {
    return this.#peers.accept(node, connection);
  }

  // Time.

  #tick(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const lostMs = nowMs - this.#lastTickMs - NODE_TICK_MS;
    this.#lastTickMs = nowMs;
    const stalled = lostMs > 2 * NODE_TICK_MS;
    this.#lookAtDisk(nowMs);
    for (const replica of this.#replicas.values()) {
      if (stalled) replica.primary?.forgive(lostMs);
      replica.tick(nowMs);
    }
    this.#confirmations.tick(nowMs);
    this.#deps.queue.storage.keep?.(this.#keepsJournalMs());
    this.#compareDigests();
    this.#expiry.tick();
    this.#dropped.tick();
    this.#compaction.tick(nowMs);
    this.scans.tick(nowMs);
    this.watch.tick(nowMs);
    this.#snapshots.tick(nowMs);
    this.#resynced.report(
      (node) => this.#isFilling(node),
      (node, tally) => this.#deps.log.info("replicas level", { node, ...tally }),
    );
  }

  /** For how long what was written is to be kept for replicas that were away. */
  #keepsJournalMs(): number {
    if (this.#owner.replicas() <= 1) return 0;
    return this.#replicas.someAway ? JOURNAL_KEPT_AWAY_MS : JOURNAL_KEPT_MS;
  }

  /** A few partitions each tick, so that each has its turn in DIGEST_INTERVAL_MS. */
  #compareDigests(): void {
    const count = this.#map?.partitions.length ?? 0;
    const share = Math.ceil((count * NODE_TICK_MS) / DIGEST_INTERVAL_MS);
    for (let i = 0; i < share; i++) {
      this.#replicas.get(this.#digestCursor)?.primary?.compareDigests();
      this.#digestCursor = (this.#digestCursor + 1) % count;
    }
  }

  /** Scrubs the next partition, or again the one that could not be read through. */
  #scrub(): void {
    const count = this.#map?.partitions.length ?? 0;
    const { again } = this.#scrubber;
    if (again !== undefined && this.#replicas.get(again.partition) === again) {
      this.#scrubber.visit(again);
      return;
    }
    for (let looked = 0; looked < count; looked++) {
      const replica = this.#replicas.get(this.#scrubCursor);
      this.#scrubCursor = (this.#scrubCursor + 1) % count;
      if (replica?.isMember) {
        this.#scrubber.visit(replica);
        return;
      }
    }
  }

  /** Whether replicas on a peer are being filled. */
  #isFilling(node: NodeId): boolean {
    let filling = false;
    for (const primary of this.#replicas.primaries()) {
      const state = primary.stream(node)?.state;
      if (state === "querying" || state === "resyncing") filling = true;
    }
    return filling;
  }

  /** What `stats` shows. */
  stats(): Record<string, unknown> {
    const { replicas, entries, full, journal, resumed } = this.#resynced.total;
    return {
      node: this.nodeId,
      epoch: this.#map?.epoch ?? 0,
      lease: this.hasLease,
      ...replicaStats(this.nodeId, this.#replicas.values()),
      resynced_replicas: replicas,
      resynced_entries: entries,
      resynced_full: full,
      resynced_by_journal: journal,
      resynced_resumed: resumed,
      expired: this.#expired,
      client_sessions_evicted: this.#clientSessionCounts.evicted,
      client_sessions_refused: this.#clientSessionCounts.refused,
      client_sessions_unknown: this.#clientSessionCounts.unknown,
      scrubbed: this.#scrubber.scrubbed,
      ...this.#compaction.stats(),
      reports: this.#outbox.size,
      peers: this.#peers.stats(),
      storage_failure: this.#deps.queue.failure?.message,
      disk_writable: this.#disk.writable,
      retries: this.#retries.shown().slice(0, STATS_RETRIES_MAX).map((retry) => ({
        what: retry.what,
        partition: retry.partition,
        attempts: retry.attempts,
        error: retry.error,
      })),
    };
  }

  /** What `/metrics` shows. */
  collect(set: MetricSet): void {
    collectNode(set, {
      nodeId: this.nodeId,
      map: this.#map,
      lease: this.hasLease,
      replicas: [...this.#replicas.values()],
      peers: this.#peers.stats(),
      resynced: this.#resynced.total,
      expired: this.#expired,
      sessionsEvicted: this.#clientSessionCounts.evicted,
      retries: this.#retries.shown().length,
      transactions: this.#transactionCounts,
      queue: this.#deps.queue,
      watch: this.watch.stats(),
      databaseBytes: this.#compaction.stats().database_bytes,
      databases: this.databaseUsage().databases,
      diskWritable: this.#disk.writable,
    });
  }

  /** Partitions that the map makes it primary of, and that it cannot serve now. */
  unservedCount(): number {
    return countPartitions(this.nodeId, this.#map, this.#replicas.values()).waiting;
  }

  /** Whether it can serve. */
  health(sessionUp: boolean, coordinatorRefusal: string | undefined): HealthReport {
    return nodeHealth({
      nodeId: this.nodeId,
      map: this.#map,
      standalone: this.#standalone,
      sessionUp,
      coordinatorRefusal,
      lease: this.hasLease,
      replicas: this.#replicas.values(),
      storageFailure: this.#deps.queue.failure?.message,
      retries: this.#retries.shown(),
    });
  }

  #ownUsage(number: number): Growth {
    let keys = 0;
    let bytes = 0;
    for (const { store: { databases } } of this.#replicas.primaries()) {
      const tally = databases.of(number);
      keys += tally.keys;
      bytes += tally.bytes;
    }
    return { keys, bytes };
  }

  /** What named databases have in the partitions that this node is primary of. */
  databaseUsage(): DatabaseUsage {
    const sums = new Map<number, DatabaseSize>();
    let known = true;
    let defaultExpiring = 0;
    for (const { store: { databases, expiringCount } } of this.#replicas.primaries()) {
      known &&= databases.known;
      const named = [...databases.all].reduce((sum, [, tally]) => sum + tally.expiring, 0);
      defaultExpiring += Math.max(0, expiringCount - named);
      for (const [number, { keys, bytes, expiring }] of databases.all) {
        const sum = sums.get(number) ?? { keys: 0, bytes: 0, expiring: 0 };
        sums.set(number, {
          keys: sum.keys + keys,
          bytes: sum.bytes + bytes,
          expiring: sum.expiring + expiring,
        });
      }
    }
    return {
      known,
      databases: [...sums].map(([number, { keys, bytes, expiring }]) =>
        [number, keys, bytes, expiring] as const
      ),
      defaultExpiring,
    };
  }

  /** One partition's state on this node, for tests and for `stats` of a partition. */
  partition(partition: number): Replica | undefined {
    return this.#replicas.get(partition);
  }

  /** Ends it: links, timers, and what waits for the disk. */
  async close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    this.watch.close();
    this.#peers.close();
    this.#owner.transfers.close();
    this.#snapshots.closeAll();
    this.#expiry.stop();
    this.#dropped.stop();
    this.#compaction.stop();
    await this.#deps.queue.close();
  }
}

/** Why a request is refused that names keys of a named database; undefined if it is not. Rule W11. */
function whyNoDatabase(request: RoutedRequest, { databases }: ClusterMap): Reply | undefined {
  const { req_type: what } = request;
  // A transaction that was begun before the database was dropped comes to its end.
  if (what === "finish_part" || what === "transaction_status") return undefined;
  let why = whyNotServed(request.key, databases);
  if (why === undefined && MANY_KEYS.has(what)) why = whyNoneServed(request, databases);
  return why && errorReply(why.code, `${what}: ${why.message}`);
}

/** What names more keys than one. */
export const MANY_KEYS: ReadonlySet<string> = new Set<RoutedRequest["req_type"]>([
  "transaction",
  "read_ranges",
  "prepare_part",
  "read_part",
]);

function whyNoneServed(
  request: RoutedRequest,
  databases: ClusterMap["databases"],
): KvError | undefined {
  for (const key of furtherKeysOf(request)) {
    const why = whyNotServed(key, databases);
    if (why !== undefined) return why;
  }
  return undefined;
}

/** The keys within a request, and those at which its ranges begin. */
function* furtherKeysOf(request: RoutedRequest): Generator<string, void, void> {
  const { requests, checks, ranges } = request as {
    readonly requests?: readonly { readonly key: string }[];
    readonly checks?: readonly VersionCheck[] | null;
    readonly ranges?: readonly ReadRange[];
  };
  for (const { key } of requests ?? []) yield key;
  for (const [key] of checks ?? []) yield key;
  for (const { start } of ranges ?? []) yield start;
}
