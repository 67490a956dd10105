/**
 * The coordinator's state machine, with the test playing everything around it: time, disk, nodes. For every effect it
 * checks what must always hold: maps are written before they are shown, terms and epochs only grow, and at most one
 * primary may hold a lease.
 *
 * @module
 */
import { assert, assertEquals, assertExists } from "@std/assert";
import {
  ClusterController,
  type ControllerOptions,
} from "../../../coordinator/controller/cluster_controller.ts";
import type { ClusterStats } from "../../../coordinator/controller/cluster_stats.ts";
import type { Input } from "../../../coordinator/controller/input.ts";
import type { Report } from "../../../coordinator/partitions/reports.ts";
import { place } from "../../../coordinator/placement/placement.ts";
import type { Place } from "../../../coordinator/partitions/target_assignment.ts";
import { type Forced, type Ready, writeLog } from "../../../coordinator/state/ready.ts";
import {
  newCluster,
  parseStoredCluster,
  type StoredCluster,
} from "../../../coordinator/state/stored_cluster.ts";
import {
  applyDelta,
  checkInvariants,
  type ClusterMap,
  type ClusterSettings,
  type PartitionConfig,
} from "../../../shared/cluster/cluster_map.ts";
import { KvError } from "../../../shared/base/errors.ts";
import { randomSecret, SeededRandom } from "../../../shared/platform/random.ts";
import { MapSeals } from "../../../shared/security/map_seal.ts";
import { CLOCK_DRIFT_MAX } from "../../../shared/limits/membership.ts";
import type { LogFields, Logger } from "../../../shared/platform/logger.ts";
import { NO_LOG } from "../doubles/no_log.ts";
import type { HeldPartition, Message } from "../../../shared/wire/messages.ts";

export const SETTINGS: ClusterSettings = {
  clusterId: "c1",
  clusterName: "test",
  partitionCount: 16,
  replicationFactor: 3,
  minInSync: 1,
  leaseMs: 1_500,
  heartbeatIntervalMs: 500,
  failureTimeoutMs: 2_500,
};

/** A node's id from a letter: `a` is `aaaaaaaaaaaaaaaa`. */
export const idOf = (letter: string) => letter.repeat(16);

/** A process of a node, as far as the coordinator sees it. */
export interface Process {
  readonly node: string;
  readonly instance: string;
  readonly incarnation: number;
  session: number;
  alive: boolean;
  /** Heartbeats reach the coordinator. */
  heard: boolean;
  /** What comes over its session is held up. */
  deaf: boolean;
  heldUp: Message[];
  map: ClusterMap | undefined;
  registered: boolean;
  /** `at` of what it has heard last over its session. */
  heardAt: number | undefined;
  /** It has just been told that it is registered, and answers with a heartbeat. */
  owesBeat: boolean;
  /** Whether it takes a message that arrives. */
  hear: (message: Message) => boolean;
  /** What it says that it cannot serve. */
  unserved: number;
  /** What acknowledgements of the coordinator give it, on the shared clock. */
  leaseUntilMs: number;
  /** The last batch of its database that is synced; 0 if the test has none. */
  batch: number;
  inbox: Message[];
}

/** Records the coordinator's effects, in their order. */
export interface Observer {
  /** A map is being written. */
  writes(cluster: StoredCluster): void;
  published(map: ClusterMap, before: ClusterMap | undefined): void;
  /** Whether it arrives or is held up. */
  sent(process: Process, message: Message): void;
  closed(session: number): void;
}

/** The coordinator's state machine, with a method for each of its inputs, and whoever carries out what it returns. */
export class DrivenController {
  readonly #controller: ClusterController;
  readonly #carryOut: (ready: Ready) => void;

  constructor(options: ControllerOptions, nowMs: number, carryOut: (ready: Ready) => void) {
    this.#controller = new ClusterController(options, nowMs);
    this.#carryOut = carryOut;
  }

  get published(): ClusterMap {
    return this.#controller.published;
  }

  stats(): ClusterStats {
    return this.#controller.stats();
  }

  step(input: Input, nowMs: number): Ready {
    const ready = this.#controller.step(input, nowMs);
    this.#carryOut(ready);
    return ready;
  }

  start(nowMs: number): void {
    this.step({ type: "start", heartbeatPort: 3769 }, nowMs);
  }

  register(session: number, message: Message<"register">, nowMs: number): KvError | undefined {
    return this.step({ type: "register", session, message }, nowMs).refusal;
  }

