/**
 * The state that the parts of the coordinator's state machine share: members and their sessions, the
 * configurations of the partitions, what was decided and not written yet, and what has changed since the parts looked
 * last. Data with its invariants; it decides nothing, and calls nobody back.
 *
 * Invariants: whatever changes here that belongs into the document is marked as decided, so that the next write
 * has it; from the moment at which a node loses a primary's role, its acknowledgements carry the epoch that says
 * so (`ackEpochMin`).
 *
 * @module
 */
import type {
  ClusterMap,
  ClusterSettings,
  CoordinatorInfo,
  NodeId,
  NodeInfo,
} from "../../shared/cluster/cluster_map.ts";
import { type DatabaseList, NO_DATABASES } from "../../shared/cluster/databases.ts";
import { CLOCK_DRIFT_MAX } from "../../shared/limits/membership.ts";
import type { MapSeals } from "../../shared/security/map_seal.ts";
import { DroppedNames } from "./dropped_names.ts";
import { beginGeneration, type CoordinatorStart } from "./lineage.ts";
import { MapPublisher } from "./map_publisher.ts";
import { byId, type Member, newMember, sameInfo, type SessionId } from "./member.ts";
import {
  type Change,
  PartitionTable,
  type ReconfigureOptions,
  type Replicas,
} from "./partition_table.ts";
import type { Outbox } from "./ready.ts";
import { STORED_FORMAT, type StoredCluster } from "./stored_cluster.ts";

/** What has changed since it was taken last. */
export interface News {
  readonly changes: readonly Change[];
  /** Nodes about which something else has changed. */
  readonly nodes: ReadonlySet<NodeId>;
}

/** Counts of what happened since the start. */
export interface Counts {
  failovers: number;
  movesDone: number;
  handoversDone: number;
}

/** Everything that the coordinator knows. */
export class ClusterState {
  readonly settings: ClusterSettings;
  readonly members = new Map<NodeId, Member>();
  /** The node of each registered session. */
  readonly sessions = new Map<SessionId, NodeId>();
  readonly table: PartitionTable;
  readonly publisher: MapPublisher;
  readonly counts: Counts = { failovers: 0, movesDone: 0, handoversDone: 0 };
  /**
   * Partitions that no node is known to have served as primary: each with the epoch of the map that
   * names its first primary, or the next one to try.
   */
  readonly fresh: Map<number, number>;
  /** Leases that were given before the coordinator's start have ended by then. */
  readonly leaseGraceUntilMs: number;
  /** Nobody counts as missing before: the coordinator may not have been able to hear. */
  graceUntilMs: number;
  /** The longest lease that a node may still hold. */
  leaseMsMax: number;
  /** Maps before this epoch may name another lease. */
  settingsEpoch = 0;
  lineage: readonly CoordinatorStart[];
  /** Names that nobody gets yet. */
  readonly dropped: DroppedNames;
  /** The first map that names all primaries as they are now. */
  #primariesEpoch: number;
  /** Where the coordinators are. */
  #coordinators: readonly CoordinatorInfo[] | undefined;
  /** The databases, once there has been one. */
  #databases: DatabaseList | undefined;
  /** The nodes or their weights may have changed since the target assignment was computed. */
  targetStale = true;
  readonly #generation: string;
  readonly #seals: MapSeals | undefined;
  readonly #out: Outbox;
  /** The lease of a primary that is not in the configuration any more may last until then. */
  readonly #formerLeases = new Map<number, number>();
  /** The list of nodes as the last document has it; undefined if it has changed. */
  #nodes: NodeInfo[] | undefined;
  #changes: Change[] = [];
  #touched = new Set<NodeId>();

