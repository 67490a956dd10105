/**
 * What must hold at every instant of a run, watched from outside the processes, with nothing but
 * what they show and what is on their disks.
 *
 * *One reader.* For each partition, at most one process can answer strong reads: it is running, its
 * replica serves as primary, and it holds a lease that counts, or needs no other replica's word, or would
 * at this instant be confirmed by all whose word it needs.
 *
 * *Never back.* Per process: the map's epoch; each partition's term and epoch; and, until a replica is
 * deleted as a whole, the term that it was last level in and the seq up to which it knows its writes
 * to be committed. On the coordinator's disk: the epoch and each partition's term.
 *
 * *Nothing lost.* Each member of the in-sync set on the coordinator's disk has every acknowledged
 * write on its own disk, as it would be after a power cut; a replica whose disk was damaged by a fault
 * is excused until it has been filled again.
 *
 * @module
 */
import { decodeRecord } from "../../../node/storage/record.ts";
import type { Replica } from "../../../node/replication/replica.ts";
import type { ClusterMap, PartitionConfig } from "../../../shared/cluster/cluster_map.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { CLOCK_DRIFT_MAX } from "../../../shared/limits/membership.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import type { Happening } from "../coverage.ts";
import type { History } from "./history.ts";
import type { SimProcess } from "../sim/scheduler.ts";
import type { NodeHost, World } from "../sim/world.ts";
import { textOf } from "../sim/sorted_rows.ts";

/** Something that must not happen, happened. */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly partition: number | undefined;

  constructor(message: string, partition?: number) {
    super(message);
    this.partition = partition;
  }
}

/** What a replica did when it was last looked at. */
interface Seen {
  state: string;
  config: PartitionConfig | undefined;
  epoch: number;
  damaged: boolean;
  term: number;
  commitSeq: number;
  watermark: number;
}

/** An acknowledged write. */
interface Acknowledged {
  readonly version: number;
  /** Its place in the history. */
  readonly begunAt: number;
  /** By itself it may be gone by now. */
  readonly expires: boolean;
}

/** Deletes of a key: its tombstone may be dropped if dates jump, and then nothing is there. */
interface Deletes {
  /** Under way, or never known to have ended. */
  open: number;
  lastEndAt: number;
}

const encoder = new TextEncoder();

/** Watches a run. */
export class Invariants {
  readonly #world: World;
  readonly #history: History;
  readonly #partitions: number;
  /** By process: a new one begins with nothing. */
  readonly #seen = new WeakMap<SimProcess, Seen[]>();
  readonly #epochs = new WeakMap<SimProcess, number>();
  /** Who serves each partition, as far as was seen. */
  readonly #serving: Set<NodeHost>[];
  #stored: ClusterMap | undefined;
  /** Of each key, the last acknowledged write that is promised to be everywhere. */
  readonly #acknowledged = new Map<string, Acknowledged>();
  /** Where operations began that have not ended, as places in the history. */
  readonly #begun = new Map<number, number>();
  readonly #deletes = new Map<string, Deletes>();
  /** The greatest commit seq of any replica, of each partition. */
  readonly #committed: number[] = [];
  /** Partitions whose data an operator gave up, and how long the history was when that was last done. */
  readonly #forced = new Map<number, number>();
  #eventsRead = 0;
  /** Who had the right last, on which host, and since when it acts. */
  #holder: { process: SimProcess; host: string; sinceMs: number } | undefined;
  /** Of each epoch that a node has adopted, which start of a coordinator gave it. */
  readonly #generations = new Map<number, string>();

  constructor(world: World, history: History) {
    this.#world = world;
    this.#history = history;
    this.#partitions = world.shape.partitions;
    this.#serving = Array.from({ length: this.#partitions }, () => new Set<NodeHost>());
  }

