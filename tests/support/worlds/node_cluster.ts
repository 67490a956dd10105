/**
 * Real node cores on one simulated clock and network, under a coordinator of a few lines, which does at once and
 * without faults what the real one does with care. For tests of replication.
 *
 * @module
 */
import type { DatabaseList } from "../../../shared/cluster/databases.ts";
import { wireForm } from "../../../shared/wire/wire_form.ts";
import {
  checkInvariants,
  type ClusterMap,
  type NodeId,
  type PartitionConfig,
} from "../../../shared/cluster/cluster_map.ts";
import { PeerServer } from "../../../shared/server/peer_server.ts";
import { goes } from "../../../shared/wire/messages.ts";
import { Connection } from "../../../shared/wire/connection.ts";
import { HEARTBEAT_INTERVAL_MS, LEASE_MS } from "../../../shared/limits/membership.ts";
import type {} from "../../../shared/platform/logger.ts";
import { NO_LOG } from "../doubles/no_log.ts";
import type { KeyRequest, Message, Reply } from "../../../shared/wire/messages.ts";
import type {
  SnapshotRange,
  Storage,
  StorageChange,
  StorageRange,
  StorageRow,
  StorageSnapshot,
} from "../../../node/storage/storage.ts";
import { SeededRandom } from "../../../shared/platform/random.ts";
import { SeededKeyHash } from "../../../node/storage/key_hash.ts";
import { MemoryStorage } from "../../../node/storage/memory/memory_storage.ts";
import { Node } from "../../../node/node.ts";
import { GroupCommit, openPartitionStores } from "../../../node/storage/partition_store.ts";
import type { Report } from "../../../node/membership/report_outbox.ts";
import { RowCache } from "../../../node/storage/row_cache.ts";
import { partitionOf } from "../../../shared/cluster/position.ts";
import { mayRepeat } from "../../../shared/operations/repeat.ts";
import { ManualClock } from "../doubles/manual_clock.ts";
import { MemoryNetwork } from "../doubles/memory_transport.ts";

interface Host {
  readonly id: NodeId;
  readonly storage: MemoryStorage;
  /** The disk as the process that runs now sees it. */
  process: ProcessStorage | undefined;
  node: Node | undefined;
  /** Whether the coordinator reaches it. */
  reachable: boolean;
  /** The newest map that its processes went by, as its disk keeps it. */
  keptMap: ClusterMap | undefined;
  /** While this is set, a row that was not read before takes so long; a synchronous read holds up the process. */
  slowRead?: SlowRead;
}

/** A disk from which rows have to be read. */
interface SlowRead {
  readonly ms: number;
  /** Rows that the system has in memory by now, by key. */
  readonly inMemory: Set<string>;
  /** Synchronous reads of others. */
  heldUp: number;
}

const PORT = 1;

/** One process's view of a disk: when the process is dead, it writes nothing and hears nothing. */
class ProcessStorage implements Storage {
  readonly #disk: Storage;
  readonly #alive: () => boolean;
  readonly #clock: ManualClock;
  readonly #slowRead: () => SlowRead | undefined;

  constructor(
    disk: Storage,
    alive: () => boolean,
    clock: ManualClock,
    slowRead: () => SlowRead | undefined,
  ) {
    this.#disk = disk;
    this.#alive = alive;
    this.#clock = clock;
    this.#slowRead = slowRead;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const slow = this.#slowRead();
    if (slow !== undefined && key.length > 2 && !slow.inMemory.has(key.join())) {
      slow.heldUp++;
      slow.inMemory.add(key.join());
      this.#clock.holdUp(slow.ms);
    }
    return this.#disk.get(key);
  }

  mayReadDisk(key: Uint8Array): boolean {
    return key.length > 2;
  }

