/**
 * The core of a node: its replicas, its lease, its map, its links to peers, put together. Clients,
 * the coordinator's session and the clock's heartbeat are around it (`server.ts`,
 * `coordinator_session.ts`, `heartbeat_sender.ts`); the rules of replication are below it
 * (`replica.ts`). It has no socket and no file of its own.
 *
 * @module
 */
import { ByteBudget } from "../shared/base/byte_budget.ts";
import { type Clock, setPeriodic, type Timer } from "../shared/platform/clock.ts";
import {
  type ClusterMap,
  findNode,
  type NodeId,
  type PartitionConfig,
  whyNoPrimary,
} from "../shared/cluster/cluster_map.ts";
import type { Connection } from "../shared/wire/connection.ts";
import { failureOf, invariant, KvError } from "../shared/base/errors.ts";
import {
  DIGEST_INTERVAL_MS,
  DISK_CHECK_MS,
  EXPIRY_INDEX_MAX,
  IN_FLIGHT_BYTES_MAX,
  NODE_TICK_MS,
  partitionShare,
  RECENT_WRITES_MAX,
  REPORT_REPEAT_MS,
  SCRUB_INTERVAL_MS,
  SURPLUS_KEEP_MS,
  TOMBSTONE_KEEP_MS,
} from "../shared/base/limits.ts";
import type { Logger } from "../shared/platform/logger.ts";
import type { HealthReport } from "../shared/http/protocol/health_report.ts";
import type {
  HeldPartition,
  KeyRequest,
  Message,
  Reply,
  ReplyTo,
} from "../shared/wire/messages.ts";
import { partitionOf } from "../shared/cluster/position.ts";
import { WorkScheduler } from "../shared/scheduling/work_scheduler.ts";
import type { Random } from "../shared/platform/random.ts";
import type { Transport } from "../shared/platform/transport.ts";
import { ResyncCounts } from "./replication/resync_counts.ts";
import { BackupSnapshots } from "./scans/backup_snapshots.ts";
import { ExpirySweep } from "./maintenance/expiry_sweep.ts";
import { countPartitions, nodeHealth } from "./server/node_health.ts";
import { DiskHealth } from "./maintenance/disk_health.ts";
import { Compaction } from "./maintenance/compaction.ts";
import { Scrubber } from "./maintenance/scrubber.ts";
import { Lease, type Moment } from "./membership/lease.ts";
import { NodeScans } from "./scans/node_scans.ts";
import { errorReply } from "../shared/operations/operation.ts";
import { type GroupCommit, NO_STATE, PartitionStore } from "./storage/partition_store.ts";
import type { OpenedPartitions } from "./storage/partition_store.ts";
import { PeerLink } from "./replication/peer_link.ts";
import { CLEAR, noteClearFailure } from "./replication/follower.ts";
import type { Primary } from "./replication/primary.ts";
import { ReadConfirmations } from "./requests/read_confirmations.ts";
import { Replica, type ReplicaOwner } from "./replication/replica.ts";
import { Retries } from "./replication/retries.ts";
import { replicaStats } from "./server/replica_stats.ts";
import { ReportOutbox } from "./replication/report_outbox.ts";
import { TransferPacer } from "./replication/transfer_pacer.ts";
import { ConnectionUpstream } from "./replication/upstream_connection.ts";

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
}

/** The way to the coordinator; what is sent while it is down is dropped. */
export interface CoordinatorLink {
  send(message: object): void;
}