  /** After an event of a process, and of all that followed from it. */
  afterEvent(process: SimProcess | undefined): void {
    const { defect } = this.#world;
    if (defect !== undefined) throw defect;
    if (process !== undefined) {
      const host = this.#world.hosts.find((host) => host.process === process);
      if (host !== undefined) {
        this.#lookAt(host, process);
        if (this.#world.areSeveral) this.#watchLease(host);
      }
    }
    this.#readHistory();
    this.#watchMap();
    if (this.#world.areSeveral) this.#watchRight();
  }

  /** Of several coordinators one at most may give leases, whoever stands still. */
  #watchRight(): void {
    const holders = this.#world.coordinators.filter(({ coordinator }) =>
      coordinator.isActive && coordinator.hasRight
    );
    if (holders.length > 1) {
      throw new Violation(`two may give leases: ${holders.map(({ name }) => name).join(" and ")}`);
    }
    const [holder] = holders;
    if (holder === undefined || holder.process === this.#holder?.process) return;
    const { name, process } = holder;
    this.#world.trace.add(name, "acts from now on");
    this.#holder = { process, host: name, sinceMs: this.#world.nowMs };
  }

  /** No lease outlives its giver's right for so long that the next coordinator may go by that it is over. */
  #watchLease(host: NodeHost): void {
    const { runtime } = host;
    const giver = runtime?.coordinator?.host;
    if (runtime === undefined || giver === undefined || this.#holder === undefined) return;
    const { host: holder, sinceMs } = this.#holder;
    if (giver === holder || !runtime.node.hasLease) return;
    const { leaseMs = 0 } = runtime.node.map()?.settings ?? {};
    const actsForMs = this.#world.nowMs - sinceMs;
    if (actsForMs <= leaseMs * (1 + CLOCK_DRIFT_MAX) ** 2) return;
    throw new Violation(
      `${host.name} has a lease of ${giver}, and ${holder} acts since ${Math.round(actsForMs)} ms`,
    );
  }

  /** No two maps have one epoch. */
  #watchEpoch(host: NodeHost, map: ClusterMap): void {
    const { epoch, generation = "" } = map;
    const before = this.#generations.get(epoch) ?? generation;
    if (before !== generation) {
      throw new Violation(
        `${host.name} has map ${epoch} of ${generation}, others have that of ${before}`,
      );
    }
    this.#generations.set(epoch, generation);
  }