  prefetch(keys: Uint8Array[]): Promise<void> {
    const slow = this.#slowRead();
    if (slow === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      this.#clock.setTimer(slow.ms, () => {
        for (const key of keys) slow.inMemory.add(key.join());
        if (this.#alive()) resolve();
      });
    });
  }

  write(changes: StorageChange[], sync: boolean, done: (error: Error | undefined) => void): void {
    if (!this.#alive()) return;
    this.#disk.write(changes, sync, (error) => {
      if (this.#alive()) done(error);
    });
  }

  range(range: StorageRange): Promise<StorageRow[]> {
    return this.#disk.range(range);
  }

  snapshot(range: SnapshotRange): StorageSnapshot {
    return this.#disk.snapshot(range);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

/** A few nodes, one network. */
export class NodeCluster {
  readonly clock = new ManualClock();
  readonly network = new MemoryNetwork(this.clock, { delayMs: 1 });
  readonly random: SeededRandom;
  readonly hosts = new Map<NodeId, Host>();
  /** Every report that was acted on. */
  readonly reports: Report[] = [];
  /** While false the coordinator neither hears nor says anything. */
  coordinatorUp = true;
  map: ClusterMap;
  readonly #clientSessionsMax: number | undefined;

  constructor(options: {
    nodes: number;
    partitions?: number;
    replicas?: number;
    seed?: number;
    clientSessionsMax?: number;
  }) {
    this.#clientSessionsMax = options.clientSessionsMax;
    const partitionCount = options.partitions ?? 1;
    const replicas = options.replicas ?? options.nodes;
    this.random = new SeededRandom(options.seed ?? 1);
    const ids = Array.from({ length: options.nodes }, (_, i) => `n${i + 1}`);
    this.map = {
      epoch: 1,
      settings: {
        clusterId: "c",
        clusterName: "test",
        partitionCount,
        replicationFactor: replicas,
        minInSync: 1,
        leaseMs: LEASE_MS,
        heartbeatIntervalMs: HEARTBEAT_INTERVAL_MS,
        failureTimeoutMs: 2_500,
      },
      nodes: ids.map((id) => ({
        id,
        host: id,
        port: PORT,
        httpPort: 0,
        zone: id,
        weight: 1,
        incarnation: 1,
        state: "up",
      })),
      partitions: Array.from({ length: partitionCount }, (_, p) => {
        const inSync = Array.from({ length: replicas }, (_, i) => ids[(p + i) % ids.length] ?? "");
        return { term: 1, primary: inSync[0], inSync, learners: [] };
      }),
    };
    for (const id of ids) {
      this.hosts.set(id, {
        id,
        storage: new MemoryStorage(this.clock, this.random),
        process: undefined,
        node: undefined,
        reachable: true,
        keptMap: undefined,
      });
    }
  }

  async startAll(): Promise<void> {
    for (const id of this.hosts.keys()) await this.start(id);
    await this.run(200);
  }

  /** Starts a node's process, on whatever its disk holds; `damaged`: its first partition is found to be so. */
  async start(id: NodeId, options: { damaged?: boolean } = {}): Promise<Node> {
    const host = this.host(id);
    const { clock } = this;
    const storage: ProcessStorage = new ProcessStorage(
      host.storage,
      () => host.process === storage,
      clock,
      () => host.slowRead,
    );
    host.process = storage;
    const opening = openPartitionStores(storage, this.map.settings.partitionCount);
    await clock.run(0);
    const opened = await opening;
    if (options.damaged === true) opened.damaged.set(0, "as the test says");
    const queue = new GroupCommit(storage, clock, {
      fsync: "always",
      cache: new RowCache(1 << 20, new SeededKeyHash(new SeededRandom(1))),
      onError: (error) => {
        throw error;
      },
    });
    const transport = this.network.transport(id);
    const node = new Node(
      { clock, random: this.random, transport, log: NO_LOG, queue, opened },
      { nodeId: id, keptMap: host.keptMap, clientSessionsMax: this.#clientSessionsMax },
    );
    node.route = (request, timeoutMs, done) => {
      const endMs = clock.monotonicMs() + timeoutMs;
      const attempt = (): void => {
        if (host.node !== node) return;
        const { primary } = this.config(partitionOf(request.key, this.map.settings.partitionCount));
        const to = primary === undefined ? undefined : this.host(primary).node;
        const again = (reply: Reply) => {
          const passes = reply.req_type === "error" && mayRepeat("harmless", reply.code);
          if (!passes || clock.monotonicMs() > endMs) done(reply);
          else clock.setTimer(20, attempt);
        };
        if (to === undefined) {
          again({ req_type: "error", code: "unavailable", message: "nobody there" });
          return;
        }
        const order = structuredClone(wireForm({ ...request, timeout_ms: timeoutMs }));
        to.execute(order, (reply) => clock.setTimer(1, () => again(wireForm(reply))));
      };
      clock.setTimer(1, attempt);
    };
    node.coordinator = {
      send: (message) => {
        // It takes a moment, and the node may be dead by then; what it said arrives all the same.
        if (host.node !== node || !host.reachable) return;
        clock.setTimer(1, () => this.#onReport(message as Report, id));
      },
    };
    await transport.listen({ host: id, port: PORT }, (stream) => {
      const connection: Connection = new Connection(stream, clock, {
        onMessage: (message) => {
          const isHello = message.req_type === "hello";
          if (isHello || message.req_type === "ping") {
            connection.send({ req_type: "ack", id: message.id });
          }
          // These nodes serve peers alone: whoever else sends a request over the network hears nothing.
          if (!isHello || message.role !== "peer") return;
          const peer = message.node ?? "";
          connection.handTo(
            new PeerServer(
              connection,
              NO_LOG,
              { name: peer, takes: (message) => goes(message, "downstream") },
              (server) => node.acceptPeer(peer, server),
            ),
          );
        },
        onInvalid: (error) => {
          throw error;
        },
        onClose: () => {},
      });
    });
    host.node = node;
    const beat = () => {
      if (host.node !== node) return;
      if (host.reachable && this.coordinatorUp) {
        node.applyMap(this.map);
        const now = { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
        node.onHeartbeatAck(now, { epoch: this.map.epoch, lease: true });
      }
      clock.setTimer(HEARTBEAT_INTERVAL_MS, beat);
    };
    beat();
    return node;
  }

  /** `kill -9`: what the storage was not given yet is lost. */
  crash(id: NodeId): void {
    const host = this.host(id);
    const { node } = host;
    host.keptMap = node?.map() ?? host.keptMap;
    host.node = undefined;
    host.process = undefined;
    this.network.crash(id);
    // Its timers must not run on: a dead process does nothing.
    node?.close().catch(() => {});
  }

  host(id: NodeId): Host {
    const host = this.hosts.get(id);
    if (host === undefined) throw new Error(`no node ${id}`);
    return host;
  }

  node(id: NodeId): Node {
    const { node } = this.host(id);
    if (node === undefined) throw new Error(`node ${id} does not run`);
    return node;
  }

  run(ms: number): Promise<void> {
    return this.clock.run(ms);
  }

  /** Asks one node, and lets time pass until it answers. */
  async ask(id: NodeId, request: KeyRequest, maxMs = 20_000): Promise<Reply> {
    let answer: Reply | undefined;
    this.node(id).execute(request, (reply) => {
      if (answer !== undefined) throw new Error("a request was answered twice");
      answer = wireForm(reply);
    });
    for (let waited = 0; answer === undefined && waited < maxMs; waited += 5) await this.run(5);
    if (answer === undefined) throw new Error(`no answer to ${JSON.stringify(request)}`);
    return answer;
  }

  config(partition: number): PartitionConfig {
    const config = this.map.partitions[partition];
    if (config === undefined) throw new Error(`no partition ${partition}`);
    return config;
  }

  /** Publishes a change of one partition. */
  configure(partition: number, change: Partial<PartitionConfig>): void {
    const partitions = this.map.partitions.slice();
    partitions[partition] = { ...this.config(partition), ...change };
    this.#publish({ partitions });
  }

  /** Publishes another list of databases. */
  setDatabases(databases: DatabaseList): void {
    this.#publish({ databases });
  }

  #publish(change: Partial<ClusterMap>): void {
    this.map = { ...this.map, ...change, epoch: this.map.epoch + 1 };
    checkInvariants(this.map);
    if (!this.coordinatorUp) return;
    for (const { node, reachable } of this.hosts.values()) {
      if (reachable) node?.applyMap(this.map);
    }
  }

  /** The node has been declared failed: its lease has run out, its roles end. */
  fail(id: NodeId): void {
    this.map.partitions.forEach((config, partition) => {
      if (!config.inSync.includes(id) && !config.learners.includes(id)) return;
      const inSync = config.inSync.filter((node) => node !== id);
      if (inSync.length === 0) return;
      this.configure(partition, {
        term: config.term + 1,
        primary: config.primary === id ? inSync[0] : config.primary,
        inSync,
        learners: config.learners.filter((node) => node !== id),
      });
    });
  }

  /** Gives partitions that lack a replica on the node one to fill. */
  addLearner(id: NodeId): void {
    this.map.partitions.forEach((config, partition) => {
      if (config.inSync.includes(id) || config.learners.includes(id)) return;
      this.configure(partition, { learners: [...config.learners, id] });
    });
  }

  #onReport(report: Report, from: NodeId): void {
    if (!this.coordinatorUp) return;
    const config = this.map.partitions[report.p];
    if (config === undefined || config.term !== report.term) return;
    if (report.req_type !== "damaged" && config.primary !== from) return;
    this.reports.push(report);
    const term = config.term + 1;
    const without = (ids: readonly NodeId[], id: NodeId) => ids.filter((node) => node !== id);
    switch (report.req_type) {
      case "caught_up":
        this.configure(report.p, {
          term,
          inSync: [...config.inSync, report.node],
          learners: without(config.learners, report.node),
        });
        return;
      case "lagging":
        this.configure(report.p, {
          term,
          inSync: without(config.inSync, report.node),
          learners: without(config.learners, report.node),
        });
        return;
      case "damaged": {
        const inSync = without(config.inSync, from);
        if (inSync.length === 0) return;
        const primary = config.primary === from ? inSync[0] : config.primary;
        this.configure(report.p, { term, primary, inSync, learners: [...config.learners, from] });
        return;
      }
      case "drained": {
        const [next] = without(config.inSync, from);
        if (next !== undefined) this.configure(report.p, { term, primary: next });
        return;
      }
      case "resumed":
        this.configure(report.p, { term });
    }
  }

  /** Everybody's entries of a partition, tombstones left out, as text. */
  async contents(id: NodeId, partition = 0): Promise<Record<string, string>> {
    const replica = this.node(id).partition(partition);
    const found: Record<string, string> = {};
    if (replica === undefined) return found;
    const page = replica.store.scan(undefined, { rowsMax: 1e6, bytesMax: 1e9 });
    await this.run(0);
    for (const { key, value, flags } of (await page).entries) {
      if (flags === 0) found[key] = new TextDecoder().decode(value);
    }
    return found;
  }
}

/** A put. */
export function put(key: string, value: string): Message<"put"> {
  return { req_type: "put", key, value };
}

/** A strong get. */
export function get(key: string): Message<"get"> {
  return { req_type: "get", key };
}