/** The core of a node. */
export class Node {
  readonly nodeId: NodeId;
  coordinator: CoordinatorLink | undefined;
  /** Told when the database has rows that cannot be read, and are to be deleted. */
  onNeedsRepair: (error: KvError) => void = () => {};
  /** Told when this node has stopped being the primary of a partition. */
  onPrimaryLost: (partition: number) => void = () => {};
  readonly #deps: NodeDeps;
  /** Gives heavy work its turns: one for the process. */
  readonly work: WorkScheduler;
  /** Scans and counts of all that this node is primary of. */
  readonly scans: NodeScans;
  readonly #standalone: boolean;
  /** What an earlier process went by. It vouches for whom to follow until a map comes, and for nothing else. */
  readonly keptMap: ClusterMap | undefined;
  readonly #owner: ReplicaOwner;
  readonly #lease: Lease;
  readonly #disk = new DiskHealth();
  readonly #replicas = new Map<number, Replica>();
  readonly #links = new Map<NodeId, PeerLink>();
  readonly #upstreams = new Map<Connection, ConnectionUpstream>();
  readonly #confirmations: ReadConfirmations;
  readonly #outbox: ReportOutbox;
  readonly #retries: Retries;
  /** Since when a replica here has not been a member. */
  readonly #surplusSinceMs = new Map<number, number>();
  readonly #clearing = new Set<number>();
  /** What could not be deleted, and is to be when it is due. */
  readonly #clearAgain: (() => void)[] = [];
  readonly #resynced = new ResyncCounts();
  readonly #snapshots: BackupSnapshots;
  readonly #scrubbing: Scrubber;
  readonly #expiry: ExpirySweep;
  readonly #compaction: Compaction;
  readonly #timers: Timer[] = [];
  #map: ClusterMap | undefined;
  #storedEpoch = 0;
  #lastStream = 0;
  #lastTickMs: number;
  #digestCursor = 0;
  #expired = 0;
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
      ask: (node, message) => this.#links.get(node)?.send(message),
    });
    const retries = this.#retries = new Retries(log, () => clock.monotonicMs());
    const minInSync = () => this.#map?.settings.minInSync ?? 1;
    this.#owner = {
      self: options.nodeId,
      log,
      recentWritesMax: this.#standalone ? 0 : RECENT_WRITES_MAX,
      get minInSync() {
        return minInSync();
      },
      downstream: {
        isUp: (node) => this.#links.get(node)?.isUp ?? false,
        send: (node, message) => this.#links.get(node)?.send(message),
        append: (node, partition, term, stream, commitSeq, json) =>
          this.#links.get(node)?.append(partition, term, stream, commitSeq, json),
        whenRoom: (node, then) => this.#links.get(node)?.whenRoom(then),
        commit: (node, partition, term, stream, commitSeq) =>
          this.#links.get(node)?.append(partition, term, stream, commitSeq, undefined),
      },
      inFlight: new ByteBudget(IN_FLIGHT_BYTES_MAX),
      // There is no replica before there is a map, or one that was kept.
      partitionCount: () => (this.#map ?? this.keptMap)?.settings.partitionCount ?? 1,
      replicas: () => {
        const map = this.#map;
        return map === undefined
          ? Infinity
          : Math.min(map.settings.replicationFactor, map.nodes.length);
      },
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      hasLease: () => this.hasLease,
      diskFailingMs: () => this.#disk.failingMs(clock.monotonicMs()),
      nextStream: () => ++this.#lastStream,
      report: (report) => this.#outbox.add(report),
      confirmReads: (partition) => this.#confirmations.want(partition),
      expired: (entries) => this.#expired += entries,
      resynced: (node, entries, full) => this.#resynced.note(node, entries, full),
      retries,
      needsRepair: (error) => this.onNeedsRepair(error),
      transfers: new TransferPacer(clock),
      // Not those of heavy work: most of what has waited is not heavy, and should not wait for what is.
      releases: new WorkScheduler(clock),
      notPrimary: (partition) => this.#notPrimary(partition),
    };
    this.#scrubbing = new Scrubber({
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
      liveBytes: (partition) => {
        if (this.#clearing.has(partition)) return undefined;
        const replica = this.#replicas.get(partition);
        if (replica === undefined) return deps.opened.has(partition) ? undefined : 0;
        return replica.isSettled ? replica.store.liveBytes : undefined;
      },
    });
    this.#expiry = new ExpirySweep(retries, clock, () => this.#primaries());
    this.scans = new NodeScans({
      work: this.work,
      nowMs: () => clock.monotonicMs(),
      wallMs: () => clock.wallMs(),
      primary: (partition) => this.#replicas.get(partition)?.primary,
      onDamaged: (partition, error) =>
        this.#replicas.get(partition)?.onReadFailed("scan", error) ?? true,
    });
    this.#lastTickMs = clock.monotonicMs();
    this.#timers.push(
      setPeriodic(clock, SCRUB_INTERVAL_MS, () => this.#keepHouse()),
      setPeriodic(clock, DISK_CHECK_MS, () => deps.queue.check()),
      setPeriodic(clock, NODE_TICK_MS, () => this.#tick()),
      setPeriodic(clock, REPORT_REPEAT_MS, () => {
        this.#outbox.repeat();
        this.#clearSurplus();
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
      if (config !== before?.partitions[partition]) this.#adopt(partition, config, map.epoch);
    });
    this.#updateLinks();
    this.#deps.queue.whenWritten((error) => {
      if (error === undefined) this.#storedEpoch = Math.max(this.#storedEpoch, map.epoch);
    });
  }

  /** The newest map of which this node's disk tells what it is primary of; 0 for none. */
  get storedEpoch(): number {
    return this.#storedEpoch;
  }

  /** Up to where its database had come when this process opened it: the number of its last batch. */
  get openedBatch(): number {
    return this.#deps.queue.openedBatch;
  }

  /** Up to where its database has surely come. */
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
    const held: HeldPartition[] = [];
    const seen = new Set<number>();
    for (const { partition, store, damaged } of this.#replicas.values()) {
      seen.add(partition);
      const { term, lastSeq } = store.state;
      if (term > 0 || lastSeq > 0 || damaged) {
        held.push([partition, term, lastSeq, damaged ? 1 : 0]);
      }
    }
    for (const [partition, { term, lastSeq }] of this.#deps.opened) {
      if (seen.has(partition)) continue;
      held.push([partition, term, lastSeq, this.#deps.opened.damaged.has(partition) ? 1 : 0]);
    }
    return held;
  }

  // Clients.

  /** A request for a key, answered here if this node's replica can; else `not_primary`. */
  execute(request: KeyRequest, reply: ReplyTo): void {
    const map = this.#map;
    if (map === undefined) {
      reply(
        errorReply("unavailable", `${request.req_type}: this node has not joined its cluster yet`),
      );
      return;
    }
    const partition = partitionOf(request.key, map.settings.partitionCount);
    const replica = this.#replicas.get(partition);
    if (replica === undefined) reply(this.#notPrimary(partition));
    else replica.execute(request, reply);
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

  /** A message of another node over a connection that it opened; its hello has named it. */
  onPeerMessage(message: Message, from: NodeId, connection: Connection): void {
    let upstream = this.#upstreams.get(connection);
    if (upstream === undefined) {
      upstream = new ConnectionUpstream(from, connection, this.#deps.clock);
      this.#upstreams.set(connection, upstream);
    }
    switch (message.req_type) {
      case "append":
        for (const [partition, , stream, commitSeq, entries] of message.parts) {
          this.#replicas.get(partition)?.onAppend(stream, commitSeq, entries, upstream);
        }
        return;
      case "confirm": {
        const refused: number[] = [];
        for (const [partition, term] of message.parts) {
          if (!(this.#replicas.get(partition)?.confirms(from, term) ?? false)) {
            refused.push(partition);
          }
        }
        connection.send({ req_type: "confirmed", round: message.round, refused });
        return;
      }
      case "resync_query":
      case "new_term":
      case "resync_begin":
      case "resync_chunk":
      case "resync_end":
      case "digest": {
        this.#checkPartition(message.req_type, message.p);
        if (this.#clearing.has(message.p)) return;
        const replica = this.#replicas.get(message.p) ?? this.#openVouched(message, from);
        if (replica !== undefined) replica.onPeerRequest(message, upstream);
        else if (message.req_type === "resync_query") {
          // The map may be on its way that gives this node a replica: the primary asks again.
          const { p, stream } = message;
          const reason = "this node knows of no replica here";
          upstream.send({ req_type: "stream_refused", p, term: 0, stream, reason });
        }
        return;
      }
      default:
        this.#deps.log.warn("a peer sent what no peer sends", { type: message.req_type, from });
    }
  }

  /** @throws {KvError} `bad_request`, where the map that this node has tells */
  #checkPartition(what: string, partition: number): void {
    const count = this.#map?.partitions.length;
    if (count === undefined || partition < count) return;
    throw new KvError(
      "bad_request",
      `${what}: "p" is ${partition}, the cluster has 0 to ${count - 1}`,
    );
  }

  onPeerConnectionClosed(connection: Connection): void {
    const upstream = this.#upstreams.get(connection);
    if (upstream === undefined) return;
    this.#upstreams.delete(connection);
    for (const replica of this.#replicas.values()) replica.onUpstreamClosed(upstream);
  }

  /** An answer over a link that this node opened. */
  #onPeerAnswer(message: Message, from: NodeId): void {
    switch (message.req_type) {
      case "appended":
        for (const [partition, , stream, seq] of message.acks) {
          this.#replicas.get(partition)?.onAppended(stream, seq, from);
        }
        return;
      case "confirmed":
        this.#confirmations.onConfirmed(message, from);
        return;
      case "resync_info":
      case "resync_progress":
      case "stream_refused":
      case "digest_differs":
        this.#replicas.get(message.p)?.onPeerAnswer(message, from);
        return;
      case "closing":
        // The link ends when the map says that no replica is there any more, or with the other's process.
        return;
      default:
        this.#deps.log.warn("a peer answered what no peer answers", {
          type: message.req_type,
          from,
        });
    }
  }

  /** Opens links to the nodes that hold copies of what this node is primary of, closes the others. */
  #updateLinks(): void {
    const map = this.#map;
    if (map === undefined) return;
    const wanted = new Set<NodeId>();
    for (const { primary } of this.#replicas.values()) {
      if (primary !== undefined) { for (const { node } of primary.streams) wanted.add(node); }
    }
    for (const [node, link] of this.#links) {
      if (wanted.has(node)) continue;
      this.#links.delete(node);
      this.#owner.transfers.forget(node);
      link.close();
    }
    for (const node of wanted) {
      const info = findNode(map, node);
      if (info === undefined) continue;
      const address = { host: info.host, port: info.port };
      const link = this.#links.get(node);
      if (link === undefined) this.#links.set(node, this.#openLink(node, address));
      else link.setAddress(address);
    }
  }

  #openLink(node: NodeId, address: { host: string; port: number }): PeerLink {
    const { clock, random, transport, log } = this.#deps;
    const clusterId = () => this.#map?.settings.clusterId;
    return new PeerLink(
      { clock, random, transport, log, self: this.nodeId, clusterId },
      node,
      address,
      {
        onUp: (node) => this.#eachPrimary((primary) => primary.onPeerUp(node)),
        onDown: (node) => this.#eachPrimary((primary) => primary.onPeerDown(node)),
        onMessage: (message, node) => this.#onPeerAnswer(message, node),
      },
    );
  }

  *#primaries(): Generator<Primary, void, void> {
    for (const { primary } of this.#replicas.values()) if (primary !== undefined) yield primary;
  }

  #eachPrimary(visit: (primary: Primary) => void): void {
    for (const { primary } of this.#replicas.values()) if (primary !== undefined) visit(primary);
  }

  // Replicas.

  #adopt(partition: number, config: PartitionConfig, epoch: number): void {
    const { nodeId } = this;
    this.#outbox.onTerm(partition, config.term);
    if (this.#clearing.has(partition)) return;
    const member = config.inSync.includes(nodeId) || config.learners.includes(nodeId);
    const known = this.#replicas.get(partition);
    if (known === undefined && !member && !this.#deps.opened.has(partition)) return;
    const replica = known ?? this.#openReplica(partition);
    const wasPrimary = replica.primary !== undefined;
    replica.onConfig(config, epoch);
    if (wasPrimary && replica.primary === undefined) this.onPrimaryLost(partition);
    if (replica.isMember) this.#surplusSinceMs.delete(partition);
    else if (!this.#surplusSinceMs.has(partition)) {
      this.#surplusSinceMs.set(partition, this.#deps.clock.monotonicMs());
    }
  }

  /**
   * Before the first map has come: the replica of a peer that asks as the primary which the kept map names, in
   * the same term. Only of a replica that is whole, and that was not level with a primary of a later term.
   * Rule T1.
   */
  #openVouched(message: Message, from: NodeId): Replica | undefined {
    const { keptMap: kept, nodeId } = this;
    if (message.req_type !== "resync_query" || this.#map !== undefined || kept === undefined) {
      return;
    }
    const { opened } = this.#deps;
    const { p, config: claimed } = message;
    const config = kept.partitions[p];
    const held = opened.get(p);
    if (config === undefined || held === undefined || opened.damaged.has(p)) return;
    if (config.primary !== from || config.term !== claimed.term || config.term < held.term) return;
    if (from === nodeId || ![...config.inSync, ...config.learners].includes(nodeId)) return;
    const replica = this.#openReplica(p);
    replica.vouch(config, kept.epoch);
    return replica;
  }

  #openReplica(partition: number): Replica {
    invariant(!this.#replicas.has(partition), "a partition is opened once", { partition });
    const { queue, opened } = this.#deps;
    const state = opened.get(partition) ?? NO_STATE;
    const store: PartitionStore = new PartitionStore(
      queue,
      partition,
      state,
      (lastSeq) => replica.onSynced(lastSeq),
      partitionShare(EXPIRY_INDEX_MAX, this.#owner.partitionCount()),
    );
    const replica: Replica = new Replica(this.#owner, store, opened.damaged.has(partition));
    opened.delete(partition);
    opened.damaged.delete(partition);
    this.#replicas.set(partition, replica);
    return replica;
  }

  /** Deletes what this node has not been a member of for a while. */
  #clearSurplus(): void {
    if (!this.hasLease) return;
    const nowMs = this.#deps.clock.monotonicMs();
    for (const [partition, sinceMs] of this.#surplusSinceMs) {
      // It lost its part for want of a disk, and gets it back with the disk.
      if (!this.#disk.writable) {
        this.#surplusSinceMs.set(partition, nowMs);
        continue;
      }
      if (nowMs - sinceMs < SURPLUS_KEEP_MS) continue;
      // Without a primary it may be the best that an operator can fall back on.
      if (this.#map?.partitions[partition]?.primary === undefined) continue;
      this.#surplusSinceMs.delete(partition);
      const replica = this.#replicas.get(partition);
      if (replica === undefined || replica.isMember) continue;
      replica.follower.leaveStream("this node holds no replica");
      this.#replicas.delete(partition);
      this.#clearing.add(partition);
      const done = () => {
        this.#clearing.delete(partition);
        const map = this.#map;
        const config = map?.partitions[partition];
        if (map !== undefined && config !== undefined) this.#adopt(partition, config, map.epoch);
        this.#updateLinks();
      };
      this.#clearStore(replica.store, done);
    }
    for (const clear of this.#clearAgain.splice(0)) clear();
    // So is a replica that is to be filled anew, also if it is named primary by now, so that nobody asks it.
    for (const { store, follower, partition } of this.#replicas.values()) {
      if (store.isClearing && this.#retries.isDue(CLEAR, partition)) follower.beginWithNothing();
    }
  }

  /** Deletes a replica; if that fails, again with a later call of `#clearSurplus`. */
  #clearStore(store: PartitionStore, done: () => void): void {
    const { partition } = store;
    const again = () => {
      if (this.#retries.isDue(CLEAR, partition)) this.#clearStore(store, done);
      else this.#clearAgain.push(again);
    };
    store.clear().then(() => {
      this.#retries.forget(partition);
      done();
    }, (error) => {
      noteClearFailure(this.#owner, partition, failureOf(error));
      this.#clearAgain.push(again);
    });
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
    this.#compareDigests();
    this.#expiry.tick();
    this.#compaction.tick(nowMs);
    this.scans.tick(nowMs);
    this.#snapshots.tick(nowMs);
    this.#resynced.report(
      (node) => this.#isFilling(node),
      (node, tally) => this.#deps.log.info("replicas level", { node, ...tally }),
    );
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

  /** The next partition that has its turn. */
  #keepHouse(): void {
    const count = this.#map?.partitions.length ?? 0;
    const { again } = this.#scrubbing;
    if (again !== undefined && this.#replicas.get(again.partition) === again) {
      this.#scrubbing.visit(again);
      return;
    }
    for (let looked = 0; looked < count; looked++) {
      const replica = this.#replicas.get(this.#scrubCursor);
      this.#scrubCursor = (this.#scrubCursor + 1) % count;
      if (replica?.isMember) {
        this.#scrubbing.visit(replica);
        return;
      }
    }
  }

  /** Whether replicas on a peer are being filled. */
  #isFilling(node: NodeId): boolean {
    let filling = false;
    this.#eachPrimary((primary) => {
      const state = primary.stream(node)?.state;
      if (state === "querying" || state === "resyncing") filling = true;
    });
    return filling;
  }

  /** What `stats` shows. */
  stats(): Record<string, unknown> {
    const { replicas, entries, full } = this.#resynced.total;
    return {
      node: this.nodeId,
      epoch: this.#map?.epoch ?? 0,
      lease: this.hasLease,
      ...replicaStats(this.nodeId, this.#replicas.values()),
      resynced_replicas: replicas,
      resynced_entries: entries,
      resynced_full: full,
      expired: this.#expired,
      scrubbed: this.#scrubbing.scrubbed,
      ...this.#compaction.stats(),
      reports: this.#outbox.size,
      peers: [...this.#links.values()].map(({ node, isUp, queuedBytes, overflows }) => ({
        node,
        up: isUp,
        queued_bytes: queuedBytes,
        overflows,
      })),
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

  /** One partition's state on this node, for tests and for `stats` of a partition. */
  partition(partition: number): Replica | undefined {
    return this.#replicas.get(partition);
  }

  /** Ends it: links, timers, and what waits for the disk. */
  async close(): Promise<void> {
    for (const timer of this.#timers) timer.cancel();
    for (const link of this.#links.values()) link.close();
    this.#owner.transfers.close();
    this.#snapshots.closeAll();
    this.#links.clear();
    this.#expiry.stop();
    this.#compaction.stop();
    await this.#deps.queue.close();
  }
}