  heartbeat(
    message: Message<"heartbeat">,
    session: number | undefined,
    nowMs: number,
  ): Message<"heartbeat_ack"> | undefined {
    return this.step({ type: "heartbeat", session, message, hasRight: true }, nowMs)
      .acknowledgement;
  }

  report(session: number, message: Report, nowMs: number): void {
    this.step({ type: "report", session, message }, nowMs);
  }

  disk(session: number, writable: boolean, nowMs: number): void {
    this.step({ type: "disk", session, writable }, nowMs);
  }

  leave(session: number, stopping: boolean, nowMs: number): void {
    this.step({ type: "leave", session, stopping }, nowMs);
  }

  sessionClosed(session: number, nowMs: number): void {
    this.step({ type: "session_closed", session }, nowMs);
  }

  tick(nowMs: number): void {
    this.step({ type: "tick" }, nowMs);
  }

  stoodStill(ms: number, nowMs: number): void {
    this.step({ type: "stood_still", ms }, nowMs);
  }

  persisted(epoch: number, nowMs: number): void {
    this.step({ type: "persisted", epoch }, nowMs);
  }

  persistFailed(epoch: number, error: KvError, nowMs: number): void {
    this.step({ type: "persist_failed", epoch, error }, nowMs);
  }

  /** @throws {KvError} why it is refused */
  force(partition: number | undefined, node: string | undefined, nowMs: number): readonly Forced[] {
    return this.#order({ type: "force", partition, node }, nowMs);
  }

  /** @throws {KvError} why it is refused */
  forgetNode(node: string, force: boolean, nowMs: number): readonly Forced[] {
    return this.#order({ type: "forget_node", node, force }, nowMs);
  }

  askWhatIsHeld(nowMs: number): boolean {
    return this.step({ type: "ask_what_is_held" }, nowMs).asked;
  }

  #order(input: Input, nowMs: number): readonly Forced[] {
    const { refusal, forced } = this.step(input, nowMs);
    if (refusal !== undefined) throw refusal;
    return forced;
  }
}

export interface WorldOptions {
  observer?: Observer;
  settings?: Partial<ClusterSettings>;
  expectNodes?: number;
  repairDelayMs?: number;
  /** False: writes of the map wait for `persist()`. */
  autoPersist?: boolean;
  /** False: the test's own nodes do what it says; true: they answer as healthy nodes would. */
  obedient?: boolean;
  place?: Place;
  /** Maps are sealed. */
  secured?: boolean;
}

/** By which maps are sealed. */
const SEALS = new MapSeals(randomSecret(new SeededRandom(1)), SETTINGS.clusterId);