  /**
   * @param stored as read from disk, with the settings that count from now on; or a new cluster
   * @param start the id of this start of the coordinator, and by what maps are sealed if the cluster is secured
   */
  constructor(
    out: Outbox,
    stored: StoredCluster,
    { generation, seals }: { generation: string; seals?: MapSeals | undefined },
    nowMs: number,
  ) {
    const { map, fresh } = stored;
    const { leaseMs, failureTimeoutMs } = map.settings;
    this.#out = out;
    this.#generation = generation;
    this.#seals = seals;
    this.settings = map.settings;
    this.#coordinators = map.coordinators;
    this.#databases = map.databases;
    this.dropped = new DroppedNames(stored.dropped);
    this.#primariesEpoch = map.epoch;
    this.lineage = beginGeneration(stored.lineage, generation, map.epoch);
    this.graceUntilMs = nowMs + failureTimeoutMs;
    this.leaseMsMax = Math.max(leaseMs, stored.leaseMsMax);
    this.leaseGraceUntilMs = nowMs + this.leaseMsMax * (1 + CLOCK_DRIFT_MAX);
    this.table = new PartitionTable(map.partitions);
    this.publisher = new MapPublisher(out, map);
    this.fresh = new Map(fresh.map((partition) => [partition, map.epoch]));
    this.#restoreMembers(stored, nowMs);
  }

  /** The map that everybody may know. */
  get published(): ClusterMap {
    return this.publisher.published;
  }

  /** The member that is registered over a session, unless it is down. */
  memberOf(session: SessionId): Member | undefined {
    const id = this.sessions.get(session);
    const member = id === undefined ? undefined : this.members.get(id);
    return member?.session === session && member.presence !== "down" ? member : undefined;
  }

  add(member: Member): void {
    this.members.set(member.id, member);
    this.#nodes = undefined;
  }

  /** A node is off the list. */
  remove(member: Member): void {
    this.members.delete(member.id);
    this.#nodes = undefined;
    this.targetStale = true;
    this.publisher.decide();
  }