  processEnded(host: NodeHost): void {
    for (const serving of this.#serving) serving.delete(host);
  }

  /** The greatest seq of a partition that any replica has known to be committed. */
  committed(partition: number): number {
    return this.#committed[partition] ?? 0;
  }

  /** Whether the partition's data was given up. */
  isForced(partition: number): boolean {
    return this.#forced.has(partition);
  }

  /** The partition's data is given up: what was acknowledged until now is not promised any more. */
  onForced(partition: number): void {
    this.#forced.set(partition, this.#history.events.length);
    for (const key of this.#acknowledged.keys()) {
      if (partitionOf(key, this.#partitions) === partition) this.#acknowledged.delete(key);
    }
  }

  /** The coordinator's document is an older one than before. */
  onDocumentPutBack(): void {
    this.#stored = undefined;
  }

  /** Every acknowledged write is on every in-sync disk. */
  checkAll(): void {
    for (const [key, write] of this.#acknowledged) this.#checkKey(key, write);
  }

  #lookAt(host: NodeHost, process: SimProcess): void {
    const node = host.runtime?.node;
    if (node === undefined) return;
    let seen = this.#seen.get(process);
    if (seen === undefined) {
      seen = Array.from({ length: this.#partitions }, () => ({
        state: "none",
        config: undefined,
        epoch: 0,
        damaged: false,
        term: 0,
        commitSeq: 0,
        watermark: 0,
      }));
      this.#seen.set(process, seen);
    }
    const epoch = node.map()?.epoch ?? 0;
    const before = this.#epochs.get(process) ?? 0;
    if (epoch < before) {
      throw new Violation(`${host.name}: the map's epoch went from ${before} to ${epoch}`);
    }
    if (epoch !== before) {
      this.#epochs.set(process, epoch);
      const map = node.map();
      if (map !== undefined && this.#world.areSeveral) this.#watchEpoch(host, map);
    }
    for (let partition = 0; partition < this.#partitions; partition++) {
      const replica = node.partition(partition);
      const last = seen[partition];
      if (last === undefined) continue;
      const state = replica === undefined ? "none" : stateOf(replica);
      if (state !== last.state) this.#onState(host, partition, last, state, replica);
      if (replica !== undefined) {
        if (replica.config !== last.config) this.#onConfig(host, partition, last, replica);
        const { term, commitSeq, watermark, filled } = replica.store.state;
        if (filled !== undefined && (state === "level" || replica.primary !== undefined)) {
          throw new Violation(
            `${host.name} is level, and says that it is filled in part`,
            partition,
          );
        }
        if (term < last.term || commitSeq < last.commitSeq) {
          this.#onLess(host, partition, last, replica);
        }
        last.term = term;
        last.commitSeq = commitSeq;
        if (commitSeq > this.committed(partition)) this.#committed[partition] = commitSeq;
        if (watermark > last.watermark) this.#world.coverage.hit("replica: tombstones dropped");
        last.watermark = watermark;
      }
      if (state === "serving") this.#checkReader(partition);
    }
  }

  #onState(
    host: NodeHost,
    partition: number,
    last: Seen,
    state: string,
    replica: Replica | undefined,
  ): void {
    const { coverage, trace } = this.#world;
    last.state = state;
    if (state === "serving") this.#serving[partition]?.add(host);
    else this.#serving[partition]?.delete(host);
    const damaged = replica?.damaged ?? false;
    if (damaged && !last.damaged) {
      coverage.hit("replica: damaged");
      if (!host.disk.mayBeDamaged) {
        throw new Violation(
          `${host.name} gives up a replica, and its disk holds all that it was given`,
          partition,
        );
      }
    }
    last.damaged = damaged;
    if (state !== "none") coverage.hit(`replica: ${state}` as Happening);
    // A transfer that begins anew has forgotten this.
    if (state === "resyncing" && replica?.store.state.filled !== undefined) {
      coverage.hit("replica: a transfer goes on");
    }
    if (trace.recording) {
      const stored = replica?.store.state;
      trace.add(
        host.name,
        `replica ${partition} is ${state}${
          damaged ? ", damaged" : ""
        }: term ${replica?.config?.term}, on disk term ${stored?.term} commit ${stored?.commitSeq} last ${stored?.lastSeq}`,
        partition,
        true,
      );
    }
    // A fault's damage is excused until the replica has been brought level, or serves.
    if (state === "level" || state === "serving") {
      const prefix = String.fromCharCode(partition >>> 8, partition & 0xff);
      host.disk.damage = host.disk.damage.filter(({ key, what }) =>
        what !== "vanished" || !key.startsWith(prefix)
      );
    }
  }

  #onConfig(host: NodeHost, partition: number, last: Seen, replica: Replica): void {
    const { config, epoch } = replica;
    const before = last.config;
    last.config = config;
    if (before !== undefined && config !== undefined) {
      const back = config.term < before.term ||
        (config.term === before.term && epoch < last.epoch);
      if (back) {
        throw new Violation(
          `${host.name}: the configuration went from term ${before.term}, epoch ${last.epoch} to ` +
            `term ${config.term}, epoch ${epoch}`,
          partition,
        );
      }
    }
    last.epoch = epoch;
  }

  #onLess(host: NodeHost, partition: number, last: Seen, replica: Replica): void {
    const { term, commitSeq, lastSeq } = replica.store.state;
    // It has been deleted, to be filled again.
    if (term === 0 && lastSeq === 0) return;
    // A replica with old data that was given up is made equal to the one that an operator chose.
    if (this.#forced.has(partition)) return;
    throw new Violation(
      `${host.name}: the replica of partition ${partition} went from term ${last.term}, committed ` +
        `${last.commitSeq} to term ${term}, committed ${commitSeq}`,
      partition,
    );
  }

  #checkReader(partition: number): void {
    const serving = this.#serving[partition];
    if (serving === undefined || serving.size < 2) return;
    const able = [...serving].filter((host) => this.#canAnswer(host, partition));
    if (able.length < 2) return;
    throw new Violation(
      `${able.map(({ name }) => name).join(" and ")} can both answer strong reads`,
      partition,
    );
  }

  /** The definition at the head of this file. */
  #canAnswer(host: NodeHost, partition: number): boolean {
    const { process, runtime, nodeId } = host;
    if (process?.running !== true || runtime === undefined || nodeId === undefined) return false;
    const primary = runtime.node.partition(partition)?.primary;
    if (primary?.phase !== "serving") return false;
    if (runtime.node.hasLease && !primary.leaseBarred) return true;
    const { term } = primary.config;
    return primary.confirmTargets().every((id) => {
      const target = this.#world.hostOf(id);
      return target?.process?.running === true &&
        (target.runtime?.node.partition(partition)?.confirms(nodeId, term) ?? false);
    });
  }