export class World {
  nowMs = 1_000_000;
  controller: DrivenController;
  readonly processes = new Map<string, Process>();
  readonly errors: string[] = [];
  readonly infos: string[] = [];
  readonly warnings: string[] = [];
  autoPersist: boolean;
  obedient: boolean;
  disk: StoredCluster | undefined;
  /** `--accept-epoch` of the next start of the coordinator. */
  acceptEpoch: number | undefined;
  writing: StoredCluster | undefined;
  failWrites = false;
  publishedMaps: ClusterMap[] = [];
  closed: number[] = [];
  readonly #options: WorldOptions;
  #sessions = 0;
  #instances = 0;
  #generations = 0;
  #incarnations = new Map<string, number>();
  #nextBeatMs: number;

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.autoPersist = options.autoPersist ?? true;
    this.obedient = options.obedient ?? false;
    this.#nextBeatMs = this.nowMs;
    this.controller = this.#start(newCluster({ ...SETTINGS, ...options.settings }), true);
  }

  get map(): ClusterMap {
    return this.controller.published;
  }

  config(partition: number): PartitionConfig {
    const config = this.map.partitions[partition];
    assertExists(config);
    return config;
  }

  #start(stored: StoredCluster, changed: boolean): DrivenController {
    const log: Logger = {
      ...NO_LOG,
      info: (event: string, fields?: LogFields) =>
        this.infos.push(`${event} ${JSON.stringify(fields)}`),
      warn: (event: string, fields?: LogFields) =>
        this.warnings.push(`${event} ${JSON.stringify(fields)}`),
      error: (event: string, fields?: LogFields) =>
        this.errors.push(`${event} ${JSON.stringify(fields)}`),
    };
    this.controller = new DrivenController(
      {
        place: this.#options.place ?? place,
        stored,
        changed,
        repairDelayMs: this.#options.repairDelayMs ?? 5_000,
        expectNodes: this.#options.expectNodes ?? 1,
        generation: `g${++this.#generations}`,
        acceptEpoch: this.acceptEpoch,
        seals: this.#options.secured === true ? SEALS : undefined,
      },
      this.nowMs,
      (ready) => this.#carryOut(ready, log),
    );
    this.controller.start(this.nowMs);
    this.#autoPersist();
    return this.controller;
  }

  #carryOut({ log: lines, published, messages, closed, document }: Ready, log: Logger): void {
    writeLog(log, lines);
    if (published !== undefined) this.#onPublished(published);
    for (const { sessions, message } of messages) {
      for (const session of sessions) this.#deliver(session, message);
    }
    for (const session of closed) {
      this.closed.push(session);
      this.#options.observer?.closed(session);
    }
    if (document === undefined) return;
    assertEquals(this.writing, undefined, "one write at a time");
    this.writing = document;
    this.#options.observer?.writes(document);
  }

  /** The coordinator dies and starts again from its disk, with other settings if some are given. */
  restartCoordinator(settings: Partial<ClusterSettings> = {}): void {
    assertExists(this.disk);
    this.writing = undefined;
    for (const process of this.processes.values()) process.registered = false;
    this.closed = [];
    const stored = parseStoredCluster(JSON.parse(JSON.stringify(this.disk)));
    const map = { ...stored.map, settings: { ...stored.map.settings, ...settings } };
    this.#start({ ...stored, map }, Object.keys(settings).length > 0);
  }

  #autoPersist(): void {
    if (this.autoPersist) { while (this.writing !== undefined) this.persist(); }
  }

  /** The write under way ends. */
  persist(): void {
    const { writing } = this;
    assertExists(writing, "a write is under way");
    this.writing = undefined;
    if (this.failWrites) {
      const error = new KvError("storage_failed", "no space");
      this.controller.persistFailed(writing.map.epoch, error, this.nowMs);
      return;
    }
    this.disk = writing;
    this.controller.persisted(writing.map.epoch, this.nowMs);
    this.#beatFirst();
  }

  /** A node that has just been registered shows that it hears. */
  #beatFirst(): void {
    for (const process of this.processes.values()) {
      if (!process.owesBeat) continue;
      process.owesBeat = false;
      if (process.alive && process.heard) this.beat(process);
    }
  }

  #onPublished(map: ClusterMap): void {
    assertEquals(this.disk?.map.epoch, map.epoch, "on disk before it is published");
    checkInvariants(map);
    const before = this.publishedMaps.at(-1);
    this.#options.observer?.published(map, before);
    this.publishedMaps.push(map);
    if (this.publishedMaps.length > 50) this.publishedMaps.shift();
    if (before === undefined) return;
    assert(map.epoch > before.epoch, "epochs grow");
    map.partitions.forEach((after, partition) => {
      const was = before.partitions[partition];
      assertExists(was);
      this.#checkStep(partition, was, after, map);
    });
  }

  #checkStep(
    partition: number,
    was: PartitionConfig,
    is: PartitionConfig,
    map: ClusterMap,
  ): void {
    const where = `partition ${partition}: ${JSON.stringify(was)} -> ${JSON.stringify(is)}`;
    assert(is.term >= was.term, `terms grow, ${where}`);
    const same = was.primary === is.primary && String(was.inSync) === String(is.inSync);
    assert(same || is.term > was.term, `a change takes a term, ${where}`);
    if (is.term === was.term) {
      assert(was.learners.every((id) => is.learners.includes(id)), `a learner goes, ${where}`);
    }
    // Who comes in was a learner of a configuration that its primary knew.
    if (was.inSync.length > 0) {
      for (const id of is.inSync) {
        assert(
          was.inSync.includes(id) || this.caughtUp.has(`${partition}/${id}`) ||
            this.forced.has(`${partition}/${id}`),
          `only a replica that has caught up comes in, ${where}`,
        );
      }
    }
    for (const id of is.inSync) this.caughtUp.delete(`${partition}/${id}`);
    if (is.primary !== undefined && is.primary !== was.primary) {
      const info = map.nodes.find((node) => node.id === is.primary);
      assertExists(info);
    }
  }

  readonly caughtUp = new Set<string>();
  readonly forced = new Set<string>();

  #deliver(session: number, message: Message): void {
    if (message.req_type === "registered") {
      assertEquals(message.map, this.controller.published);
    }
    for (const process of this.processes.values()) {
      if (process.session !== session || !process.alive) continue;
      this.#options.observer?.sent(process, message);
      if (process.deaf) process.heldUp.push(message);
      else this.#hear(process, message);
    }
  }

  /** What was held up comes through. */
  undeafen(process: Process): void {
    process.deaf = false;
    for (const message of process.heldUp.splice(0)) this.#hear(process, message);
  }

  #hear(process: Process, message: Message): void {
    if (!process.hear(message)) return;
    process.inbox.push(message);
    this.#receive(process, message);
  }

  #receive(process: Process, message: Message): void {
    if (message.req_type === "registered") {
      const own = message.map.nodes.find((node) => node.id === process.node);
      // A node that asked to leave may be off the list already.
      if (own !== undefined) assertEquals(own.incarnation, process.incarnation);
      process.map = message.map;
      process.registered = true;
      process.heardAt = message.at;
      process.owesBeat = true;
    } else if (message.req_type === "map_delta") {
      assertExists(process.map);
      const next = applyDelta(process.map, message.delta);
      assertExists(next, "a delta fits");
      assertEquals(next.partitions.length, process.map.partitions.length);
      process.map = next;
    }
  }

  /** Starts a process of a node and registers it. */
  start(
    letter: string,
    options: {
      held?: HeldPartition[];
      memory?: boolean;
      incarnation?: number;
      zone?: string;
      /** The letter of the host that it is on; default: its own. */
      host?: string;
      batch?: number;
      register?: boolean;
    } = {},
  ): Process {
    const node = idOf(letter);
    const incarnation = options.incarnation ?? (this.#incarnations.get(node) ?? 0) + 1;
    this.#incarnations.set(node, incarnation);
    const process: Process = {
      node,
      instance: `i${++this.#instances}`,
      incarnation,
      session: 0,
      alive: true,
      heard: true,
      deaf: false,
      heldUp: [],
      map: undefined,
      registered: false,
      heardAt: undefined,
      owesBeat: false,
      hear: () => true,
      unserved: 0,
      leaseUntilMs: 0,
      batch: options.batch ?? 0,
      inbox: [],
    };
    this.processes.set(process.instance, process);
    if (options.register !== false) {
      assertEquals(this.register(process, options)?.message, undefined);
    }
    return process;
  }

  /** Opens a new session and registers over it. */
  register(
    process: Process,
    options: {
      held?: HeldPartition[];
      memory?: boolean;
      zone?: string;
      host?: string;
      /** What it says without being right. */
      claims?: Partial<Message<"register">>;
    } = {},
  ): KvError | undefined {
    process.session = ++this.#sessions;
    process.heldUp = [];
    process.heardAt = undefined;
    const refusal = this.controller.register(process.session, {
      req_type: "register",
      node: process.node,
      instance: process.instance,
      incarnation: process.incarnation,
      host: `host-${options.host ?? process.node[0]}`,
      port: 8081,
      http_port: 0,
      zone: options.zone ?? `host-${process.node[0]}`,
      weight: 1,
      held: options.held ?? [],
      batch: process.batch,
      ...seenBy(process),
      ...(options.memory === true ? { memory: true } : {}),
      ...options.claims,
    }, this.nowMs);
    this.#beatFirst();
    this.#autoPersist();
    return refusal;
  }

  /** The process dies at once; its connection breaks. */
  kill(process: Process): void {
    process.alive = false;
    this.controller.sessionClosed(process.session, this.nowMs);
    this.#autoPersist();
  }

  report(process: Process, message: Report): void {
    if (message.req_type === "caught_up") this.caughtUp.add(`${message.p}/${message.node}`);
    this.controller.report(process.session, message, this.nowMs);
    this.#autoPersist();
  }

  sayDisk(process: Process, writable: boolean): void {
    this.controller.disk(process.session, writable, this.nowMs);
    this.#autoPersist();
  }

  leave(process: Process, stopping: boolean): void {
    this.controller.leave(process.session, stopping, this.nowMs);
    this.#autoPersist();
  }

  beat(process: Process): Message<"heartbeat_ack"> | undefined {
    const sentMs = this.nowMs;
    const ack = this.controller.heartbeat(
      {
        req_type: "heartbeat",
        node: process.node,
        instance: process.instance,
        incarnation: process.incarnation,
        sent: sentMs,
        epoch: process.map?.epoch ?? 0,
        map: process.map?.epoch ?? 0,
        heard: process.heardAt,
        unserved: process.unserved,
        batch: process.batch,
      },
      undefined,
      this.nowMs,
    );
    this.#autoPersist();
    if (ack !== undefined && !process.deaf) process.heardAt = ack.at;
    if (ack === undefined) return ack;
    // As a node does: an older map than the acknowledged one means no lease at all.
    if (ack.epoch > (process.map?.epoch ?? 0)) process.leaseUntilMs = 0;
    else if (ack.lease) {
      process.leaseUntilMs = sentMs + this.map.settings.leaseMs * (1 + CLOCK_DRIFT_MAX);
    }
    return ack;
  }

  /** Time passes: ticks, and heartbeats of those that are alive. */
  advance(ms: number, stepMs = 50): void {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.nowMs = Math.min(endMs, this.nowMs + stepMs);
      if (this.nowMs >= this.#nextBeatMs) {
        this.#nextBeatMs = this.nowMs + this.map.settings.heartbeatIntervalMs;
        for (const process of this.processes.values()) {
          if (process.alive && process.heard && process.registered) this.beat(process);
        }
      }
      this.controller.tick(this.nowMs);
      this.#autoPersist();
      if (this.obedient) this.obey();
    }
  }

  /** Nodes do what is asked of them: fill learners, hand over. */
  obey(): void {
    for (const process of [...this.processes.values()]) {
      if (!process.alive || !process.heard || process.map === undefined) continue;
      const inbox = process.inbox.splice(0);
      for (const message of inbox) {
        if (message.req_type === "handover") {
          this.report(process, { req_type: "drained", p: message.p, term: message.term });
        }
      }
      process.map.partitions.forEach(({ primary, learners, term }, p) => {
        if (primary !== process.node) return;
        for (const node of learners) {
          if (this.#livesOf(node)) this.report(process, { req_type: "caught_up", p, term, node });
        }
      });
    }
  }

  #livesOf(node: string): boolean {
    return [...this.processes.values()].some((p) => p.node === node && p.alive && p.registered);
  }

  /** Everything a node's process was told of one kind. */
  received<T extends Message["req_type"]>(process: Process, type: T): Message<T>[] {
    return process.inbox.filter((m): m is Message<T> => m.req_type === type);
  }

  /** What a node would report of its disk after a crash: every partition its map gave it. */
  heldOf(process: Process, lastSeq = 10): HeldPartition[] {
    const held: HeldPartition[] = [];
    process.map?.partitions.forEach(({ term, inSync }, p) => {
      if (inSync.includes(process.node)) held.push([p, term, lastSeq, 0]);
    });
    return held;
  }
}