  /** The map names these coordinators from now on. */
  setCoordinators(coordinators: readonly CoordinatorInfo[]): void {
    if (JSON.stringify(this.#coordinators) === JSON.stringify(coordinators)) return;
    this.#coordinators = coordinators;
    this.publisher.decide();
  }

  /** Whether a node may have to look for the coordinator that is active. */
  get hasSeveralCoordinators(): boolean {
    return (this.#coordinators?.length ?? 0) > 1;
  }

  /** The databases besides `default`, as decided. */
  get databases(): DatabaseList {
    return this.#databases ?? NO_DATABASES;
  }

  /** @returns the epoch of the map that has them, at the earliest */
  setDatabases(databases: DatabaseList): number {
    this.#databases = databases;
    return this.publisher.decide();
  }

  /**
   * Each primary goes by the map of this epoch or a later one, and has noted that it is primary, so its node takes no
   * writes by an older map, and neither does a former primary: that needs the primary's acknowledgement (rule C13). 0 if this
   * is not known of any map. Takes time proportional to the number of partitions.
   */
  epochOfPrimaries(): number {
    let knownEpoch = Infinity;
    for (let p = 0; p < this.table.size; p++) {
      const { primary, inSync } = this.table.get(p);
      if (inSync.length === 0) continue;
      const member = primary === undefined ? undefined : this.members.get(primary);
      knownEpoch = Math.min(knownEpoch, member?.adoptedEpoch ?? 0);
    }
    return knownEpoch < this.#primariesEpoch ? 0 : knownEpoch;
  }

  /** The document is to be written again with the list of nodes, though none of its lines is another. */
  listNodesAnew(): void {
    this.#nodes = undefined;
    this.publisher.decide();
  }

  /** A node's line in the map, with what the coordinator thinks of it. */
  setInfo(member: Member, info: NodeInfo): void {
    const { presence, departure } = member;
    const state = presence === "down" ? "down" : departure === "leaving" ? "leaving" : "up";
    const next: NodeInfo = { ...info, state };
    if (sameInfo(member.info, next)) return;
    member.info = next;
    this.listNodesAnew();
  }

  /** Something has changed about a node: what it holds is to be looked at. */
  touch(member: Member): void {
    this.targetStale = true;
    this.#touched.add(member.id);
  }

  /** As {@linkcode touch}, of what has no part in the target assignment. */
  touchReplicas(member: Member): void {
    this.#touched.add(member.id);
  }

  /** Ends a session that is of no use any more. */
  dropSession(session: SessionId): void {
    this.publisher.unsubscribe(session);
    this.sessions.delete(session);
    this.#out.close(session);
  }

  /** Changes who holds a partition. @returns whether there is anything new */
  reconfigure(partition: number, replicas: Replicas, options?: ReconfigureOptions): boolean {
    const change = this.table.reconfigure(partition, replicas, options);
    if (change === undefined) return false;
    const { before, after } = change;
    const epoch = this.publisher.decide();
    if (before.primary !== after.primary || options?.forced === true) this.#primariesEpoch = epoch;
    if (before.primary !== undefined && before.primary !== after.primary) {
      const old = this.members.get(before.primary);
      if (old !== undefined) old.ackEpochMin = epoch;
    }
    for (const id of [...before.inSync, ...before.learners]) {
      if (after.inSync.includes(id) || after.learners.includes(id)) continue;
      const member = this.members.get(id);
      member?.stale.delete(partition);
      member?.damaged.delete(partition);
    }
    this.#changes.push(change);
    return true;
  }

  /** Nobody becomes primary of the partition before. */
  barUntil(partition: number, untilMs: number): void {
    this.#formerLeases.set(partition, Math.max(untilMs, this.#formerLeases.get(partition) ?? 0));
  }

  /** When every lease of primaries that are not in the configuration any more has ended. */
  barredUntilMs(partition: number): number {
    return Math.max(this.#formerLeases.get(partition) ?? 0, this.leaseGraceUntilMs);
  }

  /** It has a new primary, which was given after all of these leases. */
  unbar(partition: number): void {
    this.#formerLeases.delete(partition);
  }

  get hasNews(): boolean {
    return this.#changes.length > 0 || this.#touched.size > 0;
  }

  takeNews(): News {
    const news = { changes: this.#changes, nodes: this.#touched };
    this.#changes = [];
    this.#touched = new Set();
    return news;
  }

  /** What was decided goes to disk, unless a write is under way: it goes with the next one then. */
  flush(nowMs: number): void {
    const { publisher } = this;
    if (publisher.mustWrite(nowMs)) publisher.write(this.#document(publisher.decidedEpoch));
  }

  #document(epoch: number): StoredCluster {
    const members = [...this.members.values()].sort(byId);
    this.#nodes ??= members.map(({ info }) => info);
    const generation = this.#generation;
    const seal = this.#seals?.of({ epoch, generation });
    return {
      format: STORED_FORMAT,
      map: {
        epoch,
        generation,
        ...(seal === undefined ? {} : { seal }),
        settings: this.settings,
        nodes: this.#nodes,
        ...(this.#coordinators === undefined ? {} : { coordinators: this.#coordinators }),
        ...(this.#databases === undefined ? {} : { databases: this.#databases }),
        partitions: this.table.toArray(),
      },
      members: members.map(({ id, instance, memory, stale, damaged, batch }) => ({
        id,
        instance,
        memory,
        stale: [...stale],
        damaged: [...damaged],
        batch,
      })),
      fresh: [...this.fresh.keys()],
      lineage: this.lineage,
      leaseMsMax: this.leaseMsMax,
      ...(this.dropped.size === 0 ? {} : { dropped: this.dropped.toStored() }),
    };
  }

  #restoreMembers({ map, members }: StoredCluster, nowMs: number): void {
    for (const info of map.nodes) {
      const member = newMember(info, info.state === "down" ? "down" : "unknown", nowMs);
      if (info.state === "leaving") member.departure = "leaving";
      member.leaseUntilMs = this.leaseGraceUntilMs;
      // A node that is down counts as down for long, so that the target assignment does without it until it
      // comes. If it still holds a partition, it has its repair delay.
      if (this.table.heldBy(info.id).size === 0) member.downSinceMs = -Infinity;
      this.members.set(info.id, member);
    }
    for (const { id, instance, memory, stale, damaged, batch } of members) {
      const member = this.members.get(id);
      if (member === undefined) continue;
      member.instance = instance;
      member.memory = memory;
      for (const partition of stale) member.stale.add(partition);
      for (const partition of damaged) member.damaged.add(partition);
      member.batch = batch;
    }
  }
}