  #readHistory(): void {
    const { events } = this.#history;
    while (this.#eventsRead < events.length) {
      const at = this.#eventsRead++;
      const event = events[at];
      if (event === undefined) return;
      const { trace } = this.#world;
      if (trace.recording) {
        const { type, f, key, value, version, error, process, id } = event;
        const facts = [value, version, error, event.consistency].filter((fact) =>
          fact !== undefined && fact !== null
        ).join(" ");
        trace.add(
          `client${process}`,
          `${type} ${f} ${key} ${facts} (${id})`,
          partitionOf(key, this.#partitions),
          true,
        );
      }
      const { id, type, f, key, version, acks, expiry } = event;
      // What expires is deleted by those who have it.
      if (f === "delete" || expiry !== undefined) this.#noteDelete(key, type, at);
      if (type === "invoke") {
        this.#begun.set(id, at);
        continue;
      }
      const begunAt = this.#begun.get(id) ?? at;
      this.#begun.delete(id);
      const isWrite = f === "write" || f === "create" || f === "update" || f === "cas";
      if (type !== "ok" || !isWrite || acks === "primary" || version === undefined) continue;
      // Its answer was on its way while what it had written was given up.
      if (begunAt < (this.#forced.get(partitionOf(key, this.#partitions)) ?? 0)) continue;
      const known = this.#acknowledged.get(key);
      if (known !== undefined && known.version > version) continue;
      const write = { version, begunAt, expires: expiry !== undefined };
      this.#acknowledged.set(key, write);
      this.#checkKey(key, write);
    }
  }

  #noteDelete(key: string, type: string, at: number): void {
    const deletes = this.#deletes.get(key) ?? { open: 0, lastEndAt: -1 };
    this.#deletes.set(key, deletes);
    if (type === "invoke") deletes.open++;
    if (type !== "ok" && type !== "fail") return;
    deletes.open--;
    deletes.lastEndAt = at;
  }

  #checkKey(key: string, { version, begunAt, expires }: Acknowledged): void {
    const world = this.#world;
    const partition = partitionOf(key, this.#partitions);
    const config = world.map?.partitions[partition];
    if (config === undefined) return;
    const prefix = String.fromCharCode(partition >>> 8, partition & 0xff);
    const rowKey = prefix + textOf(encoder.encode(key));
    for (const id of config.inSync) {
      const host = world.hostOf(id);
      // What a memory node held is gone with its process.
      if (host === undefined && (world.shape.memory || world.replaced.has(id))) continue;
      if (host === undefined) throw new Violation(`nobody knows the in-sync node ${id}`, partition);
      const { disk } = host;
      const row = world.shape.fsync === "always" ? disk.durable(rowKey) : disk.rows.get(rowKey);
      const seq = row === undefined ? undefined : seqOf(rowKey, row);
      if (seq !== undefined && seq >= version) continue;
      const deletes = this.#deletes.get(key);
      const deleted = expires ||
        (deletes !== undefined && (deletes.open > 0 || deletes.lastEndAt > begunAt));
      if (row === undefined && deleted) continue;
      const excused = host.disk.outstandingDamage().some((damage) => damage.key.startsWith(prefix));
      if (excused) continue;
      throw new Violation(
        `${host.name} is in sync, and its disk has ${JSON.stringify(key)} with ` +
          `${seq === undefined ? "nothing" : `seq ${seq}`} where ${version} was acknowledged`,
        partition,
      );
    }
  }

  /** The coordinator's map, each time that it is written. */
  #watchMap(): void {
    const { map } = this.#world;
    const before = this.#stored;
    if (map === before || map === undefined) return;
    this.#stored = map;
    if (before === undefined) return;
    if (map.epoch < before.epoch) {
      throw new Violation(`the stored epoch went from ${before.epoch} to ${map.epoch}`);
    }
    map.partitions.forEach((config, partition) => {
      const old = before.partitions[partition];
      if (old !== undefined) this.#compare(partition, old, config);
    });
  }

  #compare(partition: number, old: PartitionConfig, config: PartitionConfig): void {
    if (config.term < old.term) {
      throw new Violation(`the stored term went from ${old.term} to ${config.term}`, partition);
    }
    const { coverage, trace } = this.#world;
    const changed = config.primary !== old.primary ||
      config.inSync.join() !== old.inSync.join() || config.learners.join() !== old.learners.join();
    if (changed && trace.recording) {
      const name = (id: string | undefined) => this.#world.hostOf(id)?.name ?? id ?? "nobody";
      trace.add(
        "map",
        `partition ${partition} term ${config.term}: primary ${name(config.primary)}, in sync ${
          config.inSync.map(name).join(" ")
        }, learners ${config.learners.map(name).join(" ")}`,
        partition,
      );
    }
    if (config.primary !== old.primary) {
      if (config.primary === undefined) coverage.hit("partition: without a primary");
      else if (old.primary !== undefined && config.inSync.includes(old.primary)) {
        coverage.hit("partition: primary moved in order");
      } else if (old.term > 0) coverage.hit("partition: failover");
    }
    if (old.inSync.some((id) => !config.inSync.includes(id))) {
      coverage.hit("partition: in-sync set shrinks");
    }
    if (old.term > 0 && config.inSync.some((id) => !old.inSync.includes(id))) {
      coverage.hit("partition: in-sync set grows");
    }
    if (config.learners.some((id) => !old.learners.includes(id))) {
      coverage.hit("partition: learner added");
    }
  }
}

function stateOf(replica: Replica): string {
  const { primary } = replica;
  if (primary === undefined) return replica.follower.state;
  return primary.phase === "resyncing" ? "primary_resyncing" : primary.phase;
}

function seqOf(rowKey: string, row: Uint8Array): number | undefined {
  const key = new Uint8Array(rowKey.length);
  for (let i = 0; i < rowKey.length; i++) key[i] = rowKey.charCodeAt(i);
  try {
    return decodeRecord(key, row).seq;
  } catch (error) {
    if (error instanceof KvError) return undefined;
    throw error;
  }
}