/** What a node says of the newest map that it has seen. */
function seenBy({ map }: Process): Partial<Message<"register">> {
  if (map === undefined) return {};
  const { epoch, generation, seal } = map;
  return {
    seen_epoch: epoch,
    ...(generation === undefined ? {} : { seen_generation: generation }),
    ...(seal === undefined ? {} : { seen_seal: seal }),
  };
}

/** A cluster of this many nodes, all replicas in sync, as the letters a, b, c, … */
export function settled(count: number, options: WorldOptions = {}): [World, ...Process[]] {
  const world = new World({ expectNodes: count, ...options });
  const processes = Array.from(
    { length: count },
    (_, i) => world.start(String.fromCharCode(97 + i)),
  );
  world.advance(2_000);
  world.map.partitions.forEach(({ inSync }) =>
    assertEquals(inSync.length, Math.min(count, world.map.settings.replicationFactor))
  );
  return [world, ...processes];
}

/** A coordinator that is started on a disk, with other settings; it has not written anything yet. */
export function startedAgain(
  stored: StoredCluster,
  wanted: Partial<ClusterSettings>,
  persist: (cluster: StoredCluster) => void,
  nowMs: number,
): DrivenController {
  const settings = { ...stored.map.settings, ...wanted };
  const controller = new DrivenController(
    {
      place,
      stored: { ...stored, map: { ...stored.map, settings } },
      changed: JSON.stringify(settings) !== JSON.stringify(stored.map.settings),
      repairDelayMs: 5_000,
      expectNodes: 1,
      generation: "again",
      acceptEpoch: undefined,
    },
    nowMs,
    ({ document }) => document === undefined ? undefined : persist(document),
  );
  controller.start(nowMs);
  return controller;
}
